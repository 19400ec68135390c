"""Fine-tuning Inception v3 with its decoder: captions that share a photograph's pass, and bfloat16, and what they need.

Each variant trains on the same number of captions in batches of as many photographs, from memory: with one caption a
pass each of a photograph's five costs a pass of its own, as in shards of layout `pair`. The second table has the peak
memory of a step of 32 photographs, each in a process of its own, beside what the layers put out on the way forward,
nearly all of which the way back needs.

Run it as `python -m benchmarks.fine_tuning`; it takes some minutes and up to 3 GiB on two cores.
"""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import resource
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks.parts import timing
from im2txt.configuration import EncoderConfig, OptimizationConfig, ShowAndTellConfig
from im2txt.model.captioner import Captioner
from im2txt.model.decoders.show_and_tell import ShowAndTellDecoder
from im2txt.model.image_encoder import ImageEncoder
from im2txt.system import command_line
from im2txt.training.optimization import Optimizer
from im2txt.training.train_step import Trainer

VOCAB_SIZE = 12_000
CAPTION_LENGTH = 12
CAPTIONS = 5
PHOTOGRAPHS = 8
PHOTOGRAPHS_IN_MEMORY = 32
SEED = 1
OPTIMIZATION = OptimizationConfig(learning_rate=0.0005, schedule="constant")


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 3
    """Timed runs of each variant, after one that is not."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """How a step is computed."""

    captions_per_image: int = 1
    compute_dtype: str = "float32"
    accumulation_steps: int = 1
    train_encoder: bool = True


def batches(photographs: int, captions_per_image: int) -> tf.data.Dataset:
    """One batch, endlessly."""
    generator = np.random.default_rng(SEED)
    ids = generator.integers(0, VOCAB_SIZE, (photographs * captions_per_image, CAPTION_LENGTH + 1), dtype=np.int32)
    batch = {
        "images": generator.random((photographs, 299, 299, 3), dtype=np.float32),
        "input_ids": ids[:, :-1],
        "target_ids": ids[:, 1:],
        "mask": np.ones((len(ids), CAPTION_LENGTH), bool),
    }
    return tf.data.Dataset.from_tensors({name: tf.constant(value) for name, value in batch.items()}).repeat()


def trainer(variant: Variant) -> Trainer:
    """The project's trainer over Inception v3 with random weights."""
    keras.utils.set_random_seed(SEED)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        config = EncoderConfig(
            weights="none",
            trainable=variant.train_encoder,
            compute_dtype=variant.compute_dtype,  # type: ignore[arg-type]
        )
        encoder = ImageEncoder(config)
        dtype = tf.dtypes.as_dtype(variant.compute_dtype)
        decoder = ShowAndTellDecoder(ShowAndTellConfig(), VOCAB_SIZE, encoder.feature_shape, SEED, None, dtype)
        captioner = Captioner(encoder, decoder)
        optimizer = Optimizer(OPTIMIZATION, captioner.trainable_variables)
    rate = OPTIMIZATION.learning_rate
    return Trainer(
        strategy,
        captioner,
        optimizer,
        lambda step: tf.constant(rate),
        OPTIMIZATION,
        SEED,
        accumulation_steps=variant.accumulation_steps,
    )


def steps(variant: Variant) -> Callable[[], object]:
    """One call trains on every caption of the photographs once."""
    of_variant = trainer(variant)
    stream = iter(batches(PHOTOGRAPHS, variant.captions_per_image))
    return lambda: of_variant.train_steps(stream, CAPTIONS // variant.captions_per_image).loss_sum


def peak_memory(variant: Variant) -> float:
    """Returns the most bytes that this process has held after a step; call it in a new one."""
    trainer(variant).train_steps(iter(batches(PHOTOGRAPHS_IN_MEMORY, variant.captions_per_image)), 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def layer_outputs() -> float:
    """Returns the bytes of what all layers put out for one photograph, in float32."""
    network = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(299, 299, 3))
    return float(sum(4 * math.prod(layer.output.shape[1:]) for layer in network.layers))


def main() -> None:
    """Measures speed and memory and prints a table each."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    timings = timing.interleave(
        {
            "one caption a pass, float32": steps(Variant()),
            "one caption a pass, bfloat16": steps(Variant(compute_dtype="bfloat16")),
            "five captions a pass, float32": steps(Variant(CAPTIONS)),
            "five captions a pass, bfloat16": steps(Variant(CAPTIONS, "bfloat16")),
        },
        flags.rounds,
    )
    timing.print_table(
        f"Fine-tuning Inception v3, batches of {PHOTOGRAPHS} photographs",
        timings,
        baseline="one caption a pass, float32",
        items=PHOTOGRAPHS * CAPTIONS,
        item_name="caption",
    )
    print(f"\nPeak memory of a step of {PHOTOGRAPHS_IN_MEMORY} photographs with {CAPTIONS} captions each")
    variants = {
        "encoder frozen, float32": Variant(CAPTIONS, train_encoder=False),
        "fine-tuning, float32": Variant(CAPTIONS),
        "fine-tuning, float32, in 4 parts": Variant(CAPTIONS, accumulation_steps=4),
        "fine-tuning, bfloat16": Variant(CAPTIONS, "bfloat16"),
    }
    for name, variant in variants.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(f"{name:34} {pool.apply(peak_memory, (variant,)) / 2**30:6.2f} GiB")
    held = PHOTOGRAPHS_IN_MEMORY * layer_outputs()
    print(f"{'outputs of all layers, float32':34} {held / 2**30:6.2f} GiB")


if __name__ == "__main__":
    command_line.run(main)
