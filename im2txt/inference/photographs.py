"""Photographs on disk to captions, batch by batch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from im2txt.decoding.caption_generator import Candidate, CaptionGenerator
from im2txt.images.image_files import PhotographOptions, UnusablePhotographError, read_photograph
from im2txt.images.preprocessing import prepare_image
from im2txt.model.image_encoder import image_format
from im2txt.runs.run_folder import load_run
from im2txt.system.progress import progress_bar


@dataclasses.dataclass(frozen=True)
class CaptionedPhotograph:
    """A photograph's captions, best first, or why there are none."""

    path: str
    candidates: tuple[Candidate, ...] = ()
    error: str = ""


def caption_photographs(
    workdir: str, paths: Sequence[str], batch_size: int, decoding: dict[str, Any]
) -> Iterator[CaptionedPhotograph]:
    """Captions photographs with a run's best checkpoint.

    Args:
        workdir: the run's folder.
        paths: image files of any usual format.
        batch_size: photographs per batch.
        decoding: fields of `DecodingConfig` that replace the run's.

    Yields:
        One result per path, in order; an unusable photograph yields its error and the others go on.
    """
    run = load_run(workdir)
    photograph_format = image_format(run.config.encoder)
    generator = CaptionGenerator(
        run.captioner, run.vocabulary, run.tokenizer, dataclasses.replace(run.config.decoding, **decoding)
    )
    remaining = iter(paths)
    with progress_bar("captioning", total=len(paths), unit=" photographs") as progress:
        while batch := list(itertools.islice(remaining, batch_size)):
            images, errors = [], {}
            for path in batch:
                try:
                    images.append(prepare_image(_read(path), photograph_format))
                except UnusablePhotographError as error:
                    errors[path] = str(error)
                except tf.errors.InvalidArgumentError:  # Its markers are in place, its pixels are not.
                    errors[path] = "damaged: the decoder refuses its data"
            captions = iter(generator({"images": tf.stack(images)}) if images else ())
            for path in batch:
                if path in errors:
                    yield CaptionedPhotograph(path, error=errors[path])
                else:
                    yield CaptionedPhotograph(path, candidates=tuple(next(captions)))
            progress.update(len(batch))


def _read(path: str) -> tf.Tensor:
    return tf.constant(read_photograph(path, PhotographOptions()))
