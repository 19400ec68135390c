"""Fields of the section `decoding`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from im2txt.config_sections.checks import check, check_types

_METHODS_OF = {
    "length_normalization_factor": ("beam", "diverse_beam"),
    "beam_groups": ("diverse_beam",),
    "diversity_strength": ("diverse_beam",),
    "temperature": ("sample",),
    "top_k": ("sample",),
    "top_p": ("sample",),
    "sampling_seed": ("sample",),
}
"""Which methods use a field; the others are for all."""
_RANGES = {
    "beam_size": (lambda value: 1 <= value <= 100, "must be in 1 to 100"),
    "max_caption_length": (lambda value: value >= 2, "must be at least 2"),
    "length_normalization_factor": (lambda value: value >= 0, "must not be negative"),
    "min_caption_length": (lambda value: value >= 2, "must be at least 2"),
    "no_repeat_ngram_size": (lambda value: value >= 0, "must not be negative"),
    "beam_groups": (lambda value: value >= 1, "must be at least 1"),
    "diversity_strength": (lambda value: value >= 0, "must not be negative"),
    "temperature": (lambda value: value > 0, "must be positive"),
    "top_k": (lambda value: value >= 0, "must not be negative"),
    "top_p": (lambda value: 0 < value <= 1, "must be in (0, 1]"),
    "sampling_seed": (lambda value: value >= 0, "must not be negative"),
}


@dataclasses.dataclass(frozen=True)
class DecodingConfig:
    """How captions are searched for."""

    method: Literal["beam", "diverse_beam", "sample"] = "beam"
    """`beam` searches for the most probable captions, `diverse_beam` for such that differ; `sample` draws at random."""
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
    beam_groups: int = 3
    """`diverse_beam` splits the beam into so many groups, each of which avoids the words of those before it."""
    diversity_strength: float = 0.5
    """What a word costs in `diverse_beam`, in nats, for each caption of earlier groups that has it in this place."""
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
        check_ranges(dataclasses.asdict(self))
        least, most = self.min_caption_length, self.max_caption_length
        check(least <= most, "decoding.min_caption_length", least, f"must not exceed max_caption_length={most}")
        check(
            self.method != "diverse_beam" or self.beam_size % self.beam_groups == 0,
            "decoding.beam_size",
            self.beam_size,
            f"method=diverse_beam needs a multiple of beam_groups={self.beam_groups}",
        )
        for field in dataclasses.fields(self):
            methods = _METHODS_OF.get(field.name, ())
            if len(methods) == 1 and field.name != "sampling_seed":  # A seed does no harm, and old runs may have one.
                value = getattr(self, field.name)
                is_used = self.method in methods or value == field.default
                check(is_used, f"decoding.{field.name}", value, f"needs method={methods[0]}")

    def replaced(self, fields: Mapping[str, Any]) -> DecodingConfig:
        """Returns this with some fields replaced; what only the method used that is left falls back to its default.

        Raises:
            ValueError: if a value is out of its range, or is for another method.
        """
        method = fields.get("method", self.method)
        for name, methods in _METHODS_OF.items():
            is_used = name not in fields or method in methods
            check(is_used, f"decoding.{name}", fields.get(name), f"needs method={' or '.join(methods)}, not {method}")
        kept = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if method in _METHODS_OF.get(field.name, (method,))
        }
        return DecodingConfig(**{**kept, **fields})


def check_ranges(fields: Mapping[str, Any]) -> None:
    """Raises ValueError if the value of a field, looked at alone, is out of its range; names the field and the rule."""
    for name, (fits, rule) in _RANGES.items():
        if name in fields:
            check(fits(fields[name]), f"decoding.{name}", fields[name], rule)
