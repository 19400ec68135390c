import os
import zipfile

import pytest

from data_prep.downloading import resumable_download
from data_prep.downloading.archives import extract


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def files_under(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_wanted_files_are_extracted(tmp_path):
    files = {"val/": b"", "val/my photo é.jpg": b"jpeg", "annotations/captions_val.json": b"{}", "other.json": b"1"}
    path = make_zip(tmp_path / "a.zip", files)
    out = tmp_path / "out"
    assert extract(path, str(out), ".*") == ["val/my photo é.jpg", "annotations/captions_val.json", "other.json"]
    assert files_under(out) == ["annotations/captions_val.json", "other.json", "val/my photo é.jpg"]
    assert (out / "val" / "my photo é.jpg").read_bytes() == b"jpeg"
    some = tmp_path / "some"
    assert extract(path, str(some), r"annotations/captions_.*\.json") == ["annotations/captions_val.json"]
    assert files_under(some) == ["annotations/captions_val.json"]


def test_what_is_there_is_not_written_again(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.jpg": b"aaaa", "b.jpg": b"bbbb"})
    (tmp_path / "a.jpg").write_bytes(b"AAAA")
    (tmp_path / "b.jpg").write_bytes(b"bb")
    extract(path, str(tmp_path), ".*")
    assert (tmp_path / "a.jpg").read_bytes() == b"AAAA"
    assert (tmp_path / "b.jpg").read_bytes() == b"bbbb"


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "a\\..\\..\\evil.txt", "C:/evil.txt"])
def test_names_outside_the_folder_are_refused_before_anything_is_written(tmp_path, name):
    path = make_zip(tmp_path / "a.zip", {"good.txt": b"good", name: b"evil"})
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError, match="a path outside the folder: it is not to be trusted"):
        extract(path, str(out), ".*")
    assert files_under(tmp_path) == ["a.zip"]


def test_damage_is_found_and_leaves_no_file(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.jpg": b"sound", "b.jpg": b"damaged"})
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"damaged", b"dAmaged", 1))
    with pytest.raises(RuntimeError, match=r"a\.zip is damaged: Bad CRC-32 for file 'b\.jpg'"):
        extract(path, str(tmp_path / "out"), ".*")
    assert files_under(tmp_path / "out") == ["a.jpg"]
    (tmp_path / "a.zip").write_bytes(content[:40])
    with pytest.raises(RuntimeError, match=r"a\.zip is damaged: File is not a zip file"):
        extract(path, str(tmp_path / "out"), ".*")


def test_an_archive_without_wanted_files_is_refused(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.jpg": b""})
    with pytest.raises(RuntimeError, match=r"a\.zip holds no file 'captions_\.\*': it is another archive"):
        extract(path, str(tmp_path), "captions_.*")


def test_a_full_disk_is_seen_before_extracting(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", {"a.jpg": bytes(1000)})
    monkeypatch.setattr(resumable_download.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 999}))
    with pytest.raises(OSError, match="still to be written"):
        extract(path, str(tmp_path / "out"), ".*")
    assert os.listdir(tmp_path / "out") == []
