"""Fields of the section `decoder`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
from typing import Literal

from im2txt.config_sections.checks import check, check_types


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """The network that writes the caption."""

    name: Literal["show_and_tell"] = "show_and_tell"
    """Which network; see `im2txt/model/decoders`."""
    embedding_size: int = 512
    """Numbers per word vector; the photograph's embedding has as many."""
    num_lstm_units: int = 512
    """Units of the LSTM."""
    vocab_size: int = 0
    """Rows of the tables of words, those to spare included; 0 takes as many as the vocabulary has words."""
    image_input: Literal["first", "every_step"] = "first"
    """Whether the LSTM sees the photograph once, before the words, or added to every word too."""
    initializer_scale: float = 0.08
    """Weights start uniform in plus or minus this."""
    image_dropout_rate: float = 0.0
    """Share of image features dropped in training."""
    input_dropout_rate: float = 0.3
    """Share of the LSTM's inputs dropped in training."""
    output_dropout_rate: float = 0.3
    """Share of the LSTM's outputs dropped in training."""
    log_frequency_bias: bool = False
    """Start the output bias from each word's log frequency instead of 0."""

    def __post_init__(self) -> None:
        check_types(self, "decoder")
        for name in ("embedding_size", "num_lstm_units"):
            check(getattr(self, name) >= 1, f"decoder.{name}", getattr(self, name), "must be at least 1")
        check(self.vocab_size >= 0, "decoder.vocab_size", self.vocab_size, "must be 0 or a number of rows")
        for name in ("image_dropout_rate", "input_dropout_rate", "output_dropout_rate"):
            check(0 <= getattr(self, name) < 1, f"decoder.{name}", getattr(self, name), "must be in [0, 1)")
        check(self.initializer_scale > 0, "decoder.initializer_scale", self.initializer_scale, "must be positive")
