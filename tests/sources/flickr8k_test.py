import pytest

from data_prep.sources.base import leading_number_ids, stable_image_id
from data_prep.sources.flickr8k import Flickr8k, read_token_file
from tests import tiny_flickr8k


@pytest.fixture
def data(tmp_path):
    return tiny_flickr8k.write(tmp_path / "my data ü")


def test_photographs_come_in_the_order_of_the_token_file_with_captions_and_split(data):
    images = list(data.source.read())
    expected = [(number, split) for split, numbers in tiny_flickr8k.NUMBERS.items() for number in numbers]
    assert [(image.image_id, image.split) for image in images] == expected
    assert images[0].captions == tuple(tiny_flickr8k.captions_of(100))
    assert images[0].file_name == tiny_flickr8k.name_of(100)
    assert images[0].path == str(data.photograph(100))


def test_a_name_that_is_no_jpg_and_has_no_photograph_is_read_all_the_same(data):
    with data.token_file.open("a") as file:
        file.write("2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway\n")
    last = list(data.source.read())[-1]
    assert (last.image_id, last.file_name, last.split) == (2258277193, "2258277193_586949ec62.jpg.1", None)


def test_names_in_the_lists_may_hold_spaces(data):
    with data.token_file.open("a") as file:
        file.write("my dog.jpg#0\tA dog .\n")
    with (data.text_dir / "Flickr_8k.testImages.txt").open("a") as file:
        file.write("\r\n my dog.jpg \r\n")
    assert [image.split for image in data.source.read() if image.file_name == "my dog.jpg"] == ["test"]


def test_copies_with_a_space_instead_of_the_tab_and_windows_line_ends_read_alike(data):
    before = list(data.source.read())
    data.token_file.write_bytes(data.token_file.read_bytes().replace(b"\t", b" ").replace(b"\n", b"\r\n"))
    assert list(data.source.read()) == before


@pytest.mark.parametrize("name", ["Flickr8k.token.txt", "Flickr_8k.devImages.txt"])
def test_a_missing_file_is_named(data, name):
    (data.text_dir / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        list(data.source.read())


def test_a_missing_folder_of_photographs_is_named(data, tmp_path):
    with pytest.raises(FileNotFoundError, match="No folder .*nowhere.*--images_dir"):
        list(Flickr8k(str(tmp_path / "nowhere"), str(data.text_dir)).read())


def test_a_photograph_in_two_lists_is_refused(data):
    with (data.text_dir / "Flickr_8k.testImages.txt").open("a") as file:
        file.write(tiny_flickr8k.name_of(105) + "\n")
    with pytest.raises(ValueError, match=f"{tiny_flickr8k.name_of(105)}' is in two splits, 'train' and 'test'"):
        list(data.source.read())


def test_a_listed_photograph_without_captions_is_refused(data):
    with (data.text_dir / "Flickr_8k.testImages.txt").open("a") as file:
        file.write("999_x.jpg\n")
    with pytest.raises(ValueError, match="1 photographs of the split lists have no caption .* such as '999_x.jpg'"):
        list(data.source.read())


def test_a_name_that_climbs_out_of_the_folder_is_refused(data):
    with data.token_file.open("a") as file:
        file.write("../secret.jpg#0\ta secret\n")
    with pytest.raises(ValueError, match="not of a file inside"):
        list(data.source.read())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg#0\tok\na.jpg 1 no number\n", "token.txt, line 2: 'a.jpg 1 no number' is not of the form"),
        ("a.jpg#0\tok\na.jpg#0\tagain\n", "token.txt, line 2: caption a.jpg#0 stands there twice"),
        ("\n\n", "token.txt holds no captions"),
    ],
)
def test_a_damaged_token_file_is_named(tmp_path, text, message):
    path = tmp_path / "token.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_token_file(str(path))


def test_empty_captions_are_read_as_such_and_names_may_hold_spaces(tmp_path):
    path = tmp_path / "token.txt"
    path.write_text("a b.jpg#0\t\na b.jpg#1\nc#d.jpg#0\tx #1 y")
    assert read_token_file(str(path)) == {"a b.jpg": ["", ""], "c#d.jpg": ["x #1 y"]}


def test_ids_are_the_leading_numbers_where_these_are_unique():
    ids = leading_number_ids(["12_a.jpg", "13_a.jpg", "13_b.jpg", "cat.jpg", "14x.jpg", "15"])
    assert ids["12_a.jpg"] == 12
    assert ids["15"] == 15
    for name in ("13_a.jpg", "13_b.jpg", "cat.jpg", "14x.jpg"):
        assert ids[name] == stable_image_id(name)
    assert len(set(ids.values())) == 6
