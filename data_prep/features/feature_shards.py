"""Image shards to feature shards: a frozen encoder run once over every photograph.

Feature shards bear the names and hold the examples of the image shards, `image/features` in place of `image/data`. The
encoder's weights lie beside them in `encoder.index` and `encoder.data-*`, and the manifest, written last, ties the two
together by checksum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from typing import Literal

import google_crc32c
import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from im2txt.configuration import EncoderConfig
from im2txt.images.preprocessing import ImageFormat, prepare_image
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.runs.kept_backbone import SUFFIX
from im2txt.shards import manifest
from im2txt.shards.completion import completion_path, read_completion, write_completion
from im2txt.shards.damaged_records import find_damage
from im2txt.shards.manifest import EncoderEntry, Manifest, ShardEntry, SplitEntry
from im2txt.shards.records import FeatureDtype, parse_example, replace_image_with_features
from im2txt.shards.references import references_name
from im2txt.shards.shard_folder import UNFINISHED_FEATURES_NAME, ShardFolder
from im2txt.shards.tfrecords import write_records
from im2txt.system import storage
from im2txt.system.folder_lock import folder_lock
from im2txt.text.vocabulary import FILE_NAME as VOCABULARY_FILE_NAME


def cache_features(
    data_dir: str,
    output_dir: str,
    config: EncoderConfig,
    batch_size: int,
    seed: int,
    feature_dtype: FeatureDtype | Literal["auto"] = "auto",
) -> Manifest:
    """Writes the feature shards of a folder of image shards.

    A finished folder of the same encoder and photographs is left as it is. Of an interrupted run the whole shards are
    kept; of a finished one that has lost shards, the others.

    Args:
        data_dir: image shards with their manifest.
        output_dir: made if absent; not `data_dir`.
        config: the encoder; it must not be trainable.
        batch_size: photographs per pass through the encoder.
        seed: fixes random weights (encoder.weights=none): an interrupted run goes on with the same ones.
        feature_dtype: type to store them in; `auto` takes float16 for grids, which are large, and float32 for vectors.

    Returns:
        The manifest, as written.

    Raises:
        ValueError: if `data_dir` holds features or a damaged shard, the encoder is to be trained, `output_dir` is
            another encoder's, or a feature is not finite or beyond the type.
        FileNotFoundError: if shards or weights are missing.
        RuntimeError: if another process is writing into `output_dir`.
    """
    folder = ShardFolder.open(data_dir)
    source = folder.manifest
    if source.encoder is not None:
        raise ValueError(f"{data_dir} holds features already; --data_dir names shards of photographs.")
    if config.trainable:
        raise ValueError("encoder.trainable=True: features can be cached of a frozen encoder only.")
    if os.path.realpath(data_dir) == os.path.realpath(output_dir):
        raise ValueError(f"--output_dir is --data_dir ({data_dir}); feature shards need a folder of their own.")
    paths = {name: folder.check_shards(name) for name in source.splits}
    keras.utils.set_random_seed(seed)
    encoder = ImageEncoder(config)
    if feature_dtype == "auto":
        feature_dtype = "float16" if config.feature_rank > 1 else "float32"
    entry = _encoder_entry(config, encoder, data_dir, feature_dtype)
    with folder_lock(output_dir, "--output_dir"):
        fingerprint = hashlib.sha256(json.dumps(dataclasses.asdict(entry), sort_keys=True).encode()).hexdigest()
        finished = _finished(output_dir, entry, fingerprint)
        if finished is not None:
            return finished
        if config.is_saved_model:
            kept = storage.join(output_dir, run_folder.FEATURE_ENCODER_NAME + SUFFIX)
            storage.write_bytes(kept, storage.read_bytes(config.backbone))
        checkpoints.write_variables(os.path.join(output_dir, run_folder.FEATURE_ENCODER_NAME), encoder.variables)
        for name in (VOCABULARY_FILE_NAME, *map(references_name, source.splits)):
            storage.write_bytes(storage.join(output_dir, name), storage.read_bytes(storage.join(data_dir, name)))
        writer = _ShardWriter(
            folder, encoder, encoder.image_format, output_dir, batch_size, fingerprint, entry.feature_dtype
        )
        total = sum(split.examples for split in source.splits.values())
        splits = {}
        with tqdm(total=total, unit="image", desc="encoding") as progress:
            for name, split in source.splits.items():
                shards = tuple(writer.write(*pair, progress) for pair in zip(split.shards, paths[name], strict=True))
                splits[name] = dataclasses.replace(split, shards=shards)
        return _finish(source, splits, entry, output_dir)


def _encoder_entry(
    config: EncoderConfig, encoder: ImageEncoder, data_dir: str, feature_dtype: FeatureDtype
) -> EncoderEntry:
    source_manifest = storage.read_bytes(storage.join(data_dir, manifest.FILE_NAME))
    return EncoderEntry(
        backbone=config.backbone_name,
        weights=config.weights_name,
        weights_sha256=encoder.fingerprint(),
        image_size=encoder.image_size,
        crop_fraction=config.crop_fraction,
        pooling=config.pooling,
        resize=config.resize,
        feature_shape=encoder.feature_shape,
        source_manifest_crc32c=f"{google_crc32c.value(source_manifest):08x}",
        source_dir=data_dir,
        feature_dtype=feature_dtype,
        compute_dtype=config.compute_dtype,
    )


def _finished(output_dir: str, entry: EncoderEntry, fingerprint: str) -> Manifest | None:
    """Returns the manifest of a folder that is finished and whole; prepares any other to be written.

    If shards of a finished folder are gone or cut short, the others get completion records and the manifest goes.
    """
    storage.remove_temporaries(output_dir)
    manifest_path = storage.join(output_dir, manifest.FILE_NAME)
    if storage.exists(manifest_path):
        folder = ShardFolder.open(output_dir)
        _check_same_encoder(output_dir, folder.manifest.encoder, entry)
        if _is_whole(folder):
            result = dataclasses.replace(folder.manifest, encoder=entry)  # The photographs may have a new place.
            if result != folder.manifest:
                manifest.write_manifest(output_dir, result)
            return result
        for shard in (shard for split in folder.manifest.splits.values() for shard in split.shards):
            write_completion(
                output_dir,
                {"name": shard.name, "fingerprint": fingerprint, "bytes": shard.bytes, "crc32c": shard.crc32c},
            )
    storage.write_text(storage.join(output_dir, UNFINISHED_FEATURES_NAME), "")
    storage.remove(manifest_path)
    return None


def _is_whole(folder: ShardFolder) -> bool:
    encoder = storage.join(folder.path, run_folder.FEATURE_ENCODER_NAME)
    suffixes = [".index", ".data-00000-of-00001"]
    if folder.manifest.encoder is not None and folder.manifest.encoder.backbone.endswith(SUFFIX):
        suffixes.append(SUFFIX)
    try:
        for split in folder.manifest.splits:
            folder.check_shards(split)
            storage.size(storage.join(folder.path, references_name(split)))
        folder.read_vocabulary()
        return all(storage.exists(encoder + suffix) for suffix in suffixes)
    except (OSError, ValueError):
        return False


def _check_same_encoder(output_dir: str, existing: EncoderEntry | None, entry: EncoderEntry) -> None:
    if existing is None:
        raise ValueError(f"{output_dir} holds a finished set of photographs' shards. Name another --output_dir.")
    # The source is known by its manifest's checksum, however its folder is written.
    names = [field.name for field in dataclasses.fields(entry) if field.name != "source_dir"]
    different = [name for name in names if getattr(existing, name) != getattr(entry, name)]
    if different:
        raise ValueError(
            f"{output_dir} holds a finished set of other features, which differ in {', '.join(different)}. Name "
            "another --output_dir, or remove it."
        )


class _ShardWriter:
    """Writes one feature shard after the other."""

    def __init__(
        self,
        source: ShardFolder,
        encoder: ImageEncoder,
        photograph_format: ImageFormat,
        output_dir: str,
        batch_size: int,
        fingerprint: str,
        feature_dtype: FeatureDtype,
    ):
        self._source = source
        self._feature_dtype = feature_dtype
        self._output_dir = output_dir
        self._batch_size = batch_size
        self._fingerprint = fingerprint

        layout = source.manifest.layout

        def prepare(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            encoded_image = parse_example(serialized, layout)["encoded_image"]
            return serialized, prepare_image(encoded_image, photograph_format)

        # Both are traced once; once per shard would cost more than encoding a small one.
        self._prepare = tf.function(prepare, input_signature=[tf.TensorSpec([], tf.string)])
        signature = tf.TensorSpec([None, encoder.image_size, encoder.image_size, 3], tf.float32)
        self._encode = tf.function(encoder, input_signature=[signature])

    def write(self, shard: ShardEntry, path: str, progress: tqdm) -> ShardEntry:
        """Writes the features of one shard, unless they are there already."""
        target = storage.join(self._output_dir, shard.name)
        record = read_completion(self._output_dir, shard.name, self._fingerprint)
        if record is None:
            size, checksum = write_records(target, self._records(path, progress))
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

    def _features(self, images: tf.Tensor) -> np.ndarray:
        """Returns the photographs' features in the type they are stored in."""
        features = self._encode(images).numpy()
        if not np.isfinite(features).all():
            raise ValueError("The encoder makes features that are infinite or not a number; its weights are unusable.")
        largest = np.finfo(self._feature_dtype).max
        if (found := np.abs(features).max()) > largest:
            raise ValueError(
                f"The encoder makes a feature of {found:.3g}, and {self._feature_dtype} ends at {largest}. "
                "Use --feature_dtype=float32."
            )
        return features.astype(self._feature_dtype)

    def _records(self, path: str, progress: tqdm) -> Iterator[bytes]:
        batches = tf.data.TFRecordDataset(path).map(self._prepare, tf.data.AUTOTUNE, deterministic=True)
        try:
            for serialized, images in batches.batch(self._batch_size).prefetch(2):
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


def _finish(source: Manifest, splits: dict[str, SplitEntry], entry: EncoderEntry, output_dir: str) -> Manifest:
    result = dataclasses.replace(source, splits=splits, encoder=entry)
    manifest.write_manifest(output_dir, result)
    for split in splits.values():
        for shard in split.shards:
            storage.remove(completion_path(output_dir, shard.name))
    storage.remove(storage.join(output_dir, UNFINISHED_FEATURES_NAME))
    return result
