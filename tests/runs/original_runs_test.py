"""Imported models against the graph of TensorFlow 1 that wrote them: the same numbers and the same captions.

IM2TXT_PARITY_IMAGES=200 sends that many photographs through both whole networks; by default few are, because they take
long, and the searches of many start from features.
"""

import dataclasses
import io
import json
import math
import os
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf
from fakes import write_dataset
from PIL import Image
from tensorflow1_im2txt import OriginalIm2txt

from im2txt import run_inference
from im2txt.configuration import ExperimentConfig, OptimizationConfig, ShowAndTellConfig
from im2txt.decoding.caption_generator import CaptionGenerator
from im2txt.engines.local_engine import LocalEngine
from im2txt.images.preprocessing import prepare_image
from im2txt.inference.caption_evaluation import Extras
from im2txt.inference.caption_model import Model
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.photographs import caption_photographs
from im2txt.inference.scoring import score_run
from im2txt.runs import run_folder
from im2txt.runs.original_runs import export_original_checkpoint, import_original_run
from im2txt.shards.manifest import write_manifest
from im2txt.training.training_run import train

NUM_PHOTOGRAPHS = int(os.environ.get("IM2TXT_PARITY_IMAGES", "12"))
NUM_FEATURES = 240
START_ID, END_ID = 2, 1  # In either order in the files that are about.
NUM_WORDS, NUM_ROWS, EMBEDDING_SIZE, NUM_UNITS = 200, 203, 24, 32


def photograph(seed):
    """JPEG bytes of random colours on random grids, of random size."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*rng.integers(1, 12, 2), 3), dtype=np.uint8)
    stream = io.BytesIO()
    size = tuple(int(side) for side in rng.integers(60, 500, 2))
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def vocabulary_text(num_words=NUM_WORDS):
    """As a build under Python 3 wrote it: literals of bytes; with a blank line; `<UNK>` is not in the file."""
    words = ["a", "</S>", "<S>", "cat", "dog", "red", "runs", *(f"word{i}" for i in range(7, num_words - 1))]
    return "\n".join(f"{word.encode()!r} {1000 - i}" for i, word in enumerate(words)) + "\n\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The original with random weights, its checkpoint (V1), the run imported from it, and photographs on disk."""
    folder = tmp_path_factory.mktemp("original")
    original = OriginalIm2txt(NUM_ROWS, EMBEDDING_SIZE, NUM_UNITS, END_ID)
    encoded = [photograph(seed) for seed in range(NUM_PHOTOGRAPHS)]
    features = np.concatenate([original.run(original.features, {original.encoded_image: data}) for data in encoded])
    original.vary(features, end_bias=-0.5)
    checkpoint = original.save(folder / "model.ckpt-2000000", tf.compat.v1.train.SaverDef.V1)
    vocab_file = folder / "word_counts.txt"
    vocab_file.write_text(vocabulary_text())
    workdir = str(folder / "run")
    imported = import_original_run(checkpoint, str(vocab_file), workdir)
    paths = []
    for index, data in enumerate(encoded):
        paths.append(str(folder / f"{index}.jpg"))
        (folder / f"{index}.jpg").write_bytes(data)
    return types.SimpleNamespace(
        original=original,
        features=features,
        encoded=encoded,
        paths=paths,
        checkpoint=checkpoint,
        vocab_file=str(vocab_file),
        workdir=workdir,
        imported=imported,
        run=run_folder.load_run(workdir),
    )


def search_all(original, features):
    states = original.run(original.initial_state, {original.features: features})
    return [original.search(state[None], START_ID) for state in states]


def assert_same_captions(found, expected, vocabulary):
    """Word for word, with log probabilities (of up to 57 nats) within 1e-4 and 1e-5 of them; returns how many best
    captions differ from each other."""
    largest = 0.0
    for of_image, theirs in zip(found, expected, strict=True):
        sentences = [" ".join(vocabulary.decode(words)) for words, *_ in theirs]
        assert [candidate.words for candidate in of_image] == sentences
        assert [candidate.is_complete for candidate in of_image] == [is_complete for *_, is_complete in theirs]
        log_probs = [candidate.log_prob for candidate in of_image]
        wanted = [log_prob for _, log_prob, _ in theirs]
        np.testing.assert_allclose(log_probs, wanted, rtol=1e-5, atol=1e-4)
        largest = max(largest, np.abs(np.subtract(log_probs, wanted)).max())
    best = [theirs[0][0] for theirs in expected]
    lengths = [len(words) for words in best]
    print(
        f"{len(best)} images, {len(set(best))} distinct captions of {min(lengths)} to {max(lengths)} words, log "
        f"probabilities from {min(s[1] for found in expected for s in found):.1f}, differing by at most {largest:.1e}"
    )
    return len(set(best))


