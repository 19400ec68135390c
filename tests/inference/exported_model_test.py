"""The exported model in two steps, and folders that are none or half of one."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import random_run
from fakes import VOCABULARY, jpeg

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.inference.exported_folder import check_exported_folder, read_vocabulary
from im2txt.inference.exported_model import ExportedModel
from im2txt.inference.saved_model import write_saved_model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("export") / "captioner")
    write_saved_model(random_run(image_size=32, crop_fraction=0.9), folder, "a run")
    return folder


@pytest.fixture
def broken(exported, tmp_path):
    """A copy, to be damaged."""
    return shutil.copytree(exported, tmp_path / "copy")


def test_two_steps_give_what_the_one_signature_gives(exported):
    files = [jpeg(seed, size) for seed, size in enumerate([(32, 24), (400, 50), (1, 1), (32, 32)])]
    expected = tf.saved_model.load(exported).signatures["serving_default"](encoded_images=tf.constant(files))
    model = ExportedModel(exported)
    assert model.image_shape == (32, 32, 3)
    found = model.caption(np.stack([model.prepare(file) for file in files]))
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found["captions"], expected["captions"])
    np.testing.assert_allclose(found["log_probs"], expected["log_probs"], rtol=1e-5)
    assert read_vocabulary(exported).words == VOCABULARY.words


def test_what_the_decoder_refuses_is_an_unusable_photograph(exported):
    with pytest.raises(UnusablePhotographError, match="^damaged: the decoder refuses its data$"):
        ExportedModel(exported).prepare(jpeg(0)[:200])


@pytest.mark.parametrize("missing", ["saved_model.pb", "variables/variables.index", "word_counts.txt"])
def test_a_half_copied_folder_is_named_with_what_is_missing(broken, missing):
    (broken / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"copy is no exported model, or half of one: {missing} missing"):
        check_exported_folder(str(broken))


def test_a_folder_that_is_not_there_or_a_file_is_named(broken):
    with pytest.raises(FileNotFoundError, match="nothing is not there; name the folder that `python -m im2txt.export`"):
        check_exported_folder(str(broken / "nothing"))
    with pytest.raises(FileNotFoundError, match="saved_model.pb is a file; name the folder"):
        check_exported_folder(str(broken / "saved_model.pb"))


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "variables/variables.data-*"])
@pytest.mark.parametrize("harm", ["cut", "emptied", "gone"])
def test_a_damaged_file_is_an_error_that_names_the_folder(broken, name, harm):
    (path,) = broken.glob(name)
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if harm == "cut" else b"")
    with pytest.raises(
        (RuntimeError, FileNotFoundError), match="copy (cannot be loaded, it is damaged|is no exported)"
    ):
        ExportedModel(str(broken))


def test_words_that_are_not_the_models_are_refused(broken):
    path = broken / "word_counts.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(RuntimeError, match="copy/word_counts.txt is changed or cut: its words are not the model's"):
        ExportedModel(str(broken))


def test_a_saved_model_of_something_else_is_refused(broken):
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    tf.saved_model.save(module, str(broken))
    with pytest.raises(
        RuntimeError, match="has no signature prepare_images or from_prepared_images: this im2txt.export"
    ):
        ExportedModel(str(broken))
