"""A run keeps the encoder that it was started with."""

import os
import re
import shutil

import keras
import pytest

from im2txt.configuration import EncoderConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints
from im2txt.runs.frozen_encoder import keep_encoder, keep_feature_encoder


def encoder(seed=1):
    keras.utils.set_random_seed(seed)
    return ImageEncoder(EncoderConfig(backbone="SmallCNN", weights="none", image_size=16))


def kept(workdir):
    result = encoder(99)
    checkpoints.read_variables(str(workdir / "encoder" / "weights"), result.variables)
    return result.fingerprint()


def test_it_is_kept_at_the_start_and_may_lie_elsewhere_afterwards(tmp_path):
    keep_encoder(str(tmp_path), encoder(), "/weights/a.h5")
    assert kept(tmp_path) == encoder().fingerprint()
    keep_encoder(str(tmp_path), encoder(), "/moved/b.h5")  # The same weights by another name.


@pytest.mark.parametrize("weights", ["/weights/a.h5", "imagenet"])
def test_other_weights_are_refused_and_the_run_s_stay(tmp_path, weights):
    keep_encoder(str(tmp_path), encoder(), weights)
    told = f"encoder.weights={weights!r} is not the encoder that the run in {tmp_path} was started with: its weights di"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        keep_encoder(str(tmp_path), encoder(2), weights)
    assert kept(tmp_path) == encoder().fingerprint()


def test_random_weights_are_the_run_s_wherever_it_goes_on(tmp_path):
    keep_encoder(str(tmp_path), encoder(), "none")
    elsewhere = encoder(2)
    keep_encoder(str(tmp_path), elsewhere, "none")
    assert elsewhere.fingerprint() == encoder().fingerprint()


@pytest.fixture
def features(tmp_path):
    """What a folder of features holds of its encoder."""
    folder = tmp_path / "features"
    checkpoints.write_variables(str(folder / "encoder"), encoder().variables)
    return folder


def test_the_encoder_of_features_is_kept_and_compared(features, tmp_path):
    workdir = tmp_path / "run"
    keep_feature_encoder(str(workdir), str(features))
    assert kept(workdir) == encoder().fingerprint()
    shutil.move(features, tmp_path / "moved")
    keep_feature_encoder(str(workdir), f"{tmp_path}/moved/")
    checkpoints.write_variables(str(tmp_path / "moved" / "encoder"), encoder(2).variables)
    with pytest.raises(
        ValueError, match=rf"moved/encoder\.\S+ is not the encoder that the run in {workdir} was started"
    ):
        keep_feature_encoder(str(workdir), f"{tmp_path}/moved/")
    assert kept(workdir) == encoder().fingerprint()


def test_a_kept_encoder_that_was_cut_short_before_its_index_is_copied_again(features, tmp_path):
    workdir = tmp_path / "run"
    keep_feature_encoder(str(workdir), str(features))
    os.remove(workdir / "encoder" / "weights.index")
    os.truncate(workdir / "encoder" / "weights.data-00000-of-00001", 10)
    keep_feature_encoder(str(workdir), str(features))
    assert kept(workdir) == encoder().fingerprint()


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_features_without_their_encoder_are_refused(features, tmp_path, suffix):
    (features / f"encoder{suffix}").unlink()
    with pytest.raises(FileNotFoundError, match=rf"No {features}/encoder{re.escape(suffix)}: .*cache_features"):
        keep_feature_encoder(str(tmp_path / "run"), str(features))
