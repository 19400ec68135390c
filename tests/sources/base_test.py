import re

import pytest

from data_prep.sources.base import locate_image, read_source_json, read_source_text, stable_image_id


@pytest.mark.parametrize(
    ("image_dir", "name", "relative", "path"),
    [
        ("/photos", "a.jpg", "a.jpg", "/photos/a.jpg"),
        ("/photos/", "my cat/Łódź 1.jpg", "my cat/Łódź 1.jpg", "/photos/my cat/Łódź 1.jpg"),
        ("/photos", "/photos/deep/a.jpg", "deep/a.jpg", "/photos/deep/a.jpg"),
        ("/photos", "a..b/c...jpg", "a..b/c...jpg", "/photos/a..b/c...jpg"),
        ("photos", "photos/a.jpg", "photos/a.jpg", "photos/photos/a.jpg"),
        ("gs://bucket/photos", "a.jpg", "a.jpg", "gs://bucket/photos/a.jpg"),
        ("gs://bucket/photos", "gs://bucket/photos/a.jpg", "a.jpg", "gs://bucket/photos/a.jpg"),
    ],
)
def test_names_inside_the_folder_are_located(image_dir, name, relative, path):
    assert locate_image(image_dir, name) == (relative, path)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.jpg",
        "a/../../secret.jpg",
        "..",
        "a\\..\\..\\secret.jpg",
        "/etc/passwd",
        "/photos/../etc/passwd",
        "/photos-private/a.jpg",
        "gs://other/a.jpg",
        "/photos//etc/passwd",
        "",
        " ",
        "a\0.jpg",
    ],
)
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(ValueError, match=re.escape(f"{name!r} is not of a file inside '/photos'")):
        locate_image("/photos", name)


def test_names_that_are_no_unicode_text_are_refused():
    with pytest.raises(ValueError, match=re.escape(r"name 'a\ud800.jpg' is no Unicode text (surrogates not allowed)")):
        locate_image("/photos", "a\ud800.jpg")


def test_stable_ids_fit_53_bits_and_differ():
    ids = [stable_image_id(f"{number}.jpg") for number in range(10_000)]
    assert len(set(ids)) == 10_000
    assert 0 <= min(ids) < max(ids) < 2**53


def test_a_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes(b"\xef\xbb\xbfimage,caption\n")
    assert read_source_text(str(path)) == "image,caption\n"


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes("one\ntwo\nun café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"captions\.txt, line 3: not UTF-8"):
        read_source_text(str(path))


def test_a_missing_file_is_named(tmp_path):
    path = str(tmp_path / "captions.json")
    with pytest.raises(FileNotFoundError, match=re.escape(repr(path))):
        read_source_json(path)


def test_json_cut_short_is_refused(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text('{"images": [{"id": 1')
    with pytest.raises(ValueError, match=r"captions\.json is cut short or not JSON: .*line 1 column 21"):
        read_source_json(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 200_000, "is not what it should be: its lists and objects are nested without end"),
        ('{"a":' * 200_000, "is not what it should be: its lists and objects are nested without end"),
        (f'{{"id": {"9" * 5000}}}', "is not what it should be: Exceeds the limit"),
    ],
)
@pytest.mark.parametrize("without", [(), ("tokens",)])
def test_json_made_to_break_readers_is_refused_with_the_files_name(tmp_path, content, message, without):
    path = tmp_path / "captions.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=rf"captions\.json {message}"):
        read_source_json(str(path), without)


def test_keys_without_use_are_dropped_from_every_object(tmp_path):
    path = tmp_path / "captions.json"
    path.write_text('{"images": [{"id": 1, "tokens": ["a"]}], "tokens": 2}')
    assert read_source_json(str(path), without=("tokens", "url")) == {"images": [{"id": 1}]}
