import contextlib
import hashlib
import http.server
import random
import re
import threading

import pytest

from data_prep.downloading import resumable_download
from data_prep.downloading.resumable_download import RetryOptions, download

CONTENT = random.Random(0).randbytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
AT_ONCE = RetryOptions(attempts=3, retry_delay_secs=0.0, timeout_secs=10.0)


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at any path; each request takes its behaviour from a list, and the last one stays.

    A behaviour is an int (bytes after which the connection drops), a status as a string, a Content-Range in a tuple
    (sent whatever was asked for, None for none at all), or None for a whole answer.
    """

    daemon_threads = True

    def __init__(self, honours_range=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.honours_range = honours_range
        self.content = CONTENT
        self.content_length = None
        self.behaviours = [None]
        self.ranges = []
        self.url = f"http://127.0.0.1:{self.server_port}/zips/a.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        behaviour = server.behaviours.pop(0) if len(server.behaviours) > 1 else server.behaviours[0]
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if isinstance(behaviour, str):
            self.send_error(int(behaviour))
            return
        start = 0
        if isinstance(behaviour, tuple):
            (content_range,) = behaviour
            behaviour = None
            self.send_response(206)
            if content_range is not None:
                self.send_header("Content-Range", content_range)
        elif asked and server.honours_range:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        self.send_header("Content-Length", server.content_length or str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[:behaviour])

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    with contextlib.ExitStack() as stack:

        def start(**settings):
            server = stack.enter_context(Server(**settings))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start


def test_a_dropped_download_goes_on_where_it_was(serve, tmp_path):
    server = serve()
    server.behaviours = [30_000, 20_000, None]
    path = tmp_path / "a.zip"
    download(server.url, str(path), len(CONTENT), SHA256, AT_ONCE)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=30000-", "bytes=50000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


def test_a_server_without_ranges_sends_it_all_again(serve, tmp_path):
    server = serve(honours_range=False)
    server.behaviours = [30_000, None]
    path = tmp_path / "a.zip"
    download(server.url, str(path), len(CONTENT), SHA256, AT_ONCE)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=30000-"]


def test_a_later_call_goes_on_and_a_finished_file_needs_no_server(serve, tmp_path):
    server = serve()
    path = tmp_path / "a.zip"
    (tmp_path / "a.zip.part").write_bytes(CONTENT[:99_999])
    download(server.url, str(path), len(CONTENT), SHA256, AT_ONCE)
    download(server.url, str(path), len(CONTENT), SHA256, AT_ONCE)
    assert path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=99999-"]


def test_a_part_longer_than_the_file_is_thrown_away(serve, tmp_path):
    server = serve()
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"x")
    download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert server.ranges == [None]


def test_giving_up_names_the_reason_and_keeps_what_came(serve, tmp_path):
    server = serve()
    server.behaviours = [10, "503"]
    with pytest.raises(RuntimeError, match=r"failed 3 times in a row, last with: HTTP status 503\. 10 of 100000 bytes"):
        download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert (tmp_path / "a.zip.part").read_bytes() == CONTENT[:10]
    assert len(server.ranges) == 3


def test_progress_starts_the_count_of_failures_anew(serve, tmp_path):
    server = serve()
    server.behaviours = ["503", "503", 10, "503", "503", None]
    with pytest.raises(RuntimeError, match=r"failed 3 times in a row"):
        download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_status_that_will_not_pass_ends_at_once(serve, tmp_path):
    server = serve()
    server.behaviours = ["404"]
    with pytest.raises(RuntimeError, match=r"/zips/a\.zip: the server answers 404 \(Not Found\)"):
        download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("part", [b"", b"xyz"])
def test_a_file_of_another_size_is_refused_before_it_is_loaded(serve, tmp_path, part):
    server = serve()
    (tmp_path / "a.zip.part").write_bytes(part)
    with pytest.raises(RuntimeError, match="has 100000 bytes there, and should have 5000: it is another file"):
        download(server.url, str(tmp_path / "a.zip"), 5000, SHA256, AT_ONCE)


@pytest.mark.parametrize("start", [39_999, 40_001, 99_999])
def test_another_part_than_asked_for_is_refused_and_what_came_before_kept(serve, tmp_path, start):
    server = serve()
    server.behaviours = [(f"bytes {start}-99999/100000",)]
    part = tmp_path / "a.zip.part"
    part.write_bytes(CONTENT[:40_000])
    message = f"asked for bytes from 40000 on, the server sent them from {start} on"
    with pytest.raises(RuntimeError, match=message):
        download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert part.read_bytes() == CONTENT[:40_000]
    assert server.ranges == ["bytes=40000-"]


@pytest.mark.parametrize("content_range", [None, "", "bytes 40000-99999", "bytes */100000", "bytes=40000-99999/100000"])
def test_a_partial_answer_that_does_not_say_which_part_is_refused(serve, tmp_path, content_range):
    server = serve()
    server.behaviours = [(content_range,)]
    part = tmp_path / "a.zip.part"
    part.write_bytes(CONTENT[:40_000])
    with pytest.raises(RuntimeError, match=r"/zips/a\.zip: a partial answer without a sound Content-Range"):
        download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert part.read_bytes() == CONTENT[:40_000]


def test_a_senseless_content_length_is_no_content_length(serve, tmp_path):
    server = serve()
    server.content_length = "many"
    download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_partial_answer_need_not_tell_the_whole_size(serve, tmp_path):
    server = serve()
    server.behaviours = [("bytes 0-99999/*",)]
    (tmp_path / "a.zip.part").write_bytes(b"nonsense")
    download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_wrong_content_is_removed_and_never_bears_the_name(serve, tmp_path):
    server = serve()
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(RuntimeError, match=rf"have the SHA-256 [0-9a-f]{{64}}, not {SHA256}\. They were removed"):
        download(server.url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_seen_before_downloading(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_download.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 99_999}))
    with pytest.raises(OSError, match=r"0\.0 GB free, and 0\.0 GB are still to be written"):
        download("http://127.0.0.1:9/a.zip", str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)


def test_no_server_is_a_failure_that_may_pass(tmp_path, serve):
    server = serve()
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(RuntimeError, match=r"failed 3 times in a row, last with: .*refused"):
        download(url, str(tmp_path / "a.zip"), len(CONTENT), SHA256, AT_ONCE)


def test_delays_double_up_to_a_minute():
    retry = RetryOptions(retry_delay_secs=1.5)
    assert [retry.delay_secs(n) for n in (1, 2, 3, 6, 7, 1000)] == [1.5, 3.0, 6.0, 48.0, 60.0, 60.0]
    assert AT_ONCE.delay_secs(1000) == 0.0


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"retry_delay_secs": -1.0}, {"timeout_secs": 0.0}])
def test_unfit_retry_options_are_refused(bad):
    with pytest.raises(ValueError, match="--attempts must be at least 1"):
        RetryOptions(**bad)
