import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from data_prep import build_mscoco_data
from im2txt.shards.shard_folder import ShardFolder
from im2txt.shards.shard_reader import take_apart
from im2txt.shards.tfrecords import read_records

ROOT = pathlib.Path(__file__).parent.parent


def write_split(folder, name, ids):
    (folder / name).mkdir()
    images, annotations = [], []
    for image_id in ids:
        file_name = f"COCO_{name}_{image_id:012d}.jpg"
        pixels = np.full((8, 8, 3), image_id % 256, np.uint8)
        Image.fromarray(pixels).save(folder / name / file_name)
        images.append({"id": image_id, "file_name": file_name})
        for caption in (f"A dog number {image_id} runs.", "A dog runs; a cat sits!"):
            annotations.append({"id": len(annotations), "image_id": image_id, "caption": caption})
    path = folder / f"captions_{name}.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations[::-1]}))
    return str(path)


@pytest.fixture
def flags(tmp_path):
    return {
        "train_captions_file": write_split(tmp_path, "train2014", [7, 3]),
        "val_captions_file": write_split(tmp_path, "val2014", range(100, 120)),
        "train_image_dir": str(tmp_path / "train2014"),
        "val_image_dir": str(tmp_path / "val2014"),
        "output_dir": str(tmp_path / "out"),
        "train_shards": 2,
        "val_shards": 1,
        "test_shards": 1,
        "num_threads": 1,
    }


def run(flags, **more):
    build_mscoco_data.main([f"--{name}={value}" for name, value in (flags | more).items()])


def test_the_originals_command_gives_the_originals_records(flags, tmp_path):
    copy = tmp_path / "vocabulary" / "counts.txt"
    run(flags, word_counts_output_file=copy)
    out = tmp_path / "out"
    assert ShardFolder.open(str(out)).manifest.layout == "pair"
    # int(0.85 * 20) = 17 photographs of val2014 join the 2 of train2014, int(0.9 * 20) - 17 = 1 is for val.
    expected = {"train": {3, 7, *range(100, 117)}, "val": {117}, "test": {118, 119}}
    counts = dict(line.split() for line in (out / "word_counts.txt").read_text().split("\n"))
    word_ids = {word: word_id for word_id, word in enumerate(counts)}
    assert counts["<S>"] == counts["</S>"] == "38"
    assert counts["a"] == "57"
    assert "118" not in counts
    for split, ids in expected.items():
        shards = sorted(out.glob(f"{split}-?????-of-0000{flags[f'{split}_shards']}"))
        assert len(shards) == flags[f"{split}_shards"]
        pairs = []
        for shard in shards:
            for record in read_records(shard.read_bytes()):
                example = take_apart(record, "pair")
                (words,), (caption_ids,) = example.captions, example.caption_ids
                pairs.append((example.image_id, " ".join(words)))
                assert list(caption_ids) == [word_ids.get(word, len(word_ids)) for word in words]
                (photograph,) = tmp_path.glob(f"*2014/*_{example.image_id:012d}.jpg")
                assert example.encoded_image == photograph.read_bytes()
        first = [(image_id, f"<S> a dog number {image_id} runs . </S>") for image_id in ids]
        second = [(image_id, "<S> a dog runs ; a cat sits ! </S>") for image_id in ids]
        assert sorted(pairs) == sorted(first + second)
    assert copy.read_text() == (out / "word_counts.txt").read_text()


@pytest.mark.parametrize("flag", ["start_word=<START>", "end_word=.", "unknown_word=UNK"])
def test_other_special_words_are_refused_with_the_reason(flags, flag, capsys):
    with pytest.raises(SystemExit) as error:
        run(flags | dict([flag.split("=")]))
    assert error.value.code == 2
    message = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"--{flag} cannot be honoured: training and captioning find the special words" in message


def test_a_missing_captions_file_ends_in_one_line(flags):
    command = [sys.executable, "-m", "data_prep.build_mscoco_data"]
    command += [f"--{name}={value}" for name, value in (flags | {"val_captions_file": "nowhere.json"}).items()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().split("\n")[-1] == "error: No file 'nowhere.json'."
    assert "Traceback" not in done.stderr
