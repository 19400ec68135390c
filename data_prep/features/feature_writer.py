"""One shard of photographs to one shard of features."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from im2txt.images.preprocessing import prepare_distorted_image, prepare_image
from im2txt.model.image_encoder import ImageEncoder
from im2txt.shards.completion import read_completion, write_completion
from im2txt.shards.damaged_records import find_damage
from im2txt.shards.manifest import EncoderEntry, ShardEntry
from im2txt.shards.records import parse_example, replace_image_with_features
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.tfrecords import write_records
from im2txt.system import storage


class FeatureWriter:
    """Writes one feature shard after the other."""

    def __init__(
        self,
        source: ShardFolder,
        encoder: ImageEncoder,
        output_dir: str,
        batch_size: int,
        fingerprint: str,
        entry: EncoderEntry,
    ):
        """Keeps what all shards share.

        Args:
            source: the image shards.
            encoder: what makes the features.
            output_dir: folder of the feature shards.
            batch_size: views per pass through the encoder.
            fingerprint: of all that decides on a shard's bytes; goes into its completion record.
            entry: of the manifest: type of the features, seed of the views.
        """
        self._source, self._entry = source, entry
        self._output_dir, self._batch_size, self._fingerprint = output_dir, batch_size, fingerprint
        self._image_format = encoder.image_format
        # Traced once; once per shard would cost more than encoding a small one.
        signature = tf.TensorSpec([None, encoder.image_size, encoder.image_size, 3], tf.float32)
        self._encode = tf.function(encoder, input_signature=[signature])
        self._preparer = functools.cache(self._build_preparer)

    def write(self, shard: ShardEntry, path: str, num_views: int, progress: tqdm) -> ShardEntry:
        """Writes the features of one shard's photographs, unless they are there already.

        Args:
            shard: of the source.
            path: its file.
            num_views: of each photograph.
            progress: advances by photographs.

        Returns:
            The feature shard.

        Raises:
            ValueError: if the source is damaged, or a feature is not finite or beyond the type.
        """
        record = read_completion(self._output_dir, shard.name, self._fingerprint)
        if record is None:
            target = storage.join(self._output_dir, shard.name)
            size, checksum = write_records(target, self._records(path, num_views, progress))
            record = {
                "name": shard.name,
                "fingerprint": self._fingerprint,
                "bytes": size,
                "crc32c": f"{checksum:08x}",
            }
            write_completion(self._output_dir, record)
        else:
            progress.update(shard.examples)
        return dataclasses.replace(shard, bytes=record["bytes"], crc32c=record["crc32c"])

    def _records(self, path: str, num_views: int, progress: tqdm) -> Iterator[bytes]:
        prepared = tf.data.TFRecordDataset(path).map(self._preparer(num_views), tf.data.AUTOTUNE, deterministic=True)
        try:
            for serialized, images in prepared.batch(max(1, self._batch_size // num_views)).prefetch(2):
                for example, features in zip(serialized.numpy(), self._features(images), strict=True):
                    yield replace_image_with_features(example, features)
                progress.update(len(images))
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            damage = find_damage([path], self._source.manifest, len(self._source.read_vocabulary()))
            if damage is None:
                raise
            raise ValueError(
                f"A shard is damaged: {damage}. Run `python -m data_prep.verify_data --data_dir={self._source.path}`."
            ) from error

    def _build_preparer(self, num_views: int) -> tf.types.experimental.PolymorphicFunction:
        """Returns the function from an example to itself and its photograph's views float32 [num_views, S, S, 3].

        A view is a function of the seed, the photograph's id and the view's number, however many there are.
        """
        layout, image_format, seed = self._source.manifest.layout, self._image_format, self._entry.views_seed

        def prepare(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            example = parse_example(serialized, layout)
            views = [prepare_image(example["encoded_image"], image_format)]
            for view in range(1, num_views):
                view_seed = tf.random.fold_in(tf.constant([seed, view], tf.int64), example["image_id"])
                views.append(prepare_distorted_image(example["encoded_image"], image_format, view_seed))
            return serialized, tf.stack(views)

        return tf.function(prepare, input_signature=[tf.TensorSpec([], tf.string)])

    def _features(self, images: tf.Tensor) -> np.ndarray:
        """Returns the features of photographs' views [N, num_views, ...] in the type they are stored in."""
        features = self._encode(tf.reshape(images, [-1, *images.shape[2:]])).numpy()
        if not np.isfinite(features).all():
            raise ValueError("The encoder makes features that are infinite or not a number; its weights are unusable.")
        dtype = self._entry.feature_dtype
        largest = np.finfo(dtype).max
        if (found := np.abs(features).max()) > largest:
            raise ValueError(
                f"The encoder makes a feature of {found:.3g}, and {dtype} ends at {largest}. "
                "Use --feature_dtype=float32."
            )
        return features.reshape(*images.shape[:2], *features.shape[1:]).astype(dtype)
