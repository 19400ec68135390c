import re

import pytest

from data_prep.sources.base import SourceWarning
from data_prep.sources.flickr30k import Flickr30k

HEADER = "image_name| comment_number| comment\n"


def read(tmp_path, content, name="results.csv"):
    path = tmp_path / name
    path.write_text(content)
    return list(Flickr30k(str(path), "/flickr30k-images").read())


def test_token_file_and_csv_give_the_same_photographs(tmp_path):
    rows = [
        ("1000092795.jpg", 0, "Two young guys ."),
        ("1000092795.jpg", 1, 'A man in a "blue" shirt | jeans .'),
        ("10002456.jpg", 0, "Men ."),
    ]
    token = "".join(f"{name}#{number}\t{caption}\n" for name, number, caption in rows)
    token = read(tmp_path, token, "results_20130124.token")
    csv = read(tmp_path, HEADER + "".join(f"{name}| {number}| {caption}\n" for name, number, caption in rows))
    assert csv == token
    assert [(i.image_id, i.path, i.captions, i.split) for i in csv] == [
        (
            1000092795,
            "/flickr30k-images/1000092795.jpg",
            ("Two young guys .", 'A man in a "blue" shirt | jeans .'),
            None,
        ),
        (10002456, "/flickr30k-images/10002456.jpg", ("Men .",), None),
    ]


def test_the_line_without_its_second_bar_is_mended_and_counted(tmp_path):
    warning, image = read(
        tmp_path,
        HEADER + "2199200615.jpg| 3| 2 dogs .\n2199200615.jpg| 4   A dog runs across the grass .\n",
    )
    assert image.captions == ("2 dogs .", "A dog runs across the grass .")
    # Without its folder: the sentence goes into the manifest.
    assert warning == SourceWarning("results.csv: 1 line(s) lack the second '|' and were read without it: line 3.")


def test_of_many_mended_lines_ten_are_named(tmp_path):
    warning, *_ = read(tmp_path, HEADER + "".join(f"{i}.jpg| 0  A dog .\n" for i in range(12)))
    assert "12 line(s) lack" in warning.sentence
    assert warning.sentence.endswith(": line 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and others.")


def test_a_sound_file_is_read_without_a_warning(tmp_path):
    (image,) = read(tmp_path, HEADER + "1.jpg| 0| 2 dogs .\r\n\r\n")
    assert image.captions == ("2 dogs .",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "1.jpg| zero| A dog .\n", "line 2: '1.jpg| zero| A dog .' is not of the form `NAME| NUMBER|"),
        (HEADER + "1.jpg| 0| A dog .\n1.jpg| 0| A cat .\n", "line 3: comment 0 of 1.jpg stands there twice"),
        ("image,caption\n1.jpg,A dog .\n", "line 1: 'image,caption' is not of the form `NAME#NUMBER<TAB>CAPTION`"),
        (HEADER + "../1.jpg| 0| A dog .\n", "'../1.jpg' is not of a file inside '/flickr30k-images'"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path, content)
