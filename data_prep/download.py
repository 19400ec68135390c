"""Downloads COCO's photographs and captions, and Karpathy's splits.

A download that breaks off goes on where it was when the same command is given again. Every archive is checked against
its SHA-256 before it is unpacked.

    python -m data_prep.download --dataset=coco2014 --data_dir=coco
"""

from __future__ import annotations

import dataclasses
import os
import urllib.parse
from typing import Literal

import tyro

from data_prep.downloading.archives import extract
from data_prep.downloading.resumable_download import RetryOptions, download
from im2txt.system import command_line, storage

_COCO = "http://images.cocodataset.org"  # Its HTTPS certificate is another host's; the checksums make up for it.


@dataclasses.dataclass(frozen=True)
class Archive:
    """A ZIP file on the network.

    Attributes:
        url: where it is.
        size: in bytes.
        sha256: in hex.
        wanted: regular expression of the files to unpack.
    """

    url: str
    size: int
    sha256: str
    wanted: str = ".*"


# Sizes and checksums as recorded by tensorflow-datasets for its coco_captions and coco.
ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "coco2014": (
        Archive(
            f"{_COCO}/annotations/annotations_trainval2014.zip",
            252_872_794,
            "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
            wanted=r"annotations/captions_.*\.json",
        ),
        Archive(
            f"{_COCO}/zips/train2014.zip",
            13_510_573_713,
            "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
        ),
        Archive(
            f"{_COCO}/zips/val2014.zip",
            6_645_013_297,
            "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
        ),
    ),
    "coco2017": (
        Archive(
            f"{_COCO}/annotations/annotations_trainval2017.zip",
            252_907_541,
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            wanted=r"annotations/captions_.*\.json",
        ),
        Archive(
            f"{_COCO}/zips/train2017.zip",
            19_336_861_798,
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
        Archive(
            f"{_COCO}/zips/val2017.zip",
            815_585_330,
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
    ),
    "karpathy": (
        Archive(
            "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
            36_745_453,
            "4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817",
            wanted=r"dataset_.*\.json",
        ),
    ),
}


@dataclasses.dataclass(frozen=True)
class DownloadFlags:
    """Flags of the command."""

    dataset: Literal["coco2014", "coco2017", "karpathy"]
    """coco2014 (20 GB) and coco2017 (20 GB): photographs and captions; karpathy (37 MB): his dataset_*.json of COCO,
    Flickr8k and Flickr30k, without photographs."""
    data_dir: str
    """Local folder for archives and their content; made if need be."""
    remove_archives: bool = False
    """Whether to remove each archive once it is unpacked."""
    mirror: str | None = None
    """URL to download from in place of the original host, under the same paths."""
    retry: tyro.conf.OmitArgPrefixes[RetryOptions] = RetryOptions()

    def __post_init__(self) -> None:
        if storage.is_remote(self.data_dir):
            raise ValueError(f"--data_dir={self.data_dir} must be a local folder.")


def main(argv: list[str] | None = None) -> None:
    """Parses the flags, downloads, unpacks."""
    flags = command_line.parse(DownloadFlags, __doc__ or "", argv)
    os.makedirs(flags.data_dir, exist_ok=True)
    for archive in ARCHIVES[flags.dataset]:
        fetch(archive, flags.data_dir, flags.mirror, flags.retry, flags.remove_archives)


def fetch(archive: Archive, data_dir: str, mirror: str | None, retry: RetryOptions, remove_archive: bool) -> None:
    """Downloads and unpacks an archive, unless that was finished before.

    Args:
        archive: what to fetch.
        data_dir: local folder that is there, for the archive and for what is in it.
        mirror: URL that takes the place of the archive's host; None takes the archive's own.
        retry: what happens when the network fails.
        remove_archive: whether the archive is removed once it is unpacked.

    Raises:
        RuntimeError: if it cannot be downloaded, is damaged, or is another archive.
        OSError: if the disk is too full.
    """
    parts = urllib.parse.urlsplit(archive.url)
    url = f"{mirror.rstrip('/')}{parts.path}" if mirror else archive.url
    path = os.path.join(data_dir, os.path.basename(parts.path))
    done = f"{path}.unpacked"
    names = storage.read_text(done).splitlines() if os.path.exists(done) else []
    if not names or not all(os.path.exists(os.path.join(data_dir, name)) for name in names):
        download(url, path, archive.size, archive.sha256, retry)
        names = extract(path, data_dir, archive.wanted)
        storage.write_text(done, "".join(f"{name}\n" for name in names))
    if remove_archive:
        storage.remove(path)
    print(f"{os.path.basename(path)}: {len(names):,} files in {data_dir}")


if __name__ == "__main__":
    command_line.run(main)
