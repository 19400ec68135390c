"""Fields of the section `decoding`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
from typing import Literal

from im2txt.config_sections.checks import check, check_types


@dataclasses.dataclass(frozen=True)
class DecodingConfig:
    """How captions are searched for."""

    method: Literal["beam", "sample"] = "beam"
    """`beam` searches for the most probable captions; `sample` draws them at random."""
    beam_size: int = 3
    """Captions per photograph: partial captions kept at each word (1 is greedy search), or samples drawn."""
    max_caption_length: int = 20
    """Most words of a caption, `<S>` and `</S>` included."""
    length_normalization_factor: float = 0.0
    """Complete captions are ranked by log probability over length to this power; 0 leaves it as it is."""
    allow_unknown: bool = False
    """Whether a caption may hold `<UNK>`."""
    min_caption_length: int = 2
    """Least words of a complete caption, `<S>` and `</S>` included."""
    no_repeat_ngram_size: int = 0
    """No run of so many words stands twice in a caption; 0 allows all."""
    temperature: float = 1.0
    """`sample` draws words in proportion to their probability to the power of 1 over this."""
    top_k: int = 0
    """`sample` draws among so many most probable words; 0 allows all."""
    top_p: float = 1.0
    """`sample` draws among the fewest words that hold this much probability together."""
    sampling_seed: int = 1
    """Another seed draws other captions."""
    allow_start: bool = False
    """Whether a caption may hold another `<S>`, as one of the original im2txt may."""

    def __post_init__(self) -> None:
        check_types(self, "decoding")
        check(1 <= self.beam_size <= 100, "decoding.beam_size", self.beam_size, "must be in 1 to 100")
        check(
            self.max_caption_length >= 2, "decoding.max_caption_length", self.max_caption_length, "must be at least 2"
        )
        check(
            self.length_normalization_factor >= 0,
            "decoding.length_normalization_factor",
            self.length_normalization_factor,
            "must not be negative",
        )
        least, most = self.min_caption_length, self.max_caption_length
        check(least >= 2, "decoding.min_caption_length", least, "must be at least 2")
        check(least <= most, "decoding.min_caption_length", least, f"must not exceed max_caption_length={most}")
        for name in ("no_repeat_ngram_size", "top_k", "sampling_seed"):
            check(getattr(self, name) >= 0, f"decoding.{name}", getattr(self, name), "must not be negative")
        check(self.temperature > 0, "decoding.temperature", self.temperature, "must be positive")
        check(0 < self.top_p <= 1, "decoding.top_p", self.top_p, "must be in (0, 1]")
        for name, unused in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0)):
            value = getattr(self, name)
            check(self.method == "sample" or value == unused, f"decoding.{name}", value, "needs method=sample")
