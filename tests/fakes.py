"""A tiny data set on disk, written through TensorFlow's own writer, for tests of everything that reads shards."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from im2txt.model import image_encoder
from im2txt.shards import manifest as manifests
from im2txt.shards import records, references, shard_names
from im2txt.text.vocabulary import FILE_NAME, Vocabulary

VOCABULARY = Vocabulary([("a", 30), ("<S>", 20), ("</S>", 20), ("cat", 9), ("dog", 8), ("red", 5), ("runs", 2)])


def one_layer_small_cnn() -> contextlib.AbstractContextManager[object]:
    """Within, `SmallCNN` has one layer, for tests that do not ask what the encoder is: built and run at once."""

    def network(input_shape: tuple[int, int, int]) -> keras.Model:
        images = keras.Input(input_shape)
        return keras.Model(images, keras.layers.Conv2D(4, 5, strides=4, activation="tanh", name="conv")(images))

    return mock.patch.object(image_encoder, "_small_cnn", network)


@contextlib.contextmanager
def step_by_step() -> Iterator[None]:
    """Computes what `tf.function` would trace first, which takes ten times as long as a few small steps."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def jpeg(seed: int, size: tuple[int, int] = (32, 24)) -> bytes:
    """A JPEG of width x height random low-frequency pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def caption(image_id: int, index: int) -> list[str]:
    """A caption of 1 to 4 words that tells image and index apart as far as 7 words allow."""
    words = ["a", "cat", "dog", "red", "runs"]
    return [words[(image_id + index * k) % len(words)] for k in range(1 + (image_id + index) % 4)]


@dataclasses.dataclass(frozen=True)
class FakeDataset:
    """What was written: the folder, its manifest, and every caption's ids by image id."""

    data_dir: str
    manifest: manifests.Manifest
    caption_ids: dict[str, dict[int, list[list[int]]]]


def write_dataset(
    directory: Path,
    images: dict[str, int],
    captions_per_image: tuple[int, ...] = (5,),
    layout: records.Layout = "image",
    feature_size: int | tuple[int, ...] | None = None,
    shards_per_split: int = 3,
    vocabulary: Vocabulary = VOCABULARY,
) -> FakeDataset:
    """Writes splits of `images[split]` photographs, or of features if `feature_size` (or shape) is given.

    Image i has `captions_per_image[i % len]` captions. Its features are all equal to its id; of several dimensions they
    are stored in float16.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shape = feature_size if isinstance(feature_size, tuple) else (feature_size or 0,)
    splits, all_ids, next_id = {}, {}, 0
    for split, num_images in images.items():
        ids_of = {}
        serialized: list[tuple[bytes, int]] = []
        for image_id in range(next_id, next_id + num_images):
            captions = [caption(image_id, i) for i in range(captions_per_image[image_id % len(captions_per_image)])]
            ids_of[image_id] = [vocabulary.encode(words) for words in captions]
            written = [["<S>", *words, "</S>"] for words in captions]
            groups = [list(range(len(captions)))] if layout == "image" else [[i] for i in range(len(captions))]
            for group in groups:
                example = records.encode_example(
                    image_id, jpeg(image_id), [written[i] for i in group], [ids_of[image_id][i] for i in group], layout
                )
                if feature_size:
                    features = np.full(feature_size, image_id, np.float32 if len(shape) == 1 else np.float16)
                    example = records.replace_image_with_features(example, features)
                serialized.append((example, len(group)))
        splits[split] = _write_split(directory, split, serialized, shards_per_split, ids_of, vocabulary.unknown_id)
        all_ids[split] = ids_of
        references.write_references(
            str(directory),
            split,
            references.References(
                {i: f"{i}.jpg" for i in ids_of},
                {i: [" ".join(vocabulary.decode(ids)) for ids in captions] for i, captions in ids_of.items()},
            ),
        )
        next_id += num_images
    (directory / FILE_NAME).write_text(vocabulary.to_text())
    encoder = manifests.EncoderEntry("SmallCNN", "none", "0" * 64, 64, 1.0, "avg", shape, "0" * 8, "")
    if len(shape) > 1:
        encoder = dataclasses.replace(encoder, pooling="grid", feature_dtype="float16")
    manifest = manifests.Manifest(
        layout=layout,
        tokenizer="whitespace",
        vocabulary_sha256=vocabulary.fingerprint(),
        seed=1,
        splits=splits,
        skipped={},
        options={},
        tool_version="0",
        encoder=encoder if feature_size else None,
    )
    manifests.write_manifest(str(directory), manifest)
    return FakeDataset(str(directory), manifest, all_ids)


def _write_split(
    directory: Path,
    split: str,
    serialized: list[tuple[bytes, int]],
    count: int,
    ids_of: dict[int, list[list[int]]],
    unknown_id: int,
) -> manifests.SplitEntry:
    entries = []
    for index in range(count):
        path = directory / shard_names.shard_name(split, index, count)
        histogram: dict[int, int] = {}
        with tf.io.TFRecordWriter(str(path)) as writer:
            for example, num_captions in serialized[index::count]:
                writer.write(example)
                histogram[num_captions] = histogram.get(num_captions, 0) + 1
        entries.append(manifests.ShardEntry(path.name, path.stat().st_size, "00000000", histogram))
    captions = [ids for captions in ids_of.values() for ids in captions]
    per_image: dict[int, int] = {}
    for of_image in ids_of.values():
        per_image[len(of_image)] = per_image.get(len(of_image), 0) + 1
    words = sum(len(ids) - 1 for ids in captions)
    unknown_words = sum(ids.count(unknown_id) for ids in captions)
    return manifests.SplitEntry(len(ids_of), len(captions), words, unknown_words, per_image, tuple(entries))
