import os
import sys
import uuid

import pytest

from im2txt.system import storage


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path):
    """A folder that does not exist yet, on the disk or behind a protocol."""
    return str(tmp_path / "a folder/ä") if request.param == "local" else f"memory://{uuid.uuid4()}/a folder/ä"


def test_what_is_written_is_read_listed_and_removed(folder):
    storage.make_directory(folder)
    storage.make_directory(folder)
    path = storage.join(folder, "b.txt")
    assert not storage.exists(path)
    storage.write_text(path, "größe")
    storage.write_bytes(storage.join(folder, "a.bin"), b"\0\1")
    assert storage.read_text(path) == "größe"
    assert storage.read_bytes(storage.join(folder, "a.bin")) == b"\0\1"
    assert storage.size(path) == 7
    assert storage.list_names(folder) == ["a.bin", "b.txt"]
    storage.write_text(path, "new")
    assert storage.read_text(path) == "new"
    storage.remove(path)
    storage.remove(path)
    assert storage.list_names(folder) == ["a.bin"]


def test_missing_files_are_missing(folder):
    for read in (storage.read_bytes, storage.size):
        with pytest.raises(FileNotFoundError, match="nothing here"):
            read(storage.join(folder, "nothing here"))


def test_joining_keeps_one_slash():
    assert storage.join("gs://bucket/d/", "x") == "gs://bucket/d/x"
    assert storage.join("/d", "x") == "/d/x"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = str(tmp_path / "file")
    storage.write_bytes(path, b"old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        storage.write_bytes(path, b"new")
    assert os.listdir(tmp_path) == ["file"]
    assert storage.read_bytes(path) == b"old"


def test_a_file_being_written_has_a_temporary_name(tmp_path, monkeypatch):
    seen = []
    real_sync = os.fsync

    def look(descriptor):
        seen.extend(os.listdir(tmp_path))
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    storage.write_bytes(str(tmp_path / "train-00000-of-00001"), b"x")
    assert len(seen) == 1
    assert seen[0].startswith(".tmp-")
    assert "train" not in seen[0]
    assert "-of-" not in seen[0]
    assert os.listdir(tmp_path) == ["train-00000-of-00001"]


@pytest.mark.parametrize(("protocol", "told"), [("nosuch", "Protocol not known: nosuch"), ("gs", "gcsfs")])
def test_a_protocol_that_cannot_be_used_is_named_with_the_path(monkeypatch, protocol, told):
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # As if it were not installed.
    with pytest.raises(ValueError, match=f"^{protocol}://bucket/run: .*{told}"):
        storage.exists(f"{protocol}://bucket/run")
