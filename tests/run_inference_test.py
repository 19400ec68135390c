"""The command that captions photographs: what it takes, what it writes, and what one bad picture does to the others."""

import csv
import io
import json
import math
import os
import pathlib
import re
import struct
import sys
import zlib

import numpy as np
import pytest
from fake_runs import random_run, write_run
from fakes import VOCABULARY, jpeg
from page_text import text_of
from PIL import Image

from im2txt import run_inference
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.photographs import caption_photographs


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), random_run())


@pytest.fixture(scope="module")
def captioner(workdir):
    return PhotographCaptioner.load(workdir)


@pytest.fixture
def run(workdir, captioner, monkeypatch, capsys):
    """Runs the command in this process; the model is loaded once."""

    def load(*workdirs, **decoding):
        assert workdirs == (workdir,)
        return captioner if not decoding else PhotographCaptioner(captioner.runs, captioner.runs[0].config.decoding)

    monkeypatch.setattr(PhotographCaptioner, "load", load)

    def start(*flags, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        status = run_inference.main([f"--workdir={workdir}", *map(str, flags)])
        out, err = capsys.readouterr()
        return status, out, err

    return start


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "two words, a comma"
    folder.mkdir()
    for i in range(5):
        (folder / f"{i}.jpg").write_bytes(jpeg(i))
    return folder


def expected(captioner, photographs):
    return [[candidate.caption for candidate in result.candidates] for result in captioner(photographs)]


def test_text_shows_each_caption_with_its_probability(run, captioner, pictures):
    status, out, _ = run(pictures / "0.jpg")
    (result,) = captioner([str(pictures / "0.jpg")])
    assert status == 0
    first, *lines = out.splitlines()
    assert first == f"Captions for {pictures}/0.jpg:"
    for rank, (line, candidate) in enumerate(zip(lines, result.candidates, strict=True)):
        text, _, chance = line.rpartition(" (p=")
        assert text == f"  {rank}) {candidate.caption}"
        assert float(chance.rstrip(")")) == pytest.approx(math.exp(candidate.log_prob), rel=1e-3)


def test_a_folder_given_as_output_is_refused_before_any_work(run, pictures, monkeypatch):
    monkeypatch.setattr(PhotographCaptioner, "load", lambda *_: pytest.fail("the model was loaded"))
    with pytest.raises(IsADirectoryError, match=r"--output=.* is a folder\. Name a file in it"):
        run(pictures, f"--output={pictures}")


def test_a_name_that_is_no_utf8_is_shown_on_the_page(run, pictures):
    for content in (jpeg(0), b"no picture"):
        pathlib.Path(os.fsdecode(bytes(pictures) + b"/\xff.jpg")).write_bytes(content)
        run(pictures, "--format=html", f"--output={pictures}/page.html")
        assert "\ufffd.jpg" in (pictures / "page.html").read_text()


def test_names_that_nothing_can_have_are_rows(run):
    status, out, _ = run("-", "--format=jsonl", stdin=b"a picture\nof\0garbage\nnowhere://a.jpg\n")
    assert (status, [json.loads(line)["error"].partition(":")[0] for line in out.splitlines()]) == (
        1,
        ["missing_photograph", "unreadable", "unreadable"],
    )


def test_a_name_with_a_line_break_stays_in_its_line(run, pictures):
    name = "a.jpg:\n  0) forged (p=1)\nCaptions for b.jpg"
    (pictures / name).write_bytes(jpeg(0))
    (pictures / f"{name}2").write_bytes(b"no picture")
    _, out, _ = run(pictures / name, pictures / f"{name}2")
    first, *_, last = out.splitlines()
    assert first == f"Captions for {pictures}/a.jpg:\\n  0) forged (p=1)\\nCaptions for b.jpg:"
    assert last.startswith(f"No captions for {pictures}/a.jpg:\\n  0) forged (p=1)\\nCaptions for b.jpg2: not_an_image")


def test_jsonl_and_csv_hold_the_captions_and_the_reason_where_there_are_none(run, captioner, pictures):
    (pictures / "3.jpg").write_bytes(b"no picture")
    said = expected(captioner, [str(pictures / f"{i}.jpg") for i in (0, 1, 2, 4)])
    status, out, err = run(pictures, "--format=jsonl", "--batch_size=2")
    assert status == 1
    assert err.splitlines()[-1] == "1 of 5 photographs could not be captioned."
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["file"] for row in rows] == [f"{pictures}/{i}.jpg" for i in range(5)]
    assert rows.pop(3)["error"].startswith("not_an_image: ")
    assert [[caption["caption"] for caption in row["captions"]] for row in rows] == said
    for caption in rows[0]["captions"]:
        assert sum(caption["word_log_probs"]) == pytest.approx(caption["log_prob"], rel=1e-4)
    table = list(csv.DictReader(io.StringIO(run(pictures, "--format=csv")[1])))
    assert [row["file"] for row in table if row["error"]] == [f"{pictures}/3.jpg"]
    assert [row["caption"] for row in table if not row["error"]] == [caption for of in said for caption in of]
    assert [row["rank"] for row in table[:2]] == ["0", "1"]


