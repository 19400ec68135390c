"""What fixes a run: what must be the same when it is given again, and what may have changed meanwhile.

Everything fixes a run that bends its weights or makes its figures incomparable, and nothing else does: no path, no
trailing slash, no folder that was moved. A field of the configuration is fixed unless it stands in `FREE`.
`docs/runs.md` says the same for users.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from im2txt.configuration import ExperimentConfig
from im2txt.shards.manifest import Manifest
from im2txt.text.vocabulary import Vocabulary

FREE = {
    "input.data_dir": "a path; the shards in it are compared instead",
    "input.max_damaged_records": "what can be read, not what is trained; what cannot is named at each start",
    "encoder.weights": "a path; a frozen encoder's weights are compared instead, a trained one's are the checkpoint's",
    "training.start_from": "a path; a run that has begun goes on from its own checkpoints",
    "training.num_epochs": "how long to train",
    "training.early_stopping_evaluations": "how long to train",
    "training.stop_above_perplexity": "how long to train",
    "training.eval_every_epochs": "when to look, not what is trained",
    "training.caption_every_epochs": "when to look, not what is trained",
    "training.sample_images": "when to look, not what is trained",
    "training.log_every_steps": "when to look, not what is trained",
    "training.steps_per_call": "when to look, not what is trained",
    "training.checkpoint_every_secs": "what is kept, not what is trained",
    "training.start_deadline_secs": "when to give up, not what is trained",
    "training.tpu_name": "where to train; the distribution is fixed",
    "training.keep_checkpoints": "what is kept, not what is trained",
    "decoding.*": "how captions are searched for afterwards",
}
"""The fields that may change from one start of a run to the next, each with the reason."""

_OF_ENCODER = ("backbone", "weights_sha256", "image_size", "crop_fraction", "resize", "pooling", "feature_shape")


def is_free(name: str) -> bool:
    """Whether `section.field` may change under a run."""
    return name in FREE or f"{name.partition('.')[0]}.*" in FREE


def changed_fields(old: ExperimentConfig, new: ExperimentConfig) -> list[str]:
    """Returns `section.field: old -> new` for each field that fixes a run and differs."""
    before, after = (
        {
            f"{section}.{name}": value
            for section, fields in dataclasses.asdict(config).items()
            for name, value in fields.items()
        }
        for config in (old, new)
    )
    if before["decoder.name"] != after["decoder.name"]:  # The knobs of two decoders say nothing beside each other.
        before, after = (
            {name: value for name, value in fields.items() if name == "decoder.name" or not name.startswith("decoder.")}
            for fields in (before, after)
        )
    if old.encoder.is_saved_model and new.encoder.is_saved_model:  # A path; its content is compared instead.
        after["encoder.backbone"] = before["encoder.backbone"]
    return [
        f"{name}: {before[name]!r} -> {after[name]!r}"
        for name in before
        if before[name] != after[name] and not is_free(name)
    ]


def changed_data(old: Manifest, new: Manifest, config: ExperimentConfig) -> list[str]:
    """Returns in words what differs between two folders of shards as far as a run sees them.

    A run sees the examples of its two splits, the words, and of features the encoder behind them; not where the folder
    lies, what it was built from or with, or what else is in it.
    """
    before, after = (_seen_by_run(manifest, config) for manifest in (old, new))
    return [name for name in before if before[name] != after[name]]


def _seen_by_run(manifest: Manifest, config: ExperimentConfig) -> dict[str, Any]:
    seen: dict[str, Any] = {"layout": manifest.layout, "tokenizer": manifest.tokenizer}
    for split in (config.input.train_split, config.input.val_split):
        entry = manifest.splits.get(split)
        seen[f"shards of split {split!r}"] = entry and [
            (shard.name, shard.bytes, shard.crc32c, shard.captions_per_example) for shard in entry.shards
        ]
    encoder = manifest.encoder
    seen["encoder of the features"] = encoder and [getattr(encoder, name) for name in _OF_ENCODER]
    return seen


def check_resumed(
    workdir: str, old: tuple[ExperimentConfig, Vocabulary, Manifest], new: tuple[ExperimentConfig, Vocabulary, Manifest]
) -> None:
    """Compares what a run was started with and what it is given now.

    Raises:
        ValueError: naming what differs of all that fixes the run.
    """
    (old_config, old_words, old_data), (new_config, new_words, new_data) = old, new
    fields = changed_fields(old_config, new_config)
    if fields:
        raise ValueError(
            f"{workdir} holds a run of another configuration ({'; '.join(fields)}). Resume it with the configuration "
            "it was started with, or name a new --workdir."
        )
    data = changed_data(old_data, new_data, new_config)
    if old_words.fingerprint() != new_words.fingerprint():
        data.append("vocabulary")
    if data:
        raise ValueError(
            f"{new_config.input.data_dir} no longer holds the shards that the run in {workdir} was started on: other "
            f"{', '.join(data)}. Restore them, or name a new --workdir."
        )