def test_the_import_tells_what_it_found(world):
    found = world.imported
    assert (found.step, found.num_words, found.vocab_size) == (2_000_000, NUM_WORDS, NUM_ROWS)
    assert (found.embedding_size, found.num_lstm_units) == (EMBEDDING_SIZE, NUM_UNITS)
    assert world.run.step == 2_000_000
    assert (world.run.vocabulary.start_id, world.run.vocabulary.end_id) == (START_ID, END_ID)


def test_pixels_embeddings_and_initial_states_agree(world):
    original, captioner = world.original, world.run.captioner
    images = [prepare_image(tf.constant(data), world.run.image_format) for data in world.encoded]
    theirs = [original.run(original.image, {original.encoded_image: data}) for data in world.encoded]
    np.testing.assert_allclose(images, theirs, atol=1e-6)
    batches = [tf.stack(images[start : start + 8]) for start in range(0, len(images), 8)]
    features = np.concatenate([captioner.features({"images": batch}) for batch in batches])
    np.testing.assert_allclose(features, world.features, atol=1e-4)
    embeddings, states = original.run(
        [original.image_embedding, original.initial_state], {original.features: world.features}
    )
    kernel = captioner.decoder.variables["image_embedding/kernel"]
    np.testing.assert_allclose(tf.matmul(features, kernel), embeddings, atol=1e-4)
    (h, c), _ = captioner.start({"features": tf.constant(features)}, 19)
    np.testing.assert_allclose(tf.concat([c, h], 1), states, atol=1e-4)


def random_features(world):
    """Features as different from each other as those of photographs."""
    noise = np.random.default_rng(0).normal(size=(NUM_FEATURES, 2048))
    return np.abs(world.features.mean(0) + noise * world.features.std(0)).astype(np.float32)


def test_the_softmax_of_every_step_agrees(world):
    original, captioner = world.original, world.run.captioner
    features = random_features(world)[:50]
    theirs = original.run(original.initial_state, {original.features: features})
    ours, step = captioner.start({"features": tf.constant(features)}, 19)
    words = np.full(len(features), START_ID)
    for _ in range(19):
        softmax, theirs = original.run(
            [original.softmax, original.state], {original.input_feed: words, original.state_feed: theirs}
        )
        log_probs, ours = step(tf.constant(words, tf.int32), ours)
        np.testing.assert_allclose(np.exp(log_probs), softmax, atol=1e-4)
        words = softmax.argmax(1)


def test_captions_from_features_are_the_original_s(world):
    features = random_features(world)
    generator = CaptionGenerator(
        world.run.captioner, world.run.vocabulary, world.run.tokenizer, world.run.config.decoding
    )
    expected = search_all(world.original, features)
    distinct = assert_same_captions(generator({"features": tf.constant(features)}), expected, world.run.vocabulary)
    assert distinct > 0.8 * NUM_FEATURES
    said = {word for found in expected for words, *_ in found for word in words[1:]}
    assert START_ID in said
    assert any(word >= NUM_WORDS for word in said)  # Rows to spare, which no vocabulary names.


def test_captions_of_photographs_are_the_original_s(world):
    captioner = PhotographCaptioner.load(world.workdir)
    found = [
        result.candidates
        for _, result in caption_photographs(captioner, zip(world.paths, world.paths, strict=True), 16)
    ]
    distinct = assert_same_captions(found, search_all(world.original, world.features), world.run.vocabulary)
    assert distinct > 0.8 * NUM_PHOTOGRAPHS


def test_the_original_s_command_line_captions_with_its_checkpoint(world, capsys):
    status = run_inference.main(
        [
            f"--checkpoint_path={os.path.dirname(world.checkpoint)}",  # The folder with the file `checkpoint`.
            f"--vocab_file={world.vocab_file}",
            f"--input_files={world.paths[0]},{os.path.dirname(world.paths[0])}/[1].jpg",
        ]
    )
    assert status == 0
    lines = iter(capsys.readouterr().out.splitlines())
    for index, captions in enumerate(search_all(world.original, world.features[:2])):
        assert next(lines) == f"Captions for image {index}.jpg:"
        for rank, (words, log_prob, _) in enumerate(captions):
            said, _, chance = next(lines).rpartition(" (p=")
            assert said == f"  {rank}) {' '.join(world.run.vocabulary.decode(words))}"
            assert float(chance.rstrip(")")) == pytest.approx(math.exp(log_prob), rel=2e-3)
    assert not list(lines)


