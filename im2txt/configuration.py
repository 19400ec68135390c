"""Every knob: its default, unit and range. An experiment is one `ExperimentConfig`; `configs/` holds them.

The resolved configuration travels with a run as `config.json` and is read back by evaluation and inference.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from typing import Any, Literal

from im2txt import configuration_history

IMAGENET_WEIGHTS = "imagenet"
NO_WEIGHTS = "none"
ResizeMethod = Literal["half_pixel", "legacy"]


def _check(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name}={value!r}: {rule}.")


def _check_types(section: Any, prefix: str) -> None:
    """Checks what Python and JSON leave unchecked: a "false" would be true, a NaN pass every range."""
    for name, kind in typing.get_type_hints(type(section)).items():
        value = getattr(section, name)
        if typing.get_origin(kind) is Literal:
            choices = typing.get_args(kind)
            _check(value in choices, f"{prefix}.{name}", value, f"must be one of {', '.join(choices)}")
        elif kind is float:
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            _check(is_number and math.isfinite(value), f"{prefix}.{name}", value, "must be a finite number")
        else:
            _check(type(value) is kind, f"{prefix}.{name}", value, f"must be of type {kind.__name__}")


@dataclasses.dataclass(frozen=True)
class InputConfig:
    """Which shards are read, and how examples become batches."""

    data_dir: str = ""
    """Folder of shards with a manifest.json, of photographs or of cached features."""
    train_split: str = "train"
    """Split that is trained on."""
    val_split: str = "val"
    """Split whose perplexity chooses the best checkpoint."""
    batch_size: int = 32
    """Examples per step, over all replicas: photographs with up to captions_per_image captions each."""
    captions_per_image: int = 1
    """Captions of one photograph that share its pass through the encoder; a batch holds batch_size times as many."""
    shuffle_buffer_examples: int = 4600
    """Examples among which the next one is drawn; 1 keeps the order of the shards."""
    bucketing_batches: int = 16
    """Batches that are filled together, sorted by caption length, so that little is padded; 1 turns bucketing off."""
    padded_caption_length: int = 0
    """Ids of every training caption with its padding, `<S>` and `</S>` included, so that shapes never change, as a TPU
    and XLA need; a longer caption ends the run. 0 trims each batch to its longest caption."""
    distort_images: bool = True
    """Random crop, flip and colour changes in training; needs photographs, not cached features."""

    def __post_init__(self) -> None:
        _check_types(self, "input")
        for name in ("batch_size", "captions_per_image", "shuffle_buffer_examples", "bucketing_batches"):
            _check(getattr(self, name) >= 1, f"input.{name}", getattr(self, name), "must be at least 1")
        rule = "must be 0 or at least 2, for `<S>` and `</S>`"
        _check(
            self.padded_caption_length == 0 or self.padded_caption_length >= 2,
            "input.padded_caption_length",
            self.padded_caption_length,
            rule,
        )


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The network that turns a photograph into features."""

    backbone: str = "InceptionV3"
    """A network of keras.applications by its name there, or SmallCNN, which trains from scratch in minutes."""
    weights: str = IMAGENET_WEIGHTS
    """`imagenet`, the path of a Keras weight file without the top layers, `none` for random weights, or for InceptionV3
    the path of a checkpoint of slim or the original im2txt."""
    image_size: int = 0
    """Side of the square input in pixels; 0 takes the backbone's own."""
    crop_fraction: float = 299 / 346
    """Share of the photograph's height and width that is kept: at the centre, or anywhere when distorting."""
    resize: ResizeMethod = "half_pixel"
    """`legacy` samples photographs as TensorFlow 1 did, which the weights of an imported model are used to."""
    pooling: Literal["avg", "max", "flatten"] = "avg"
    """How the last feature map [h, w, c] becomes one vector; `flatten` keeps the places of things."""
    trainable: bool = False
    """Whether the encoder is trained too."""
    update_batch_norm: bool = False
    """Whether a trained encoder's batch normalisation uses and updates batch statistics; on one replica only."""

    def __post_init__(self) -> None:
        _check_types(self, "encoder")
        _check(self.image_size >= 0, "encoder.image_size", self.image_size, "must be 0 or a number of pixels")
        _check(0 < self.crop_fraction <= 1, "encoder.crop_fraction", self.crop_fraction, "must be in (0, 1]")
        _check(bool(self.weights), "encoder.weights", self.weights, "must be `imagenet`, `none` or a path")


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
        _check_types(self, "decoder")
        for name in ("embedding_size", "num_lstm_units"):
            _check(getattr(self, name) >= 1, f"decoder.{name}", getattr(self, name), "must be at least 1")
        _check(self.vocab_size >= 0, "decoder.vocab_size", self.vocab_size, "must be 0 or a number of rows")
        for name in ("image_dropout_rate", "input_dropout_rate", "output_dropout_rate"):
            _check(0 <= getattr(self, name) < 1, f"decoder.{name}", getattr(self, name), "must be in [0, 1)")
        _check(self.initializer_scale > 0, "decoder.initializer_scale", self.initializer_scale, "must be positive")


