"""Photographs of the validation split whose captions are scored as training goes on."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from im2txt.decoding.caption_generator import Candidate
from im2txt.images.preprocessing import ImageFormat
from im2txt.metrics.caption_metrics import CaptionScorer
from im2txt.shards.chosen_photographs import choose_photographs
from im2txt.shards.shard_folder import ShardFolder
from im2txt.text.coco_tokenization import coco_tokens, split_tokens

Generate = Callable[[dict[str, tf.Tensor]], list[list[Candidate]]]
"""Captions a batch of photographs or features, as `CaptionGenerator` does."""


class CaptionSubset:
    """Photographs, the same ones all along, and their references.

    Attributes:
        num_photographs: how many.
    """

    def __init__(
        self, folder: ShardFolder, split: str, image_format: ImageFormat | None, num_photographs: int, seed: int
    ):
        """Draws them; the arguments are those of `choose_photographs` and `photograph_batches`.

        Raises:
            FileNotFoundError: if the folder has no references of the split.
            ValueError: if fewer than two photographs have references: CIDEr-D of one is always 0.
        """
        references = {i: captions for i, captions in folder.read_references(split).captions.items() if captions}
        self._chosen = choose_photographs(folder, split, num_photographs, seed, references)
        self._image_format = image_format
        self.num_photographs = len(self._chosen.image_ids)
        if self.num_photographs < 2:
            raise ValueError(
                f"Validation by captions needs two photographs with references; split {split!r} of {folder.path} has "
                f"{self.num_photographs}. Set training.caption_every_epochs=0."
            )
        self._scorer = CaptionScorer({image_id: references[image_id] for image_id in self._chosen.image_ids})

    def cider(self, generator: Generate, batch_size: int) -> float:
        """Returns the mean CIDEr-D, in [0, 10], of the best captions; document frequencies are those of the subset."""
        captions: dict[int, str] = {}
        for batch in self._chosen.batches(self._image_format, batch_size):
            for image_id, candidates in zip(batch["image_id"].numpy().tolist(), generator(batch), strict=True):
                captions[image_id] = candidates[0].words if candidates else ""
        tokens = coco_tokens([captions[image_id] for image_id in self._scorer.image_ids])
        return float(self._scorer.cider.scores(list(map(split_tokens, tokens))).mean())
