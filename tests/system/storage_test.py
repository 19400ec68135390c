import os
import socket
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


def test_what_is_appended_follows_what_was_there(folder):
    storage.make_directory(folder)
    path = storage.join(folder, "rows")
    for text in ("größe\n", "2\n"):
        storage.append_text(path, text)
    assert storage.read_text(path) == "größe\n2\n"


@pytest.mark.parametrize(("protocol", "told"), [("nosuch", "Protocol not known: nosuch"), ("gs", "gcsfs")])
def test_a_protocol_that_cannot_be_used_is_named_with_the_path(monkeypatch, protocol, told):
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # As if it were not installed.
    with pytest.raises(ValueError, match=f"^{protocol}://bucket/run: .*{told}"):
        storage.exists(f"{protocol}://bucket/run")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkfifo, "a named pipe"),
        (os.mkdir, "a folder"),
        (make_socket, "a socket"),
        (lambda path: os.symlink("/dev/zero", path), "a device"),
    ],
    ids=["pipe", "folder", "socket", "endless device"],
)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch, make, kind):
    monkeypatch.chdir(tmp_path)  # A socket's path is short.
    make("x")
    for read in (storage.read_bytes, storage.read_text, storage.size, lambda path: storage.check_file(path, 9)):
        with pytest.raises(storage.UnfitFileError, match=f"'x' is {kind}; a regular file is wanted"):
            read("x")


def test_a_pipe_that_takes_the_place_of_a_file_while_it_is_opened_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "x")
    os.mkfifo(path)
    monkeypatch.setattr(storage, "check_file", lambda path, max_bytes: 0)
    with pytest.raises(storage.UnfitFileError, match="a named pipe"):
        storage.read_bytes(path)


def test_a_file_may_hold_so_many_bytes_and_no_more(folder):
    storage.make_directory(folder)
    path = storage.join(folder, "a.txt")
    storage.write_bytes(path, b"123456")
    assert storage.read_bytes(path, 6) == b"123456"
    assert storage.read_text(path, 6) == "123456"
    for read in (storage.read_bytes, storage.read_text):
        with pytest.raises(storage.UnfitFileError, match=r"a\.txt' has 6 bytes; a file of its kind has at most 5"):
            read(path, 5)


def test_a_remote_photograph_is_measured_when_it_is_there(monkeypatch):
    monkeypatch.setattr(storage, "MAX_PHOTOGRAPH_BYTES", 3)
    path = f"memory://{uuid.uuid4()}/a.jpg"
    storage.write_bytes(path, b"1234")
    with pytest.raises(storage.UnfitFileError, match="has 4 bytes"):
        storage.read_bytes(path, 3)


@pytest.mark.parametrize("size_in_folder", [0, 2, 9])
def test_a_file_is_read_to_its_end_whatever_its_folder_says(tmp_path, monkeypatch, size_in_folder):
    path = str(tmp_path / "x")
    storage.write_bytes(path, b"12345")
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(storage, "_check_status", lambda *arguments: size_in_folder)
    assert storage.read_bytes(path) == b"12345"
    with pytest.raises(storage.UnfitFileError, match=r"has 5 bytes; .* at most 4"):
        storage.read_bytes(path, 4)


def test_an_empty_file_is_empty(tmp_path):
    (tmp_path / "x").touch()
    assert storage.read_bytes(str(tmp_path / "x")) == b""


def test_a_text_in_another_encoding_is_named(tmp_path):
    (tmp_path / "x").write_bytes("größe".encode("latin-1"))
    with pytest.raises(ValueError, match=r"x' is no text in UTF-8: byte 2, invalid start byte"):
        storage.read_text(str(tmp_path / "x"))


def test_what_killed_writers_left_is_removed_and_nothing_else(folder):
    storage.make_directory(folder)
    for name in (".tmp-1-ab", ".tmp-2-cd", "train-00000-of-00001"):
        storage.write_bytes(storage.join(folder, name), b"x")
    storage.remove_temporaries(folder)
    assert storage.list_names(folder) == ["train-00000-of-00001"]


def test_a_folder_that_is_not_there_is_named_when_a_file_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone/a\.txt' cannot be written: its folder is not there"):
        storage.write_text(str(tmp_path / "gone" / "a.txt"), "a")
