"""Photographs per second of batch inference: one process, one per core, and Spark, beside `im2txt.run_inference`.

The photographs lie as files in a folder for `run_inference`, and in tar files for the others. With
SmallCNN they are the drawings of `data_prep.draw_scenes`, 64 x 64; with an encoder of keras.applications they are 640 x
480, as large as a photograph's file. The weights are random, so that no caption ends before its 20 words: a trained
run's search is shorter. Times are of whole processes; below the table stand what starting takes, the rate without it,
what a million photographs take by that, CPU time, which neighbours disturb less, and the largest process's memory.
A process of batch inference computes on one core, `run_inference` on all.

    python -m benchmarks.batch_inference --images=10000
    python -m benchmarks.batch_inference --images=512 --encoder=InceptionV3
"""

import dataclasses
import functools
import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from typing import Literal

from benchmarks.data_preparation import photograph
from benchmarks.parts import timing
from benchmarks.parts.measured_command import run_measured
from data_prep import draw_scenes
from im2txt.configuration import EncoderConfig, ExperimentConfig, ShowAndTellConfig
from im2txt.system import command_line

BATCH_SIZE = 32
PER_FILE = 512
MIN_FILES, MIN_PER_FILE = 16, 2 * BATCH_SIZE  # Few batches are computed in vain to be full.
NUM_WORDS = 12_000
PHOTOGRAPH_SIZE = (640, 480)
DISTINCT_PHOTOGRAPHS = 64
CORES = len(os.sched_getaffinity(0))


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of the benchmark."""

    images: int = 1_000
    """Photographs."""
    rounds: int = 1
    """Timed runs of each variant."""
    encoder: Literal["SmallCNN", "MobileNetV2", "InceptionV3"] = "SmallCNN"
    """The run's encoder."""


def main() -> None:
    """Makes photographs and a run in a temporary folder, and prints the table."""
    flags = command_line.parse(BenchmarkFlags, __doc__ or "")
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="batch_inference", dir=memory) as folder:
        write_photographs(folder, flags.images, flags.encoder)
        # In a process of its own: TensorFlow's memory would count for what is measured here.
        write = [sys.executable, "-c", WRITE_RUN, f"{folder}/run", flags.encoder]
        subprocess.run(write, check=True, capture_output=True)
        show(folder, flags.images, flags.rounds)


