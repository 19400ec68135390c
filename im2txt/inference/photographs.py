"""Photographs on disk to captions, batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from im2txt.inference.photograph_captioner import CaptionedPhotograph, PhotographCaptioner
from im2txt.system.progress import progress_bar


def caption_photographs(
    captioner: PhotographCaptioner, paths: Sequence[str], batch_size: int
) -> Iterator[tuple[str, CaptionedPhotograph]]:
    """Captions photographs under a progress bar.

    Args:
        captioner: one or more runs, loaded.
        paths: image files of any usual format.
        batch_size: photographs per batch.

    Yields:
        (path, result) for each path, in order; an unusable photograph has its error and the others go on.
    """
    remaining = enumerate(paths)
    with progress_bar("captioning", total=len(paths), unit=" photographs") as progress:
        while batch := list(itertools.islice(remaining, batch_size)):
            names = [path for _, path in batch]
            yield from zip(names, captioner(names, [position for position, _ in batch]), strict=True)
            progress.update(len(batch))
