"""A real standalone cluster on the loopback address: a master and two workers, each a process of its own."""

import contextlib
import dataclasses
import functools
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import pytest
from fake_runs import random_run, write_run
from fakes import write_dataset
from PIL import Image
from spark_jobs import die_once

from data_prep.building import prepare
from data_prep.building.build_plan import BuildOptions
from data_prep.building.shard_plan import ShardOptions
from data_prep.building.vocabulary_builder import VocabularyOptions
from data_prep.sources.base import CaptionedImage
from im2txt.engines import spark_engine
from im2txt.engines.engine_options import EngineOptions
from im2txt.engines.local_engine import LocalEngine
from im2txt.engines.spark_engine import SparkEngine
from im2txt.inference.caption_folder import caption_files
from im2txt.inference.caption_model import Model

ROOT = pathlib.Path(__file__).resolve().parents[2]
HAS_JAVA = bool(os.environ.get("JAVA_HOME") or shutil.which("java"))

needs_spark = pytest.mark.skipif(
    not HAS_JAVA or not importlib.util.find_spec("pyspark"),
    reason="needs pyspark (pip install .[spark]) and Java 17 (apt-get install openjdk-17-jre-headless)",
)


@dataclasses.dataclass(frozen=True)
class Photographs:
    """A source of small photographs on disk."""

    folder: str

    def read(self) -> Iterator[CaptionedImage]:
        for i in range(24):
            path = f"{self.folder}/{i}.jpg"
            yield CaptionedImage(i, f"{i}.jpg", path, ("A dog runs.", "A cat sits."), "val" if i % 4 == 0 else "train")


