"""Requests per second of the service, and how long one waits, beside the same model called directly.

The model is Inception v3 with random weights under an LSTM of 512 units over 12,000 words, beam 3, captions of 20
words; the photographs are JPEGs of 640 x 480 pixels, one a request, in Base64. The service runs in a process of its own
on the same machine as what asks it. Every connection sends its next request once the last is answered; the last row
asks for more than the queue holds.

Run it as `python -m benchmarks.service`; it takes about five minutes on two cores.
"""

import base64
import collections
import contextlib
import dataclasses
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.parts import timing
from benchmarks.parts.load_generator import Load, drive, http_request
from im2txt.configuration import DecodingConfig, EncoderConfig, ExperimentConfig, ShowAndTellConfig
from im2txt.inference.saved_model import write_saved_model
from im2txt.model.image_encoder import ImageEncoder
from im2txt.runs.run_folder import Run, build_captioner
from im2txt.system import command_line
from im2txt.text.vocabulary import Vocabulary

VOCAB_SIZE = 12_000
BATCH_SIZE = 16  # The service's own default.
QUEUE_SIZE = 128
CONNECTIONS = (1, 8, 64)
REQUESTS_PER_CONNECTION = {1: 12, 8: 6, 64: 2}
TOO_MANY = 256
HOST = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    rounds: int = 5
    """Timed runs of each variant, after one that is not."""


def random_run() -> Run:
    """A run of random weights, of the size that is trained on COCO."""
    words = [("<S>", 2), ("</S>", 2), *((f"word{i}", 1) for i in range(VOCAB_SIZE - 3))]
    config = ExperimentConfig(
        encoder=EncoderConfig("InceptionV3", weights="none", image_size=299),
        decoder=ShowAndTellConfig(),
        decoding=DecodingConfig(beam_size=3, max_caption_length=20),
    )
    vocabulary = Vocabulary(words)
    tf.keras.utils.set_random_seed(0)
    encoder = ImageEncoder(config.encoder)
    captioner = build_captioner(config, vocabulary, encoder, encoder.feature_shape)
    return Run(config, vocabulary, "treebank", captioner, 0, "random")


def photographs(count: int) -> list[bytes]:
    """JPEGs of smooth random colours with some noise."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((640, 480))
        noisy = np.clip(np.asarray(smooth) + rng.normal(0, 6, (480, 640, 3)), 0, 255).astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(noisy).save(stream, "JPEG", quality=90)
        files.append(stream.getvalue())
    return files


@contextlib.contextmanager
def service(model: str) -> Iterator[int]:
    """Runs the command in a process of its own, and yields its port."""
    command = [sys.executable, "-m", "im2txt.serve", f"--model={model}", "--port=0"]
    command += [f"--max_batch_size={BATCH_SIZE}", f"--queue_size={QUEUE_SIZE}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r":(\d+)/", line)
            if found is None:
                raise RuntimeError(f"The service did not start: {line!r}")
            yield int(found[1])
        finally:
            process.terminate()


def compare(model: str, port: int, rounds: int) -> None:
    """Prints the time per photograph of each variant, and the latencies of the service."""
    files = photographs(32)
    encoded = [base64.b64encode(content) for content in files]
    asked = [
        http_request(HOST, "/v1/models/im2txt:predict", b'{"instances":[{"b64":"%s"}]}' % text) for text in encoded
    ]
    signature = tf.saved_model.load(model).signatures["serving_default"]
    loads: dict[str, list[Load]] = collections.defaultdict(list)
    items = {"directly, batch 1": 8, f"directly, batch {BATCH_SIZE}": len(files)}

    def direct(batch_size: int, num_photographs: int) -> None:
        for first in range(0, num_photographs, batch_size):
            batch = tf.constant(files[first : first + batch_size])
            signature(encoded_images=batch)["captions"].numpy()

    def served(name: str, num_connections: int, requests: list[bytes]) -> Callable[[], None]:
        items[name] = len(requests)
        return lambda: loads[name].append(drive(HOST, port, requests, num_connections))

    variants: dict[str, Callable[[], None]] = {
        "directly, batch 1": lambda: direct(1, 8),
        f"directly, batch {BATCH_SIZE}": lambda: direct(BATCH_SIZE, len(files)),
    }
    for count in CONNECTIONS:
        requests = [asked[i % len(asked)] for i in range(count * REQUESTS_PER_CONNECTION[count])]
        name = f"{count} connection{'s' * (count > 1)}"
        variants[name] = served(name, count, requests)
    empty = [http_request(HOST, "/healthz")] * 512
    variants["8 connections, /healthz"] = served("8 connections, /healthz", 8, empty)
    timings = timing.interleave(variants, rounds)
    per_item = {name: [secs / items[name] for secs in samples] for name, samples in timings.items()}
    size = round(np.mean([len(content) for content in files]) / 1000)
    title = f"Captions of photographs of 640 x 480 ({size} kB), directly and over HTTP"
    timing.print_table(title, per_item, baseline="directly, batch 1", item_name="photograph")
    print(f"\n{'':26}requests/s   p50 ms   p95 ms   p99 ms  statuses")
    for name, of_name in loads.items():
        print_load(name, of_name[1:])  # The first was not timed.
    too_many = [asked[i % len(asked)] for i in range(2 * TOO_MANY)]
    print_load(f"{TOO_MANY} connections", [drive(HOST, port, too_many, TOO_MANY)])


def print_load(name: str, loads: Sequence[Load]) -> None:
    """Prints the rate and the latencies of what was answered with 200, and every status."""
    latencies = [latency for load in loads for latency in load.latencies]
    rate = len(latencies) / sum(load.secs for load in loads)
    shown = "".join(f"{1e3 * value:9.1f}" for value in np.percentile(latencies, (50, 95, 99)))
    statuses = sum((load.statuses for load in loads), collections.Counter[int]())
    counts = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    print(f"{name:26}{rate:10.1f}{shown}  {counts}")


def main() -> None:
    """Exports a model, serves it, and asks."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "captioner")
        write_saved_model(random_run(), model, "random")
        with service(model) as port:
            compare(model, port, flags.rounds)


if __name__ == "__main__":
    command_line.run(main)
