"""Records of shards to captions: photographs, or the features of an encoder, in batches of one size."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from im2txt.decoding.caption_generator import Candidate, CaptionGenerator
from im2txt.inference.photograph_captioner import CaptionedPhotograph, PhotographCaptioner
from im2txt.metrics.perplexity import build_total_loss
from im2txt.runs.run_folder import Run, load_run
from im2txt.shards.image_records import ImageRecord
from im2txt.shards.shard_folder import ShardFolder

_KEY_BYTES = 7  # A positive int64.


class RecordCaptioner:
    """Captions records with one run, or photographs with the mean of several.

    Attributes:
        runs: as loaded.
    """

    def __init__(
        self,
        workdirs: Sequence[str],
        decoding: Mapping[str, Any],
        batch_size: int,
        features_dir: str = "",
        with_attention: bool = False,
    ):
        """Loads the runs; see `caption_model.Model` and `load_captioner`."""
        self._batch_size = batch_size
        self.runs: tuple[Run, ...]
        self._caption: Callable[[Sequence[ImageRecord]], list[CaptionedPhotograph]]
        if features_dir:
            if len(workdirs) != 1:
                raise ValueError(f"{features_dir} holds features of one encoder, and {len(workdirs)} runs want it.")
            data = ShardFolder.open(features_dir).manifest
            run = load_run(workdirs[0], data)
            config = run.config.decoding.replaced(decoding)
            attentive = run.captioner if with_attention else None
            generator = CaptionGenerator(run.captioner, run.vocabulary, run.tokenizer, config, attentive)
            feature_shape = data.encoder.feature_shape if data.encoder else (0,)
            num_views = data.encoder.num_views if data.encoder else 1
            self.runs = (run,)
            self._caption = functools.partial(_caption_features, generator, feature_shape, num_views, batch_size)
        else:
            captioner = PhotographCaptioner.load(*workdirs, **decoding)
            if with_attention:
                config = captioner.runs[0].config.decoding.replaced(decoding)
                captioner = PhotographCaptioner(captioner.runs, config, with_attention=True)
            self.runs = captioner.runs
            self._caption = functools.partial(_caption_photographs, captioner, batch_size)

    def __call__(self, records: Iterable[ImageRecord]) -> Iterator[tuple[ImageRecord, CaptionedPhotograph]]:
        """Yields each record with its captions, or with what is wrong with it, in order; reads a batch at a time."""
        remaining = iter(records)
        while batch := list(itertools.islice(remaining, self._batch_size)):
            sound = [record for record in batch if not record.error]
            results = iter(self._caption(sound))
            for record in batch:
                yield record, CaptionedPhotograph(error=record.error) if record.error else next(results)

    @functools.cached_property
    def total_loss(self) -> Callable[[Iterable[Any]], tuple[float, int]]:
        """The first run's loss over batches of captions; see `metrics.perplexity.build_total_loss`."""
        return build_total_loss(self.runs[0].captioner.word_losses)


def _caption_photographs(
    captioner: PhotographCaptioner, batch_size: int, records: Sequence[ImageRecord]
) -> list[CaptionedPhotograph]:
    photographs = [record for record in records if record.encoded_image]
    encoded, keys = [record.encoded_image for record in photographs], [_key(record) for record in photographs]
    results = iter(captioner(encoded, keys, batch_size) if photographs else ())
    error = "no_image: features of an encoder; name their folder, not its files"
    return [next(results) if record.encoded_image else CaptionedPhotograph(error=error) for record in records]


def _caption_features(
    generator: CaptionGenerator,
    feature_shape: tuple[int, ...],
    num_views: int,
    batch_size: int,
    records: Sequence[ImageRecord],
) -> list[CaptionedPhotograph]:
    feature_size = math.prod(feature_shape)
    sizes = 4 * feature_size, 4 * feature_size * num_views  # The first of several views is the plain one.
    fitting = [record for record in records if len(record.features) in sizes]
    results: Iterator[list[Candidate]] = iter(())
    if fitting:
        padded = fitting + fitting[-1:] * (batch_size - len(fitting))
        plain = [np.frombuffer(record.features, "<f4", feature_size) for record in padded]
        features = np.reshape(plain, (-1, *feature_shape))
        keys = tf.constant([_key(record) for record in padded], tf.int64)
        results = iter(generator({"features": tf.constant(features), "image_id": keys}))
    error = f"no_features: the record does not hold {feature_size} of them"
    return [
        CaptionedPhotograph(tuple(next(results))) if len(record.features) in sizes else CaptionedPhotograph(error=error)
        for record in records
    ]


def _key(record: ImageRecord) -> int:
    """What samples are drawn by: the photograph's id alone, wherever it stands."""
    if isinstance(record.image_id, int):
        return record.image_id
    return int.from_bytes(hashlib.sha256(record.image_id.encode()).digest()[:_KEY_BYTES])