def test_a_file_is_written_whole_or_not_at_all(run, pictures, monkeypatch):
    output = pictures.parent / "new" / "captions.jsonl"
    status, out, _ = run(pictures, "--format=jsonl", f"--output={output}")
    assert (status, out) == (0, "")
    assert len(output.read_text().splitlines()) == 5
    monkeypatch.setattr("im2txt.inference.caption_output.json.dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(pictures, "--format=jsonl", f"--output={output}")
    assert [path.name for path in output.parent.iterdir()] == ["captions.jsonl"]
    assert len(output.read_text().splitlines()) == 5


def test_the_page_shows_every_photograph_and_needs_nothing_else(run, captioner, pictures):
    (pictures / "<b>.jpg").write_bytes(b"no picture")
    page = pictures.parent / "page.html"
    status, _, _ = run(pictures, "--format=html", f"--output={page}")
    assert status == 1
    text = page.read_text()
    (data,) = re.findall(r'id="data">(.*?)</script>', text)
    images = json.loads(data)["images"]
    assert [image["name"] for image in images] == [f"{pictures}/{i}.jpg" for i in range(5)]
    assert all(image["address"].startswith("data:image/jpeg;base64,") for image in images)
    assert [[caption["text"] for caption in image["captions"]] for image in images] == expected(
        captioner, [jpeg(i) for i in range(5)]
    )
    assert "5 photographs captioned 1 could not be captioned" in text_of(text)
    assert f"{pictures}/&lt;b&gt;.jpg not_an_image: " in text_of(text)
    assert "<b>.jpg" not in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    run(pictures / "0.jpg", "--format=html", f"--output={page}", "--embedded_megabytes=0")
    assert (pictures.parent / "page_files" / "0.jpg").exists()


def test_a_picture_on_standard_input_is_captioned(run, captioner, pictures):
    for flags in (("--format=jsonl",), ("--format=html", f"--output={pictures}/page.html")):
        status, out, _ = run("-", *flags, stdin=jpeg(7))
        assert status == 0
        if out:
            row = json.loads(out)
            assert row["file"] == "-"
            assert [caption["caption"] for caption in row["captions"]] == expected(captioner, [jpeg(7)])[0]
    assert run("-", stdin=b"\0\1\2\3 no picture")[0] == 1


def test_paths_on_standard_input_are_captioned_and_missing_ones_are_rows(run, pictures):
    names = "".join(f"{pictures}/{name}\n" for name in ("2.jpg", "gone.jpg", "0.jpg"))
    status, out, _ = run("-", "--format=jsonl", stdin=names.encode())
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert "".join(f"{row['file']}\n" for row in rows) == names
    assert [row.get("error", "").partition(":")[0] for row in rows] == ["", "missing_photograph", ""]


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def saved(mode, kind, size=(40, 30), **options):
    stream = io.BytesIO()
    pixels = np.arange(size[0] * size[1]).reshape(size[1], size[0])
    if mode == "I;16":
        image = Image.fromarray((pixels * 50).astype(np.uint16))
    else:
        image = Image.fromarray((pixels % 256).astype(np.uint8)).convert(mode)
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty_file"),
        (b"Dear diary", "not_an_image"),
        (jpeg(1)[:-30], "truncated"),
        (saved("RGB", "PNG")[:100], "truncated"),
        (png_header(20_000, 20_000), "too_large: more than 89,478,485 pixels"),
        (saved("RGB", "JPEG").replace(struct.pack(">HH", 30, 40), struct.pack(">HH", 20_000, 20_000), 1), "too_large"),
    ],
)
def test_a_bad_picture_is_a_row_with_its_reason_and_the_others_are_captioned(run, pictures, content, reason):
    (pictures / "1.jpg").write_bytes(content)
    status, out, _ = run(pictures, "--format=jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert rows[1]["error"].startswith(reason)
    assert [bool(row.get("captions")) for row in rows] == [True, False, True, True, True]


@pytest.mark.parametrize(
    "content",
    [
        saved("RGB", "PNG", (1, 1)),
        saved("RGB", "JPEG", (1, 1)),
        saved("CMYK", "JPEG"),
        saved("I;16", "PNG"),
        saved("L", "GIF", save_all=True, append_images=[Image.new("L", (40, 30), 9)] * 3, duration=50),
    ],
)
def test_odd_pictures_are_captioned(run, pictures, content):
    (pictures / "1.jpg").write_bytes(content)
    status, out, _ = run(pictures, "--format=jsonl")
    assert status == 0
    assert all(json.loads(line)["captions"] for line in out.splitlines())


@pytest.mark.parametrize("name", ["empty", "*.webp", "gone.jpg"])
def test_what_matches_nothing_is_named(run, pictures, name):
    (pictures / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=re.escape(f"No photograph matches '{pictures / name}'.")):
        run(pictures / name)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["--workdir=a", "--checkpoint_path=b", "c"],
            "Give either --workdir, the folder of a run, or --checkpoint_path",
        ),
        (["c"], "Give either --workdir"),
        (["--workdir=a"], "No photographs were named"),
        (["--workdir=a", "-", "b"], "`-`, standard input, stands alone"),
        (["--workdir=a", "b", "--format=html"], "--format=html needs --output"),
        (["--workdir=a", "b", "--vocab_file=c"], "--vocab_file is for --checkpoint_path"),
        (["--workdir=a", "b", "--beam_size=101"], "decoding.beam_size=101: must be in 1 to 100"),
        (["--workdir=a", "b", "--batch_size=0"], "batch_size=0: must be at least 1"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, told, capsys):
    with pytest.raises(SystemExit) as stop:
        run_inference.main(flags)
    assert stop.value.code == 2
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_knob_that_the_runs_method_does_not_use_is_refused_before_the_model_is_loaded(run, pictures):
    with pytest.raises(ValueError, match="decoding.temperature=0.5: needs method=sample, not beam"):
        run(pictures, "--temperature=0.5")


