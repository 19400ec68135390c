"""Time per photograph from JPEG to captions, beside the original's way: one photograph after the other.

Inception v3 and Show and Tell's decoder over 12,000 words, of random weights: no caption ends before its 20 words, so
that the search's early exit saves nothing. Ours takes 32 photographs at once. The original, created anew, runs one
session call from the file's bytes to the LSTM's state and one for each word, and sorts all words in Python.

Then a stream of photographs goes through a small encoder, and the memory of the process is read on the way.

Run it as `python -m benchmarks.photograph_captions`; it takes about four minutes on two cores.
"""

import dataclasses
import io
import statistics
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks import beam_search
from benchmarks.parts import timing
from im2txt.configuration import NO_WEIGHTS, EncoderConfig, ExperimentConfig
from im2txt.decoding.caption_generator import build_search
from im2txt.images.preprocessing import prepare_image
from im2txt.inference.photograph_captioner import PhotographCaptioner
from im2txt.inference.photographs import caption_photographs
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs.run_folder import Run, build_captioner
from im2txt.system import command_line
from im2txt.text.vocabulary import Vocabulary

BATCH_SIZE = 32
ORIGINAL_IMAGES = 4
NUM_WORDS = 12_000


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 3
    """Timed runs of each variant, after one that is not."""
    stream: int = 10_000
    """Photographs whose memory is watched."""


def photograph(seed: int) -> bytes:
    """A JPEG of 640 x 480 pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, [12, 16, 3], np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((640, 480), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def random_run(encoder_config: EncoderConfig) -> Run:
    """A run of random weights in memory."""
    words = [("<S>", NUM_WORDS), ("</S>", NUM_WORDS), *((f"w{i}", NUM_WORDS - i) for i in range(NUM_WORDS - 3))]
    vocabulary = Vocabulary(words)
    config = ExperimentConfig(encoder=encoder_config)
    encoder = ImageEncoder(config.encoder)
    captioner = build_captioner(config, vocabulary, encoder, encoder.feature_shape)
    return Run(config, vocabulary, "treebank", captioner, 0, "")


class OriginalWay:
    """The original's session calls, as functions of the same weights: one photograph, then one word a call."""

    def __init__(self, run: Run):
        captioner, image_format = run.captioner, run.image_format
        self._decoder = beam_search.RandomDecoder(ends=False)
        self._step = self._decoder.step()

        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def start(encoded_image: tf.Tensor) -> tf.Tensor:
            images = prepare_image(encoded_image, image_format)
            features = captioner.features({"images": images[tf.newaxis]})
            return features[:, : 2 * beam_search.NUM_LSTM_UNITS]  # Stands for the embedding and the LSTM's first step.

        self._start = start

    def __call__(self, encoded_images: list[bytes]) -> None:
        """Captions photographs one after the other."""
        for encoded_image in encoded_images:
            state = self._start(tf.constant(encoded_image)).numpy()[0]
            beam_search.original_search(self._step, state, beam_search.best_by_list_sort)


def compare_times(rounds: int) -> None:
    """Prints the table, and the shares of decoding, encoder and search in ours."""
    run = random_run(EncoderConfig(weights=NO_WEIGHTS))
    captioner = PhotographCaptioner([run], run.config.decoding)
    encoded = [photograph(seed) for seed in range(BATCH_SIZE)]
    original = OriginalWay(run)
    prepared = [captioner.prepare(image) for image in encoded]
    images = tf.stack([image for (image,) in prepared])
    encode = tf.function(lambda images: run.captioner.features({"images": images}))
    features = encode(images)
    search = tf.function(build_search(run.captioner, run.vocabulary, run.config.decoding))
    parts = {
        "decode": lambda: [captioner.prepare(image)[0].numpy() for image in encoded],
        "encoder": lambda: encode(images).numpy(),
        "search": lambda: search({"features": features}).word_ids.numpy(),
    }
    variants = {
        "original": lambda: original(encoded[:ORIGINAL_IMAGES]),
        "ours, batch 32": lambda: captioner(encoded),
        "ours, one by one": lambda: [captioner([image]) for image in encoded[:ORIGINAL_IMAGES]],
        **parts,
    }
    timings = timing.interleave(variants, rounds)
    images_of = {name: ORIGINAL_IMAGES if name in ("original", "ours, one by one") else BATCH_SIZE for name in variants}
    per_image = {name: [secs / images_of[name] for secs in samples] for name, samples in timings.items()}
    title = "From JPEG (640 x 480) to captions: Inception v3, beam 3, 20 of 12000 words"
    timing.print_table(title, per_image, baseline="original", item_name="image")
    medians = {name: statistics.median(per_image[name]) for name in parts}
    shares = ", ".join(f"{name} {secs / sum(medians.values()):.0%}" for name, secs in medians.items())
    print(f"Shares of ours: {shares}.")


def resident_megabytes() -> float:
    """Memory of this process now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def watch_memory(number: int) -> None:
    """Prints the memory of the process as a stream of photographs goes by."""
    run = random_run(EncoderConfig("SmallCNN", weights=NO_WEIGHTS))
    captioner = PhotographCaptioner([run], run.config.decoding.replaced({"max_caption_length": 6}))
    encoded = [photograph(seed) for seed in range(64)]

    def stream() -> Iterator[tuple[str, bytes]]:
        for i in range(number):
            yield f"{i}", encoded[i % len(encoded)]

    print(f"\nMemory over {number:,} photographs (a small encoder, captions of 6 words):")
    for index, _ in enumerate(caption_photographs(captioner, stream(), BATCH_SIZE, number), 1):
        if index in (number // 100, number // 10, number // 2, number):
            print(f"after {index:>7,}: {resident_megabytes():,.0f} MB")


def main() -> None:
    """Compares both ways, then watches the memory."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    compare_times(flags.rounds)
    watch_memory(flags.stream)


if __name__ == "__main__":
    command_line.run(main)
