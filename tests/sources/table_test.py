import re

import pytest

from data_prep.sources.base import stable_image_id
from data_prep.sources.table import Table


def read(tmp_path, name, content, **flags):
    path = tmp_path / name
    path.write_text(content, newline="")
    return list(Table(str(path), **flags).read())


def test_csv_rows_of_one_photograph_join(tmp_path):
    content = "image,caption\r\nb.jpg,One .\r\na.jpg,Two .\r\nb.jpg,Three .\r\n"
    b, a = read(tmp_path, "captions.csv", content)
    assert (b.file_name, b.captions, b.split) == ("b.jpg", ("One .", "Three ."), None)
    assert b.image_id == stable_image_id("b.jpg")
    assert b.path == str(tmp_path / "b.jpg")
    assert a.captions == ("Two .",)


def test_quotes_commas_and_line_breaks_stay_inside_cells(tmp_path):
    content = 'caption,image\n"A sign: ""Stop"", they say.\r\nThen: go",my dog/été 1.jpg\nA 6" nail,b.jpg\n'
    first, second = read(tmp_path, "captions.csv", content)
    assert first.captions == ('A sign: "Stop", they say.\r\nThen: go',)
    assert first.file_name == "my dog/été 1.jpg"
    assert second.captions == ('A 6" nail',)


def test_tsv_with_named_columns(tmp_path):
    content = "id\tfile_name\tset\tcaption_0\tcaption_1\n7\ta.jpg\tdev\tOne, two\tThree\n8\tb.jpg\t\tFour\t\n"
    flags = {
        "images_dir": "/photos",
        "path_column": "file_name",
        "caption_columns": ("caption_1", "caption_0"),
        "split_column": "set",
        "id_column": "id",
    }
    a, b = read(tmp_path, "captions.tsv", content, **flags)
    assert (a.image_id, a.path, a.captions, a.split) == (7, "/photos/a.jpg", ("Three", "One, two"), "val")
    assert (b.image_id, b.captions, b.split) == (8, ("", "Four"), None)


def test_json_lines_hold_one_caption_or_a_list(tmp_path):
    first = '{"image": "a.jpg", "caption": ["One\u2028line", "Two"], "n": 3}'
    content = first + '\n\n{"image": "b.jpg", "caption": "Drei", "n": 4}'
    a, b = read(tmp_path, "captions.jsonl", content, id_column="n")
    assert (a.image_id, a.captions) == (3, ("One\u2028line", "Two"))
    assert (b.image_id, b.captions) == (4, ("Drei",))


def test_the_format_can_be_named(tmp_path):
    (image,) = read(tmp_path, "captions.txt", "image,caption\na.jpg,One .\n", table_format="csv")
    assert image.captions == ("One .",)
    with pytest.raises(ValueError, match=r"captions\.txt' ends in none of \.csv, \.tsv, \.jsonl: give --table_format"):
        Table("captions.txt")


def test_absolute_paths_inside_the_folder_have_relative_names(tmp_path):
    (image,) = read(tmp_path, "t.csv", f"image,caption\n{tmp_path}/deep/a.jpg,One\n")
    assert (image.file_name, image.path) == ("deep/a.jpg", f"{tmp_path}/deep/a.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,text\na.jpg,One\n", "line 2: no column 'caption'"),
        ("image,caption\na.jpg,One\na.jpg\n", "line 3: 1 cells under 2 columns"),
        ("image,caption\na.jpg,One, two\n", "line 2: 3 cells under 2 columns"),
        ("image,caption,image\n", "line 1: the header ['image', 'caption', 'image'] must name every column, each once"),
        ("", "line 1: the header [] must name every column"),
        ('image,caption\na.jpg,"One\nb.jpg,Two\n', "line 3: unexpected end of data; a quote inside a quoted cell"),
        ('image,caption\na.jpg,"One" two\n', "line 2: ',' expected after '\"'"),
        ('image,caption\nb.jpg,B\na.jpg,"One\n' + "b.jpg,Two\n" * 20_000, "the row starts in line 3"),
        (f"image,caption\nb.jpg,B\na.jpg,{'x' * 200_000}\n", "line 3: a cell has more than 131,072 characters"),
        ("image,caption\n../a.jpg,One\n", "line 2: The photograph's name '../a.jpg' is not of a file inside"),
        ("image,caption\n/etc/passwd,One\n", "line 2: The photograph's name '/etc/passwd' is not of a file inside"),
        ("image,caption\n,One\n", "line 2: The photograph's name '' is not of a file inside"),
    ],
)
def test_bad_csv_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"t\.csv, .*{re.escape(message)}") as error:
        read(tmp_path, "t.csv", content)
    assert ("so its closing quote must be missing" in str(error.value)) == (len(content) > 100_000)
    assert ("is written twice" in str(error.value)) == ('"One' in content and len(content) < 100_000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("i,s,image,caption\nx,,a.jpg,A\n", "line 2: id 'x' is no whole number in [0, 2**63)"),
        ("i,s,image,caption\n-1,,a.jpg,A\n", "line 2: id '-1' is no whole number"),
        ("i,s,image,caption\n1,,a.jpg,A\n1,,b.jpg,B\n", "line 3: 'b.jpg' has the id 1 of 'a.jpg'"),
        ("i,s,image,caption\n1,,a.jpg,A\n2,,a.jpg,B\n", "line 3: id or split of 'a.jpg' differ from an earlier row's"),
        ("i,s,image,caption\n1,train,a.jpg,A\n1,val,a.jpg,B\n", "line 3: id or split of 'a.jpg' differ"),
        ("i,s,image,caption\n1,held out,a.jpg,A\n", "line 2: 'held out' is no name of a split; known are train, val"),
    ],
)
def test_contradicting_ids_and_splits_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"t\.csv, {re.escape(message)}"):
        read(tmp_path, "t.csv", content, id_column="i", split_column="s")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"image": "a.jpg", "caption": "A"}\n{"image": ', "line 2: cut short or not JSON"),
        ('{"image": "a.jpg", "caption": "A"}\n' + "[" * 200_000, "line 2: not what it should be: its lists"),
        ('{"image": "\\ud800.jpg", "caption": "A"}', "line 1: the photograph's name '\\ud800.jpg' is no Unicode text"),
        ('["a.jpg", "A"]', 'line 1: \'["a.jpg", "A"]\' is no JSON object'),
        ('{"image": 3, "caption": "A"}', "line 1: 'image' is '3', of type int; needs a string"),
        ('{"image": "a.jpg", "caption": [3]}', "line 1: 'caption' is '3', of type int; needs a string"),
        ('{"image": "a.jpg", "caption": null}', "line 1: 'caption' is 'None', of type NoneType; needs a string"),
    ],
)
def test_bad_json_lines_are_refused_with_their_line(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"t\.jsonl, {re.escape(message)}"):
        read(tmp_path, "t.jsonl", content)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes("image,caption\na.jpg,café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"t\.csv, line 2: not UTF-8"):
        list(Table(str(tmp_path / "t.csv")).read())
