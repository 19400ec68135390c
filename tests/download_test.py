import functools
import hashlib
import http.server
import io
import threading
import urllib.parse
import zipfile

import pytest

from data_prep import download


def zip_bytes(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server with two small archives under the paths of COCO 2014, known to the command by their checksums."""
    contents = {
        "annotations/annotations_trainval2014.zip": zip_bytes(
            {"annotations/captions_val2014.json": "{}", "annotations/instances_val2014.json": "{}"}
        ),
        "zips/val2014.zip": zip_bytes({"val2014/COCO_val2014_000000000042.jpg": b"jpeg"}),
    }
    known = {urllib.parse.urlsplit(archive.url).path[1:]: archive for archive in download.ARCHIVES["coco2014"]}
    archives = []
    for name, content in contents.items():
        (tmp_path / "mirror" / name).parent.mkdir(parents=True)
        (tmp_path / "mirror" / name).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        archives.append(download.Archive(known[name].url, len(content), sha256, known[name].wanted))
    monkeypatch.setitem(download.ARCHIVES, "coco2014", tuple(archives))
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requests.append(self.path)

    handler = functools.partial(Handler, directory=str(tmp_path / "mirror"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", requests
        server.shutdown()


def test_photographs_and_captions_are_fetched_unpacked_and_left_alone(mirror, tmp_path, capsys):
    url, requests = mirror
    coco = tmp_path / "coco"
    argv = ["--dataset=coco2014", f"--data_dir={coco}", f"--mirror={url}"]
    download.main(argv)
    assert (coco / "val2014" / "COCO_val2014_000000000042.jpg").read_bytes() == b"jpeg"
    assert (coco / "annotations" / "captions_val2014.json").exists()
    assert not (coco / "annotations" / "instances_val2014.json").exists()
    assert f"val2014.zip: 1 files in {coco}" in capsys.readouterr().out
    assert requests == ["/annotations/annotations_trainval2014.zip", "/zips/val2014.zip"]
    download.main([*argv, "--remove_archives"])
    assert not (coco / "val2014.zip").exists()
    download.main(argv)
    assert len(requests) == 2


def test_lost_photographs_are_fetched_again(mirror, tmp_path):
    url, requests = mirror
    coco = tmp_path / "coco"
    argv = ["--dataset=coco2014", f"--data_dir={coco}", f"--mirror={url}", "--remove_archives"]
    download.main(argv)
    (coco / "val2014" / "COCO_val2014_000000000042.jpg").unlink()
    download.main(argv)
    assert (coco / "val2014" / "COCO_val2014_000000000042.jpg").read_bytes() == b"jpeg"
    assert requests[2:] == ["/zips/val2014.zip"]


def test_known_archives_have_whole_checksums_and_names_of_their_own():
    archives = [archive for dataset in download.ARCHIVES.values() for archive in dataset]
    assert all(len(bytes.fromhex(archive.sha256)) == 32 for archive in archives)
    assert len({archive.url.rsplit("/", 1)[-1] for archive in archives}) == len(archives) == 7


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--dataset=coco2015", "--data_dir=x"], "coco2015"),
        (["--dataset=coco2014", "--data_dir=gs://bucket/x"], "must be a local folder"),
        (["--dataset=coco2014"], "--data_dir"),
    ],
)
def test_bad_flags_are_refused(argv, message, capsys):
    with pytest.raises(SystemExit) as error:
        download.main(argv)
    assert error.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
