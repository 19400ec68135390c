"""Fields of the section `decoder`: one class per network, with default, unit and range of each of its knobs.

`decoder.name` chooses the class. What stands in one class is unknown to the others, and refused there.
"""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, Literal

from im2txt.config_sections.checks import check, check_types

ImageInput = Literal["first", "every_step"]


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """The network that writes the caption: what all of them have. Each one's own class says the rest."""

    name: str = ""
    """Which network; see `im2txt/model/decoders`."""
    vocab_size: int = 0
    """Rows of the tables of words, those to spare included; 0 takes as many as the vocabulary has words."""
    log_frequency_bias: bool = False
    """Start the output bias from each word's log frequency instead of 0."""

    def __post_init__(self) -> None:
        decoder_class(self.name)
        check_types(self, "decoder")
        for field in dataclasses.fields(self):
            name, value = f"decoder.{field.name}", getattr(self, field.name)
            if field.name == "vocab_size":
                check(value >= 0, name, value, "must be 0 or a number of rows")
            elif field.name.endswith("_rate"):
                check(0 <= value < 1, name, value, "must be in [0, 1)")
            elif field.name.endswith("_penalty"):
                check(value >= 0, name, value, "must not be negative")
            elif field.type == "float":
                check(value > 0, name, value, "must be positive")
            elif field.type == "int":
                check(value >= 1, name, value, "must be at least 1")


@dataclasses.dataclass(frozen=True)
class ShowAndTellConfig(DecoderConfig):
    """Show and Tell: an LSTM that sees the photograph first and then the words."""

    name: Literal["show_and_tell"] = "show_and_tell"
    """Which network; see `im2txt/model/decoders`."""
    embedding_size: int = 512
    """Numbers per word vector; the photograph's embedding has as many."""
    num_lstm_units: int = 512
    """Units of the LSTM."""
    image_input: ImageInput = "first"
    """Whether the LSTM sees the photograph once, before the words, or added to every word too."""
    initializer_scale: float = 0.08
    """Weights start uniform in plus or minus this."""
    image_dropout_rate: float = 0.0
    """Share of image features dropped in training."""
    input_dropout_rate: float = 0.3
    """Share of the LSTM's inputs dropped in training."""
    output_dropout_rate: float = 0.3
    """Share of the LSTM's outputs dropped in training."""


DECODER_CONFIGS: dict[str, type[DecoderConfig]] = {config.name: config for config in (ShowAndTellConfig,)}
"""The decoders' configurations by `decoder.name`."""


def decoder_class(name: Any) -> type[DecoderConfig]:
    """Returns the configuration that belongs to a decoder's name; ValueError, with the nearest name, if none does."""
    if name in DECODER_CONFIGS:
        return DECODER_CONFIGS[name]
    nearest = difflib.get_close_matches(str(name), DECODER_CONFIGS, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(f"decoder.name={name!r}: must be one of {', '.join(DECODER_CONFIGS)}{hint}")
