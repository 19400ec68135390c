import os
import subprocess
import sys
import uuid

import pytest

from im2txt.system import storage
from im2txt.system.folder_lock import LOCK_NAME, folder_lock


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "my run/ü")


def test_the_folder_is_made(folder):
    with folder_lock(folder, "--output_dir"):
        assert os.path.isdir(folder)


def test_a_second_writer_is_refused_and_the_first_named(folder):
    told = rf"writing into .*/ü \(process {os.getpid()} on .*\)\. Wait for it, or choose another --workdir\.$"
    with folder_lock(folder, "--workdir"), pytest.raises(RuntimeError, match=told), folder_lock(folder, "--workdir"):
        pass


def test_the_lock_is_gone_after_the_work_however_it_ended(folder):
    with pytest.raises(KeyError, match="boom"), folder_lock(folder, "--output_dir"):
        raise KeyError("boom")
    assert os.listdir(folder) == []
    with folder_lock(folder, "--output_dir"):
        pass


def test_the_lock_of_a_killed_process_does_not_bind(folder):
    code = (
        "import os, signal, sys\n"
        "from im2txt.system.folder_lock import folder_lock\n"
        "with folder_lock(sys.argv[1], '--output_dir'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, folder], check=False).returncode == -9
    assert os.listdir(folder) == [LOCK_NAME]
    with folder_lock(folder, "--output_dir"):
        pass


def test_a_remote_folder_has_no_lock_file():
    folder = f"memory://{uuid.uuid4()}/shards"
    with folder_lock(folder, "--output_dir"):
        assert storage.list_names(folder) == []
