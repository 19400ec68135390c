"""An experiment is one `ExperimentConfig`: a section of knobs for each of its parts. `configs/` holds experiments.

The sections' fields stand in `config_sections/`; whoever writes an experiment finds all of them here. The resolved
configuration travels with a run as `config.json` and is read back by evaluation and inference.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import typing
from typing import Any

from im2txt import configuration_history
from im2txt.config_sections.checks import check
from im2txt.config_sections.decoder_config import (
    DecoderConfig,
    MergeConfig,
    NeuralTalkLstmConfig,
    NeuralTalkRnnConfig,
    ShowAndTellConfig,
    SoftAttentionConfig,
    TransformerConfig,
    WholeDescriptionConfig,
    WordByWordConfig,
    decoder_class,
)
from im2txt.config_sections.decoding_config import DecodingConfig
from im2txt.config_sections.encoder_config import (
    GIVEN_FEATURES_SUFFIX,
    IMAGENET_WEIGHTS,
    NO_WEIGHTS,
    EncoderConfig,
    ResizeMethod,
)
from im2txt.config_sections.input_config import InputConfig
from im2txt.config_sections.optimization_config import OptimizationConfig
from im2txt.config_sections.training_config import TrainingConfig

__all__ = [
    "DecoderConfig",
    "DecodingConfig",
    "EncoderConfig",
    "ExperimentConfig",
    "GIVEN_FEATURES_SUFFIX",
    "IMAGENET_WEIGHTS",
    "InputConfig",
    "MergeConfig",
    "NO_WEIGHTS",
    "NeuralTalkLstmConfig",
    "NeuralTalkRnnConfig",
    "OptimizationConfig",
    "ResizeMethod",
    "ShowAndTellConfig",
    "SoftAttentionConfig",
    "TrainingConfig",
    "TransformerConfig",
    "WholeDescriptionConfig",
    "WordByWordConfig",
]


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """One experiment, whole."""

    input: InputConfig = InputConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = ShowAndTellConfig()
    optimization: OptimizationConfig = OptimizationConfig()
    training: TrainingConfig = TrainingConfig()
    decoding: DecodingConfig = DecodingConfig()

    def __post_init__(self) -> None:
        check(
            self.training.distribution != "tpu" or self.input.padded_caption_length > 0,
            "input.padded_caption_length",
            0,
            "a TPU needs shapes that never change; give it the longest caption's ids",
        )
        num_epochs = self.training.num_epochs
        for name, epoch in (
            ("encoder.train_from_epoch", self.encoder.train_from_epoch),
            ("optimization.scheduled_sampling_from_epoch", self.optimization.scheduled_sampling_from_epoch),
        ):
            check(epoch <= num_epochs, name, epoch, f"training.num_epochs={num_epochs:g} ends training before")
        check(
            self.training.accumulation_steps == 1 or not self.encoder.update_batch_norm,
            "training.accumulation_steps",
            self.training.accumulation_steps,
            "the statistics of a part are not the batch's; needs encoder.update_batch_norm=False",
        )

    def to_json(self) -> str:
        """Returns the content of a run's `config.json`."""
        version = {configuration_history.VERSION_KEY: configuration_history.FORMAT_VERSION}
        return json.dumps(version | dataclasses.asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = "config.json") -> ExperimentConfig:
        """Reads a `config.json` of this version or an older one; what it lacks has the value of its time.

        Raises:
            ValueError: if a field is unknown, with the nearest known one; if a value is out of range; if the file is of
                a newer version.
        """
        try:
            fields = json.loads(text)
            return _from_fields(
                cls, configuration_history.completed(fields) if isinstance(fields, dict) else fields, ""
            )
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{name} is not a configuration of this version: {error}") from error


def _from_fields(cls: type[Any], fields: Any, prefix: str) -> Any:
    if not isinstance(fields, dict):
        raise ValueError(f"{prefix.rstrip('.') or 'the top level'} must be an object, not {fields!r}")
    types = typing.get_type_hints(cls)
    for name in fields:
        if name not in types:
            nearest = difflib.get_close_matches(name, types, n=1)
            hint = f"; did you mean {prefix}{nearest[0]}?" if nearest else f"; there are {sorted(types)}."
            raise ValueError(f"unknown field {prefix}{name}{hint}")
    return cls(
        **{
            name: _from_fields(_section_class(types[name], value), value, f"{prefix}{name}.")
            if dataclasses.is_dataclass(types[name])
            else value
            for name, value in fields.items()
        }
    )


def _section_class(kind: type[Any], fields: Any) -> type[Any]:
    """Returns the class whose fields these are: a decoder's own, by its name."""
    return decoder_class(fields.get("name")) if kind is DecoderConfig and isinstance(fields, dict) else kind
