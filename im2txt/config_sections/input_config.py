"""Fields of the section `input`: default, unit and range of each."""

from __future__ import annotations

import dataclasses

from im2txt.config_sections.checks import check, check_types


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
    max_damaged_records: int = 0
    """Records of the training split that may be damaged: training goes on without them, and names them, after reading
    the whole split and decoding its photographs at each start. 0 looks for none: the first one met ends the run."""

    def __post_init__(self) -> None:
        check_types(self, "input")
        for name in ("batch_size", "captions_per_image", "shuffle_buffer_examples", "bucketing_batches"):
            check(getattr(self, name) >= 1, f"input.{name}", getattr(self, name), "must be at least 1")
        most = self.max_damaged_records
        check(most >= 0, "input.max_damaged_records", most, "must not be negative")
        rule = "must be 0 or at least 2, for `<S>` and `</S>`"
        check(
            self.padded_caption_length == 0 or self.padded_caption_length >= 2,
            "input.padded_caption_length",
            self.padded_caption_length,
            rule,
        )
