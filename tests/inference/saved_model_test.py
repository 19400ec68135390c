"""The exported model against the generator it was made of, in a process that has neither Keras nor this project."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import random_run
from fakes import VOCABULARY, jpeg

from im2txt.decoding.caption_generator import CaptionGenerator
from im2txt.images.preprocessing import ImageFormat, prepare_image
from im2txt.inference.saved_model import export_run, write_saved_model

SIZE, CROP = 32, 0.9
LOADER = """
import json, sys
sys.modules["keras"] = None  # As if it were not installed.
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
encoded = [open(path, "rb").read() for path in sys.argv[2:]]
result = model.signatures["serving_default"](encoded_images=tf.constant(encoded))
assert not any(name.split(".")[0] in ("im2txt", "data_prep") for name in sys.modules)
print(json.dumps({name: value.numpy().tolist() for name, value in result.items() if name != "captions"}))
print(json.dumps([[caption.decode() for caption in row] for row in result["captions"].numpy()]))
"""


@pytest.fixture(scope="module")
def run():
    return random_run(image_size=SIZE, crop_fraction=CROP)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(6):
        (folder / f"{i}.jpg").write_bytes(jpeg(i))
    (folder / "png.png").write_bytes(
        tf.io.encode_png(tf.cast(np.arange(40 * 30 * 3).reshape(40, 30, 3) % 251, tf.uint8)).numpy()
    )
    return sorted(str(path) for path in folder.iterdir())


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("export") / "captioner")
    write_saved_model(run, folder, "a run")
    return folder


@pytest.fixture(scope="module")
def expected(run, files):
    images = tf.stack([prepare_image(tf.io.read_file(path), ImageFormat(SIZE, CROP)) for path in files])
    return CaptionGenerator(run.captioner, VOCABULARY, "treebank", run.config.decoding)({"images": images})


def test_a_process_with_tensorflow_alone_writes_the_same_captions(exported, files, expected, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", LOADER, exported, *files],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    numbers, captions = map(json.loads, done.stdout.splitlines())
    assert [row[: len(of_image)] for row, of_image in zip(captions, expected, strict=True)] == [
        [candidate.caption for candidate in of_image] for of_image in expected
    ]
    assert len({row[0] for row in captions}) > 2
    found = [[c.log_prob for c in of_image] for of_image in expected]
    np.testing.assert_allclose(
        [r[: len(f)] for r, f in zip(numbers["log_probs"], found, strict=True)], found, rtol=1e-5
    )
    assert all(
        VOCABULARY.decode(ids[0]) == of[0].words.split() for ids, of in zip(numbers["word_ids"], expected, strict=True)
    )


def test_pixels_of_another_size_get_the_captions_of_their_file(exported, files, expected):
    model = tf.saved_model.load(exported)
    for path, of_image in zip(files, expected, strict=True):
        pixels = tf.image.convert_image_dtype(tf.io.decode_image(tf.io.read_file(path), channels=3), tf.float32)
        result = model.signatures["from_images"](images=pixels[tf.newaxis])
        assert result["captions"][0, 0].numpy().decode() == of_image[0].caption


@pytest.mark.parametrize(
    "decoding",
    [
        {"method": "diverse_beam", "beam_size": 4, "beam_groups": 2, "diversity_strength": 2.0},
        {"method": "sample", "beam_size": 4, "top_k": 4, "no_repeat_ngram_size": 1, "min_caption_length": 4},
    ],
)
def test_every_method_is_exported(run, files, tmp_path, decoding):
    changed = dataclasses.replace(run.config.decoding, **decoding)
    images = tf.stack([prepare_image(tf.io.read_file(path), ImageFormat(SIZE, CROP)) for path in files])
    expected = CaptionGenerator(run.captioner, VOCABULARY, "treebank", changed)({"images": images})
    write_saved_model(
        dataclasses.replace(run, config=dataclasses.replace(run.config, decoding=changed)),
        str(tmp_path / "captioner"),
        "a run",
    )
    model = tf.saved_model.load(str(tmp_path / "captioner"))
    encoded = tf.constant([tf.io.read_file(path).numpy() for path in files])
    found = model.signatures["serving_default"](encoded_images=encoded)["captions"].numpy()
    for row, of_image in zip(found, expected, strict=True):
        assert [caption.decode() for caption in row[: len(of_image)]] == [c.caption for c in of_image]
    beam = CaptionGenerator(
        run.captioner, VOCABULARY, "treebank", dataclasses.replace(run.config.decoding, beam_size=4)
    )
    assert [[c.caption for c in of_image] for of_image in beam({"images": images})] != [
        [c.caption for c in of_image] for of_image in expected
    ]


def test_vocabulary_and_card_lie_beside_the_model(exported):
    with open(os.path.join(exported, "word_counts.txt"), encoding="utf-8") as file:
        assert file.read() == VOCABULARY.to_text()
    with open(os.path.join(exported, "model_card.md"), encoding="utf-8") as file:
        card = file.read()
    assert "run `a run`, step 17" in card
    assert "SmallCNN, frozen, weights none" in card
    assert "beam 2, at most 7 words" in card


def test_a_folder_that_is_there_is_refused_before_the_run_is_loaded(tmp_path):
    with pytest.raises(ValueError, match="is there already"):
        export_run(str(tmp_path / "no run"), str(tmp_path), {})


def test_nothing_is_left_where_saving_fails(run, tmp_path, monkeypatch):
    def save(module, path, signatures):
        os.makedirs(path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OSError, match="No space left"):
        write_saved_model(run, str(tmp_path / "captioner"), "a run")
    assert list(tmp_path.iterdir()) == []
