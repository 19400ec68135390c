"""The same photographs, told in every source's own form, must become the same shards."""

import json

import numpy as np
import pytest
from PIL import Image

from data_prep import build_shards

SPLITS = {"train": [11, 12, 13], "val": [24], "test": [35]}
NAMES = {number: f"{number}_ab.jpg" for numbers in SPLITS.values() for number in numbers}
CAPTIONS = {number: [f"A dog, number {number}, runs .", 'It is a "big" dog | cat .'] for number in NAMES}


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    """A folder with the photographs and every form of their captions."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "photos").mkdir()
    for number, name in NAMES.items():
        Image.fromarray(np.full((6, 6, 3), number * 5, np.uint8)).save(folder / "photos" / name)
        (folder / "photos" / f"{number}_ab.txt").write_text("\n".join(CAPTIONS[number]))
    rows = [(n, NAMES[n], k, caption) for n in NAMES for k, caption in enumerate(CAPTIONS[n])]
    split_of = {n: split for split, numbers in SPLITS.items() for n in numbers}
    (folder / "splits.tsv").write_text("".join(f"{split_of[n]}\t{NAMES[n]}\n" for n in NAMES))
    for split, part in {"train": "train", "val": "dev", "test": "test"}.items():
        (folder / f"Flickr_8k.{part}Images.txt").write_text("".join(f"{NAMES[n]}\n" for n in SPLITS[split]))
    (folder / "Flickr8k.token.txt").write_text("".join(f"{name}#{k}\t{c}\n" for _, name, k, c in rows))
    bars = "".join(f"{name}| {k}| {c}\n" for _, name, k, c in rows)
    (folder / "results.csv").write_text("image_name| comment_number| comment\n" + bars)
    quoted = "".join(f'{n},{name},"{c.replace(chr(34), chr(34) * 2)}",{split_of[n]}\n' for n, name, _, c in rows)
    (folder / "table.csv").write_text("number,image,caption,split\n" + quoted)
    lines = [{"number": n, "file": NAMES[n], "texts": CAPTIONS[n], "split": split_of[n]} for n in NAMES]
    (folder / "table.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for split, numbers in SPLITS.items():
        images = [{"id": n, "file_name": NAMES[n]} for n in numbers]
        annotations = [{"image_id": n, "caption": c} for n in numbers for c in CAPTIONS[n]]
        (folder / f"{split}.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    images = [
        {"filename": NAMES[n], "split": split_of[n], "sentences": [{"raw": c} for c in CAPTIONS[n]]} for n in NAMES
    ]
    (folder / "dataset.json").write_text(json.dumps({"dataset": "flickr8k", "images": images}))
    images = [{"file_path": NAMES[n], "captions": CAPTIONS[n], "id": n, "split": split_of[n]} for n in NAMES]
    (folder / "neuraltalk2.json").write_text(json.dumps(images))
    described = "".join(f"{name.removesuffix('.jpg')} {c}\n" for _, name, _, c in rows)
    (folder / "descriptions.txt").write_text(described)
    return folder


SOURCES = {
    "flickr8k": ["flickr8k", "--text_dir={}"],
    "token": ["flickr30k", "--captions_file={}/Flickr8k.token.txt", "--split_by=file", "--split_file={}/splits.tsv"],
    "bars": ["flickr30k", "--captions_file={}/results.csv", "--split_by=file", "--split_file={}/splits.tsv"],
    "csv": ["table", "--table_file={}/table.csv", "--split_column=split", "--id_column=number"],
    "jsonl": [
        "table",
        "--table_file={}/table.jsonl",
        "--path_column=file",
        "--caption_columns",
        "texts",
        "--split_column=split",
        "--id_column=number",
    ],
    "karpathy": ["karpathy", "--dataset_file={}/dataset.json"],
    "neuraltalk2": ["neuraltalk2", "--input_json={}/neuraltalk2.json"],
    "descriptions": ["descriptions", "--descriptions_file={}/descriptions.txt", "--lists_dir={}"],
    "coco": [
        "coco",
        *(f"--{split}_captions_file={{}}/{split}.json" for split in SPLITS),
        *(f"--{split}_images_dir={{}}/photos" for split in SPLITS),
    ],
}


def build(forms, source, output_dir):
    flags = [flag.format(forms) for flag in source]
    if source[0] != "coco":
        flags.append(f"--images_dir={forms}/photos")
    build_shards.main([*flags, f"--output_dir={output_dir}", "--min_word_count=1", "--num_workers=1"])
    names = sorted(path.name for path in output_dir.iterdir() if path.name != "source.json")
    files = {name: (output_dir / name).read_bytes() for name in names}
    manifest = json.loads(files["manifest.json"])
    manifest["options"] = manifest["options"]["plan_sha256"]  # The rest is how each was asked for.
    return files | {"manifest.json": manifest}


def test_every_form_gives_the_same_shards(forms, tmp_path):
    built = {name: build(forms, source, tmp_path / name) for name, source in SOURCES.items()}
    expected = built["csv"]
    assert [name for name in expected if "-of-" in name] == [f"{s}-00000-of-00001" for s in ("test", "train", "val")]
    assert json.loads(expected["captions_val.json"])["images"] == [{"id": 24, "file_name": "24_ab.jpg"}]
    for name, files in built.items():
        assert files == expected, name


def test_a_folder_is_divided_by_hash(forms, tmp_path, capsys):
    files = build(forms, ["folder", "--split_by=hash", "--val_fraction=0", "--test_fraction=0"], tmp_path / "out")
    assert "train: 5 photographs, 10 captions" in capsys.readouterr().out
    images = json.loads(files["captions_train.json"])["images"]
    assert [image["file_name"] for image in images] == sorted(NAMES.values())
