"""What a model says of the same few photographs as its training goes on: rows of `samples.jsonl`, and pictures."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from im2txt.runs.run_files import SAMPLES_NAME
from im2txt.system import storage
from im2txt.system.json_text import parse_json

_MARGIN = 8
_FONT_PIXELS = 18


@dataclasses.dataclass(frozen=True)
class SampleCaption:
    """A photograph of the validation split and what the model says of it; the name is the source's."""

    image_id: int
    file_name: str
    caption: str


def append_samples(workdir: str, step: int, samples: Sequence[SampleCaption]) -> None:
    """Adds one row, `{"step": ..., "samples": [...]}`, to `WORKDIR/samples.jsonl`."""
    storage.append_text(storage.join(workdir, SAMPLES_NAME), _line(step, samples))


def drop_later_samples(workdir: str, last_step: int) -> None:
    """Removes the rows of steps past `last_step`, which a resumed run will write again.

    Raises:
        ValueError: as `read_samples`.
    """
    path = storage.join(workdir, SAMPLES_NAME)
    if storage.exists(path):
        kept = (_line(step, samples) for step, samples in read_samples(workdir).items() if step <= last_step)
        storage.write_text(path, "".join(kept))


def read_samples(workdir: str) -> dict[int, list[SampleCaption]]:
    """Returns the samples by step, in order of the step; a step written twice counts once.

    Raises:
        ValueError: naming the line that is no row of samples. A last line without its end is one being written.
    """
    path = storage.join(workdir, SAMPLES_NAME)
    by_step: dict[int, list[SampleCaption]] = {}
    text = storage.read_bytes(path).decode(errors="replace") if storage.exists(path) else ""
    for number, line in enumerate(io.StringIO(text), start=1):  # A name may hold what `splitlines` takes for an end.
        if not line.endswith("\n"):
            break
        try:
            row = parse_json(line)
            by_step[int(row["step"])] = [SampleCaption(**sample) for sample in row["samples"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: {line.strip()[:80]!r} is no row of samples: {error!r}."
            ) from error
    return dict(sorted(by_step.items()))


def _line(step: int, samples: Sequence[SampleCaption]) -> str:
    row = {"step": step, "samples": [dataclasses.asdict(sample) for sample in samples]}
    return json.dumps(row, ensure_ascii=False) + "\n"


def draw_captioned(encoded_image: bytes, captions: Sequence[str], width: int = 480) -> np.ndarray:
    """Draws a photograph with captions below it, as TensorBoard's images want it.

    Args:
        encoded_image: bytes of an image file.
        captions: one or more lines of text each; wrapped at words.
        width: pixels of the picture; the photograph is scaled to it.

    Returns:
        uint8 [H, width, 3].

    Raises:
        ValueError: if the bytes are no image.
    """
    try:
        photograph = Image.open(io.BytesIO(encoded_image)).convert("RGB")
    except OSError as error:
        raise ValueError(f"The {len(encoded_image)} bytes given are no image: {error}") from error
    photograph = photograph.resize((width, max(1, round(photograph.height * width / photograph.width))))
    font = ImageFont.load_default(_FONT_PIXELS)
    text = "\n".join(line for caption in captions for line in _wrapped(caption, font, width - 2 * _MARGIN))
    left_top = (_MARGIN, photograph.height + _MARGIN)
    bottom = ImageDraw.Draw(photograph).multiline_textbbox(left_top, text, font)[3]
    picture = Image.new("RGB", (width, round(bottom) + _MARGIN), "white")
    picture.paste(photograph, (0, 0))
    ImageDraw.Draw(picture).multiline_text(left_top, text, "black", font)
    return np.asarray(picture)


def _wrapped(caption: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
