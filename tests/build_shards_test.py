import contextlib
import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

from data_prep import build_shards
from im2txt.shards.shard_folder import ShardFolder
from tests import tiny_flickr8k

SHARDS = ["--train_shards=3", "--val_shards=1", "--test_shards=2", "--min_word_count=2", "--num_workers=1"]


@pytest.fixture
def data(tmp_path):
    return tiny_flickr8k.write(tmp_path / "my data ü")


def command(*flags: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "data_prep.build_shards", *flags]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_the_command_builds_with_several_processes_and_sums_up(data, tmp_path):
    output = str(tmp_path / "my shards")
    done = command(*data.flags(), f"--output_dir={output}", *SHARDS, "--num_workers=2", "--layout=pair", "--seed=3")
    assert done.returncode == 0, done.stderr
    manifest = ShardFolder.open(output).manifest
    assert (manifest.layout, manifest.seed, manifest.splits["train"].captions) == ("pair", 3, 60)
    assert "train: 12 photographs, 60 captions" in done.stdout
    assert "60 examples in 3 shards" in done.stdout
    assert "left out: 2 no_split" in done.stdout
    with open(os.path.join(output, "word_counts.txt")) as file:
        assert f"vocabulary: {len(file.readlines()) + 1} words with <UNK>" in done.stdout
    assert "95 captions written in" in done.stdout
    assert "100%" in done.stderr
    assert "100%" not in done.stdout
    again = command(*data.flags(), f"--output_dir={output}", *SHARDS, "--layout=pair", "--seed=3")
    assert again.returncode == 0
    assert f"{output}: already built" in again.stdout


def test_a_dry_run_tells_what_a_build_would_write_and_writes_nothing(data, tmp_path, capsys):
    output = tmp_path / "shards"
    flags = [*data.flags(), f"--output_dir={output}", *SHARDS]
    build_shards.main([*flags, "--dry_run"])
    planned = capsys.readouterr().out
    assert not output.exists()
    build_shards.main(flags)
    manifest = ShardFolder.open(str(output)).manifest
    for name, split in manifest.splits.items():
        expected = (
            f"{name}: {split.images} photographs, {split.captions} captions, {split.words} words, "
            f"{split.examples} examples in {len(split.shards)} shards, about "
        )
        assert expected in planned
    assert f"vocabulary: {len(ShardFolder(str(output), manifest).read_vocabulary())} words" in planned
    assert "left out: 2 no_split" in planned


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--layuot=pair", "--layuot"),
        ("--layout=pairs", "pairs"),
        ("--train_shards=0", "--train_shards=0 must be in"),
        ("--min_word_count=0", "--min_word_count=0 must be at least 1"),
        ("--tokenizer=treebnk", "Did you mean"),
        ("--max_skipped_fraction=2", "--max_skipped_fraction=2.0 must be in"),
    ],
)
def test_a_bad_flag_is_named_and_nothing_done(data, tmp_path, flag, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        build_shards.main([*data.flags(), f"--output_dir={tmp_path / 'out'}", flag])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_sees_missing_photographs(data, tmp_path, capsys):
    flags = [*data.flags(), f"--output_dir={tmp_path / 'out'}", *SHARDS, "--dry_run", "--max_skipped_fraction=0.1"]
    data.photograph(103).unlink()
    build_shards.main(flags)
    assert "train: 11 photographs, 55 captions" in (planned := capsys.readouterr().out)
    assert "left out: 1 missing_photograph, 2 no_split" in planned
    data.photograph(104).unlink()
    with pytest.raises(
        RuntimeError, match=r"^2 of the 19 photographs in a split cannot be used \(2 missing_photograph"
    ):
        build_shards.main(flags)
    assert not (tmp_path / "out").exists()


def test_warnings_and_the_share_of_unknown_words_are_printed(data, tmp_path, capsys):
    data.photograph(302).write_bytes(data.photograph(105).read_bytes())
    build_shards.main([*data.flags(), f"--output_dir={tmp_path / 'out'}", *SHARDS])
    printed = capsys.readouterr().out
    assert "\nwarning: 1 photograph(s) stand in two splits under two names" in printed
    words = [w for n in tiny_flickr8k.NUMBERS["test"] for c in tiny_flickr8k.captions_of(n) for w in c.lower().split()]
    known = ShardFolder.open(str(tmp_path / "out")).read_vocabulary().words
    share = sum(word not in known for word in words) / len(words)
    assert f"test: 4 photographs, 20 captions, {share:.2%} of the words <UNK>" in printed


def test_a_missing_source_is_an_error_that_names_the_choice(capsys):
    with pytest.raises(SystemExit, match="2"):
        build_shards.main(["--output_dir=x"])
    assert "flickr8k" in capsys.readouterr().err


def test_help_names_the_flags_of_the_source_and_the_common_ones(capsys):
    with pytest.raises(SystemExit, match="0"):
        build_shards.main(["flickr8k", "--help"])
    shown = capsys.readouterr().out
    for flag in ("--images_dir", "--text_dir", "--output_dir", "--layout", "--verify", "--num_workers", "--dry_run"):
        assert flag in shown


def test_a_user_error_is_one_line_and_status_1(data, tmp_path):
    (data.text_dir / "Flickr_8k.testImages.txt").unlink()
    done = command(*data.flags(), f"--output_dir={tmp_path / 'out'}", *SHARDS)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No file ")
    assert "Flickr_8k.testImages.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_flags_are_checked_without_tensorflow():
    code = "import sys, data_prep.build_shards; sys.exit('tensorflow' in sys.modules or 'nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def heed_ctrl_c() -> None:
    """In the child: a suite that runs in the background may ignore the signal, and would hand that down."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_a_folder_that_can_be_continued_and_no_process(data, tmp_path):
    output = tmp_path / "shards"
    Image.new("RGB", (8_500, 8_500)).save(data.photograph(103), "PNG")  # Seconds of work for whoever writes it anew.
    flags = [*data.flags(), f"--output_dir={output}", *SHARDS, "--num_workers=2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "data_prep.build_shards", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )
    while not list(output.glob(".tmp-*")):  # Until a worker writes a shard.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
            raise AssertionError(process.communicate())
    os.killpg(process.pid, signal.SIGINT)  # As a terminal does: to the workers as well.
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Interrupted" in err
    assert not any(name.startswith(".tmp-") for name in os.listdir(output))
    data.photograph(103).write_bytes(tiny_flickr8k.jpeg(103))
    build_shards.main(flags)
    assert ShardFolder.open(str(output)).manifest.splits["train"].images == 12
