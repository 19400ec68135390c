import pathlib
import subprocess
import sys

import fake_shards
import pytest

from data_prep import verify_data


def test_a_sound_folder_is_summed_up(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_shards.write_folder(tmp_path)
    assert verify_data.main([f"--data_dir={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "30 captions of 15 photographs (test 3, train 10, val 2) in 6 image shards of layout 'image'" in printed
    assert printed.endswith("No fault found.\n")


def test_each_fault_is_printed_with_what_to_do_and_the_status_is_1(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_shards.write_folder(tmp_path)
    (tmp_path / "train-00000-of-00002").unlink()
    (tmp_path / "captions_val.json").unlink()
    assert verify_data.main([f"--data_dir={tmp_path}", "--num_readers=1"]) == 1
    printed = capsys.readouterr().out
    assert "FAULT  train-00000-of-00002: is missing" in printed
    assert "\n       Copy the shard again" in printed
    assert "FAULT  captions_val.json" in printed
    assert printed.endswith("2 faults found.\n")


def test_no_worker_is_refused() -> None:
    with pytest.raises(ValueError, match="--num_readers=0 must be at least 1"):
        verify_data.VerifyDataFlags(data_dir="/data", num_readers=0)


def test_a_folder_without_manifest_ends_in_one_line(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "data_prep.verify_data", f"--data_dir={tmp_path}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: No manifest.json in")
    assert result.stderr.count("\n") == 1
