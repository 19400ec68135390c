"""Which photographs a person means."""

import io
import os

import pytest
from fakes import jpeg

from im2txt.inference.named_photographs import find_photographs, photographs_on


def make_files(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return [str(folder / name) for name in names]


def find(folder, *patterns):
    found = find_photographs([str(folder / pattern) for pattern in patterns])
    assert found == find_photographs([], [",".join(str(folder / pattern) for pattern in patterns)])
    return [path.removeprefix(f"{folder}/") for path in found]


def test_files_are_taken_in_the_order_given_whatever_their_ending(tmp_path):
    make_files(tmp_path, "b.jpg", "a.txt", "c")
    assert find(tmp_path, "c", "b.jpg", "a.txt") == ["c", "b.jpg", "a.txt"]


def test_globs_are_sorted_and_may_go_deep(tmp_path):
    make_files(tmp_path, "b.jpg", "a.jpg", "c.png", "deep/er/d.jpg")
    assert find(tmp_path, "*.jpg") == ["a.jpg", "b.jpg"]
    assert find(tmp_path, "**/*.jpg") == ["a.jpg", "b.jpg", "deep/er/d.jpg"]
    assert find(tmp_path, "c.png", "*.jpg") == ["c.png", "a.jpg", "b.jpg"]


def test_a_name_that_looks_like_a_glob_is_a_file_first(tmp_path):
    make_files(tmp_path, "cat[1].jpg", "cat1.jpg")
    assert find(tmp_path, "cat[1].jpg") == ["cat[1].jpg"]


def test_folders_are_searched_through_for_photographs(tmp_path):
    make_files(tmp_path, "x/b.JPG", "x/a.jpeg", "x/notes.txt", "x/.hidden", "x/sub/c.WebP", "x/sub/d.tiff", "y/e.jpg")
    assert find(tmp_path, "x") == ["x/a.jpeg", "x/b.JPG", "x/sub/c.WebP", "x/sub/d.tiff"]
    assert find(tmp_path, "y/", "x/sub") == ["y/e.jpg", "x/sub/c.WebP", "x/sub/d.tiff"]


def test_each_photograph_comes_once(tmp_path):
    make_files(tmp_path, "x/a.jpg", "x/b.jpg")
    assert find(tmp_path, "x/b.jpg", "x", "x/*.jpg", "x/b.jpg") == ["x/b.jpg", "x/a.jpg"]


@pytest.mark.parametrize("pattern", ["none.jpg", "*.png", "empty"])
def test_a_pattern_without_a_photograph_is_named(tmp_path, pattern):
    make_files(tmp_path, "a.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError) as error:
        find(tmp_path, "a.jpg", pattern)
    assert str(error.value) == f"No photograph matches '{tmp_path / pattern}'."


@pytest.mark.parametrize("patterns", ["", ",", ",,"])
def test_no_pattern_at_all_is_refused(patterns):
    with pytest.raises(FileNotFoundError, match="No photographs were named: --input_files takes"):
        find_photographs([], [patterns])


def test_a_name_that_is_there_as_typed_wins_over_its_commas(tmp_path):
    names = make_files(tmp_path, "a, b.jpg", "a", "c.jpg", "x, y/d.jpg")
    assert find_photographs(names) == names
    assert find_photographs([], [f"{tmp_path}/x, y"]) == [names[3]]
    assert find_photographs([], [f"{tmp_path}/*,*.jpg"]) == [names[0]]
    assert find_photographs([], [f"{names[1]},{names[2]}", names[0]]) == [names[1], names[2], names[0]]


def on_standard_input(content):
    return list(photographs_on(io.BytesIO(content)))


def test_standard_input_holds_one_picture_or_paths_line_by_line():
    picture = jpeg(1)
    assert on_standard_input(picture) == [("-", picture)]
    for start in (b"\x89PNG\r\n", b"GIF89a", b"RIFF1234WEBP", b"\0\0 no picture"):
        assert on_standard_input(start + b"a\nb") == [("-", start + b"a\nb")]
    paths = ["a.jpg", "x, y/two words.png", "z.jpg"]
    assert on_standard_input(b"a.jpg\nx, y/two words.png\r\n\nz.jpg") == [(path, path) for path in paths]
    assert on_standard_input(b"a\nb\nc\nd\ne\nf\n") == [(path, path) for path in "abcdef"]
    (odd, _), *_ = on_standard_input(b"\xe9t\xe9.jpg\n")
    assert os.fsencode(odd) == b"\xe9t\xe9.jpg"
    for nothing in (b"", b"\n\n"):
        with pytest.raises(FileNotFoundError, match="held neither a picture nor the path"):
            on_standard_input(nothing)


def test_paths_on_standard_input_are_passed_on_as_they_come():
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "wb", buffering=0) as writer:
        writer.write(b"first.jpg\n")
        found = photographs_on(reader)
        assert next(found) == ("first.jpg", "first.jpg")  # Though the writer goes on.
        writer.write(b"second.jpg\n")
        assert next(found) == ("second.jpg", "second.jpg")
