"""Runs as a function: every kind of photograph, errors in their places, and the mean of several runs."""

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import random_run, write_run
from fakes import jpeg

from im2txt.decoding.caption_generator import CaptionGenerator
from im2txt.images.preprocessing import ImageFormat, prepare_image
from im2txt.inference.photograph_captioner import PhotographCaptioner


@pytest.fixture(scope="module")
def runs():
    """Two runs whose encoders and decoders differ in size."""
    return [random_run(seed=3), random_run(seed=4, image_size=48, crop_fraction=1.0, num_lstm_units=6)]


@pytest.fixture(scope="module")
def workdirs(runs, tmp_path_factory):
    return [write_run(tmp_path_factory.mktemp("run"), run) for run in runs]


def captions(results):
    return [[candidate.words for candidate in result.candidates] for result in results]


def test_paths_bytes_and_pixels_get_the_same_captions(runs, workdirs, tmp_path):
    path = tmp_path / "a cat, asleep.jpg"
    path.write_bytes(jpeg(1))
    pixels = tf.io.decode_image(jpeg(1), channels=3).numpy()
    photographs = [str(path), path, jpeg(1), pixels, (pixels / 255).astype(np.float32)]
    results = PhotographCaptioner.load(workdirs[0])(photographs)
    images = tf.stack([prepare_image(tf.constant(jpeg(1)), ImageFormat(32, 0.9))] * 5)
    run = runs[0]
    expected = CaptionGenerator(run.captioner, run.vocabulary, "treebank", run.config.decoding)({"images": images})
    assert captions(results) == [[candidate.words for candidate in of_image] for of_image in expected]


def test_a_bad_photograph_has_an_error_and_the_others_their_captions(workdirs):
    captioner = PhotographCaptioner.load(workdirs[0], beam_size=1)
    results = captioner([b"no image", jpeg(1), "/not/there.jpg", np.zeros((3, 3)), jpeg(2)])
    reasons = [result.error.partition(":")[0] for result in results]
    assert reasons == ["not_an_image", "", "missing_photograph", "not_an_image", ""]
    assert [len(result.candidates) for result in results] == [0, 1, 0, 0, 1]
    assert captions(results)[1::3] == captions(captioner([jpeg(1), jpeg(2)]))
    assert captioner([b"no image"])[0].error
    with pytest.raises(TypeError, match=r"a list of them is wanted: captioner\(\[photograph\]\)"):
        captioner("cat.jpg")
    with pytest.raises(TypeError, match="A photograph is a path, bytes, or an array of pixels, not NoneType"):
        captioner([None])
    assert captioner([]) == []


def test_several_runs_speak_with_the_mean_of_their_probabilities(runs, workdirs):
    (result,) = PhotographCaptioner.load(*workdirs, beam_size=1)([jpeg(5)])
    (candidate,) = result.candidates
    # Word by word, from each run's own step function.
    word_ids = runs[0].vocabulary.encode(candidate.words.split())
    if not candidate.is_complete:
        word_ids = word_ids[:-1]
    states, steps = [], []
    for run, size, crop_fraction in ((runs[0], 32, 0.9), (runs[1], 48, 1.0)):
        image = prepare_image(tf.constant(jpeg(5)), ImageFormat(size, crop_fraction))[tf.newaxis]
        state, step = run.captioner.start({"images": image}, 20)
        states.append(state)
        steps.append(step)
    for position, word_id in enumerate(word_ids[:-1]):
        probs = []
        for index, step in enumerate(steps):
            log_probs, states[index] = step(tf.constant([word_id]), states[index])
            probs.append(np.exp(log_probs[0].numpy().astype(np.float64)))
        mean = np.mean(probs, axis=0)
        assert np.isclose(candidate.word_log_probs[position], np.log(mean[word_ids[position + 1]]), atol=1e-4)
        allowed = np.delete(np.arange(len(mean)), [runs[0].vocabulary.start_id, runs[0].vocabulary.unknown_id])
        assert mean[word_ids[position + 1]] == mean[allowed].max()
    assert result != PhotographCaptioner.load(workdirs[0], beam_size=1)([jpeg(5)])[0]


def test_runs_of_two_vocabularies_are_not_averaged(workdirs, runs, tmp_path):
    other = write_run(tmp_path, runs[0])
    words = (tmp_path / "word_counts.txt").read_text()
    (tmp_path / "word_counts.txt").write_text(words.replace("cat", "bird"))  # As many, so that the weights fit.
    with pytest.raises(ValueError, match="only models of one vocabulary can be averaged"):
        PhotographCaptioner.load(workdirs[0], other)


def test_no_run_is_refused():
    with pytest.raises(ValueError, match="No run was named"):
        PhotographCaptioner.load()


def test_a_checkpoint_is_searched_as_asked(workdirs):
    (result,) = PhotographCaptioner.load_checkpoint(workdirs[0], beam_size=2, max_caption_length=3)([jpeg(1)])
    assert len(result.candidates) == 2
    assert all(len(candidate.words.split()) <= 2 for candidate in result.candidates)


def test_samples_are_drawn_by_the_ids_given_and_else_by_the_positions(workdirs):
    captioner = PhotographCaptioner.load(workdirs[0], method="sample", temperature=3.0)
    by_position = captions(captioner([jpeg(1)] * 2))
    assert by_position[0] != by_position[1]
    assert captions(captioner([jpeg(1)] * 2, image_ids=[1, 0])) == by_position[::-1]
