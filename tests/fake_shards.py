"""A small folder of shards, written without the code that prepares data: TensorFlow's writer, and sums done here."""

from __future__ import annotations

import collections
import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np
import tensorflow as tf
from PIL import Image

from im2txt.shards import manifest as manifests
from im2txt.shards import records, references
from im2txt.shards.shard_folder import ShardFolder
from im2txt.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary([("a", 9), ("<S>", 8), ("</S>", 8), ("dog", 5), ("runs", 4), ("cat", 3), ("sits", 3)])


@dataclasses.dataclass(frozen=True)
class Photo:
    image_id: int
    encoded_image: bytes
    captions: Sequence[str]


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def photos(ids: Sequence[int]) -> list[Photo]:
    """Photographs of noise with two captions each; `zebra` is not in the vocabulary."""
    return [Photo(i, jpeg(i), ("a dog runs", "a cat sits" if i % 2 else "a zebra runs a")) for i in ids]


SPLITS = {"train": photos(range(10, 20)), "val": photos([21, 22]), "test": photos([31, 32, 33])}


def write_folder(
    folder: pathlib.Path,
    splits: Mapping[str, Sequence[Photo]] = SPLITS,
    layout: records.Layout = "image",
    features: Mapping[int, np.ndarray] | None = None,
    num_shards: int = 2,
) -> None:
    """Writes shards, word_counts.txt, captions files and manifest.json."""
    folder.mkdir(exist_ok=True)
    entries = {}
    for split, images in splits.items():
        examples = [example for image in images for example in _examples(image, layout, features)]
        names = [f"{split}-{i:05d}-of-{num_shards:05d}" for i in range(num_shards)]
        for i, name in enumerate(names):
            write_shard(folder / name, examples[i::num_shards])
        lengths = [len(c.split()) + 1 for image in images for c in image.captions]
        entries[split] = manifests.SplitEntry(
            images=len(images),
            captions=len(lengths),
            words=sum(lengths),
            unknown_words=sum(c.split().count("zebra") for image in images for c in image.captions),
            captions_per_image=dict(collections.Counter(len(image.captions) for image in images)),
            shards=tuple(shard_entry(folder / name) for name in names),
        )
        references.write_references(
            str(folder),
            split,
            references.References(
                {image.image_id: f"{image.image_id}.jpg" for image in images},
                {image.image_id: [c.capitalize() + "." for c in image.captions] for image in images},
            ),
        )
    (folder / "word_counts.txt").write_text(VOCABULARY.to_text())
    shape = next(iter(features.values())).shape if features else None
    manifests.write_manifest(
        str(folder),
        manifests.Manifest(
            layout=layout,
            tokenizer="coco",
            vocabulary_sha256=VOCABULARY.fingerprint(),
            seed=1,
            splits=entries,
            skipped={},
            options={},
            tool_version="0",
            encoder=None if shape is None else _encoder(shape),
        ),
    )


def write_shard(path: pathlib.Path, examples: Sequence[bytes]) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in examples:
            writer.write(example)


def shard_entry(path: pathlib.Path, captions_per_example: Mapping[int, int] | None = None) -> manifests.ShardEntry:
    content = path.read_bytes()
    if captions_per_example is None:
        captions_per_example = collections.Counter(map(_num_captions, tf.data.TFRecordDataset(str(path))))
    return manifests.ShardEntry(
        path.name, len(content), f"{google_crc32c.value(content):08x}", dict(captions_per_example)
    )


def relist(folder: pathlib.Path) -> None:
    """Makes the manifest agree with the bytes of the shards again, for faults that no checksum shows."""
    manifest = ShardFolder.open(str(folder)).manifest
    splits = {
        split: dataclasses.replace(
            entry, shards=tuple(shard_entry(folder / shard.name, shard.captions_per_example) for shard in entry.shards)
        )
        for split, entry in manifest.splits.items()
    }
    manifests.write_manifest(str(folder), dataclasses.replace(manifest, splits=splits))


def _examples(photo: Photo, layout: records.Layout, features: Mapping[int, np.ndarray] | None) -> list[bytes]:
    words = [["<S>", *caption.split(), "</S>"] for caption in photo.captions]
    ids = [[VOCABULARY.word_to_id(word) for word in caption] for caption in words]
    groups = [(words, ids)] if layout == "image" else [([w], [i]) for w, i in zip(words, ids, strict=True)]
    examples = [records.encode_example(photo.image_id, photo.encoded_image, w, i, layout) for w, i in groups]
    if features is None:
        return examples
    return [records.replace_image_with_features(e, features[photo.image_id]) for e in examples]


def _num_captions(example: tf.Tensor) -> int:
    steps = tf.train.SequenceExample.FromString(example.numpy()).feature_lists.feature_list["image/caption"].feature
    return 1 if len(steps[0].bytes_list.value) == 1 else len(steps)


def _encoder(shape: tuple[int, ...]) -> manifests.EncoderEntry:
    return manifests.EncoderEntry("InceptionV3", "none", "0" * 64, 299, 1.0, "average", shape, "00000000", "/images")