def write_photographs(folder: str, count: int, encoder: str) -> None:
    """Writes `images/*.jpg`, the same in `tars/*.tar`, and one of them each in `one/` and `one.tar`."""
    os.makedirs(f"{folder}/tars")
    if encoder == "SmallCNN":
        draw_scenes.draw(folder, count, seed=1)
    else:
        os.makedirs(f"{folder}/images")
        encoded = [photograph(seed, PHOTOGRAPH_SIZE) for seed in range(min(count, DISTINCT_PHOTOGRAPHS))]
        for number in range(count):
            with open(f"{folder}/images/{number:06d}.jpg", "wb") as file:
                file.write(encoded[number % len(encoded)])
    names = sorted(os.listdir(f"{folder}/images"))
    num_files = max(CORES, min(MIN_FILES, count // MIN_PER_FILE), -(-count // PER_FILE))
    for number in range(num_files):
        pack(f"{folder}/tars/{number:05d}.tar", folder, names[number::num_files])
    pack(f"{folder}/one.tar", folder, names[:1])
    os.makedirs(f"{folder}/one")
    shutil.copy(f"{folder}/images/{names[0]}", f"{folder}/one")
    size = sum(entry.stat().st_size for entry in os.scandir(f"{folder}/images"))
    print(f"{count} photographs of {size / count / 1e3:.1f} KB, {num_files} tar files, {CORES} cores", flush=True)


def pack(path: str, folder: str, names: list[str]) -> None:
    """Writes a tar file of photographs."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            archive.add(f"{folder}/images/{name}", name)


def write_run(workdir: str, backbone: str) -> None:
    """Writes a run's folder with random weights."""
    from im2txt.model.image_encoder import ImageEncoder
    from im2txt.runs import checkpoints, run_folder
    from im2txt.shards.manifest import Manifest
    from im2txt.text.vocabulary import Vocabulary

    small = backbone == "SmallCNN"
    num_words, units = (60, 256) if small else (NUM_WORDS, 512)
    words = Vocabulary([("a", num_words), ("<S>", 9), ("</S>", 9), *((f"word{i}", 1) for i in range(num_words))])
    encoder_config = EncoderConfig(backbone=backbone, weights="none", pooling="flatten" if small else "avg")
    decoder = ShowAndTellConfig(embedding_size=units, num_lstm_units=units)
    config = ExperimentConfig(encoder=encoder_config, decoder=decoder)
    encoder = ImageEncoder(encoder_config)
    captioner = run_folder.build_captioner(config, words, encoder, encoder.feature_shape)
    manifest = Manifest("image", "whitespace", words.fingerprint(), 1, {}, {}, {}, "benchmark", None)
    run_folder.start_run(workdir, config, manifest, words)
    os.remove(f"{workdir}/{run_folder.DATA_NAME}")  # It was trained on none.
    os.makedirs(f"{workdir}/encoder")
    checkpoints.write_variables(f"{workdir}/{checkpoints.ENCODER_NAME}", encoder.variables)
    checkpoints.write_best(workdir, captioner.variables, 1)


WRITE_RUN = "import sys; from benchmarks.batch_inference import write_run; write_run(*sys.argv[1:])"


def show(folder: str, count: int, rounds: int) -> None:
    """Times the variants in turn and prints what they took."""
    variants: dict[str, Callable[[bool], list[str]]] = {
        "run_inference": functools.partial(run_inference_command, folder),
        "batch, 1 process": functools.partial(batch_command, folder, ("--num_workers=1",)),
        f"batch, {CORES} processes": functools.partial(batch_command, folder, (f"--num_workers={CORES}",)),
    }
    if importlib.util.find_spec("pyspark") and shutil.which("java"):
        variants["batch, Spark local"] = functools.partial(batch_command, folder, (f"--engine=local[{CORES}]",))
    starts: dict[str, list[float]] = {name: [] for name in variants}
    timings: dict[str, list[float]] = {name: [] for name in variants}
    captions: dict[str, str] = {}
    usages: dict[str, resource.struct_rusage] = {}
    names = list(variants)
    for round_index in range(rounds):
        for name in names[round_index % len(names) :] + names[: round_index % len(names)]:
            starts[name].append(run(folder, variants[name](True))[0])
            secs, usages[name], captions[name] = run(folder, variants[name](False))
            timings[name].append(secs)
            print(f"{name}: {secs:.1f} s", flush=True)
    timing.print_table(
        f"{count} photographs, whole processes", timings, baseline="run_inference", items=count, item_name="photograph"
    )
    for name in names:
        start = statistics.median(starts[name])
        secs = (statistics.median(timings[name]) - start) / (count - 1)
        cpu_secs = usages[name].ru_utime + usages[name].ru_stime
        # Of Spark's workers none is a child of ours.
        used = "" if "Spark" in name else f"; {cpu_secs:.0f} s of CPU, {usages[name].ru_maxrss / 1024:,.0f} MiB"
        rate = f"then {1 / secs:.1f}/s: a million in {1e6 * secs / 3600:.1f} h" if secs > 0 else "too few to tell more"
        print(f"{name}: {start:.1f} s for the first photograph, {rate}{used}")
    of_batches = {name: text for name, text in captions.items() if name != "run_inference"}
    print(f"Different captions.json of the {len(of_batches)} batch variants: {len(set(of_batches.values())) - 1}.")


def run_inference_command(folder: str, one: bool) -> list[str]:
    """The command that captions the files one folder holds."""
    photographs = f"{folder}/{'one' if one else 'images'}"
    flags = [f"--workdir={folder}/run", "--format=jsonl", f"--batch_size={BATCH_SIZE}", photographs]
    return [sys.executable, "-m", "im2txt.run_inference", *flags]


def batch_command(folder: str, given: tuple[str, ...], one: bool) -> list[str]:
    """The command that captions the tar files, or a single photograph in one."""
    inputs = f"{folder}/one.tar" if one else f"{folder}/tars/*.tar"
    shown = [f"--workdir={folder}/run", f"--output_dir={folder}/out", f"--batch_size={BATCH_SIZE}", *given, inputs]
    return [sys.executable, "-m", "im2txt.batch_inference", *shown]


def run(folder: str, command: list[str]) -> tuple[float, resource.struct_rusage, str]:
    """Runs a command; returns its seconds, what it and its workers used, and its captions as text."""
    start = time.perf_counter()
    usage = run_measured(command)
    secs = time.perf_counter() - start
    captions = ""
    if os.path.isdir(f"{folder}/out"):
        with open(f"{folder}/out/captions.json", encoding="utf-8") as file:
            captions = json.dumps(json.load(file))
        shutil.rmtree(f"{folder}/out")
    return secs, usage, captions


if __name__ == "__main__":
    command_line.run(main)
