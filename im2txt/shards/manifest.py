"""`manifest.json`: what a folder of shards holds. Written last, so a folder with a manifest is complete.

The reader of shards needs it (layout, counts, feature shape), so it stands in the contract that preparation shares.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from im2txt.configuration import ResizeMethod
from im2txt.shards.manifest_checks import check_manifest
from im2txt.shards.records import FeatureDtype, Layout
from im2txt.system import storage
from im2txt.system.json_text import parse_json

FILE_NAME = "manifest.json"
FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ShardEntry:
    """One shard.

    Attributes:
        name: file name.
        bytes: size.
        crc32c: of the whole file, 8 hex digits.
        captions_per_example: how many examples hold how many captions; readers find a position without reading.
    """

    name: str
    bytes: int
    crc32c: str
    captions_per_example: dict[int, int]

    @property
    def examples(self) -> int:
        """Number of records in the shard."""
        return sum(self.captions_per_example.values())


@dataclasses.dataclass(frozen=True)
class SplitEntry:
    """One split.

    Attributes:
        images: photographs.
        captions: captions, summed over photographs.
        words: predicted words: those of all captions with `</S>`, without `<S>`.
        unknown_words: how many of them are `<UNK>`.
        captions_per_image: how many photographs have how many captions.
        shards: in order of index.
    """

    images: int
    captions: int
    words: int
    unknown_words: int
    captions_per_image: dict[int, int]
    shards: tuple[ShardEntry, ...]

    @property
    def examples(self) -> int:
        """Number of records in the shards."""
        return sum(shard.examples for shard in self.shards)


@dataclasses.dataclass(frozen=True)
class EncoderEntry:
    """Which encoder made a folder of feature shards.

    Attributes:
        backbone: `encoder.backbone`: a name in `keras.applications`, SmallCNN, or a saved model's file name; of
            features that came without their encoder, their file's.
        weights: `imagenet`, `none`, or the weight file's base name.
        weights_sha256: `ImageEncoder.fingerprint()`: of its variables as loaded; of features that came without their
            encoder, of their file.
        image_size: pixels, side of the encoder's input; 0 where the encoder is not known.
        crop_fraction: central part of the photograph that was kept.
        pooling: how the last feature map was pooled.
        feature_shape: shape of one photograph's features: (F,), or (P, C) with pooling `grid`.
        source_manifest_crc32c: checksum of the image shards' manifest.
        source_dir: folder of the image shards, as given; empty if there are none.
        resize: where pixels were sampled; an older manifest does not say.
        feature_dtype: type in which the features are stored; an older manifest does not say.
        compute_dtype: number type of the layers that computed them; an older manifest does not say.
        num_views: views of each photograph of `views_split` that its examples hold, the plain one first; the examples
            of other splits hold that one alone.
        views_split: name of the split with several views; empty if there is none.
        views_seed: of the views' crops, flips and colours.
    """

    backbone: str
    weights: str
    weights_sha256: str
    image_size: int
    crop_fraction: float
    pooling: str
    feature_shape: tuple[int, ...]
    source_manifest_crc32c: str
    source_dir: str
    resize: ResizeMethod = "half_pixel"
    feature_dtype: FeatureDtype = "float32"
    compute_dtype: str = "float32"
    num_views: int = 1
    views_split: str = ""
    views_seed: int = 0

    def views_of(self, split: str) -> int:
        """Returns how many views of each photograph a split's examples hold."""
        return self.num_views if split == self.views_split else 1

    def numbers_per_example(self, split: str) -> int:
        """Returns how many numbers a split's examples hold: those of all views."""
        return self.views_of(split) * math.prod(self.feature_shape)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Everything a reader must know about a folder of shards.

    Attributes:
        layout: `image` or `pair`; see `records`.
        tokenizer: name in `tokenization`.
        vocabulary_sha256: `Vocabulary.fingerprint()` of the folder's word_counts.txt.
        seed: of the shuffle over the shards.
        splits: by name.
        skipped: number of photographs and captions left out, by reason.
        options: what the build was asked for.
        tool_version: version that wrote the folder.
        encoder: for feature shards, None for image shards.
        warnings: what the build found odd and took all the same, one sentence each.
        vocabulary_only_captions: captions that count in the vocabulary and are not in the train shards: their
            photographs turned out unusable when they were read.
    """

    layout: Layout
    tokenizer: str
    vocabulary_sha256: str
    seed: int
    splits: dict[str, SplitEntry]
    skipped: dict[str, int]
    options: dict[str, Any]
    tool_version: str
    encoder: EncoderEntry | None = None
    warnings: tuple[str, ...] = ()
    vocabulary_only_captions: int = 0
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Returns the file's content; the same manifest always gives the same text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str = FILE_NAME) -> Manifest:
        """Reads the file's content.

        Args:
            text: the content.
            name: the file's name, for messages.

        Raises:
            ValueError: naming the file and what is wrong with it: cut short, of another version, or of fields that no
                build writes (see `manifest_checks`).
        """
        try:
            fields = parse_json(text)
            if isinstance(fields, dict) and fields.get("format_version") != FORMAT_VERSION:
                raise ValueError(f"format_version is {fields.get('format_version')}, this tool reads {FORMAT_VERSION}")
            check_manifest(fields)
        except ValueError as error:
            raise ValueError(f"{name} is not a manifest of this tool: {error}. Build the folder again.") from error
        fields["splits"] = {name: _split_entry(entry) for name, entry in fields["splits"].items()}
        fields["warnings"] = tuple(fields.get("warnings", ()))
        if fields["encoder"] is not None:
            shape = tuple(fields["encoder"].pop("feature_shape"))
            fields["encoder"] = EncoderEntry(feature_shape=shape, **fields["encoder"])
        return cls(**fields)

    def split(self, name: str) -> SplitEntry:
        """Returns a split.

        Raises:
            ValueError: naming the splits there are if it is none of them, or if it holds no photograph.
        """
        if name not in self.splits:
            raise ValueError(f"Split {name!r} is not in the manifest, which holds {sorted(self.splits)}.")
        if not self.splits[name].images:
            raise ValueError(f"Split {name!r} holds no photograph: all were left out; skipped.jsonl says why.")
        return self.splits[name]


def _split_entry(fields: dict[str, Any]) -> SplitEntry:
    def shard_entry(shard: dict[str, Any]) -> ShardEntry:
        return ShardEntry(**shard | {"captions_per_example": _int_keys(shard["captions_per_example"])})

    return SplitEntry(
        **fields
        | {
            "captions_per_image": _int_keys(fields["captions_per_image"]),
            "shards": tuple(map(shard_entry, fields["shards"])),
        }
    )


def _int_keys(histogram: dict[str, int]) -> dict[int, int]:
    """JSON knows only strings as keys."""
    return {int(key): count for key, count in histogram.items()}


def write_manifest(data_dir: str, manifest: Manifest) -> None:
    """Writes `manifest.json`; call it when everything else is in place."""
    storage.write_text(storage.join(data_dir, FILE_NAME), manifest.to_json())