@dataclasses.dataclass(frozen=True)
class OptimizationConfig:
    """How gradients become updates."""

    optimizer: Literal["sgd", "momentum", "rmsprop", "adagrad", "adam", "adamw"] = "sgd"
    """The update rule."""
    learning_rate: float = 2.0
    """Peak learning rate."""
    schedule: Literal["constant", "staircase", "cosine"] = "staircase"
    """`staircase` multiplies by decay_factor every decay_epochs; `cosine` falls to 0 at the last step."""
    warmup_steps: int = 0
    """Steps over which the rate rises linearly from 0."""
    decay_epochs: float = 8.0
    """Epochs between two steps of the staircase."""
    decay_factor: float = 0.5
    """Factor of each step of the staircase."""
    encoder_learning_rate_factor: float = 1.0
    """Factor on the learning rate of a trained encoder."""
    clip_norm: float = 5.0
    """Largest global norm of the gradient, after summing over replicas; 0 turns clipping off."""
    weight_decay: float = 0.0
    """Decay of weight matrices per step, times the learning rate (adamw only)."""
    label_smoothing: float = 0.0
    """Probability mass that training spreads over all words; validation never smooths."""

    def __post_init__(self) -> None:
        _check_types(self, "optimization")
        for name in ("learning_rate", "decay_epochs", "decay_factor"):
            _check(getattr(self, name) > 0, f"optimization.{name}", getattr(self, name), "must be positive")
        for name in ("warmup_steps", "clip_norm", "weight_decay", "encoder_learning_rate_factor"):
            _check(getattr(self, name) >= 0, f"optimization.{name}", getattr(self, name), "must not be negative")
        _check(0 <= self.label_smoothing < 1, "optimization.label_smoothing", self.label_smoothing, "must be in [0, 1)")
        _check(
            self.weight_decay == 0 or self.optimizer == "adamw",
            "optimization.weight_decay",
            self.weight_decay,
            f"only adamw decays weights, the optimizer is {self.optimizer}",
        )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long to train, and what to write on the way."""

    start_from: str = ""
    """Workdir of a trained run whose weights this one starts with; its words keep their ids, and new ones follow."""
    num_epochs: float = 50.0
    """Passes over the training captions."""
    steps_per_call: int = 50
    """Steps that run in the graph between two looks at the clock."""
    log_every_steps: int = 100
    """Steps between two log lines."""
    eval_every_epochs: float = 1.0
    """Epochs between two validations."""
    checkpoint_every_secs: float = 600.0
    """Seconds between two checkpoints; the end and Ctrl-C save too."""
    keep_checkpoints: int = 3
    """Latest checkpoints kept, besides the best."""
    early_stopping_evaluations: int = 0
    """Stop after so many validations without a better perplexity; 0 never stops early."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Number type of matrix products in training; weights and validation stay float32."""
    distribution: Literal["one_device", "mirrored", "multi_worker", "tpu"] = "one_device"
    """`mirrored` copies the model to every GPU of this machine, `multi_worker` to those of every process that TF_CONFIG
    or Slurm names, `tpu` to every core of a TPU."""
    logical_devices: int = 0
    """To rehearse `mirrored` without GPUs: copies on so many logical devices of the CPU; 0 takes the GPUs."""
    tpu_name: str = ""
    """Name or address of the TPU for `tpu`; empty finds the one this machine has."""
    seed: int = 1
    """Fixes initial weights, order of examples, distortions and dropout."""

    def __post_init__(self) -> None:
        _check_types(self, "training")
        for name in ("num_epochs", "eval_every_epochs", "checkpoint_every_secs"):
            _check(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "must be positive")
        for name in ("steps_per_call", "log_every_steps", "keep_checkpoints"):
            _check(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "must be at least 1")
        for name in ("early_stopping_evaluations", "seed", "logical_devices"):
            _check(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "must not be negative")
        _check(
            self.logical_devices == 0 or self.distribution == "mirrored",
            "training.logical_devices",
            self.logical_devices,
            f"only mirrored spreads over them, the distribution is {self.distribution}",
        )


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
        _check_types(self, "decoding")
        _check(1 <= self.beam_size <= 100, "decoding.beam_size", self.beam_size, "must be in 1 to 100")
        _check(
            self.max_caption_length >= 2, "decoding.max_caption_length", self.max_caption_length, "must be at least 2"
        )
        _check(
            self.length_normalization_factor >= 0,
            "decoding.length_normalization_factor",
            self.length_normalization_factor,
            "must not be negative",
        )
        least, most = self.min_caption_length, self.max_caption_length
        _check(least >= 2, "decoding.min_caption_length", least, "must be at least 2")
        _check(least <= most, "decoding.min_caption_length", least, f"must not exceed max_caption_length={most}")
        for name in ("no_repeat_ngram_size", "top_k", "sampling_seed"):
            _check(getattr(self, name) >= 0, f"decoding.{name}", getattr(self, name), "must not be negative")
        _check(self.temperature > 0, "decoding.temperature", self.temperature, "must be positive")
        _check(0 < self.top_p <= 1, "decoding.top_p", self.top_p, "must be in (0, 1]")
        for name, unused in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0)):
            value = getattr(self, name)
            _check(self.method == "sample" or value == unused, f"decoding.{name}", value, "needs method=sample")


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """One experiment, whole."""

    input: InputConfig = InputConfig()
    encoder: EncoderConfig = EncoderConfig()
    decoder: DecoderConfig = DecoderConfig()
    optimization: OptimizationConfig = OptimizationConfig()
    training: TrainingConfig = TrainingConfig()
    decoding: DecodingConfig = DecodingConfig()

    def __post_init__(self) -> None:
        replicas_may_be_many = self.training.distribution != "one_device"
        _check(
            not (self.encoder.update_batch_norm and replicas_may_be_many),
            "encoder.update_batch_norm",
            True,
            "batch statistics drift apart between replicas; needs training.distribution=one_device",
        )
        _check(
            self.training.distribution != "tpu" or self.input.padded_caption_length > 0,
            "input.padded_caption_length",
            0,
            "a TPU needs shapes that never change; give it the longest caption's ids",
        )
        _check(
            self.encoder.trainable or not self.encoder.update_batch_norm,
            "encoder.update_batch_norm",
            True,
            "needs encoder.trainable=True",
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
        except ValueError as error:
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
            name: _from_fields(types[name], value, f"{prefix}{name}.")
            if dataclasses.is_dataclass(types[name])
            else value
            for name, value in fields.items()
        }
    )
