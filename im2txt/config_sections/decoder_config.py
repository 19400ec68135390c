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


@dataclasses.dataclass(frozen=True)
class NeuralTalkLstmConfig(DecoderConfig):
    """NeuralTalk's LSTM: Show and Tell with another cell and other initial weights."""

    name: Literal["neuraltalk_lstm"] = "neuraltalk_lstm"
    """Which network; see `im2txt/model/decoders`."""
    log_frequency_bias: bool = True
    """Start the output bias from each word's log frequency instead of 0."""
    hidden_size: int = 256
    """Numbers per word vector and per photograph's embedding, and units of the LSTM."""
    tanh_cell: bool = False
    """Whether the cell passes tanh before it becomes the output."""
    initializer_scale: float = 0.1
    """Weights start uniform in plus or minus this."""
    encoder_dropout_rate: float = 0.5
    """Share of the embeddings of photograph and words dropped in training."""
    decoder_dropout_rate: float = 0.5
    """Share of the LSTM's outputs dropped in training."""


@dataclasses.dataclass(frozen=True)
class NeuralTalkRnnConfig(DecoderConfig):
    """NeuralTalk's multimodal RNN with rectified units."""

    name: Literal["neuraltalk_rnn"] = "neuraltalk_rnn"
    """Which network; see `im2txt/model/decoders`."""
    log_frequency_bias: bool = True
    """Start the output bias from each word's log frequency instead of 0."""
    embedding_size: int = 256
    """Numbers per word vector."""
    hidden_size: int = 256
    """Units of the RNN; the photograph's embedding has as many numbers."""
    image_input: ImageInput = "every_step"
    """Whether the photograph is added to the first word only, or to every word."""
    relu_encoders: bool = False
    """Whether the embeddings of photograph and words are rectified."""
    initializer_scale: float = 0.1
    """Weights start uniform in plus or minus this, those of the output in a tenth of it."""
    encoder_dropout_rate: float = 0.5
    """Share of the embeddings of photograph and words dropped in training."""
    decoder_dropout_rate: float = 0.5
    """Share of the RNN's outputs dropped in training."""


@dataclasses.dataclass(frozen=True)
class MergeConfig(DecoderConfig):
    """The merge model: the LSTM reads words alone, the photograph is added to what it has read."""

    name: Literal["merge"] = "merge"
    """Which network; see `im2txt/model/decoders`."""
    embedding_size: int = 256
    """Numbers per word vector."""
    num_lstm_units: int = 256
    """Units of the LSTM and of the two dense layers."""
    image_dropout_rate: float = 0.5
    """Share of image features dropped in training."""
    word_dropout_rate: float = 0.5
    """Share of the word vectors' numbers dropped in training."""


@dataclasses.dataclass(frozen=True)
class WordByWordConfig(DecoderConfig):
    """The tutorial's word-by-word model: a first LSTM reads words, a second one what it says beside the photograph."""

    name: Literal["word_by_word"] = "word_by_word"
    """Which network; see `im2txt/model/decoders`."""
    image_embedding_size: int = 128
    """Numbers of the photograph's embedding, and of the dense layer over the first LSTM."""
    embedding_size: int = 50
    """Numbers per word vector."""
    num_language_units: int = 256
    """Units of the LSTM that reads the words."""
    num_lstm_units: int = 500
    """Units of the LSTM over words and photograph, and of the dense layer over it."""


@dataclasses.dataclass(frozen=True)
class WholeDescriptionConfig(DecoderConfig):
    """The tutorial's whole-description model: all words from the photograph at once, none from another."""

    name: Literal["whole_description"] = "whole_description"
    """Which network; see `im2txt/model/decoders`."""
    image_embedding_size: int = 256
    """Numbers of the photograph's embedding."""
    num_lstm_units: int = 256
    """Units of the LSTM, which is fed the photograph's embedding for every word."""
    image_dropout_rate: float = 0.5
    """Share of image features dropped in training."""


@dataclasses.dataclass(frozen=True)
class SoftAttentionConfig(DecoderConfig):
    """Show, Attend and Tell: an LSTM that looks at the photograph's places anew before each word."""

    name: Literal["soft_attention"] = "soft_attention"
    """Which network; see `im2txt/model/decoders`."""
    embedding_size: int = 512
    """Numbers per word vector."""
    num_lstm_units: int = 512
    """Units of the LSTM."""
    attention_size: int = 512
    """Units of the layer that compares the LSTM's state with a place."""
    attention_penalty: float = 1.0
    """Weight of the doubly stochastic penalty: how much it costs to look more or less than once at a place."""
    initializer_scale: float = 0.08
    """Weights start uniform in plus or minus this."""
    input_dropout_rate: float = 0.3
    """Share of the word vectors' numbers dropped in training."""
    output_dropout_rate: float = 0.5
    """Share of what the output layer sees dropped in training."""


@dataclasses.dataclass(frozen=True)
class TransformerConfig(DecoderConfig):
    """A Transformer decoder that attends to the photograph's places."""

    name: Literal["transformer"] = "transformer"
    """Which network; see `im2txt/model/decoders`."""
    model_size: int = 512
    """Numbers per word vector and per layer's output; a multiple of num_heads."""
    num_layers: int = 2
    """Layers, each of self-attention, attention to the photograph and a feed-forward part."""
    num_heads: int = 8
    """Heads of every attention."""
    feedforward_size: int = 2048
    """Units of the feed-forward parts."""
    dropout_rate: float = 0.1
    """Share of the word vectors and of each part's output dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"must be a multiple of num_heads={self.num_heads}"
        check(self.model_size % self.num_heads == 0, "decoder.model_size", self.model_size, rule)
        check(self.model_size % 2 == 0, "decoder.model_size", self.model_size, "must be even, for the positions")


DECODER_CONFIGS: dict[str, type[DecoderConfig]] = {
    config.name: config
    for config in (
        ShowAndTellConfig,
        NeuralTalkLstmConfig,
        NeuralTalkRnnConfig,
        MergeConfig,
        WordByWordConfig,
        WholeDescriptionConfig,
        SoftAttentionConfig,
        TransformerConfig,
    )
}
"""The decoders' configurations by `decoder.name`."""


def decoder_class(name: Any) -> type[DecoderConfig]:
    """Returns the configuration that belongs to a decoder's name; ValueError, with the nearest name, if none does."""
    if name in DECODER_CONFIGS:
        return DECODER_CONFIGS[name]
    nearest = difflib.get_close_matches(str(name), DECODER_CONFIGS, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise ValueError(f"decoder.name={name!r}: must be one of {', '.join(DECODER_CONFIGS)}{hint}")
