"""Grid features from photographs and shards to captions: a decoder that flattens them is Show and Tell on `flatten`."""

import json

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import random_run, write_run
from fakes import jpeg, write_dataset

from data_prep.features.feature_shards import cache_features
from im2txt.engines.local_engine import LocalEngine
from im2txt.inference.caption_evaluation import Extras
from im2txt.inference.caption_model import Model
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.saved_model import export_run
from im2txt.inference.scoring import score_run
from im2txt.model.decoders import registry
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder

NUM_PHOTOGRAPHS = 5


class FlatteningDecoder(ShowAndTellDecoder):
    """Takes a grid [B, P, C] and looks at [B, P * C]."""

    feature_ranks = (2,)

    def __init__(self, config, vocab_size, feature_shape, *others):
        super().__init__(config, vocab_size, (int(np.prod(feature_shape)),), *others)

    def start(self, features, num_steps):
        return super().start(self._flat(features), num_steps)

    def unroll(self, features, input_ids, dropout_seed=None):
        return super().unroll(self._flat(features), input_ids, dropout_seed)

    def _flat(self, features):
        return tf.reshape(features, [len(features), -1])


@pytest.fixture
def flat_run():
    """The run on vectors; the one on grids below has the same weights."""
    return random_run(pooling="flatten")


def test_captions_of_grids_are_those_of_their_places_in_a_row(flat_run, tmp_path, monkeypatch):
    photographs = [jpeg(i) for i in range(NUM_PHOTOGRAPHS)]
    of_flat = PhotographCaptioner([flat_run], flat_run.config.decoding)(photographs)
    expected = [result.candidates[0].words for result in of_flat]
    assert len(set(expected)) > 1
    monkeypatch.setitem(registry.DECODERS, "show_and_tell", FlatteningDecoder)
    grid_run = random_run(pooling="grid")
    workdir = write_run(tmp_path / "run", grid_run)

    of_files = PhotographCaptioner.load(workdir)(photographs)
    assert [result.candidates[0].words for result in of_files] == expected

    data = write_dataset(tmp_path / "data", {"test": NUM_PHOTOGRAPHS}, (2,), shards_per_split=1)
    features = str(tmp_path / "features")
    encoder = cache_features(data.data_dir, features, grid_run.config.encoder, 4, seed=3).encoder
    assert encoder.feature_shape == (4, 128)
    model = Model((workdir,), (), batch_size=3, num_threads=0)
    score_run(model, "test", str(tmp_path / "scores"), features, LocalEngine(1), Extras())
    captions = json.loads((tmp_path / "scores" / "captions.json").read_text())
    assert {row["image_id"]: row["caption"] for row in captions} == dict(enumerate(expected))

    export_run(workdir, str(tmp_path / "exported"), {})
    signature = tf.saved_model.load(str(tmp_path / "exported")).signatures["serving_default"]
    log_probs = signature(encoded_images=tf.constant(photographs))["log_probs"][:, 0]
    np.testing.assert_allclose(log_probs, [result.candidates[0].log_prob for result in of_flat], rtol=1e-4)
