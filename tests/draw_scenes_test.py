"""The command that draws the embedded data set, and what the table source makes of it."""

import io
import json
import pathlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_prep import draw_scenes
from data_prep.sources.table import Table


def draw(folder: pathlib.Path, *flags: str) -> list[dict[str, Any]]:
    draw_scenes.main([f"--output_dir={folder}", *flags])
    return [json.loads(line) for line in (folder / "captions.jsonl").read_text().splitlines()]


def content(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_line_has_a_picture_five_captions_and_the_truth(tmp_path: pathlib.Path) -> None:
    rows = draw(tmp_path, "--num_scenes=30")
    assert len(rows) == len({row["path"] for row in rows}) == 30
    for row in rows:
        with Image.open(io.BytesIO((tmp_path / row["path"]).read_bytes())) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
        assert len(row["captions"]) == 5
        assert all(shape["shape"] in " ".join(row["captions"]) for shape in row["shapes"])
        assert {"shape", "colour", "size", "position"} <= set(row["shapes"][0])


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: pathlib.Path) -> None:
    draw(tmp_path / "a", "--num_scenes=20", "--seed=3")
    draw(tmp_path / "b", "--num_scenes=20", "--seed=3")
    draw(tmp_path / "c", "--num_scenes=20", "--seed=4")
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert content(tmp_path / "a") != content(tmp_path / "c")


def test_no_combination_of_shapes_is_in_two_splits(tmp_path: pathlib.Path) -> None:
    splits_of_look: dict[tuple[Any, ...], set[str]] = {}
    for row in draw(tmp_path, "--num_scenes=1000"):
        look = tuple((s["shape"], s["colour"], s["size"], s["position"]) for s in row["shapes"])
        splits_of_look.setdefault(look, set()).add(row["split"])
    assert {len(splits) for splits in splits_of_look.values()} == {1}
    assert set.union(*splits_of_look.values()) == {"train", "val", "test"}


def test_another_seed_divides_the_same_combinations_in_another_way(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draw_scenes.scene_images, "encode_jpeg", lambda *_: b"")  # Most of the time.

    def splits(seed: int) -> dict[tuple[Any, ...], str]:
        rows = draw(tmp_path / str(seed), "--num_scenes=1000", f"--seed={seed}")
        return {
            tuple((s["shape"], s["colour"], s["size"], s["position"]) for s in r["shapes"]): r["split"] for r in rows
        }

    first, second = splits(1), splits(2)
    both = first.keys() & second.keys()
    assert len(both) > 100
    # Of independent divisions 8 : 1 : 1 a third differs: 1 - (0.8 ** 2 + 0.1 ** 2 + 0.1 ** 2).
    assert 0.2 < sum(first[look] != second[look] for look in both) / len(both) < 0.5


def test_every_picture_has_a_background_of_its_own(tmp_path: pathlib.Path) -> None:
    def corners(seed: int) -> dict[int, float]:
        """Brightness of a corner, which no shape reaches, of the plain pictures."""
        rows = draw(tmp_path / str(seed), "--num_scenes=200", f"--seed={seed}")
        pictures = {i: Image.open(tmp_path / str(seed) / row["path"]) for i, row in enumerate(rows)}
        plain = [i for i, row in enumerate(rows) if row["background"] == "plain"]
        return {i: float(np.asarray(pictures[i], float)[:5, :5].mean()) for i in plain}

    first, second = corners(1), corners(2)
    assert np.std(list(first.values())) > 10
    assert np.std([first[i] - second[i] for i in first.keys() & second.keys()]) > 10


def test_the_captions_file_is_absent_until_all_pictures_are_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path, "--num_scenes=5")

    def fails(*_: object) -> bytes:
        raise OSError("disk full")

    monkeypatch.setattr(draw_scenes.scene_images, "encode_jpeg", fails)
    with pytest.raises(OSError, match="disk full"):
        draw(tmp_path, "--num_scenes=5")
    assert not (tmp_path / "captions.jsonl").exists()


def test_the_table_source_reads_what_was_drawn(tmp_path: pathlib.Path) -> None:
    rows = draw(tmp_path, "--num_scenes=12")
    source = Table(
        str(tmp_path / "captions.jsonl"), path_column="path", caption_columns=("captions",), split_column="split"
    )
    for image, row in zip(source.read(), rows, strict=True):
        assert (image.file_name, list(image.captions), image.split) == (row["path"], row["captions"], row["split"])
        assert pathlib.Path(image.path).is_file()


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--num_scenes=0", "--num_scenes=0 must be at least 1."),
        ("--output_dir=gs://bucket/scenes", "--output_dir=gs://bucket/scenes must be a local folder."),
    ],
)
def test_flags_that_cannot_be_are_refused(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], flag: str, told: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        draw_scenes.main([f"--output_dir={tmp_path}", flag])
    assert stop.value.code == 2
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())
