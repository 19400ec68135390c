"""Whole files on a local disk or an object store, written so that no reader sees half of one.

Local paths use the operating system directly. A path with a protocol (`gs://`, `s3://`, `hdfs://`) goes through fsspec,
which needs that protocol's package (gcsfs, s3fs, pyarrow); there a single upload is atomic by itself.

What is read is a regular file of a sensible size, or refused before its first byte: a pipe would keep the reader
waiting, a device never end. An object store holds nothing but whole files; of those only the size is looked at.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import stat
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

TEMPORARY_PREFIX = ".tmp-"
# The most that a file of each kind may hold; real ones stay far below.
MAX_PHOTOGRAPH_BYTES = 1 << 28
MAX_DOCUMENT_BYTES = 1 << 28
"""Manifests, vocabularies, configurations, figures."""
MAX_TABLE_BYTES = 1 << 32
"""Captions of a whole data set, as tables or JSON."""
MAX_SHARD_BYTES = 1 << 36
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_CHUNK_BYTES = 1 << 20
# What file systems call the value that changes with a file's content, the surest first.
_VERSIONS = ("etag", "ETag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "modified", "created")


@dataclasses.dataclass(frozen=True, slots=True)
class FileState:
    """What a listing tells of a file.

    Attributes:
        size: in bytes.
        version: a text that changes when the content does: time of the last change in ns, or an object's tag.
    """

    size: int
    version: str


class UnfitFileError(OSError):
    """A path under which no regular file of a sensible size lies."""


def is_remote(path: str) -> bool:
    """Whether the path names a protocol other than the local disk."""
    return "://" in path


def join(directory: str, name: str) -> str:
    """Joins a folder and a file name."""
    return f"{directory.rstrip('/')}/{name}" if is_remote(directory) else os.path.join(directory, name)


def exists(path: str) -> bool:
    """Whether a file or folder is there."""
    return _filesystem(path).exists(path) if is_remote(path) else os.path.exists(path)


def size(path: str) -> int:
    """Returns a regular file's size in bytes.

    Raises:
        FileNotFoundError: if there is none.
        UnfitFileError: if something else lies there.
    """
    return int(_filesystem(path).size(path)) if is_remote(path) else check_file(path, MAX_SHARD_BYTES)


def check_file(path: str, max_bytes: int) -> int:
    """Checks a local file that another library is going to open, and returns its size in bytes.

    Raises:
        FileNotFoundError: if there is none.
        UnfitFileError: if it is no regular file, or larger than `max_bytes`.
    """
    return _check_status(path, os.stat(path), max_bytes)


def list_names(directory: str) -> list[str]:
    """Returns the sorted names in a folder; FileNotFoundError if it is not there."""
    if is_remote(directory):
        return sorted(p.rstrip("/").rsplit("/", 1)[-1] for p in _filesystem(directory).ls(directory, detail=False))
    return sorted(os.listdir(directory))


def list_files(directory: str) -> dict[str, FileState]:
    """Returns the files in a folder by name, in one listing.

    Links count as what they lead to; folders are left out.

    Raises:
        FileNotFoundError: if the folder is not there.
    """
    if is_remote(directory):
        files = {}
        for entry in _filesystem(directory).ls(directory, detail=True):
            if entry["type"] != "directory":
                version = next((str(entry[key]) for key in _VERSIONS if key in entry), "")
                files[entry["name"].rstrip("/").rsplit("/", 1)[-1]] = FileState(int(entry["size"] or 0), version)
        return files
    files = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                found = entry.stat()
            except OSError:  # A link to nowhere.
                continue
            if not stat.S_ISDIR(found.st_mode):
                files[entry.name] = FileState(found.st_size, str(found.st_mtime_ns))
    return files


def make_directory(directory: str) -> None:
    """Makes a folder and its parents; nothing to do on an object store or where it stands already."""
    if is_remote(directory):
        _filesystem(directory).makedirs(directory, exist_ok=True)
    else:
        os.makedirs(directory, exist_ok=True)


def remove(path: str) -> None:
    """Removes a file if it is there."""
    if is_remote(path):
        if _filesystem(path).exists(path):
            _filesystem(path).rm(path)
    elif os.path.lexists(path):
        os.remove(path)


def read_bytes(path: str, max_bytes: int = MAX_TABLE_BYTES) -> bytes:
    """Returns a file's content.

    Args:
        path: local or remote.
        max_bytes: the most that a file of its kind may hold.

    Raises:
        FileNotFoundError: if there is no such file.
        UnfitFileError: if it is no regular file, or larger.
    """
    if is_remote(path):
        return _read_remote(path, max_bytes)
    check_file(path, max_bytes)  # To open some devices is to set them going.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        expected = _check_status(path, os.fstat(file.fileno()), max_bytes)
        content = file.read(expected + 1)
        if content is not None and len(content) == expected > 0:
            return content
        return _read_on(path, file, content, max_bytes)


@contextlib.contextmanager
def opened(path: str, max_bytes: int = MAX_SHARD_BYTES) -> Iterator[BinaryIO]:
    """Opens a file to be read piece by piece; a remote one is fetched whole.

    Raises:
        FileNotFoundError: if there is no such file.
        UnfitFileError: if it is no regular file, or larger.
    """
    if is_remote(path):
        yield io.BytesIO(_read_remote(path, max_bytes))
        return
    check_file(path, max_bytes)  # To open some devices is to set them going.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        _check_status(path, os.fstat(file.fileno()), max_bytes)
        yield file


def _read_on(path: str, file: Any, content: bytes | None, max_bytes: int) -> bytes:
    """Reads to the end of a file whose size was not what its folder says: one that grows, or one of /proc."""
    parts, total = [], 0
    while content:
        parts.append(content)
        total += len(content)
        _check_size(path, total, max_bytes)
        content = file.read(_CHUNK_BYTES)
    if content is None:
        raise UnfitFileError(f"{path!r} has no end to read to; a regular file is wanted.")
    return b"".join(parts)


def _read_remote(path: str, max_bytes: int) -> bytes:
    filesystem = _filesystem(path)
    if max_bytes != MAX_PHOTOGRAPH_BYTES:  # For photographs, one question more each would double the time.
        _check_size(path, int(filesystem.size(path)), max_bytes)
    content = bytes(filesystem.cat_file(path))
    _check_size(path, len(content), max_bytes)
    return content


def _check_status(path: str, status: os.stat_result, max_bytes: int) -> int:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise UnfitFileError(f"{path!r} is {kind}; a regular file is wanted.")
    _check_size(path, status.st_size, max_bytes)
    return status.st_size


def _check_size(path: str, found: int, max_bytes: int) -> None:
    if found > max_bytes:
        raise UnfitFileError(f"{path!r} has {found:,} bytes; a file of its kind has at most {max_bytes:,}.")


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file whole or not at all: under a temporary name in the same folder, then renamed.

    Raises:
        FileNotFoundError: if its folder is not there.
    """
    if is_remote(path):
        _filesystem(path).pipe_file(path, content)
        return
    temporary = temporary_path(path)
    try:
        with open(temporary, "wb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except FileNotFoundError as error:  # Of the temporary file, a name that nobody has given.
        raise FileNotFoundError(f"{path!r} cannot be written: its folder is not there. Make it first.") from error
    finally:
        remove(temporary)


def remove_temporaries(directory: str) -> None:
    """Removes what writers that were killed left behind; no other process may be writing there."""
    for name in list_names(directory):
        if name.startswith(TEMPORARY_PREFIX):
            remove(join(directory, name))


def temporary_path(path: str) -> str:
    """Returns the path under which this process writes a local file before it is whole.

    The name holds nothing of the file's own: `*-of-*` is meant for shards and would match `.tmp-train-00000-of-00001`.
    """
    directory, name = os.path.split(path)
    return os.path.join(directory, f"{TEMPORARY_PREFIX}{os.getpid()}-{zlib.crc32(name.encode()):08x}")


def read_text(path: str, max_bytes: int = MAX_TABLE_BYTES) -> str:
    """Returns a UTF-8 file's content; see `read_bytes`.

    Raises:
        ValueError: naming the file, if it is not UTF-8.
    """
    try:
        return read_bytes(path, max_bytes).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path!r} is no text in UTF-8: byte {error.start}, {error.reason}.") from error


def write_text(path: str, content: str) -> None:
    """Writes a UTF-8 file whole or not at all."""
    write_bytes(path, content.encode())


def append_text(path: str, content: str) -> None:
    """Appends to a UTF-8 file; on an object store, whose files cannot grow, by writing all of it again."""
    if is_remote(path):
        before = read_text(path) if exists(path) else ""
        write_text(path, before + content)
        return
    with open(path, "a", encoding="utf-8") as file:
        file.write(content)


def _filesystem(path: str) -> Any:
    import fsspec  # Deferred: only remote paths need it.

    try:
        # No cache of listings: other processes write into the same folders.
        return fsspec.core.url_to_fs(path, use_listings_cache=False)[0]
    except (ValueError, ImportError) as error:  # An unknown protocol; one whose package is not installed.
        raise ValueError(f"{path}: {error}") from error
