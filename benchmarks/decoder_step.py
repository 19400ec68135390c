"""Training steps of the decoder on cached features, beside a plain padded Keras LSTM + Dense of the same sizes.

Both train on the same captions (V 12,000, 512 units, 12.5 predicted words on average, lengths spread as in COCO), clip
the global norm at 5 and update by plain gradient descent. Keras takes batches as they come, padded to the longest
caption, and computes logits for the padding too. Ours takes them from its own bucketing, computes logits of real words
only, and, in a second row, multiplies in bfloat16. The limit is the floating point operations of the real words at the
rate of one large product of that type. A last row has ours on two replicas, logical devices of the same cores, under
MirroredStrategy: what that costs where it can win nothing.

Run it as `python -m benchmarks.decoder_step`; it takes about three minutes on two cores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from benchmarks.parts import timing
from im2txt.configuration import OptimizationConfig, ShowAndTellConfig, TrainingConfig
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.system import command_line
from im2txt.training.optimization import Optimizer
from im2txt.training.strategies import build_distribution
from im2txt.training.train_step import Trainer

VOCAB_SIZE = 12_000
UNITS = 512
FEATURE_SIZE = 2048
LEARNING_RATE = 0.1
CLIP_NORM = 5.0
DROPOUT_RATE = 0.3
BATCHES_PER_CALL = {32: 16, 256: 8}

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 3
    """Timed runs of each variant, after one that is not."""


def captions(count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Captions with `<S>` and `</S>`: 9 ids and more, 13.5 on average, a long tail, as those of COCO."""
    lengths = 9 + generator.negative_binomial(2, 0.31, count)
    return [generator.integers(0, VOCAB_SIZE, length) for length in lengths]


def batches(batch_size: int, bucketed: bool) -> Iterator[Batch]:
    """The same captions and features every time, in batches as they come or sorted by length within the window."""
    generator = np.random.default_rng(0)
    ids = captions(batch_size * BATCHES_PER_CALL[batch_size], generator)
    features = generator.normal(size=(len(ids), FEATURE_SIZE)).astype(np.float32)
    order = np.argsort([len(c) for c in ids], kind="stable") if bucketed else np.arange(len(ids))
    for rows in np.split(order, BATCHES_PER_CALL[batch_size]):
        length = max(len(ids[row]) for row in rows) - 1
        padded = np.stack([np.pad(ids[row], (0, length + 1 - len(ids[row])), constant_values=-1) for row in rows])
        mask = padded[:, 1:] >= 0
        yield {
            "features": features[rows],
            "input_ids": np.where(mask, padded[:, :-1], 0).astype(np.int32),
            "target_ids": np.where(mask, padded[:, 1:], 0).astype(np.int32),
            "mask": mask,
        }


def dataset(batch_size: int, bucketed: bool, replicas: int = 1) -> tf.data.Dataset:
    """The batches, endlessly, from memory; each cut in as many parts, one after the other, as there are replicas."""
    made = [
        {name: np.split(value, replicas)[replica] for name, value in batch.items()}
        for batch in batches(batch_size, bucketed)
        for replica in range(replicas)
    ]
    result = tf.data.Dataset.from_tensors({name: tf.constant(value) for name, value in made[0].items()})
    for batch in made[1:]:
        tensors = {name: tf.constant(value) for name, value in batch.items()}
        result = result.concatenate(tf.data.Dataset.from_tensors(tensors))
    return result.cache().repeat().prefetch(2)


def ours(batch_size: int, compute_dtype: tf.DType, strategy: tf.distribute.Strategy) -> Callable[[], object]:
    """The project's trainer, one call for all batches."""
    config = OptimizationConfig(optimizer="sgd", learning_rate=LEARNING_RATE, schedule="constant", clip_norm=CLIP_NORM)
    with strategy.scope():
        decoder_config = ShowAndTellConfig(input_dropout_rate=DROPOUT_RATE, output_dropout_rate=DROPOUT_RATE)
        decoder = ShowAndTellDecoder(decoder_config, VOCAB_SIZE, (FEATURE_SIZE,), 0, None, compute_dtype)
        captioner = Captioner(None, decoder)
        optimizer = Optimizer(config, captioner.trainable_variables)
    trainer = Trainer(strategy, captioner, optimizer, lambda step: tf.constant(LEARNING_RATE), config, seed=0)
    cut = dataset(batch_size, True, strategy.num_replicas_in_sync)
    stream = iter(strategy.distribute_datasets_from_function(lambda context: cut))
    return lambda: trainer.train_steps(stream, BATCHES_PER_CALL[batch_size]).loss_sum


