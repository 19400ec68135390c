"""The names a configuration may give are those of the registry, and each decoder refuses features it cannot look at."""

import numpy as np
import pytest

from im2txt.config_sections.decoder_config import DECODER_CONFIGS
from im2txt.model.decoders import registry
from im2txt.model.decoders.registry import DECODERS, check_feature_rank
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder


def test_every_name_of_the_configuration_has_a_decoder_and_no_other():
    assert sorted(DECODER_CONFIGS) == sorted(DECODERS)


def test_every_decoder_is_built_from_the_same_arguments_and_does_what_training_and_search_ask():
    for name, build in DECODERS.items():
        decoder = build(DECODER_CONFIGS[name](), 7, {1: (3,), 2: (2, 3)}[build.feature_ranks[0]], 1, np.ones(7))
        assert decoder.vocab_size == 7
        assert decoder.variables
        for asked in ("start", "step", "unroll", "logits"):
            assert callable(getattr(decoder, asked))


class OfGrids(ShowAndTellDecoder):
    """Looks at places."""

    feature_ranks = (2,)


def test_show_and_tell_refuses_grids_and_says_what_to_set(monkeypatch):
    check_feature_rank("show_and_tell", 1)
    monkeypatch.setattr(registry, "DECODERS", {"show_and_tell": DECODERS["show_and_tell"]})
    with pytest.raises(ValueError, match=r"show_and_tell looks at one vector .* makes a grid .* or flatten\.$"):
        check_feature_rank("show_and_tell", 2)


def test_a_decoder_of_grids_refuses_vectors_and_others_are_named(monkeypatch):
    monkeypatch.setattr(registry, "DECODERS", {"show_and_tell": ShowAndTellDecoder, "of_grids": OfGrids})
    check_feature_rank("of_grids", 2)
    told = (
        r"^decoder.name=of_grids looks at a grid .* makes one vector .*\. Set encoder.pooling=grid, or decoder.name=sho"
    )
    with pytest.raises(ValueError, match=told):
        check_feature_rank("of_grids", 1)
    with pytest.raises(ValueError, match=r"or flatten, or decoder.name=of_grids\.$"):
        check_feature_rank("show_and_tell", 2)
