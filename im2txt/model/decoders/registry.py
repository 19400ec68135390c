"""The decoders by the name that `decoder.name` gives them: a new one is a module in this folder and an entry here."""

from __future__ import annotations

from im2txt.model.decoders.caption_decoder import CaptionDecoder
from im2txt.model.decoders.merge import MergeDecoder
from im2txt.model.decoders.neuraltalk_lstm import NeuralTalkLstmDecoder
from im2txt.model.decoders.neuraltalk_rnn import NeuralTalkRnnDecoder
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.model.decoders.soft_attention import SoftAttentionDecoder
from im2txt.model.decoders.transformer import TransformerDecoder
from im2txt.model.decoders.whole_description import WholeDescriptionDecoder
from im2txt.model.decoders.word_by_word import WordByWordDecoder

DECODERS: dict[str, type[CaptionDecoder]] = {
    "show_and_tell": ShowAndTellDecoder,
    "neuraltalk_lstm": NeuralTalkLstmDecoder,
    "neuraltalk_rnn": NeuralTalkRnnDecoder,
    "merge": MergeDecoder,
    "word_by_word": WordByWordDecoder,
    "whole_description": WholeDescriptionDecoder,
    "soft_attention": SoftAttentionDecoder,
    "transformer": TransformerDecoder,
}

_FEATURES = {1: "one vector per photograph [F]", 2: "a grid of vectors per photograph [P, C]"}
_POOLING = {1: "avg or max or flatten", 2: "grid"}


def check_feature_rank(name: str, feature_rank: int) -> None:
    """Checks that a decoder can look at features of this rank.

    Args:
        name: `decoder.name`.
        feature_rank: 1 for vectors [F], 2 for grids [P, C].

    Raises:
        ValueError: if it cannot; the message says what to set.
    """
    taken = DECODERS[name].feature_ranks
    if feature_rank in taken:
        return
    others = sorted(other for other, decoder in DECODERS.items() if feature_rank in decoder.feature_ranks)
    or_other = f", or decoder.name={' or '.join(others)}" if others else ""
    raise ValueError(
        f"decoder.name={name} looks at {' or '.join(_FEATURES[rank] for rank in taken)}, and encoder.pooling makes "
        f"{_FEATURES[feature_rank]}. Set encoder.pooling={' or '.join(_POOLING[rank] for rank in taken)}{or_other}."
    )