def plain_keras(batch_size: int) -> Callable[[], object]:
    """Embedding, LSTM and Dense of Keras, the photograph as first input, masked mean loss over padded batches."""
    embed_image = keras.layers.Dense(UNITS, use_bias=False)
    embed_words = keras.layers.Embedding(VOCAB_SIZE, UNITS)
    dropout = keras.layers.Dropout(DROPOUT_RATE)
    lstm = keras.layers.LSTM(UNITS, return_sequences=True)
    dense = keras.layers.Dense(VOCAB_SIZE)
    features, input_ids = keras.Input([FEATURE_SIZE]), keras.Input([None], dtype="int32")
    sequence = keras.ops.concatenate([embed_image(features)[:, None], embed_words(input_ids)], axis=1)
    logits = dense(dropout(lstm(dropout(sequence))[:, 1:]))
    model = keras.Model([features, input_ids], logits)
    optimizer = keras.optimizers.SGD(LEARNING_RATE, global_clipnorm=CLIP_NORM)
    optimizer.build(model.trainable_variables)

    @tf.function
    def steps(stream: Iterator[dict[str, tf.Tensor]]) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(BATCHES_PER_CALL[batch_size]):
            batch = next(stream)
            with tf.GradientTape() as tape:
                values = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=batch["target_ids"], logits=model([batch["features"], batch["input_ids"]], training=True)
                )
                mask = tf.cast(batch["mask"], tf.float32)
                loss = tf.reduce_sum(values * mask) / tf.reduce_sum(mask)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    stream = iter(dataset(batch_size, bucketed=False))
    return lambda: steps(stream).numpy()


def flops_per_call(batch_size: int) -> float:
    """Multiply-adds, counted as two, of forward and backward over real words and photographs."""
    num_words = sum(int(batch["mask"].sum()) for batch in batches(batch_size, bucketed=False))
    num_captions = batch_size * BATCHES_PER_CALL[batch_size]
    per_lstm_step = 2 * UNITS * 4 * UNITS
    weights = num_words * (UNITS * VOCAB_SIZE + per_lstm_step) + num_captions * (FEATURE_SIZE * UNITS + per_lstm_step)
    return 3 * 2.0 * weights


def main() -> None:
    """Measures both batch sizes and prints a table each."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    # First of all: devices are fixed by the first operation.
    mirrored = build_distribution(TrainingConfig(distribution="mirrored", logical_devices=2)).strategy
    one_device = tf.distribute.OneDeviceStrategy("/cpu:0")
    peaks = {dtype: timing.measure_matmul_peak(dtype=dtype) for dtype in ("float32", "bfloat16")}
    for dtype, peak in peaks.items():
        print(f"large {dtype} product: {peak / 1e9:.0f} GFLOP/s")
    for batch_size, calls in BATCHES_PER_CALL.items():
        timings = timing.interleave(
            {
                "plain Keras, padded": plain_keras(batch_size),
                "ours, float32": ours(batch_size, tf.float32, one_device),
                "ours, bfloat16": ours(batch_size, tf.bfloat16, one_device),
                "ours, float32, 2 replicas": ours(batch_size, tf.float32, mirrored),
            },
            flags.rounds,
        )
        timing.print_table(
            f"Decoder training, batch {batch_size} (limit: bfloat16 products of real words)",
            timings,
            baseline="plain Keras, padded",
            items=calls,
            item_name="step",
            limit_secs=flops_per_call(batch_size) / calls / peaks["bfloat16"],
        )


if __name__ == "__main__":
    command_line.run(main)
