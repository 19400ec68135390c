"""The names a configuration may give are those of the registry."""

from im2txt.config_sections.decoder_config import DECODER_CONFIGS
from im2txt.model.decoders.registry import DECODERS


def test_every_name_of_the_configuration_has_a_decoder_and_no_other():
    assert sorted(DECODER_CONFIGS) == sorted(DECODERS)


def test_every_decoder_is_built_from_the_same_arguments_and_does_what_training_and_search_ask():
    for name, build in DECODERS.items():
        decoder = build(DECODER_CONFIGS[name](), 7, 3, 1, None)
        assert decoder.vocab_size == 7
        assert decoder.variables
        for asked in ("start", "step", "unroll", "logits"):
            assert callable(getattr(decoder, asked))
