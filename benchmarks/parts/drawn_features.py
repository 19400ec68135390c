"""A folder of feature shards with captions and features drawn at random, for benchmarks of training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from im2txt.shards import manifest as manifests
from im2txt.shards import records, references, shard_names, tfrecords
from im2txt.text.vocabulary import FILE_NAME, Vocabulary

CAPTIONS_PER_IMAGE = 5
ENCODER_FLAGS = (
    "--config.encoder.backbone=SmallCNN",
    "--config.encoder.weights=none",
    "--config.encoder.crop_fraction=1.0",
    "--config.encoder.resize=half_pixel",
)
"""What a configuration must say of the encoder behind the features, which is none."""


def caption_lengths(count: int, generator: np.random.Generator) -> np.ndarray:
    """Returns ids per caption, `<S>` and `</S>` included: 9 and more, 13.5 on average, a long tail, as COCO's."""
    return 9 + generator.negative_binomial(2, 0.31, count)


def write_feature_shards(folder: Path, images: dict[str, int], vocab_size: int, feature_size: int) -> None:
    """Writes one shard for each of `images`' splits, with so many photographs, and what belongs to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    words = Vocabulary([("<S>", 3), ("</S>", 3), *((f"w{index}", 2) for index in range(vocab_size - 3))])
    generator = np.random.default_rng(0)
    splits, first_id = {}, 0
    for split, count in images.items():
        name = shard_names.shard_name(split, 0, 1)
        drawn = _records(range(first_id, first_id + count), words, feature_size, generator)
        size, checksum = tfrecords.write_records(str(folder / name), drawn)
        shard = manifests.ShardEntry(name, size, f"{checksum:08x}", {CAPTIONS_PER_IMAGE: count})
        captions = count * CAPTIONS_PER_IMAGE
        splits[split] = manifests.SplitEntry(count, captions, captions * 13, 0, {CAPTIONS_PER_IMAGE: count}, (shard,))
        names = {image_id: f"{image_id}.jpg" for image_id in range(first_id, first_id + count)}
        of_split = references.References(names, dict.fromkeys(names, ["drawn at random"]))
        references.write_references(str(folder), split, of_split)
        first_id += count
    (folder / FILE_NAME).write_text(words.to_text())
    for suffix in (".index", ".data-00000-of-00001"):
        (folder / f"encoder{suffix}").write_bytes(b"none")
    encoder = manifests.EncoderEntry("SmallCNN", "none", "0" * 64, 64, 1.0, "avg", (feature_size,), "0" * 8, "")
    manifest = manifests.Manifest(
        layout="image",
        tokenizer="whitespace",
        vocabulary_sha256=words.fingerprint(),
        seed=1,
        splits=splits,
        skipped={},
        options={},
        tool_version="0",
        encoder=encoder,
    )
    manifests.write_manifest(str(folder), manifest)


def _records(image_ids: range, words: Vocabulary, feature_size: int, generator: np.random.Generator) -> Iterator[bytes]:
    for image_id in image_ids:
        lengths = caption_lengths(CAPTIONS_PER_IMAGE, generator)
        ids = [
            [words.start_id, *generator.integers(3, len(words), length - 2).tolist(), words.end_id]
            for length in lengths
        ]
        example = records.encode_example(
            image_id, b"", [[words.words[i] for i in caption] for caption in ids], ids, "image"
        )
        yield records.replace_image_with_features(example, generator.normal(size=feature_size).astype(np.float32))
