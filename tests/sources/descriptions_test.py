import pytest

from data_prep.sources.descriptions import Descriptions

LISTS = {"train": "1_a.jpg\n2_b.jpg\n", "dev": "3_c.jpg\n", "test": ""}


def write(tmp_path, text):
    path = tmp_path / "descriptions.txt"
    path.write_text(text)
    for part, names in LISTS.items():
        (tmp_path / f"Flickr_8k.{part}Images.txt").write_text(names)
    return str(path)


def test_lines_of_one_photograph_are_its_captions(tmp_path):
    path = write(tmp_path, "1_a dog runs\n3_c two cats\n1_a brown dog\n4_d no list\n\n2_b\n")
    images = list(Descriptions(path, "/photos", str(tmp_path)).read())
    assert [(i.image_id, i.path, i.captions, i.split) for i in images] == [
        (1, "/photos/1_a.jpg", ("dog runs", "brown dog"), "train"),
        (3, "/photos/3_c.jpg", ("two cats",), "val"),
        (4, "/photos/4_d.jpg", ("no list",), None),
        (2, "/photos/2_b.jpg", ("",), "train"),  # A description that the cleaning emptied; the build leaves it out.
    ]
    (first, *_) = Descriptions(path, "/photos", image_ending=".png").read()
    assert (first.file_name, first.split) == ("1_a.png", None)


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no descriptions"):
        list(Descriptions(write(tmp_path, "\n \n"), "/photos").read())
