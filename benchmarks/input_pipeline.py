"""Photographs to batches on one core, beside the original's way of doing it, and what cached features save.

First table: shards of photographs of COCO's size and of copies whose shorter side has 346 pixels, fully distorted:
processor time per photograph, of all threads at work, which is what one core takes. The limit is decoding alone. Below
it stands how much memory the process held after each epoch of a stream.

Second table: a caption's share of training the decoder with a frozen Inception v3 (random weights): decoded, encoded
and trained on one by one as the original does, in plain Keras, and from cached features by this project's trainer in
bfloat16. The features' own making, once per photograph, is not in it.

Run it as `python -m benchmarks.input_pipeline`; it takes about five minutes on two cores, with `--rounds=1` half of
that. Seen, one round on a nearly quiet machine: 1.35 times the original's photographs, 1.76 times with a shorter side
of 346, 44 % of the time spent decoding, memory between 989 and 1,008 MiB over four epochs; cached features 22 times as
fast per caption. While much other work ran beside it (two rounds): 1.15 and 1.59 times, 23.5 times.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks import data_preparation
from benchmarks.parts import timing
from benchmarks.parts.measured_command import run_measured
from benchmarks.parts.original_input import original_batches
from im2txt.configuration import InputConfig, OptimizationConfig, ShowAndTellConfig
from im2txt.images.preprocessing import ImageFormat
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.shards import manifest
from im2txt.shards.input_pipeline import training_batches
from im2txt.shards.manifest import EncoderEntry
from im2txt.shards.records import replace_image_with_features
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system import command_line
from im2txt.training.optimization import Optimizer
from im2txt.training.train_step import Trainer

PHOTOGRAPHS = 256
BATCH_SIZE = 32
EPOCH_BATCHES = PHOTOGRAPHS * data_preparation.CAPTIONS_PER_IMAGE // BATCH_SIZE
EPOCHS_PER_CALL = 2
"""Enough that a stream's beginning, and what it prepares and nobody takes, weigh little."""
EPOCHS_OF_MEMORY = 4
STEPS_PER_CALL = 2
SHORTER_SIDE = 346
FEATURE_SIZE = 2048
UNITS = 512
RATE = 0.01


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 3
    """Timed runs of each variant, after one that is not."""


def build(folder: str) -> ShardFolder:
    """Makes shards of layout `pair` of a folder's photographs."""
    run_measured(data_preparation.build_command(folder, "--layout=pair", "--min_word_count=1", shards=2))
    return ShardFolder.open(f"{folder}/out")


def shrink(folder: str, target: str) -> None:
    """Copies a folder of photographs, the shorter side of each made 346 pixels."""
    os.makedirs(f"{target}/images")
    shutil.copy(f"{folder}/train.json", target)
    for name in os.listdir(f"{folder}/images"):
        image = Image.open(f"{folder}/images/{name}")
        scale = SHORTER_SIDE / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        image.resize(size, Image.Resampling.BICUBIC).save(f"{target}/images/{name}", "JPEG", quality=90)


def with_features(source: ShardFolder, target: str) -> ShardFolder:
    """Copies a folder of shards with random features in the place of photographs."""
    shutil.copytree(source.path, target)
    generator = np.random.default_rng(0)
    (split,) = source.manifest.splits.values()
    shards = []
    for shard, path in zip(split.shards, source.shard_paths("train"), strict=True):
        with tf.io.TFRecordWriter(f"{target}/{shard.name}") as writer:
            for record in tf.data.TFRecordDataset(path):
                features = generator.normal(size=FEATURE_SIZE).astype(np.float32)
                writer.write(replace_image_with_features(record.numpy(), features))
        shards.append(dataclasses.replace(shard, bytes=os.path.getsize(f"{target}/{shard.name}")))
    shape = (FEATURE_SIZE,)
    entry = EncoderEntry("InceptionV3", "none", "0" * 64, 299, 299 / 346, "avg", shape, "0" * 8, source.path)
    splits = {"train": dataclasses.replace(split, shards=tuple(shards))}
    manifest.write_manifest(target, dataclasses.replace(source.manifest, splits=splits, encoder=entry))
    return ShardFolder.open(target)


