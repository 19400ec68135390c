"""Where an attending decoder looked, from the search to an evaluation's files and its page."""

import json

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import write_run
from fakes import VOCABULARY, jpeg, write_dataset

from im2txt.configuration import EncoderConfig, ExperimentConfig, InputConfig, SoftAttentionConfig, TransformerConfig
from im2txt.engines.local_engine import LocalEngine
from im2txt.images.preprocessing import ImageFormat, prepare_image
from im2txt.inference.caption_evaluation import Extras
from im2txt.inference.caption_model import Model
from im2txt.inference.record_captioner import RecordCaptioner
from im2txt.inference.scoring import score_run
from im2txt.model.image_encoder import ImageEncoder
from im2txt.reporting import result_content, result_page
from im2txt.runs import run_folder
from im2txt.runs.run_folder import Run
from im2txt.shards.image_records import ImageRecord

IMAGE_SIZE, CROP_FRACTION, PLACES = 32, 0.8, 4
DECODERS = {
    "soft_attention": SoftAttentionConfig(
        embedding_size=6, num_lstm_units=6, attention_size=6, initializer_scale=1.0, log_frequency_bias=False
    ),
    "transformer": TransformerConfig(model_size=8, num_heads=2, num_layers=2, feedforward_size=8),
}


@pytest.fixture(scope="module", params=DECODERS)
def evaluated(request, tmp_path_factory):
    """A run of random weights over the places of photographs, evaluated."""
    folder = tmp_path_factory.mktemp(request.param)
    dataset = write_dataset(folder / "data", {"train": 2, "test": 3}, (1,))
    workdir = folder / "run"
    config = ExperimentConfig(
        input=InputConfig(data_dir=dataset.data_dir),
        encoder=EncoderConfig(
            "SmallCNN", weights="none", image_size=IMAGE_SIZE, crop_fraction=CROP_FRACTION, pooling="grid"
        ),
        decoder=DECODERS[request.param],
    )
    tf.keras.utils.set_random_seed(3)
    encoder = ImageEncoder(config.encoder)
    captioner = run_folder.build_captioner(config, VOCABULARY, encoder, encoder.feature_shape)
    write_run(workdir, Run(config, VOCABULARY, "treebank", captioner, 17, "ckpt-17"))
    model = Model((str(workdir),), (("beam_size", 2), ("max_caption_length", 6)), 2, num_threads=0)
    score_run(model, "test", str(workdir / "evaluation" / "test"), dataset.data_dir, LocalEngine(1), Extras())
    return dataset, workdir, captioner, model


def candidates_of(workdir):
    return json.loads((workdir / "evaluation" / "test" / "candidates.json").read_text())


def test_the_best_caption_says_where_the_decoder_looked_before_each_word(evaluated):
    _, workdir, captioner, _ = evaluated
    entries = candidates_of(workdir)
    assert max(len(entry["captions"]) for entry in entries) == 2
    for entry in entries:
        best, *others = entry["captions"]
        assert not any("attention" in other for other in others)
        said = [*best["words"].split(), *(["</S>"] if best["is_complete"] else [])]
        assert len(best["attention"]) == len(said) == len(best["word_log_probs"])
        # Word by word through the search's own step, whose attention is that of the words so far.
        image = prepare_image(tf.constant(jpeg(entry["image_id"])), ImageFormat(IMAGE_SIZE, CROP_FRACTION))
        features = captioner.features({"images": image[tf.newaxis]})
        ids = [VOCABULARY.start_id, *map(VOCABULARY.word_to_id, said)]
        for position, shares in enumerate(best["attention"]):
            _, attention = captioner.decoder.attend(features, tf.constant([ids[: position + 1]]))
            np.testing.assert_allclose(shares, attention[0, -1], atol=2e-4)
            assert len(shares) == PLACES
            assert max(shares) - min(shares) > 1e-3
            assert abs(sum(shares) - 1) < 1e-3


def test_captions_of_shards_leave_it_out(evaluated):
    model = evaluated[3]
    captioner = RecordCaptioner(model.workdirs, dict(model.decoding), 2)
    ((_, result),) = captioner([ImageRecord(5, jpeg(5))])
    assert result.candidates
    assert all("attention" not in candidate.as_dict() for candidate in result.candidates)


def test_the_page_gets_it_in_thousandths_with_the_part_that_the_encoder_saw(evaluated, tmp_path):
    dataset, workdir, _, _ = evaluated
    content = result_content.gather(str(workdir), "test", dataset.data_dir, str(tmp_path / "page.html"), 10_000)
    assert content.crop_fraction == CROP_FRACTION
    for image, entry in zip(content.images, candidates_of(workdir), strict=True):
        best, *others = result_page.image_data(image)["captions"]
        assert best["attention"] == [[round(1000 * share) for share in of] for of in entry["captions"][0]["attention"]]
        assert all(other["attention"] == [] for other in others)
