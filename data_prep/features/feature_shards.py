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
from typing import Literal

import google_crc32c
import keras
from tqdm import tqdm

from data_prep.features.feature_writer import FeatureWriter
from im2txt.configuration import EncoderConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.runs.kept_backbone import SUFFIX
from im2txt.shards import manifest
from im2txt.shards.completion import completion_path, write_completion
from im2txt.shards.manifest import EncoderEntry, Manifest, SplitEntry
from im2txt.shards.records import FeatureDtype
from im2txt.shards.references import references_name
from im2txt.shards.shard_folder import UNFINISHED_FEATURES_NAME, ShardFolder
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
    num_views: int = 1,
    views_split: str = "train",
) -> Manifest:
    """Writes the feature shards of a folder of image shards.

    A finished folder of the same encoder and photographs is left as it is. Of an interrupted run the whole shards are
    kept; of a finished one that has lost shards, the others.

    Args:
        data_dir: image shards with their manifest.
        output_dir: made if absent; not `data_dir`.
        config: the encoder; it must not be trainable.
        batch_size: photographs per pass through the encoder.
        seed: fixes random weights (encoder.weights=none) and the views: an interrupted run goes on with the same ones.
        feature_dtype: type to store them in; `auto` takes float16 for grids, which are large, and float32 for vectors.
        num_views: views of each photograph of `views_split`: the plain one, and others cropped, flipped and recoloured
            at random as in training. All other splits have the plain one alone.
        views_split: name of the split that is trained on.

    Returns:
        The manifest, as written.

    Raises:
        ValueError: if `data_dir` holds features or a damaged shard, the encoder is to be trained, `output_dir` is
            another encoder's, `views_split` is no split, or a feature is not finite or beyond the type.
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
    if num_views > 1:
        source.split(views_split)
    paths = {name: folder.check_shards(name) for name in source.splits}
    keras.utils.set_random_seed(seed)
    encoder = ImageEncoder(config)
    if feature_dtype == "auto":
        feature_dtype = "float16" if config.feature_rank > 1 else "float32"
    entry = _encoder_entry(config, encoder, data_dir, feature_dtype)
    if num_views > 1:
        entry = dataclasses.replace(entry, num_views=num_views, views_split=views_split, views_seed=seed)
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
        writer = FeatureWriter(folder, encoder, output_dir, batch_size, fingerprint, entry)
        total = sum(split.examples for split in source.splits.values())
        splits = {}
        with tqdm(total=total, unit="image", desc="encoding") as progress:
            for name, split in source.splits.items():
                pairs = zip(split.shards, paths[name], strict=True)
                shards = tuple(writer.write(*pair, entry.views_of(name), progress) for pair in pairs)
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


def _finish(source: Manifest, splits: dict[str, SplitEntry], entry: EncoderEntry, output_dir: str) -> Manifest:
    result = dataclasses.replace(source, splits=splits, encoder=entry)
    manifest.write_manifest(output_dir, result)
    for split in splits.values():
        for shard in split.shards:
            storage.remove(completion_path(output_dir, shard.name))
    storage.remove(storage.join(output_dir, UNFINISHED_FEATURES_NAME))
    return result
