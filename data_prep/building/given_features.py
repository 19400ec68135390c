"""Feature shards of features that came without photographs or encoder, planned and cut as those of photographs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import google_crc32c
import numpy as np

from data_prep.building.build_plan import BuildOptions, plan_build
from data_prep.building.neuraltalk_data import NeuraltalkData, column_of
from data_prep.building.origin import Origin
from data_prep.building.prepare import BuildResult, build
from data_prep.building.shard_plan import PlannedExample, ShardJob, ShardReport
from data_prep.building.shard_writer import write_shard
from data_prep.sources.matlab_features import read_matlab_features
from im2txt.configuration import GIVEN_FEATURES_SUFFIX
from im2txt.engines.local_engine import LocalEngine
from im2txt.shards.manifest import EncoderEntry
from im2txt.shards.records import encode_example, replace_image_with_features
from im2txt.system.storage import FileState

FEATURES_KEY = "feats"


def build_given_features(source: NeuraltalkData, output_dir: str, options: BuildOptions) -> BuildResult:
    """Builds a folder of feature shards, goes on with an interrupted one, or finds it already built; see `prepare`.

    Raises:
        ValueError: if source or options make no sense, or the features are not those of the photographs.
        FileNotFoundError: if one of the source's files is missing.
        TooManySkipsError: if too much is unusable.
        RuntimeError: if the folder is taken, or scipy is needed and not installed.
        OSError: if a shard cannot be written.
    """
    path = source.features_file
    if not path.endswith(GIVEN_FEATURES_SUFFIX):
        raise ValueError(f"--features_file={path!r} must be a MATLAB file ({GIVEN_FEATURES_SUFFIX}).")
    features = read_matlab_features(path, FEATURES_KEY)
    with open(path, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    state = FileState(features.shape[1] * 4, checksum)

    def find(paths: Iterable[str]) -> dict[str, FileState]:
        found = dict.fromkeys(paths, state)
        if len(found) != len(features):
            raise ValueError(
                f"{path} has features of {len(features):,} photographs, and {source.dataset_file} lists "
                f"{len(found):,}: they do not belong together."
            )
        return found

    plan = plan_build(source, options, find)

    def write(job: ShardJob) -> ShardReport:
        def encode(example: PlannedExample) -> tuple[bytes, str]:
            row = features[column_of(example.path)].astype(np.float32)
            plain = encode_example(example.image_id, b"", example.captions, example.caption_ids, job.layout)
            content = f"{row.nbytes} {google_crc32c.value(row.tobytes()):08x}"
            return replace_image_with_features(plain, row), content

        return write_shard(job, encode)

    origin, entry = Origin.of(source, plan.images), _entry(path, checksum, features)
    return build(plan, origin, output_dir, options, LocalEngine(1), write, entry)


def _entry(path: str, checksum: str, features: np.ndarray) -> EncoderEntry:
    """Says of the encoder what is known: the file its features came in."""
    name = os.path.basename(path)
    return EncoderEntry(
        backbone=name,
        weights=name,
        weights_sha256=checksum,
        image_size=0,
        crop_fraction=1.0,
        pooling="",
        feature_shape=features.shape[1:],
        source_manifest_crc32c="0" * 8,
        source_dir="",
    )
