import os
import uuid

import pytest

from data_prep.building.photograph_files import find_photographs, fingerprint, real_path
from im2txt.system import storage
from im2txt.system.storage import FileState


def fill(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_photographs_that_are_there_are_found_with_size_and_time(tmp_path):
    fill(tmp_path, ["a.jpg", "b/é c.jpg", "b/other.jpg"])
    os.utime(tmp_path / "a.jpg", ns=(5, 7_000_000_123))
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    names = ["a.jpg", "b/é c.jpg", "gone.jpg", "gone/a.jpg", "a.jpg/b.jpg", "folder.jpg", "broken.jpg", "link.jpg"]
    found = find_photographs(f"{tmp_path}/{name}" for name in names)
    assert {os.path.relpath(path, tmp_path): state.size for path, state in found.items()} == {
        "a.jpg": 5,
        "b/é c.jpg": len("b/é c.jpg".encode()),
        "link.jpg": 5,
    }
    assert found[f"{tmp_path}/a.jpg"] == found[f"{tmp_path}/link.jpg"] == FileState(5, "7000000123")


def test_names_without_a_folder_are_looked_for_here_and_at_the_root(tmp_path, monkeypatch):
    fill(tmp_path, ["a.jpg"])
    monkeypatch.chdir(tmp_path)
    root_file = next((f"/{name}" for name in os.listdir("/") if os.path.isfile(f"/{name}")), None)
    paths = ["a.jpg", "/a.jpg", *filter(None, [root_file])]
    assert set(find_photographs(paths)) == {"a.jpg", *filter(None, [root_file])}


def test_a_remote_folder_is_listed_once(monkeypatch):
    folder = f"memory://{uuid.uuid4()}/photos"
    storage.write_bytes(f"{folder}/a.jpg", b"12345")
    storage.write_bytes(f"{folder}/deep/b.jpg", b"1")
    listed = []
    real = storage.list_files
    monkeypatch.setattr(storage, "list_files", lambda path: listed.append(path) or real(path))
    found = find_photographs([f"{folder}/a.jpg", f"{folder}/gone.jpg", f"{folder}/deep", f"{folder}/gone/c.jpg"])
    assert {path: state.size for path, state in found.items()} == {f"{folder}/a.jpg": 5}
    assert listed == [folder, f"{folder}/gone"]
    before = found[f"{folder}/a.jpg"]
    storage.write_bytes(f"{folder}/a.jpg", b"54321")
    assert find_photographs([f"{folder}/a.jpg"])[f"{folder}/a.jpg"] != before


@pytest.mark.parametrize("key", ["ETag", "mtime", "updated"])
def test_an_objects_tag_or_time_is_its_version(monkeypatch, key):
    class Listing:
        def ls(self, folder, detail):
            assert detail
            return [
                {"name": "bucket/p/a.jpg", "size": 9, "type": "file", key: 17},
                {"name": "bucket/p/deep/", "size": 0, "type": "directory"},
            ]

    monkeypatch.setattr(storage, "_filesystem", lambda path: Listing())
    assert find_photographs(["gs://bucket/p/a.jpg"]) == {"gs://bucket/p/a.jpg": FileState(9, "17")}


def test_photographs_of_a_web_server_are_taken_to_be_there():
    assert find_photographs(["https://host/a.jpg"]) == {"https://host/a.jpg": FileState(0, "")}


def test_the_fingerprint_tells_places_sizes_and_times_but_not_spellings(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    base = [(f"{tmp_path}/photos/a.jpg", FileState(1, "2")), (f"{tmp_path}/photos/b.jpg", FileState(3, "4"))]
    assert fingerprint([(path.replace("photos", "photos/../link/."), state) for path, state in base]) == fingerprint(
        base
    )
    others = [
        base[:1],
        [(base[0][0], FileState(1, "3")), base[1]],
        [(base[0][0], FileState(2, "2")), base[1]],
        [(f"{tmp_path}/a.jpg", base[0][1]), base[1]],
    ]
    assert len({fingerprint(files) for files in [base, *others]}) == 5


def test_a_remote_path_is_its_own_real_path():
    assert real_path("gs://bucket/a/../b.jpg") == "gs://bucket/a/../b.jpg"
