"""Photographs from a stream to captions, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.inference.photograph_captioner import CaptionedPhotograph, Photograph, PhotographCaptioner, Prepared
from im2txt.system.progress import progress_bar


def caption_photographs(
    captioner: PhotographCaptioner,
    photographs: Iterable[tuple[str, Photograph]],
    batch_size: int,
    total: int | None = None,
) -> Iterator[tuple[str, CaptionedPhotograph]]:
    """Captions photographs under a progress bar; holds one batch of them, however many there are.

    Args:
        captioner: one or more runs, loaded.
        photographs: (name, photograph) of each; image files may be of any usual format.
        batch_size: photographs per batch; unusable ones do not count.
        total: how many there are, if that is known.

    Yields:
        (name, result) for each, in order; an unusable photograph has its error and the others go on.
    """
    waiting: list[tuple[str, Prepared | None, int, str]] = []  # name, the photograph or None, its position, the error
    with progress_bar("captioning", total=total, unit=" photographs") as progress:

        def flush() -> Iterator[tuple[str, CaptionedPhotograph]]:
            usable = [(prepared, position) for _, prepared, position, _ in waiting if prepared is not None]
            captions = iter(captioner.caption([p for p, _ in usable], [position for _, position in usable]))
            for name, prepared, _, error in waiting:
                yield name, CaptionedPhotograph(error=error) if prepared is None else next(captions)
            progress.update(len(waiting))
            waiting.clear()

        num_usable = 0
        for position, (name, photograph) in enumerate(photographs):
            try:
                waiting.append((name, captioner.prepare(photograph), position, ""))
                num_usable += 1
            except UnusablePhotographError as error:
                waiting.append((name, None, position, str(error)))
            if num_usable == batch_size or not num_usable:  # What waits for nothing goes out at once.
                yield from flush()
                num_usable = 0
        yield from flush()
