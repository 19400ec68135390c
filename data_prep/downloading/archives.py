"""ZIP archives, taken apart so that an interrupted run goes on and no file lands outside the folder."""

from __future__ import annotations

import os
import re
import shutil
import zipfile

from data_prep.downloading.resumable_download import check_free_space
from im2txt.system import storage
from im2txt.system.progress import progress_bar


def extract(archive_path: str, output_dir: str, wanted: str) -> list[str]:
    """Extracts an archive's files, but those that are there already with their size.

    Args:
        archive_path: the ZIP file.
        output_dir: local folder; made if need be.
        wanted: regular expression of the whole names to extract.

    Returns:
        The names of the wanted files, in the archive's order.

    Raises:
        RuntimeError: if the archive is damaged, a name leaves the folder, or no name is wanted.
        OSError: if the disk is too full.
    """
    os.makedirs(output_dir, exist_ok=True)
    try:
        with zipfile.ZipFile(archive_path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir() and re.fullmatch(wanted, m.filename)]
            paths = [_inside(output_dir, member.filename, archive_path) for member in members]
            if not members:
                raise RuntimeError(f"{archive_path} holds no file {wanted!r}: it is another archive.")
            missing = [
                (member, path)
                for member, path in zip(members, paths, strict=True)
                if not os.path.exists(path) or os.path.getsize(path) != member.file_size
            ]
            check_free_space(output_dir, sum(member.file_size for member, _ in missing))
            for member, path in progress_bar(f"extracting {os.path.basename(archive_path)}", missing, unit=" files"):
                _extract_member(archive, member, path)
            return [member.filename for member in members]
    except zipfile.BadZipFile as error:
        raise RuntimeError(f"{archive_path} is damaged: {error}. Remove it and run the command again.") from error


def _inside(output_dir: str, name: str, archive_path: str) -> str:
    parts = re.split(r"[/\\]", name)
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise RuntimeError(f"{archive_path} holds {name!r}, a path outside the folder: it is not to be trusted.")
    return os.path.join(output_dir, *parts)


def _extract_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> None:
    directory, name = os.path.split(path)
    os.makedirs(directory, exist_ok=True)
    temporary = os.path.join(directory, f"{storage.TEMPORARY_PREFIX}{name}")
    try:
        with archive.open(member) as source, open(temporary, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)  # Checks the member's CRC at its end.
        os.replace(temporary, path)
    finally:
        storage.remove(temporary)
