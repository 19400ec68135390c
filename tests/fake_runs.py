"""Runs of random weights that tell photographs apart, for tests of what a trained run is used for."""

from pathlib import Path

import tensorflow as tf
from fakes import VOCABULARY, write_dataset

from im2txt.configuration import DecodingConfig, EncoderConfig, ExperimentConfig, ShowAndTellConfig
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs import checkpoints, run_folder
from im2txt.runs.run_folder import Run


def random_run(
    seed: int = 3, image_size: int = 32, crop_fraction: float = 0.9, num_lstm_units: int = 8, pooling: str = "flatten"
) -> Run:
    """A run in memory, with its encoder; its captions differ from photograph to photograph."""
    config = ExperimentConfig(
        encoder=EncoderConfig(
            "SmallCNN", weights="none", pooling=pooling, crop_fraction=crop_fraction, image_size=image_size
        ),
        decoder=ShowAndTellConfig(
            embedding_size=8, num_lstm_units=num_lstm_units, initializer_scale=1.0, image_input="every_step"
        ),
        decoding=DecodingConfig(beam_size=2, max_caption_length=7),
    )
    tf.keras.utils.set_random_seed(seed)
    encoder = ImageEncoder(config.encoder)
    captioner = run_folder.build_captioner(config, VOCABULARY, encoder, encoder.feature_shape)
    kernel = captioner.decoder.variables["image_embedding/kernel"]
    kernel.assign(kernel * 3)
    bias = captioner.decoder.variables["logits/bias"]
    bias.assign(tf.tensor_scatter_nd_sub(bias, [[VOCABULARY.end_id]], [2.0]))
    return Run(config, VOCABULARY, "treebank", captioner, 17, "ckpt-17")


def write_run(workdir: Path, run: Run) -> str:
    """Writes a run's folder as training leaves it, and returns its path."""
    data = write_dataset(workdir / "data", {"train": 1})
    run_folder.start_run(str(workdir), run.config, data.manifest, VOCABULARY)
    assert run.captioner.encoder is not None
    encoder_path = workdir / checkpoints.ENCODER_NAME
    encoder_path.parent.mkdir()
    checkpoints.write_variables(str(encoder_path), run.captioner.encoder.variables)
    checkpoints.write_best(str(workdir), run.captioner.variables, run.step)
    return str(workdir)
