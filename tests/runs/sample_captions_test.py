"""Rows of samples, and pictures with their captions."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from im2txt.runs.sample_captions import SampleCaption, append_samples, draw_captioned, read_samples


def test_samples_come_back_in_order_of_the_step_the_later_of_two_rows_counting(tmp_path: pathlib.Path):
    def sample(text: str) -> SampleCaption:
        return SampleCaption(7, "ü.jpg", text)

    assert read_samples(str(tmp_path)) == {}
    for step, text in ((20, "b"), (10, "a"), (20, "c ☃")):
        append_samples(str(tmp_path), step, [sample(text)])
    assert list(read_samples(str(tmp_path)).items()) == [(10, [sample("a")]), (20, [sample("c ☃")])]


def test_a_line_that_is_being_written_waits_and_a_damaged_one_is_named(tmp_path: pathlib.Path):
    append_samples(str(tmp_path), 1, [])
    path = tmp_path / "samples.jsonl"
    path.write_text(path.read_text() + '{"step": 2, "sam')
    assert list(read_samples(str(tmp_path))) == [1]
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ValueError, match="samples.jsonl, line 2: .* is no row of samples"):
        read_samples(str(tmp_path))


def test_a_picture_has_its_photograph_above_its_captions():
    file = io.BytesIO()
    Image.new("RGB", (100, 50), (200, 10, 10)).save(file, "PNG")
    short = draw_captioned(file.getvalue(), ["a dog"], width=200)
    assert (short.dtype, short.shape[1:]) == (np.uint8, (200, 3))
    assert (short[:100] == (200, 10, 10)).all()
    below = short[100:]
    assert (below[-1] == 255).all()
    assert below.min() < 60  # Letters.
    long = draw_captioned(file.getvalue(), ["a dog " * 20, "a cat"], width=200)
    assert len(long) > len(short) + 80
    assert (long[100:, -4:] == 255).all()  # Wrapped before the edge.
    with pytest.raises(ValueError, match="The 4 bytes given are no image"):
        draw_captioned(b"none", ["a"])
