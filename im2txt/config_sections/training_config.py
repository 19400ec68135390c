"""Fields of the section `training`: default, unit and range of each."""

from __future__ import annotations

import dataclasses
from typing import Literal

from im2txt.config_sections.checks import check, check_types

BestBy = Literal["perplexity", "cider"]


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
    caption_every_epochs: float = 0.0
    """Epochs between two validations by CIDEr-D, of the most probable words one by one (beam size 1); 0 never does."""
    caption_images: int = 1000
    """Photographs of the validation split that are captioned for it, drawn once."""
    best_by: BestBy = "perplexity"
    """Which of both chooses the best checkpoint, and stops early."""
    sample_images: int = 6
    """Photographs whose captions are shown at each validation in TensorBoard and on the page of runs, drawn once; 0
    shows none."""
    checkpoint_every_secs: float = 600.0
    """Seconds between two checkpoints; the end and Ctrl-C save too."""
    keep_checkpoints: int = 3
    """Latest checkpoints kept, besides the best."""
    early_stopping_evaluations: int = 0
    """Stop after so many validations without a better one, by the figure that `best_by` names; 0 never stops early."""
    stop_above_perplexity: float = 0.0
    """End the run with an error at a validation whose perplexity is above this; 0 never does."""
    accumulation_steps: int = 1
    """Parts in which a replica's batch passes through the model, one after the other, in less memory; their gradients
    are added, so that the update is that of the whole batch."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Number type of the decoder's matrix products in training and its validations; weights, `evaluate` and captions
    keep float32."""
    distribution: Literal["one_device", "mirrored", "multi_worker", "tpu"] = "one_device"
    """`mirrored` copies the model to every GPU of this machine, `multi_worker` to those of every process that TF_CONFIG
    or Slurm names, `tpu` to every core of a TPU."""
    logical_devices: int = 0
    """To rehearse `mirrored` without GPUs: copies on so many logical devices of the CPU; 0 takes the GPUs."""
    tpu_name: str = ""
    """Name or address of the TPU for `tpu`; empty finds the one this machine has."""
    start_deadline_secs: float = 600.0
    """Seconds that a worker of `multi_worker` waits for the others to come before it gives up."""
    seed: int = 1
    """Fixes initial weights, order of examples, distortions and dropout."""

    def __post_init__(self) -> None:
        check_types(self, "training")
        for name in ("num_epochs", "eval_every_epochs", "checkpoint_every_secs", "start_deadline_secs"):
            check(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "must be positive")
        for name in ("steps_per_call", "accumulation_steps", "log_every_steps", "keep_checkpoints"):
            check(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "must be at least 1")
        for name in ("early_stopping_evaluations", "stop_above_perplexity", "seed", "logical_devices"):
            check(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "must not be negative")
        for name in ("caption_every_epochs", "sample_images"):
            check(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "must not be negative")
        check(self.caption_images >= 2, "training.caption_images", self.caption_images, "must be at least 2")
        by_captions = self.best_by != "cider" or self.caption_every_epochs > 0
        check(by_captions, "training.best_by", self.best_by, "needs caption_every_epochs above 0")
        check(
            self.logical_devices == 0 or self.distribution == "mirrored",
            "training.logical_devices",
            self.logical_devices,
            f"only mirrored spreads over them, the distribution is {self.distribution}",
        )
