"""The part of a step that XLA may compile, on batches whose shape never changes, as a TPU needs them."""

import itertools

import numpy as np
import tensorflow as tf
from fakes import write_dataset

from im2txt.configuration import InputConfig, ShowAndTellConfig
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.shards.input_pipeline import training_batches
from im2txt.shards.shard_folder import ShardFolder
from im2txt.training.batch_loss import BatchLoss

DECODER = ShowAndTellConfig(embedding_size=5, num_lstm_units=5, input_dropout_rate=0.0, output_dropout_rate=0.0)


def test_xla_compiles_loss_and_gradients_once_for_captions_of_every_length(tmp_path):
    dataset = write_dataset(tmp_path, {"train": 9}, (3, 2), feature_size=4)
    folder = ShardFolder(dataset.data_dir, dataset.manifest)

    def batches(padded_caption_length):
        # One bucket for each length, so that batches trimmed to the longest caption differ in shape.
        config = InputConfig(batch_size=3, bucketing_batches=4, padded_caption_length=padded_caption_length)
        return list(itertools.islice(training_batches(folder, config, None, seed=1), 6))

    captioner = Captioner(None, ShowAndTellDecoder(DECODER, 8, (4,), seed=0))
    variables = list(captioner.trainable_variables.values())
    loss = BatchLoss(captioner, None, label_smoothing=0.1, num_parts=1)

    def gradients(batch):
        words = tf.reduce_sum(tf.cast(batch["mask"], tf.float32))
        step, seed = tf.constant(0, tf.int64), tf.constant([1, 2], tf.int64)
        return loss.gradients(batch, variables, words, step, seed, with_encoder=False)

    compiled = tf.function(gradients, jit_compile=True)
    trimmed = batches(0)
    assert len({batch["input_ids"].shape[1] for batch in trimmed}) > 1
    for padded, batch in zip(batches(9), trimmed, strict=True):
        assert padded["input_ids"].shape == (3, 8)
        (loss_sum, found), (expected_sum, expected) = compiled(padded), gradients(batch)
        np.testing.assert_allclose(loss_sum, expected_sum, rtol=1e-5)
        for gradient, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-6)
    assert compiled.experimental_get_tracing_count() == 1
