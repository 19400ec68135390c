"""The decoders by the name that `decoder.name` gives them: a new one is a module in this folder and an entry here."""

from __future__ import annotations

from collections.abc import Callable

from im2txt.model.decoders.caption_decoder import CaptionDecoder
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder

DECODERS: dict[str, Callable[..., CaptionDecoder]] = {"show_and_tell": ShowAndTellDecoder}
"""Each is called with config, vocab_size, feature_size, seed, word_counts, compute_dtype: as `ShowAndTellDecoder`."""
