"""Large files over HTTP: continued where they broke off, checked before they bear their name."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from im2txt.system.progress import progress_bar

_CHUNK_BYTES = 1 << 20
_MAX_DELAY_SECS = 60.0
_RETRIED_STATUSES = frozenset((408, 425, 429, 500, 502, 503, 504))


@dataclasses.dataclass(frozen=True)
class RetryOptions:
    """What happens when the network fails."""

    attempts: int = 10
    """Failed attempts in a row before giving up; one that received some bytes counts as the first of a new row."""
    retry_delay_secs: float = 1.0
    """Wait before the second attempt; doubled with each further one, up to a minute."""
    timeout_secs: float = 60.0
    """Silence of the server that counts as a failure."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.retry_delay_secs < 0 or self.timeout_secs <= 0:
            raise ValueError("--attempts must be at least 1, --retry_delay_secs not negative, --timeout_secs positive.")

    def delay_secs(self, failures: int) -> float:
        """Returns the wait after so many failures in a row, at least 1."""
        return min(_MAX_DELAY_SECS, self.retry_delay_secs * 2 ** min(failures - 1, 16))


class _InterruptedError(Exception):
    """The server or the network failed in a way that may pass."""


def download(url: str, path: str, size: int, sha256: str, retry: RetryOptions) -> None:
    """Downloads a file of known content; nothing to do if it is there.

    What has arrived lies in `path` + `.part`, and a later call goes on from there.

    Args:
        url: where from.
        path: local file to write.
        size: the file's size in bytes.
        sha256: the file's SHA-256 in hex.
        retry: what happens when the network fails.

    Raises:
        RuntimeError: if the server has no such file or another one, or fails too often in a row.
        OSError: if the disk is too full.
    """
    if os.path.exists(path) and os.path.getsize(path) == size:
        return  # It got its name after its checksum was found right.
    part = f"{path}.part"
    if os.path.exists(part) and os.path.getsize(part) > size:
        os.remove(part)
    check_free_space(os.path.dirname(path) or ".", size - _size(part))
    failures = 0
    with progress_bar(os.path.basename(path), total=size, initial=_size(part), unit="B", unit_scale=True) as progress:
        while _size(part) < size:
            before = _size(part)
            try:
                for arrived in _receive(url, part, size, retry.timeout_secs):
                    progress.n = arrived
                    progress.update(0)
            except _InterruptedError as error:
                failures = 1 if _size(part) > before else failures + 1
                if failures >= retry.attempts:
                    raise RuntimeError(
                        f"{url} failed {failures} times in a row, last with: {error}. {_size(part)} of {size} bytes "
                        f"are in {part}; the same command goes on from there."
                    ) from error
                time.sleep(retry.delay_secs(failures))
    found = _sha256(part, size)
    if found != sha256:
        os.remove(part)
        raise RuntimeError(
            f"{url}: the {size} bytes that came have the SHA-256 {found}, not {sha256}. They were removed; run the "
            "command again."
        )
    os.replace(part, path)


def check_free_space(directory: str, needed: int) -> None:
    """Raises OSError if the folder's disk has less room than `needed` bytes."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise OSError(f"{directory} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are still to be written.")


def _receive(url: str, part: str, size: int, timeout_secs: float) -> Iterator[int]:
    """Appends to the file what the server sends from its end on; yields the size so far."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with _network_errors(url):
        response = urllib.request.urlopen(request, timeout=timeout_secs)
    with response:
        start, total = _extent(response)
        if total not in (size, None):
            raise RuntimeError(f"{url} has {total} bytes there, and should have {size}: it is another file.")
        if start not in (0, have):
            raise RuntimeError(f"{url}: asked for bytes from {have} on, the server sent them from {start} on.")
        with open(part, "ab") as file:
            file.truncate(start)  # 0 from a server that ignores the range.
            arrived = start
            while arrived < size:
                with _network_errors(url):
                    chunk = response.read(min(_CHUNK_BYTES, size - arrived))
                if not chunk:
                    raise _InterruptedError(f"the connection ended at byte {arrived}")
                file.write(chunk)
                arrived += len(chunk)
                yield arrived


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Returns the first byte that the response holds, and the size of the whole file if the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match:
            raise RuntimeError(f"{response.url}: a partial answer without a sound Content-Range.")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length and length.isdecimal() else None


@contextlib.contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        if error.code in _RETRIED_STATUSES:
            raise _InterruptedError(f"HTTP status {error.code}") from error
        raise RuntimeError(f"{url}: the server answers {error.code} ({error.reason}).") from error
    except (http.client.HTTPException, OSError) as error:
        raise _InterruptedError(str(error) or type(error).__name__) from error


def _sha256(path: str, size: int) -> str:
    digest = hashlib.sha256()
    bar = progress_bar(f"checking {os.path.basename(path)}", total=size, unit="B", unit_scale=True, leave=False)
    with bar as progress, open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            progress.update(len(chunk))
    return digest.hexdigest()


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
