"""Trained runs as a function from photographs to captions, for Python programs.

    from im2txt.inference.photograph_captioner import PhotographCaptioner
    captioner = PhotographCaptioner.load("/tmp/run")
    (result,) = captioner(["cat.jpg"])

`result.candidates[0].caption` is then the best caption, or `result.error` says why there is none.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from im2txt.configuration import DecodingConfig
from im2txt.decoding.caption_generator import Candidate, CaptionGenerator
from im2txt.decoding.ensemble import EnsembleCaptioner
from im2txt.images.image_files import PhotographOptions, read_photograph, to_jpeg
from im2txt.images.preprocessing import decode_image, prepare_pixels
from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.runs.original_runs import read_original_run
from im2txt.runs.run_files import run_of_checkpoint
from im2txt.runs.run_folder import Run, check_vocabulary, load_run
from im2txt.system import storage
from im2txt.text.vocabulary import Vocabulary

Photograph = str | os.PathLike[str] | bytes | np.ndarray
"""A path, the bytes of an image file, or pixels [H, W, 3], uint8 or float32 in [0, 1]."""

Prepared = list[tf.Tensor]
"""A photograph as each run's encoder wants it, float32 [S, S, 3] of each."""


@dataclasses.dataclass(frozen=True)
class CaptionedPhotograph:
    """A photograph's captions, best first, or why there are none."""

    candidates: tuple[Candidate, ...] = ()
    error: str = ""


