import os

import pytest

from data_prep import build_shards
from data_prep.sources.base import LeftOut, stable_image_id
from data_prep.sources.folder import Folder


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_photographs_and_texts_of_one_name_join_in_order_of_path(tmp_path):
    fill(
        tmp_path,
        {
            "b/my cat.PNG": "",
            "b/my cat.txt": "\ufeffA cat .\n\n  Un été \r\n",
            "a.jpg": "",
            "a.txt": "Last line without an end",
            "notes.md": "nothing",
        },
    )
    a, cat = Folder(str(tmp_path)).read()
    assert (a.file_name, a.path, a.captions) == ("a.jpg", f"{tmp_path}/a.jpg", ("Last line without an end",))
    assert (cat.file_name, cat.captions, cat.split) == ("b/my cat.PNG", ("A cat .", "Un été"), None)
    assert cat.image_id == stable_image_id("b/my cat.PNG")


def test_a_photograph_without_text_is_yielded_without_captions(tmp_path):
    fill(tmp_path, {"a.jpg": "", "b.jpg": "", "b.txt": ""})
    assert [(i.file_name, i.captions) for i in Folder(str(tmp_path)).read()] == [("a.jpg", ()), ("b.jpg", ())]


def test_texts_without_photograph_are_named_as_left_out(tmp_path):
    fill(tmp_path, {"a.jpg": "", "a.txt": "A", "z.txt": "x", "b/README.txt": "x"})
    photograph, *left_out = Folder(str(tmp_path)).read()
    assert photograph.file_name == "a.jpg"
    detail = "no photograph of that name lies beside it"
    assert left_out == [LeftOut(name, "text_without_photograph", detail) for name in ("b/README.txt", "z.txt")]


def test_a_build_counts_missing_texts_and_refuses_more_than_its_limit(tmp_path, capsys):
    fill(tmp_path, {"a.jpg": "", "a.txt": "A", "b.jpg": "", "c.jpg": "", "c.txt": "\n", "lost.txt": "x"})
    flags = ["folder", f"--images_dir={tmp_path}", "--split_by=hash", "--val_fraction=0", "--test_fraction=0"]
    flags += [f"--output_dir={tmp_path}/out", "--dry_run", "--min_word_count=1"]
    build_shards.main([*flags, "--max_skipped_fraction=0.7"])
    assert "left out: 2 no_caption, 1 text_without_photograph" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match=r"^2 of the 3 photographs in a split cannot be used \(2 no_caption\)"):
        build_shards.main(flags)


def test_another_ending_of_texts(tmp_path):
    fill(tmp_path, {"a.jpg": "", "a.txt": "no", "a.caption": "yes"})
    (image,) = Folder(str(tmp_path), captions_ending=".caption").read()
    assert image.captions == ("yes",)


def test_photographs_of_which_none_has_a_text_are_refused_whatever_else_is_wrong(tmp_path):
    fill(tmp_path, {"b.jpg": "", "b.caption": "no", "a.jpg": "", "README.txt": "x"})
    message = r"holds 2 photographs and no captions: beside 'a\.jpg' should lie 'a\.txt'.*--captions_ending"
    with pytest.raises(ValueError, match=message):
        list(Folder(str(tmp_path)).read())


def test_a_folder_without_photographs_is_refused(tmp_path):
    fill(tmp_path, {"a.heic": "", "a.txt": "A"})
    with pytest.raises(ValueError, match=r"holds no file ending in \.bmp, \.gif, \.jpeg, \.jpg"):
        list(Folder(str(tmp_path)).read())


def test_folders_are_splits_on_demand(tmp_path):
    fill(tmp_path, {"train/x/a.jpg": "", "Validation/b.jpg": "", "Validation/b.txt": "B", "c.jpg": ""})
    splits = {i.file_name: i.split for i in Folder(str(tmp_path), split_by_folder=True).read()}
    assert splits == {"train/x/a.jpg": "train", "Validation/b.jpg": "val", "c.jpg": None}
    fill(tmp_path, {"cats/d.jpg": ""})
    with pytest.raises(ValueError, match="'cats' is no name of a split; known are train"):
        list(Folder(str(tmp_path), split_by_folder=True).read())


def test_two_photographs_with_one_text_are_refused(tmp_path):
    fill(tmp_path, {"a.jpg": "", "a.png": "", "a.txt": "A"})
    with pytest.raises(ValueError, match=r"'a\.jpg' and 'a\.png' share the captions of 'a\.txt'"):
        list(Folder(str(tmp_path)).read())


def test_texts_and_names_that_are_not_utf8_are_refused(tmp_path):
    fill(tmp_path, {"a.jpg": ""})
    (tmp_path / "a.txt").write_bytes("café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.txt, line 1: not UTF-8"):
        list(Folder(str(tmp_path)).read())
    with open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", "wb"):
        pass
    with pytest.raises(ValueError, match=r"file name 'caf\\udce9\.jpg' is not UTF-8"):
        list(Folder(str(tmp_path)).read())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No folder '.*nowhere' "):
        list(Folder(str(tmp_path / "nowhere")).read())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"images_dir": "gs://bucket/photos"}, "on local disks only"),
        ({"images_dir": "x", "captions_ending": "txt"}, "captions_ending='txt' must be an ending"),
        ({"images_dir": "x", "captions_ending": ".JPG"}, "captions_ending='.JPG' must be an ending"),
    ],
)
def test_unfit_flags_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        Folder(**flags)
