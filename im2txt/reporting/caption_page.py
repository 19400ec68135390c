"""The page of captions without references: every photograph that a run was shown, to be searched and sorted."""

from __future__ import annotations

from collections.abc import Iterable

from im2txt.images.image_files import PhotographOptions, read_photograph, to_jpeg
from im2txt.inference.caption_output import utf8_name
from im2txt.inference.photograph_captioner import CaptionedPhotograph
from im2txt.reporting import pages, thumbnails
from im2txt.reporting.result_content import SMALL_PIXELS, CaptionedImage
from im2txt.reporting.result_page import image_data
from im2txt.system import storage


def write_page(
    path: str,
    title: str,
    results: Iterable[tuple[str, str | bytes, CaptionedPhotograph]],
    embedded_bytes: int,
) -> tuple[int, int]:
    """Writes the page; small pictures are held until all are captioned, and lie beside it if they are too large for it.

    Args:
        path: of the page.
        title: of the page.
        results: name, photograph (a path or bytes) and captions of each.
        embedded_bytes: the most bytes of small pictures in the page itself.

    Returns:
        How many photographs could not be used, and how many there were.
    """
    captioned: list[tuple[str, CaptionedPhotograph]] = []
    small: dict[int, thumbnails.Thumbnail] = {}
    unusable: list[tuple[str, str]] = []
    for name, photograph, result in results:
        if result.error:
            unusable.append((utf8_name(name), result.error))
            continue
        options = PhotographOptions()
        jpeg = read_photograph(photograph, options) if isinstance(photograph, str) else to_jpeg(photograph, options)
        small[len(captioned)] = thumbnails.make_thumbnail(jpeg)
        captioned.append((name, result))
    addresses, folder = thumbnails.place(small, path, embedded_bytes)
    images = [
        CaptionedImage(
            image_id=index,
            file_name=utf8_name(name),
            address=addresses[index],
            is_small=small[index].width <= SMALL_PIXELS,
            captions=[vars(candidate) for candidate in result.candidates],
            references=[],
            scores={},
        )
        for index, (name, result) in enumerate(captioned)
    ]
    page = pages.render(
        "caption_page.html",
        scripts=("captions.js", "result_page.js"),
        data={"metrics": [], "images": [image_data(image) for image in images]},
        title=title,
        num_images=len(images),
        unusable=unusable,
        image_metrics=[],
        thumbnail_folder=folder,
    )
    storage.write_text(path, page)
    return len(unusable), len(unusable) + len(captioned)