class PhotographCaptioner:
    """Captions photographs of any kind with one run, or with the mean of several.

    Attributes:
        runs: as loaded.
    """

    def __init__(self, runs: Sequence[Run], decoding: DecodingConfig, with_attention: bool = False):
        """Takes runs of one vocabulary, loaded with their encoders; the search is traced at its first use.

        Args:
            runs: one, or several to be averaged.
            decoding: how captions are searched for.
            with_attention: whether the best captions say where one run's decoder looked; several have no such place.
        """
        first = runs[0]
        self.runs = tuple(runs)
        self._formats = [run.image_format for run in runs]
        self._is_ensemble = len(runs) > 1
        captioner = EnsembleCaptioner([run.captioner for run in runs]) if self._is_ensemble else first.captioner
        attentive = first.captioner if with_attention and not self._is_ensemble else None
        self._generator = CaptionGenerator(captioner, first.vocabulary, first.tokenizer, decoding, attentive)

    @classmethod
    def load(cls, *workdirs: str, **decoding: Any) -> PhotographCaptioner:
        """Loads the best checkpoint of one run, or of several to be averaged.

        Args:
            workdirs: folders of runs; several must share one vocabulary, their encoders and decoders may differ.
            decoding: fields of `DecodingConfig` that replace those of the first run, such as beam_size=5.

        Raises:
            FileNotFoundError: if a folder holds no run or no checkpoint.
            ValueError: if no folder is named, a run's parts do not belong together, vocabularies differ, or a value is
                out of its range.
            RuntimeError: if all checkpoints of a run are damaged.
        """
        if not workdirs:
            raise ValueError("No run was named: PhotographCaptioner.load takes the folders of one or more runs.")
        runs = [load_run(workdir) for workdir in workdirs]
        for workdir, run in zip(workdirs[1:], runs[1:], strict=True):
            if run.vocabulary.fingerprint() != runs[0].vocabulary.fingerprint():
                raise ValueError(
                    f"The vocabulary of {workdir} ({len(run.vocabulary)} words) is not that of {workdirs[0]} "
                    f"({len(runs[0].vocabulary)} words): only models of one vocabulary can be averaged."
                )
        return cls(runs, runs[0].config.decoding.replaced(decoding))

    @classmethod
    def load_checkpoint(cls, checkpoint_path: str, vocab_file: str = "", **decoding: Any) -> PhotographCaptioner:
        """Loads a checkpoint of the original im2txt as it is, or one of a run.

        Args:
            checkpoint_path: of the original, see `Tensorflow1Checkpoint`; or of a run, see `run_of_checkpoint`.
            vocab_file: the word_counts.txt that belongs to it; a run's own may be left out.
            decoding: fields of `DecodingConfig` that replace the model's.

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if the checkpoint is damaged or of another model, the vocabulary is not its own, or a value is
                out of its range.
        """
        of_run = run_of_checkpoint(checkpoint_path)
        if of_run is None:
            run = read_original_run(checkpoint_path, vocab_file)
        else:
            workdir, checkpoint = of_run
            run = load_run(workdir, checkpoint=checkpoint)
            if vocab_file:
                check_vocabulary(
                    run.vocabulary, Vocabulary.from_text(storage.read_text(vocab_file), vocab_file), workdir
                )
        return cls([run], run.config.decoding.replaced(decoding))

    def __call__(
        self, photographs: Sequence[Photograph], image_ids: Sequence[int] | None = None, batch_size: int = 0
    ) -> list[CaptionedPhotograph]:
        """Captions photographs as one batch.

        Args:
            photographs: paths, bytes of image files, or pixels, in any mixture.
            image_ids: by which samples are drawn where decoding.method=sample; None takes the positions.
            batch_size: photographs to compute with: the last one is repeated up to as many, because the last digits of
                a result depend on how many there are. 0 repeats none.

        Returns:
            One result for each, in order; one that cannot be used has an error, and the others their captions.

        Raises:
            TypeError: if the photographs are no list, or one is of none of these types.
        """
        if isinstance(photographs, (str, bytes, os.PathLike)):
            raise TypeError("One photograph was given, and a list of them is wanted: captioner([photograph]).")
        prepared, errors = [], {}
        for index, photograph in enumerate(photographs):
            try:
                prepared.append((index, self.prepare(photograph)))
            except UnusablePhotographError as error:
                errors[index] = str(error)
        results = [CaptionedPhotograph(error=errors.get(index, "")) for index in range(len(photographs))]
        keys = [image_ids[index] if image_ids is not None else index for index, _ in prepared]
        captioned = self.caption([images for _, images in prepared], keys, batch_size)
        for (index, _), result in zip(prepared, captioned, strict=True):
            results[index] = result
        return results

    def caption(
        self, photographs: Sequence[Prepared], image_ids: Sequence[int], batch_size: int = 0
    ) -> list[CaptionedPhotograph]:
        """Captions what `prepare` returned as one batch; see `__call__`."""
        if not photographs:
            return []
        spare = max(0, batch_size - len(photographs))
        photographs = [*photographs, *[photographs[-1]] * spare]
        image_ids = [*image_ids, *[image_ids[-1]] * spare]
        images = tuple(tf.stack(of_run) for of_run in zip(*photographs, strict=True))
        ids = tf.constant(image_ids, tf.int64)
        captions = self._generator({"images": images if self._is_ensemble else images[0], "image_id": ids})
        return [CaptionedPhotograph(tuple(candidates)) for candidates in captions[: len(captions) - spare]]

    def prepare(self, photograph: Photograph) -> Prepared:
        """Returns a photograph as each run's encoder wants it; UnusablePhotographError says why it cannot."""
        try:
            return self._prepare(photograph)
        except tf.errors.InvalidArgumentError as error:  # Its markers are in place, its pixels are not.
            raise UnusablePhotographError("damaged", "the decoder refuses its data") from error

    def _prepare(self, photograph: Photograph) -> Prepared:
        if isinstance(photograph, np.ndarray):
            if photograph.ndim != 3 or photograph.shape[2] != 3 or photograph.dtype not in (np.uint8, np.float32):
                raise UnusablePhotographError(
                    "not_an_image",
                    f"an array of shape {list(photograph.shape)} and dtype {photograph.dtype}; pixels are [H, W, 3], "
                    "uint8 or float32 in [0, 1]",
                )
            pixels = tf.constant(photograph)
        else:
            pixels = decode_image(tf.constant(_read(photograph)))
        return [prepare_pixels(pixels, of_run) for of_run in self._formats]


def _read(photograph: str | os.PathLike[str] | bytes) -> bytes:
    """The bytes of a JPEG file."""
    if isinstance(photograph, bytes):
        return to_jpeg(photograph, PhotographOptions())
    if isinstance(photograph, (str, os.PathLike)):
        return read_photograph(os.fspath(photograph), PhotographOptions())
    raise TypeError(f"A photograph is a path, bytes, or an array of pixels, not {type(photograph).__name__}.")
