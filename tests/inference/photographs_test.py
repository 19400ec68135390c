"""Tests of photographs on disk: which ones are meant, how they are read, and what a damaged one does to the others."""

import io
import types

import numpy as np
import pytest
import tensorflow as tf
from fakes import jpeg
from PIL import Image

from im2txt.configuration import DecodingConfig, EncoderConfig, ExperimentConfig
from im2txt.decoding.caption_generator import Candidate
from im2txt.images.preprocessing import ImageFormat, decode_image
from im2txt.inference import photograph_captioner
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.photographs import caption_photographs

SIZE = 8


@pytest.fixture
def captioned(monkeypatch):
    """Stands in for a run: what it captions is recorded, and a caption is the photograph's mean pixel."""
    config = ExperimentConfig(
        encoder=EncoderConfig(backbone="SmallCNN", image_size=SIZE, crop_fraction=1.0),
        decoding=DecodingConfig(beam_size=3, max_caption_length=9),
    )
    seen = types.SimpleNamespace(batches=[], decoding=None)

    class Generator:
        def __init__(self, captioner, vocabulary, tokenizer, decoding, attentive):
            assert (captioner, vocabulary, tokenizer, attentive) == ("captioner", "vocabulary", "tokenizer", None)
            seen.decoding = decoding

        def __call__(self, batch):
            seen.batches.append(batch["images"].numpy())
            return [[Candidate(f"{image.mean():.3f}", "", 0, 0, True, ())] for image in seen.batches[-1]]

    run = types.SimpleNamespace(
        config=config,
        captioner="captioner",
        vocabulary="vocabulary",
        tokenizer="tokenizer",
        step=1,
        checkpoint="",
        image_format=ImageFormat(SIZE, crop_fraction=1.0),
    )
    monkeypatch.setattr(photograph_captioner, "load_run", lambda workdir: run if workdir == "/run" else None)
    monkeypatch.setattr(photograph_captioner, "CaptionGenerator", Generator)
    return seen


def caption(workdir, paths, batch_size, **decoding):
    """(path, result) of each."""
    return list(
        caption_photographs(PhotographCaptioner.load(workdir, **decoding), zip(paths, paths, strict=True), batch_size)
    )


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def slope(height=40, width=64):
    """Dark above, red to the right: no side is like another, and no detail is lost by a JPEG."""
    rows, columns = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    return (np.stack([columns, rows, rows * columns], axis=-1) * 255).astype(np.uint8)


def test_photographs_are_captioned_in_order_in_batches(captioned, tmp_path):
    levels = [250, 30, 90, 170, 10]
    paths = [save(tmp_path / f"{i}.png", np.full((5, 9, 3), v, np.uint8)) for i, v in enumerate(levels)]
    named = caption("/run", paths, 2)
    assert [path for path, _ in named] == paths
    results = [result for _, result in named]
    assert [float(result.candidates[0].caption) for result in results] == pytest.approx(
        np.array(levels) / 255, abs=0.01
    )
    assert [len(batch) for batch in captioned.batches] == [2, 2, 1]
    assert all(batch.shape[1:] == (SIZE, SIZE, 3) for batch in captioned.batches)


def test_flags_replace_the_run_s_decoding(captioned, tmp_path):
    path = save(tmp_path / "a.png", slope())
    caption("/run", [path], 1, beam_size=7)
    assert captioned.decoding == DecodingConfig(beam_size=7, max_caption_length=9)
    caption("/run", [path], 1)
    assert captioned.decoding == DecodingConfig(beam_size=3, max_caption_length=9)


def images_of(captioned, path):
    ((_, result),) = caption("/run", [path], 1)
    assert result.error == ""
    return captioned.batches[-1][0]


def test_every_usual_format_gives_the_same_pixels(captioned, tmp_path):
    expected = images_of(captioned, save(tmp_path / "a.png", slope()))
    for name, options in {
        "a.jpg": {"quality": 95},
        "a.bmp": {},
        "a.tiff": {},
        "a.webp": {"lossless": True},
        "without_ending": {"format": "PNG"},
        "wrong_ending.jpg": {"format": "PNG"},
    }.items():
        assert np.abs(images_of(captioned, save(tmp_path / name, slope(), **options)) - expected).max() < 0.04, name
    Image.fromarray(slope()).quantize(256).save(tmp_path / "a.gif")
    assert np.abs(images_of(captioned, str(tmp_path / "a.gif")) - expected).max() < 0.15


@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"), [(3, 2, False), (6, 1, False), (8, 3, False), (2, 0, True)]
)
def test_a_photograph_that_lies_on_its_side_is_turned_upright(captioned, tmp_path, orientation, turns, mirrored):
    expected = images_of(captioned, save(tmp_path / "upright.png", slope()))
    lying = np.rot90(slope(), turns)  # What the camera stored; the orientation says how to turn it back.
    if mirrored:
        lying = lying[:, ::-1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "lying.jpg", np.ascontiguousarray(lying), quality=95, exif=exif)
    assert np.abs(images_of(captioned, path) - expected).max() < 0.06


def test_grey_and_transparent_photographs_are_captioned(captioned, tmp_path):
    grey = images_of(captioned, save(tmp_path / "grey.png", slope()[..., 0]))
    assert np.ptp(grey, axis=-1).max() < 0.02
    transparent = np.dstack([slope(), np.zeros((40, 64), np.uint8)])
    assert images_of(captioned, save(tmp_path / "none.png", transparent)).min() > 0.98  # White shines through.


def test_a_damaged_photograph_is_reported_and_the_others_go_on(captioned, tmp_path):
    good = jpeg(1)
    content = {
        "a.jpg": good,
        "cut.jpg": good[:-20],
        "text.jpg": b"Dear diary",
        "empty.png": b"",
        "z.jpg": good,
        "half.png": _png()[:60],
    }
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in content] + [str(tmp_path / "gone.jpg")]
    for batch_size in (1, 2, 16):
        named = caption("/run", paths, batch_size)
        assert [path for path, _ in named] == paths
        results = [result for _, result in named]
        errors = [result.error.partition(":")[0] for result in results]
        assert errors[:1] + errors[4:5] == ["", ""]
        assert errors[1] == "truncated"
        assert errors[2:4] == ["not_an_image", "empty_file"]
        assert errors[5] in ("truncated", "damaged")
        assert errors[6] == "missing_photograph"
        assert [bool(result.candidates) for result in results] == [not error for error in errors]
        assert results[0].candidates == results[4].candidates
        assert all("\n" not in result.error for result in results)


def _png():
    stream = io.BytesIO()
    Image.fromarray(slope()).save(stream, "PNG")
    return stream.getvalue()


def test_a_jpeg_whose_pixels_do_not_decode_is_reported(captioned, tmp_path, monkeypatch):
    # No photograph is known that passes the walk over its markers and not the decoder; one may come.
    def decode(encoded_image):
        if encoded_image == jpeg(1):
            raise tf.errors.InvalidArgumentError(None, None, "Invalid JPEG data")
        return decode_image(encoded_image)

    monkeypatch.setattr(photograph_captioner, "decode_image", decode)
    (tmp_path / "odd.jpg").write_bytes(jpeg(1))
    (_, odd), (_, fine) = caption("/run", [str(tmp_path / "odd.jpg"), save(tmp_path / "good.png", slope())], 2)
    assert odd.error == "damaged: the decoder refuses its data"
    assert not odd.candidates
    assert fine.candidates
