import pytest

from data_prep.building import splits
from data_prep.sources.base import CaptionedImage


def images(*assigned):
    return [CaptionedImage(i, f"{i}.jpg", f"/d/{i}.jpg", ("a",), split) for i, split in enumerate(assigned)]


def test_the_source_decides_by_default_and_restval_joins_train():
    assigned = splits.assign(images("train", None, "val", "restval"), splits.SplitOptions())
    assert assigned == ["train", None, "val", "train"]


def test_restval_may_stay_separate():
    assert splits.assign(images("restval"), splits.SplitOptions(restval="separate")) == ["restval"]


def test_the_hash_of_an_id_never_changes():
    # Published: photographs that were in test must stay there whatever the version.
    assert [splits.hash_split(i, 0.25, 0.25) for i in range(8)] == [
        "test",
        "train",
        "test",
        "train",
        "test",
        "val",
        "val",
        "val",
    ]


def test_the_hash_gives_about_the_fractions_asked_for():
    assigned = splits.assign(images(*[None] * 10_000), splits.SplitOptions(split_by="hash", test_fraction=0.2))
    counts = {split: assigned.count(split) for split in ("train", "val", "test")}
    # Four standard deviations of a binomial count, sqrt(n p (1 - p)).
    assert abs(counts["test"] - 2000) < 4 * 40
    assert abs(counts["val"] - 1000) < 4 * 30
    assert sum(counts.values()) == 10_000


def test_a_photograph_stays_in_its_split_when_others_join():
    options = splits.SplitOptions(split_by="hash")
    assert splits.assign(images(*[None] * 500), options)[:100] == splits.assign(images(*[None] * 100), options)


def test_a_file_decides_and_leaves_out_what_it_does_not_name(tmp_path):
    path = tmp_path / "my splits.tsv"
    path.write_text("train\t2.jpg\n\ntest\t0.jpg\ntest\t0.jpg\n")
    options = splits.SplitOptions(split_by="file", split_file=str(path))
    assert splits.assign(images("val", "val", "val"), options) == ["test", None, "train"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train\t0.jpg\nval\t0.jpg", "'0.jpg' is in two splits, 'train' and 'val'"),
        ("train\t9.jpg", "names 1 photographs that the source has not, such as '9.jpg'"),
        ("train\t0.jpg\ndev\t1.jpg", "splits.tsv, line 2: .* is not of the form"),
        ("train 0.jpg", "splits.tsv, line 1: .* is not of the form"),
    ],
)
def test_a_damaged_split_file_is_refused(tmp_path, text, message):
    path = tmp_path / "splits.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        splits.assign(images(None, None), splits.SplitOptions(split_by="file", split_file=str(path)))


def test_a_missing_split_file_is_named(tmp_path):
    options = splits.SplitOptions(split_by="file", split_file=str(tmp_path / "gone.tsv"))
    with pytest.raises(FileNotFoundError, match="gone.tsv"):
        splits.assign(images(None), options)


def test_a_source_without_splits_needs_another_way():
    with pytest.raises(ValueError, match="puts no photograph into a split. Use --split_by=hash"):
        splits.assign(images(None, None), splits.SplitOptions())


def test_an_unknown_split_of_the_source_is_refused():
    with pytest.raises(ValueError, match="Unknown split 'dev'; splits are train, val, test, restval"):
        splits.assign(images("train", "dev"), splits.SplitOptions())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"val_fraction": -0.1}, "val_fraction=-0.1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "must leave something to train"),
        ({"split_by": "file"}, "needs --split_file"),
        ({"split_file": "x"}, "needs --split_file"),
    ],
)
def test_options_out_of_range_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        splits.SplitOptions(**flags)