def cached_features(folder, world):
    """Feature shards that look as if the run's encoder had made them."""
    dataset = write_dataset(folder, {"train": 4, "val": 2}, (2,), feature_size=2048, vocabulary=world.run.vocabulary)
    encoder = world.run.config.encoder
    entry = dataclasses.replace(
        dataset.manifest.encoder,
        backbone=encoder.backbone,
        weights=os.path.basename(encoder.weights),
        image_size=299,
        crop_fraction=encoder.crop_fraction,
        resize=encoder.resize,
    )
    write_manifest(dataset.data_dir, dataclasses.replace(dataset.manifest, encoder=entry))
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copyfile(f"{world.workdir}/encoder/weights{suffix}", f"{dataset.data_dir}/encoder{suffix}")
    return dataset.data_dir


def test_an_imported_run_is_scored_and_fine_tuned_like_any_other(world, tmp_path):
    data_dir, results = cached_features(tmp_path / "shards", world), str(tmp_path / "scores")
    model = Model((world.workdir,), (), batch_size=2, num_threads=0)
    with pytest.raises(ValueError, match="was trained on no shards of this project. Name some: --data_dir"):
        score_run(model, "val", results, "", LocalEngine(1), Extras())
    scores = score_run(model, "val", results, data_dir, LocalEngine(1), Extras())
    config = run_folder.read_run_config(world.workdir)
    config = dataclasses.replace(
        config,
        input=dataclasses.replace(config.input, data_dir=data_dir, batch_size=4, bucketing_batches=1),
        optimization=OptimizationConfig(learning_rate=1e-9, schedule="constant"),
        training=dataclasses.replace(config.training, start_from=world.workdir, num_epochs=0.5, sample_images=0),
    )
    train(config, str(tmp_path / "run"))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["perplexity"] == pytest.approx(scores["perplexity"], rel=1e-4)


def test_an_exported_run_is_the_original_s_checkpoint_again(world, tmp_path):
    path = str(tmp_path / "new" / "model.ckpt-2000000")
    assert export_original_checkpoint(world.workdir, path) == 2_000_000
    before = world.original.variables()
    assert len(before) == 383
    try:
        for name in ("lstm/basic_lstm_cell/kernel", "InceptionV3/Mixed_7c/Branch_3/Conv2d_0b_1x1/weights"):
            world.original.assign(name, np.zeros_like(before[name]))
        world.original.restore(path)
        for name, value in world.original.variables().items():
            np.testing.assert_allclose(value, before[name], atol=1e-7, err_msg=name)
    finally:
        world.original.restore(world.checkpoint)
    with pytest.raises(ValueError, match=r"index is there already"):
        export_original_checkpoint(world.workdir, path)


def test_a_run_that_the_original_cannot_hold_is_not_exported(tmp_path):
    config = ExperimentConfig(decoder=ShowAndTellConfig(image_input="every_step"))
    (tmp_path / "config.json").write_text(config.to_json())
    with pytest.raises(ValueError, match="decoder.image_input is 'every_step', not 'first'"):
        export_original_checkpoint(str(tmp_path), str(tmp_path / "model.ckpt"))
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def refused(folder, checkpoint, vocab_file):
    """The import's one line, after making sure that it left nothing."""
    workdir = folder / "parent" / "run"
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        import_original_run(str(checkpoint), str(vocab_file), str(workdir))
    assert not (folder / "parent").exists() or not list((folder / "parent").iterdir())
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_vocabulary_of_another_model_is_refused(world, tmp_path):
    vocab_file = tmp_path / "word_counts.txt"
    vocab_file.write_text(vocabulary_text(NUM_ROWS + 1))
    told = refused(tmp_path, world.checkpoint, vocab_file)
    assert f"has {NUM_ROWS + 1} words with <UNK>, and 'seq_embedding/map'" in told
    assert f"[{NUM_ROWS}, {EMBEDDING_SIZE}]: {NUM_ROWS} rows" in told
    vocab_file.write_text("a 3\ncat 2\n")
    assert "lacks '<S>'" in refused(tmp_path, world.checkpoint, vocab_file)
    assert "no text in UTF-8" in refused(tmp_path, world.checkpoint, world.checkpoint)
    assert "No vocabulary" in refused(tmp_path, world.checkpoint, tmp_path / "nothing.txt")


def test_a_checkpoint_cut_short_writes_nothing(world, tmp_path):
    short = tmp_path / "short.ckpt"
    with open(world.checkpoint, "rb") as file:
        short.write_bytes(file.read()[:10_000_000])
    assert "cut short" in refused(tmp_path, short, world.vocab_file)


def test_a_folder_in_use_is_refused(world, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ValueError, match="is there already. Name a new folder"):
        import_original_run(world.checkpoint, world.vocab_file, str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