def test_batches_fill_up_from_the_stream_and_no_more_is_read_than_they_need(captioner, monkeypatch):
    sizes, read = [], 0
    caption = PhotographCaptioner.caption

    def recorded(self, photographs, *rest):
        sizes.append(len(photographs))
        return caption(self, photographs, *rest)

    def stream():
        nonlocal read
        for i in range(1000):
            read += 1
            yield f"{i}", b"no picture" if i % 3 == 1 else jpeg(i % 7)

    monkeypatch.setattr(PhotographCaptioner, "caption", recorded)
    results = caption_photographs(captioner, stream(), 4)
    assert read == 0
    found = [next(results) for _ in range(12)]
    assert [name for name, _ in found] == [f"{i}" for i in range(12)]
    assert [bool(result.error) for _, result in found] == [i % 3 == 1 for i in range(12)]
    assert set(filter(None, sizes)) == {4}
    assert read <= 12 + 2


def test_a_checkpoint_of_a_run_is_taken_by_its_path(workdir, captioner, pictures, capsys):
    said = [candidate.words for candidate in captioner([jpeg(0)])[0].candidates]
    for path in (f"{workdir}/best/ckpt-17", f"{workdir}/best", f"{workdir}/best/ckpt-17.index"):
        status = run_inference.main(
            [f"--checkpoint_path={path}", f"--vocab_file={workdir}/word_counts.txt", f"--input_files={pictures}/0.jpg"]
        )
        assert status == 0
        first, *lines = capsys.readouterr().out.splitlines()
        assert first == "Captions for image 0.jpg:"
        assert [re.fullmatch(r"  \d\) (.*) \(p=.*\)", line).group(1) for line in lines] == said
    other = pictures / "words.txt"
    other.write_text(VOCABULARY.to_text().replace("cat", "bird"))
    with pytest.raises(ValueError, match="vocabulary"):
        run_inference.main([f"--checkpoint_path={path}", f"--vocab_file={other}", f"--input_files={pictures}/0.jpg"])


def test_what_names_no_model_is_told_before_tensorflow_loads(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match="--checkpoint_path=/no/model is not there"):
        run_inference.main(["--checkpoint_path=/no/model", "--vocab_file=x", str(pictures)])
    (tmp_path / "model.ckpt-1").write_bytes(b"")
    with pytest.raises(ValueError, match="--vocab_file is required"):
        run_inference.main([f"--checkpoint_path={tmp_path}/model.ckpt-1", str(pictures)])
    with pytest.raises(FileNotFoundError, match="--vocab_file=x is not there"):
        run_inference.main([f"--checkpoint_path={tmp_path}/model.ckpt-1", "--vocab_file=x", str(pictures)])