def with_one_thread(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same stream, which then works on one thread as long as nothing compiled takes others."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options)


def take_batches(batches: tf.data.Dataset) -> Callable[[], object]:
    """One call takes the first epochs of a stream."""
    batches = with_one_thread(batches).take(EPOCHS_PER_CALL * EPOCH_BATCHES)
    # A new stream each time: one that waits would fill its buffers while others are timed.
    return lambda: [batch["images"][0, 0, 0, 0].numpy() for batch in batches]


def ours(folder: ShardFolder) -> tf.data.Dataset:
    """The project's pipeline, fully distorted."""
    config = InputConfig(batch_size=BATCH_SIZE, shuffle_buffer_examples=PHOTOGRAPHS)
    return training_batches(folder, config, ImageFormat(299, 299 / 346), seed=1)


def original(folder: ShardFolder) -> tf.data.Dataset:
    """The original's."""
    return original_batches(folder.shard_paths("train"), BATCH_SIZE, PHOTOGRAPHS)


def decoding_secs(folder: str, rounds: int) -> float:
    """Returns the seconds that decoding one photograph takes."""
    encoded = [open(path, "rb").read() for path in glob.glob(f"{folder}/images/*.jpg")[:64]]  # noqa: SIM115
    times = timing.interleave({"decode": lambda: [tf.io.decode_jpeg(e) for e in encoded]}, rounds, time.process_time)
    return min(times["decode"]) / len(encoded)


def resident_bytes() -> int:
    """Returns the memory that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_of_epochs(batches: tf.data.Dataset) -> list[int]:
    """Returns the bytes held when a stream has given its first batch, and after each of its first epochs."""
    stream, held = iter(batches), []
    for epoch in range(EPOCHS_OF_MEMORY + 1):
        for _ in range(EPOCH_BATCHES if epoch else 1):
            next(stream)
        held.append(resident_bytes())
    return held


def show_batches(folder: str, shards: dict[str, ShardFolder], rounds: int) -> None:
    """Prints the first table and what stands below it."""
    variants = {
        "original": original(shards["whole"]),
        "ours": ours(shards["whole"]),
        "original, shorter side 346": original(shards["small"]),
        "ours, shorter side 346": ours(shards["small"]),
    }
    timed = {name: take_batches(batches) for name, batches in variants.items()}
    timings = timing.interleave(timed, rounds, time.process_time)
    items = BATCH_SIZE * EPOCH_BATCHES * EPOCHS_PER_CALL
    limits = {name: decoding_secs(f"{folder}/{name}", rounds) for name in shards}
    held = memory_of_epochs(with_one_thread(ours(shards["whole"])))
    title = "Photographs to distorted batches, processor time; the limit is to decode the whole ones"
    timing.print_table(
        title, timings, baseline="original", items=items, item_name="photograph", limit_secs=limits["whole"]
    )
    for name, variant in (("whole", "ours"), ("small", "ours, shorter side 346")):
        share = limits[name] * items / statistics.median(timings[variant])
        print(f"{variant}: {1e3 * limits[name]:.3f} ms of it to decode, {share:.0%}")
    print(f"memory at first and after each epoch: {', '.join(f'{size / 2**20:,.0f}' for size in held)} MiB", flush=True)


def show_training(folder: str, whole: ShardFolder, rounds: int) -> None:
    """Prints the second table."""
    vocab_size = 12_000
    cached = with_features(whole, f"{folder}/features")
    baseline = "decode, Inception v3, Keras decoder"
    variants = {
        baseline: caption_by_caption(whole, vocab_size),
        "cached features, bfloat16": from_features(cached, vocab_size),
    }
    timings = timing.interleave(variants, rounds)
    title = f"Training the decoder of a frozen encoder, batches of {BATCH_SIZE}"
    timing.print_table(title, timings, baseline=baseline, items=BATCH_SIZE * STEPS_PER_CALL, item_name="caption")


def caption_by_caption(folder: ShardFolder, vocab_size: int) -> Callable[[], object]:
    """Decodes, encodes and trains on one photograph per caption, in plain Keras."""
    encoder = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    features, input_ids = keras.Input([FEATURE_SIZE]), keras.Input([None], dtype="int32")
    words = keras.layers.Embedding(vocab_size, UNITS)(input_ids)
    image = keras.layers.Dense(UNITS, use_bias=False)(features)
    outputs = keras.layers.LSTM(UNITS, return_sequences=True)(keras.ops.concatenate([image[:, None], words], axis=1))
    decoder = keras.Model([features, input_ids], keras.layers.Dense(vocab_size)(outputs[:, 1:]))
    optimizer = keras.optimizers.SGD(RATE, global_clipnorm=5.0)
    optimizer.build(decoder.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        encoded = encoder(batch["images"], training=False)
        with tf.GradientTape() as tape:
            logits = decoder([encoded, batch["input_ids"]], training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batch["target_ids"], logits=logits)
            mask = tf.cast(batch["mask"], tf.float32)
            loss = tf.reduce_sum(losses * mask) / tf.reduce_sum(mask)
        optimizer.apply(tape.gradient(loss, decoder.trainable_variables), decoder.trainable_variables)
        return loss

    stream = iter(original_batches(folder.shard_paths("train"), BATCH_SIZE, PHOTOGRAPHS))
    return lambda: [step(next(stream)).numpy() for _ in range(STEPS_PER_CALL)]


def from_features(folder: ShardFolder, vocab_size: int) -> Callable[[], object]:
    """The project's trainer on cached features."""
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    config = OptimizationConfig(optimizer="sgd", learning_rate=RATE, schedule="constant")
    with strategy.scope():
        shape, dtype = (FEATURE_SIZE,), tf.bfloat16
        captioner = Captioner(None, ShowAndTellDecoder(ShowAndTellConfig(), vocab_size, shape, 1, None, dtype))
        optimizer = Optimizer(config, captioner.trainable_variables)
    trainer = Trainer(strategy, captioner, optimizer, lambda step: tf.constant(RATE), config, seed=1)
    settings = InputConfig(batch_size=BATCH_SIZE, shuffle_buffer_examples=PHOTOGRAPHS * 5)
    batches = training_batches(folder, settings, None, seed=1)
    stream: Iterator[object] = iter(strategy.distribute_datasets_from_function(lambda context: batches))
    return lambda: trainer.train_steps(stream, STEPS_PER_CALL).loss_sum


def main() -> None:
    """Makes the data in a temporary folder and prints two tables."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    with tempfile.TemporaryDirectory(prefix="input_pipeline") as folder:
        whole, small = f"{folder}/whole", f"{folder}/small"
        data_preparation.write_photographs(whole, PHOTOGRAPHS, data_preparation.SIZES, distinct=PHOTOGRAPHS)
        shrink(whole, small)
        shards = {"whole": build(whole), "small": build(small)}
        show_batches(folder, shards, flags.rounds)
        show_training(folder, shards["whole"], flags.rounds)


if __name__ == "__main__":
    command_line.run(main)