@dataclasses.dataclass(frozen=True)
class Cluster:
    master: str
    worker_ids: tuple[int, ...]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    import pyspark

    home = pathlib.Path(pyspark.__file__).parent
    folder = tmp_path_factory.mktemp("cluster")
    quick_start = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    (folder / "spark-defaults.conf").write_text(
        "spark.driver.host 127.0.0.1\nspark.driver.bindAddress 127.0.0.1\nspark.ui.enabled false\n"
        f"spark.driver.memory 512m\nspark.driver.extraJavaOptions {quick_start}\n"
        f"spark.executor.memory 512m\nspark.executor.extraJavaOptions {quick_start}\n"
    )
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SPARK_CONF_DIR", str(folder))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("SPARK_DAEMON_MEMORY", "256m")
        patch.setenv("SPARK_DAEMON_JAVA_OPTS", quick_start)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT), str(ROOT / "tests"))))

        def start(role: str, *arguments: str, until: str) -> tuple[int, re.Match[str]]:
            command = [str(home / "bin/spark-class"), f"org.apache.spark.deploy.{role}", *arguments]
            address = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
            process = subprocess.Popen(command + address, stderr=subprocess.PIPE, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stderr
            for line in process.stderr:
                if match := re.search(until, line):
                    # The pipe must not fill up while the process lives.
                    threading.Thread(target=process.stderr.read, daemon=True).start()
                    return process.pid, match
            raise RuntimeError(f"{role} ended with status {process.wait()}.")

        _, match = start("master.Master", until=r"Starting Spark master at (spark://\S+)")
        workers = []
        for i in range(2):
            options = ("--cores", "1", "--memory", "512m", "--work-dir", str(folder / f"worker{i}"), match[1])
            workers.append(start("worker.Worker", *options, until="Successfully registered with master")[0])
        yield Cluster(match[1], tuple(workers))


def parent(process_id: int) -> int:
    return int(pathlib.Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[1])


def kill_executor(notice: str, cluster: Cluster, killed: list[int]) -> None:
    """Waits for the notice and kills the executor it came from, which is a worker's child."""
    process_id = int(pathlib.Path(notice).read_text())
    while parent(process_id) not in cluster.worker_ids:
        process_id = parent(process_id)
    os.kill(process_id, signal.SIGKILL)
    killed.append(process_id)


@dataclasses.dataclass
class KillingEngine:
    """Spark, with an executor killed in the middle of its first task."""

    cluster: Cluster
    notice: str
    killed: list[int] = dataclasses.field(default_factory=list)

    def run(self, function: Callable[[Any], Any], jobs: Iterable[Any], advice: str) -> Generator[Any, None, None]:
        os.mkfifo(self.notice)
        killer = threading.Thread(target=kill_executor, args=(self.notice, self.cluster, self.killed))
        killer.start()
        engine = EngineOptions(engine=self.cluster.master).make()
        yield from engine.run(functools.partial(die_once, function, self.notice), jobs, advice)
        killer.join()


@needs_spark
def test_a_cluster_that_loses_an_executor_writes_the_bytes_that_the_pool_writes(
    cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    for i in range(24):
        Image.effect_noise((40, 30), i).save(tmp_path / f"{i}.jpg")
    source = Photographs(str(tmp_path))
    options = BuildOptions(
        vocabulary=VocabularyOptions(min_word_count=1), shards=ShardOptions(train_shards=4, val_shards=1)
    )
    engine = KillingEngine(cluster, str(tmp_path / "notice"))
    prepare.prepare(source, str(tmp_path / "spark"), options, engine)
    assert len(engine.killed) == 1
    prepare.prepare(source, str(tmp_path / "pool"), options, LocalEngine(1))
    names = sorted(path.name for path in (tmp_path / "pool").iterdir())
    assert len(names) == 11
    assert sorted(path.name for path in (tmp_path / "spark").iterdir()) == names
    for name in names:
        assert (tmp_path / "spark" / name).read_bytes() == (tmp_path / "pool" / name).read_bytes(), name


@needs_spark
def test_a_cluster_that_loses_an_executor_captions_as_one_process_does(
    cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    data = write_dataset(tmp_path / "data", {"test": 8}, shards_per_split=8)
    paths = [os.path.join(data.data_dir, entry.name) for entry in data.manifest.split("test").shards]
    with open(paths[2], "r+b") as file:
        file.truncate(os.path.getsize(paths[2]) - 1)
    model = Model((write_run(tmp_path / "run", random_run()),), (("beam_size", 2),), batch_size=3, num_threads=1)
    engine = KillingEngine(cluster, str(tmp_path / "notice"))
    caption_files(paths, str(tmp_path / "spark"), "jsonl", model, engine)
    assert len(engine.killed) == 1
    # A worker captions one file after the other with the model it has loaded: two, and one for the one that was killed.
    assert len(set(pathlib.Path(f"{engine.notice}.workers").read_text().split())) <= 3
    manifest = caption_files(paths, str(tmp_path / "process"), "jsonl", model, LocalEngine(1))
    assert (manifest["photographs"], manifest["errors"]) == (8, {"damaged": 1})
    content = {path.name: path.read_bytes() for path in (tmp_path / "process").iterdir()}
    assert len(content) == 10
    assert {path.name: path.read_bytes() for path in (tmp_path / "spark").iterdir()} == content


class OneTask:
    """A SparkContext and its RDD that run the task here."""

    def parallelize(self, jobs: list[bytes], num_slices: int) -> "OneTask":
        assert num_slices == 1
        (self.job,) = jobs
        return self

    def map(self, call: Callable[[bytes], Any]) -> "OneTask":
        self.call = call
        return self

    def collect(self) -> list[Any]:
        return [self.call(self.job)]


def refuse(job: int) -> int:
    raise ValueError(f"Job {job} cannot be done.")


def fail(job: int) -> int:
    raise OSError(f"No space left for job {job}.")


def run_task(function: Callable[[int], int], attempt: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs job 7 as the given attempt of 4."""
    pyspark = types.SimpleNamespace(
        TaskContext=types.SimpleNamespace(get=lambda: types.SimpleNamespace(attemptNumber=lambda: attempt))
    )
    monkeypatch.setitem(sys.modules, "pyspark", pyspark)
    return spark_engine._run_task(OneTask(), functools.partial(spark_engine._call, function, 4), 7)


def tasks_that_returned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The results of tasks that Spark takes for done: they did not raise."""
    results: list[Any] = []
    monkeypatch.setattr(OneTask, "collect", lambda task: results.append(task.call(task.job)) or results[-1:])
    return results


def test_a_report_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_task(abs, 0, monkeypatch) == 7


def test_an_error_is_not_tried_again_and_arrives_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    results = tasks_that_returned(monkeypatch)
    with pytest.raises(ValueError, match=r"^Job 7 cannot be done\.$"):
        run_task(refuse, 0, monkeypatch)
    assert len(results) == 1


@pytest.mark.parametrize(("attempt", "is_left_to_spark"), [(0, True), (2, True), (3, False)])
def test_a_failing_disk_is_left_to_spark_until_the_last_attempt(
    attempt: int, is_left_to_spark: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tasks_that_returned(monkeypatch)
    with pytest.raises(OSError, match="No space left for job 7"):
        run_task(fail, attempt, monkeypatch)
    assert (not results) == is_left_to_spark


def test_without_pyspark_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(RuntimeError, match=r"needs pyspark\. Install it with `pip install \.\[spark\]`"):
        SparkEngine("local[2]")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 4 times\n"
            '  File "serializers.py", line 472, in loads\n'
            "ModuleNotFoundError: No module named 'data_prep'\n\n\tat org.apache...",
            "ModuleNotFoundError: No module named 'data_prep' on a worker; install this package there",
        ),
        (
            "\norg.apache.spark.SparkException: Job aborted due to stage failure: ExecutorLostFailure\n\tat org...",
            "org.apache.spark.SparkException: Job aborted due to stage failure: ExecutorLostFailure",
        ),
        (
            "java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.\nThis stopped ...",
            "no master answers at spark://host:7077",
        ),
    ],
)
def test_of_a_java_stack_trace_the_cause_is_shown(message: str, expected: str) -> None:
    assert spark_engine._cause(message, "spark://host:7077").startswith(expected)
