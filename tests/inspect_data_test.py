import base64
import html.parser
import io
import pathlib
import re

import fake_shards
import numpy as np
import pytest
from fake_shards import SPLITS, Photo, jpeg
from PIL import Image

from data_prep import inspect_data


def inspect(folder: pathlib.Path, *flags: str) -> str:
    """Runs the command and returns the page."""
    page = folder / "sheet.html"
    inspect_data.main([f"--data_dir={folder}", f"--output_html={page}", *flags])
    return page.read_text()


def cards(page: str) -> list[str]:
    return page.split("<article>")[1:]


def pictures(page: str) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(base64.b64decode(data)))
        for data in re.findall(r'src="data:image/\w+;base64,([^"]+)', page)
    ]


def text_of(page: str) -> str:
    """What a browser would show."""
    parts: list[str] = []
    parser = html.parser.HTMLParser()
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(page)
    return " ".join(" ".join(parts).split())


def test_a_card_shows_each_caption_as_written_and_as_read(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    card = text_of(next(card for card in cards(inspect(tmp_path)) if "12.jpg" in card))
    assert re.search(r"id 12 · train-0000\d-of-00002, record \d", card)
    assert "A zebra runs a. <S> a <UNK> runs a </S>" in card
    assert "A dog runs. <S> a dog runs </S>" in card


def test_the_word_behind_unk_is_kept_for_the_pointer(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    assert '<mark title="zebra, id 7">&lt;UNK&gt;</mark>' in inspect(tmp_path)


def test_the_photograph_on_a_card_is_the_shards(tmp_path: pathlib.Path) -> None:
    red = io.BytesIO()
    Image.new("RGB", (1200, 600), (250, 10, 10)).save(red, "PNG")
    fake_shards.write_folder(tmp_path, {"train": [Photo(1, red.getvalue(), ("a dog", "a cat"))]}, num_shards=1)
    (picture,) = pictures(inspect(tmp_path))
    assert picture.size == (480, 240)
    assert np.abs(np.array(picture).reshape(-1, 3).mean(axis=0) - (250, 10, 10)).max() < 3


def test_a_page_needs_no_other_file(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    page = inspect(tmp_path)
    assert len(pictures(page)) == 10
    assert not re.search(r"https?:|<script|url\((?!#)|(src|href)=\"(?!data:|#)", page)


def test_captions_cannot_break_the_page(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path, {"train": [Photo(1, jpeg(1), ("a <blink>&dog", "a cat"))]}, num_shards=1)
    page = inspect(tmp_path)
    assert "<blink>" not in page
    assert '<mark title="&lt;blink&gt;&amp;dog, id 7">' in page


def test_a_caption_that_the_captions_file_lacks_is_pointed_out(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    path = tmp_path / "captions_train.json"
    path.write_text(path.read_text().replace("A cat sits.", "A cat sleeps."))
    assert inspect(tmp_path).count("<mark>no caption in the captions file has these words</mark>") == 5


def test_captions_put_together_from_words_are_known_again(tmp_path: pathlib.Path) -> None:
    # The tokenizer reads "on a." as an abbreviation; the words it came from were another tokenizer's.
    fake_shards.write_folder(tmp_path, {"train": [Photo(1, jpeg(1), ("dog on a .", "a cat"))]}, num_shards=1)
    path = tmp_path / "captions_train.json"
    path.write_text(path.read_text().replace("Dog on a ..", "dog on a."))
    assert "dog on a. <S> dog <UNK> a <UNK> </S>" in text_of(inspect(tmp_path))


def test_a_damaged_photograph_does_not_stop_the_page(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path, {"train": [Photo(1, b"no photograph", ("a dog", "a cat"))]}, num_shards=1)
    assert "does not decode: cannot identify image file" in inspect(tmp_path)


def test_feature_shards_show_their_features(tmp_path: pathlib.Path) -> None:
    features = np.array([0.0, 0.5, 1.0, 0.0, 0.25], np.float32)
    photos = {"train": [Photo(1, jpeg(1), ("a dog", "a cat"))]}
    fake_shards.write_folder(tmp_path, photos, features={1: features}, num_shards=1)
    page = inspect(tmp_path)
    (picture,) = pictures(page)
    # 5 features fill 2 rows of 3, the last pixel staying black.
    sides = np.array(picture)[80::160, 80::160]
    assert sides.tolist() == [[0, 128, 255], [0, 64, 0]]
    assert "5 features, 0 to 1, mean 0.35" in page


def test_the_numbers_are_printed_and_on_the_page(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_shards.write_folder(tmp_path)
    page = text_of(inspect(tmp_path, "--num_examples=3", "--split=val"))
    printed = capsys.readouterr().out
    captions = [c.split() for photos in SPLITS.values() for p in photos for c in p.captions]
    lengths = [len(caption) for caption in captions]
    assert "30 captions of 15 photographs (test 3, train 10, val 2) in 6 image shards of layout 'image'" in printed
    assert "1 rarer words become <UNK>, 7 times" in printed
    assert f"mean {sum(lengths) / len(lengths):.1f}, half have up to 3, 99 in 100 up to 4, the longest 4." in printed
    # 5 of the 10 photographs for training say zebra once; each caption has 3 or 4 words and </S>.
    unknown = f"{5 / (5 * 4 + 5 * 3 + 10 * 3):.2%}"  # Without the captions' ends.
    assert re.search(rf"train +10 +20 +2 +{unknown} +2 +0\.0", printed)
    assert re.search(rf"   3  {lengths.count(3)}  #{{50}}\n   4   {lengths.count(4)}  #{{15}}\n", printed)
    assert "Most frequent words: a 37, " in printed
    assert "Most frequent words that become <UNK>: zebra 7" in printed
    assert printed.endswith("sheet.html: 2 examples of val.\n")
    assert f"train 10 20 2 {unknown} 2" in page
    assert "zebra 7" in page


def test_a_file_that_is_there_is_not_replaced_unasked(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_shards.write_folder(tmp_path)
    page = tmp_path / "letter.html"
    page.write_text("Dear reader,")
    flags = [f"--data_dir={tmp_path}", f"--output_html={page}"]
    with pytest.raises(FileExistsError, match="letter.html is there already, and is left as it is.*--overwrite"):
        inspect_data.main(flags)
    assert page.read_text() == "Dear reader,"
    assert capsys.readouterr().out == ""
    inspect_data.main([*flags, "--overwrite"])
    assert "A zebra runs a." in page.read_text()


def test_a_page_of_no_name_lies_with_its_shards_and_is_renewed(tmp_path: pathlib.Path) -> None:
    fake_shards.write_folder(tmp_path)
    page = tmp_path / "contact_sheet.html"
    for split in ("train", "val"):
        inspect_data.main([f"--data_dir={tmp_path}", f"--split={split}"])
        assert f"{split}-0000" in page.read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_readers": 0}, "--num_readers=0 must be at least 1"),
        ({"num_examples": -1}, "--num_examples=-1 must not be"),
    ],
)
def test_impossible_numbers_are_refused(flags: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inspect_data.InspectDataFlags("/data", **flags)
