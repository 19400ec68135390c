"""A few photographs of a split, drawn by a seed: the same ones however often they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import tensorflow as tf

from im2txt.images.preprocessing import ImageFormat
from im2txt.shards import input_pipeline
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import take_apart
from im2txt.shards.tfrecords import read_records
from im2txt.system import storage


@dataclasses.dataclass(frozen=True)
class ChosenPhotographs:
    """The choice, nothing of which is held in memory.

    Attributes:
        folder: the shards, of photographs or features.
        split: name of the split.
        image_ids: each once, in order of the split's examples.
        positions: of the first example of each within the split.
    """

    folder: ShardFolder
    split: str
    image_ids: tuple[int, ...]
    positions: tuple[int, ...]

    def batches(self, image_format: ImageFormat | None, batch_size: int) -> tf.data.Dataset:
        """Returns their batches; see `input_pipeline.photograph_batches`."""
        return input_pipeline.photograph_batches(self.folder, self.split, image_format, batch_size, self.positions)

    def encoded_images(self) -> dict[int, bytes]:
        """Reads their image files, by image id; of features, those that the shards they were made from hold still.

        Raises:
            FileNotFoundError: if the shards behind the features are gone.
            ValueError: if those are other ones, or a shard is damaged.
        """
        folder = self.folder.photographs()
        wanted, found = set(self.image_ids), {}
        for path in folder.shard_paths(self.split):
            for record in read_records(storage.read_bytes(path, storage.MAX_SHARD_BYTES)):
                example = take_apart(record, folder.manifest.layout)
                if example.image_id in wanted and example.encoded_image:
                    found[example.image_id] = example.encoded_image
            if len(found) == len(wanted):
                break
        return found


def choose_photographs(
    folder: ShardFolder, split: str, num_photographs: int, seed: int, among: Collection[int] | None = None
) -> ChosenPhotographs:
    """Draws photographs; a smaller number gives some of those that a larger one gives.

    Args:
        folder: the shards; all of the split are read once.
        split: name of the split.
        num_photographs: how many; all there are, if fewer.
        seed: of the draw.
        among: ids to draw from; None draws from all of the split.
    """
    ids = np.concatenate([*input_pipeline.image_ids(folder, split, 1024).as_numpy_iterator()])
    image_ids, positions = np.unique(ids, return_index=True)
    if among is not None:
        is_among = np.isin(image_ids, np.fromiter(among, np.int64, len(among)))
        image_ids, positions = image_ids[is_among], positions[is_among]
    drawn = np.sort(positions[np.random.default_rng(seed).permutation(len(positions))[:num_photographs]])
    return ChosenPhotographs(folder, split, tuple(ids[drawn].tolist()), tuple(drawn.tolist()))
