"""A build's claim on its output folder: one plan per folder, and nothing foreign in it.

Two builds at once are kept apart by `folder_lock`; on an object store, which has no locks, two builds of one plan write
the same bytes, and one of another plan is refused by `claim`.
"""

from __future__ import annotations

import json

from data_prep.building import skips
from data_prep.building.origin import Origin
from im2txt.shards import manifest
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import storage
from im2txt.system.folder_lock import LOCK_NAME

PLAN_NAME = ".build-plan.json"
PLAN_OPTION = "plan_sha256"
"""Where the manifest's options hold the plan's fingerprint."""


def claim(output_dir: str, fingerprint: str, origin: Origin) -> bool:
    """Reserves the folder for a plan, or finds it reserved for the same one; removes leftovers of a killed build.

    Args:
        output_dir: the folder, local or remote.
        fingerprint: the plan's.
        origin: where the plan's photographs are. A finished build of others is another build. In an unfinished one,
            each shard's own fingerprint tells whether its photographs are still the same.

    Returns:
        Whether the plan is already built there. If shards of a finished build are gone or cut short, its manifest is
        removed and the answer is no.

    Raises:
        RuntimeError: if the folder holds another build, finished or not, or files of something else.
    """
    remedy = "Choose another --output_dir, or remove this one."
    plan_path = storage.join(output_dir, PLAN_NAME)
    names = _own_names(output_dir)
    if manifest.FILE_NAME in names:
        finished = ShardFolder.open(output_dir)
        if finished.manifest.options.get(PLAN_OPTION) != fingerprint:
            raise RuntimeError(
                f"{output_dir} holds shards of another build (other captions, splits or options, or another version of "
                f"this tool). {remedy}"
            )
        difference = origin.difference(output_dir)
        if difference:
            raise RuntimeError(f"{output_dir} holds shards of other photographs: {difference}. {remedy}")
        if _is_intact(finished):
            return True
        storage.write_text(plan_path, json.dumps({PLAN_OPTION: fingerprint}))
        storage.remove(storage.join(output_dir, manifest.FILE_NAME))
        return False
    if PLAN_NAME in names:
        if json.loads(storage.read_text(plan_path))[PLAN_OPTION] != fingerprint:
            raise RuntimeError(
                f"{output_dir} holds an unfinished build of other captions, splits or options, or other photographs. "
                f"Run that one again to finish it, or: {remedy}"
            )
    else:
        foreign = sorted(name for name in names if not name.startswith(storage.TEMPORARY_PREFIX))
        if foreign and foreign != [skips.FILE_NAME]:  # All that a build leaves that the limit ended before it began.
            raise RuntimeError(f"{output_dir} is not empty: it holds {foreign[0]!r}. {remedy}")
        storage.write_text(plan_path, json.dumps({PLAN_OPTION: fingerprint}))
    storage.remove_temporaries(output_dir)
    return False


def may_list_skips(output_dir: str) -> bool:
    """Whether a build that the limit ended may write its list there, beside nothing but what such builds leave."""
    names = _own_names(output_dir)
    return manifest.FILE_NAME not in names and (PLAN_NAME in names or names <= {skips.FILE_NAME})


def release(output_dir: str) -> None:
    """Removes the plan's reservation: from now on the manifest speaks for the folder."""
    storage.remove(storage.join(output_dir, PLAN_NAME))


def _own_names(output_dir: str) -> set[str]:
    return set(_list_names(output_dir)) - {LOCK_NAME}


def _list_names(output_dir: str) -> list[str]:
    try:
        return storage.list_names(output_dir)
    except FileNotFoundError:  # An object store knows no empty folders.
        return []


def _is_intact(folder: ShardFolder) -> bool:
    try:
        for split in folder.manifest.splits:
            folder.check_shards(split)
    except (FileNotFoundError, ValueError):
        return False
    return True
