"""The names a configuration may give are those of the registry."""

import dataclasses
import typing

from im2txt.configuration import DecoderConfig
from im2txt.model.decoders.registry import DECODERS


def test_every_name_of_the_configuration_has_a_decoder_and_no_other():
    names = typing.get_args(typing.get_type_hints(DecoderConfig)["name"])
    assert sorted(names) == sorted(DECODERS)


def test_every_decoder_is_built_from_the_same_arguments_and_does_what_training_and_search_ask():
    for name, build in DECODERS.items():
        config = dataclasses.replace(DecoderConfig(embedding_size=4, num_lstm_units=4), name=name)
        decoder = build(config, 7, 3, 1, None)
        assert decoder.vocab_size == 7
        assert decoder.variables
        for asked in ("initial_state", "step", "unroll", "logits"):
            assert callable(getattr(decoder, asked))
