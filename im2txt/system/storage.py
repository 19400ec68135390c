"""Whole files on a local disk or an object store, written so that no reader sees half of one.

Local paths use the operating system directly. A path with a protocol (`gs://`, `s3://`, `hdfs://`) goes through fsspec,
which needs that protocol's package (gcsfs, s3fs, pyarrow); there a single upload is atomic by itself.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import zlib
from typing import Any

TEMPORARY_PREFIX = ".tmp-"
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
    """Returns the file's size in bytes."""
    return int(_filesystem(path).size(path)) if is_remote(path) else os.path.getsize(path)


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


def read_bytes(path: str) -> bytes:
    """Returns a file's content."""
    if is_remote(path):
        return bytes(_filesystem(path).cat_file(path))
    with open(path, "rb", buffering=0) as file:
        return file.read()


def write_bytes(path: str, content: bytes) -> None:
    """Writes a file whole or not at all: under a temporary name in the same folder, then renamed."""
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
    finally:
        remove(temporary)


def temporary_path(path: str) -> str:
    """Returns the path under which this process writes a local file before it is whole.

    The name holds nothing of the file's own: `*-of-*` is meant for shards and would match `.tmp-train-00000-of-00001`.
    """
    directory, name = os.path.split(path)
    return os.path.join(directory, f"{TEMPORARY_PREFIX}{os.getpid()}-{zlib.crc32(name.encode()):08x}")


def read_text(path: str) -> str:
    """Returns a UTF-8 file's content."""
    return read_bytes(path).decode()


def write_text(path: str, content: str) -> None:
    """Writes a UTF-8 file whole or not at all."""
    write_bytes(path, content.encode())


def _filesystem(path: str) -> Any:
    import fsspec  # Deferred: only remote paths need it.

    try:
        # No cache of listings: other processes write into the same folders.
        return fsspec.core.url_to_fs(path, use_listings_cache=False)[0]
    except (ValueError, ImportError) as error:  # An unknown protocol; one whose package is not installed.
        raise ValueError(f"{path}: {error}") from error
