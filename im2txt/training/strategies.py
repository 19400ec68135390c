"""Where a run computes: the strategies that `training.distribution` names, and what its processes agree on.

A strategy is built before anything else of TensorFlow's: devices and the cluster are fixed by the first operation.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from im2txt.configuration import ExperimentConfig, TrainingConfig
from im2txt.shards.data_layout import DataLayout
from im2txt.shards.example_sequence import check_examples, examples_per_epoch
from im2txt.shards.shard_folder import ShardFolder
from im2txt.system.stop_signals import kept_signals
from im2txt.training.cluster import Cluster, read_cluster
from im2txt.training.rendezvous import wait_for_workers


class Distribution:
    """Where a run computes, and what its processes tell each other.

    All workers must call the same methods in the same order: each of them waits for the others.

    Attributes:
        strategy: TensorFlow's.
        layout: how it spreads the run; nothing else asks TensorFlow which process this is.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        """Works for any strategy."""
        self.strategy = strategy
        self.layout = _layout(strategy)

        @tf.function
        def total(value: tf.Tensor) -> tf.Tensor:
            def of_replica() -> tf.Tensor:
                return tf.distribute.get_replica_context().all_reduce("SUM", tf.identity(value))

            return strategy.experimental_local_results(strategy.run(of_replica))[0]

        self._total = total

    def batches(self, build: Callable[[DataLayout], tf.data.Dataset]) -> Any:
        """Returns the distributed dataset of what `build` gives for this process, one batch for each replica."""
        return self.strategy.distribute_datasets_from_function(lambda context: build(self.layout))

    def any_worker(self, flag: bool) -> bool:
        """Returns whether the flag is set in any worker: the same answer in all of them."""
        return self._sum(float(flag)) > 0

    def of_chief(self, value: float) -> float:
        """Returns the chief's value, the same in all workers; an int must be below 2**53."""
        return self._sum(float(value) if self.layout.is_chief else 0.0) / self.layout.local_replicas

    def wait(self) -> None:
        """Returns when all workers have come this far."""
        self.any_worker(False)

    @contextmanager
    def lost_workers_named(self) -> Iterator[None]:
        """Turns TensorFlow's word on a worker that is gone into a RuntimeError that says what to do."""
        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            raise RuntimeError(
                f"Worker {self.layout.worker} lost another of the {self.layout.num_workers} workers: "
                f"{str(error).splitlines()[0]} End those that still run and start all of them again by the same "
                "command; the run goes on from its latest checkpoint."
            ) from error

    def _sum(self, value: float) -> float:
        if self.layout.num_workers == 1:
            return value * self.layout.local_replicas
        return float(self._total(tf.constant(value, tf.float64)))


def check_workers(config: ExperimentConfig, folder: ShardFolder) -> None:
    """Checks what can be told of several workers before they wait for each other.

    Raises:
        ValueError: if they cannot share a batch, if there are fewer examples than workers, or as `read_cluster`.
    """
    if config.training.distribution != "multi_worker":
        return
    workers = len(read_cluster(os.environ).addresses)
    DataLayout(workers, workers).replica_batch_size(config.input.batch_size)  # Each has one replica at least.
    examples = examples_per_epoch(folder.manifest, config.input.train_split, config.input.captions_per_image)
    check_examples(examples, workers, f"Split {config.input.train_split!r} of {folder.path}")


def build_distribution(config: TrainingConfig) -> Distribution:
    """Builds the strategy that the configuration names.

    Raises:
        RuntimeError: if the devices cannot be set up, or another worker has not come in time.
        ValueError: if the environment does not describe what the strategy needs.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # Otherwise TensorFlow takes all memory, and an evaluation beside the training finds none.
        tf.config.experimental.set_memory_growth(gpu, True)
    return Distribution(STRATEGIES[config.distribution](config))


def _layout(strategy: tf.distribute.Strategy) -> DataLayout:
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        resolver = strategy.cluster_resolver
        num_workers = len(resolver.cluster_spec().as_dict()["worker"])
        return DataLayout(strategy.num_replicas_in_sync, num_workers, resolver.task_id)
    return DataLayout(strategy.num_replicas_in_sync)


def _one_device(config: TrainingConfig) -> tf.distribute.Strategy:
    del config
    return tf.distribute.OneDeviceStrategy("/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0")


def _mirrored(config: TrainingConfig) -> tf.distribute.Strategy:
    return _mirrored_on(config.logical_devices)


@functools.cache  # TensorFlow confuses the sums of two strategies on the same devices of one process.
def _mirrored_on(logical_devices: int) -> tf.distribute.Strategy:
    if not logical_devices:
        return tf.distribute.MirroredStrategy()
    try:
        cpu = tf.config.list_physical_devices("CPU")[0]
        if not tf.config.get_logical_device_configuration(cpu):
            devices = [tf.config.LogicalDeviceConfiguration()] * logical_devices
            tf.config.set_logical_device_configuration(cpu, devices)
    except RuntimeError:
        pass  # TensorFlow has started already; what counts is how many there are.
    num_devices = len(tf.config.list_logical_devices("CPU"))
    if num_devices < logical_devices:
        raise RuntimeError(
            f"training.logical_devices={logical_devices}: TensorFlow has started with {num_devices} device(s) "
            "in this process. Start the training in a new one."
        )
    return tf.distribute.MirroredStrategy([f"/cpu:{index}" for index in range(logical_devices)])


def _multi_worker(config: TrainingConfig) -> tf.distribute.Strategy:
    return _multi_worker_in(read_cluster(os.environ), config.start_deadline_secs)


@functools.cache  # A process joins a cluster once.
def _multi_worker_in(cluster: Cluster, start_deadline_secs: float) -> tf.distribute.Strategy:
    print(
        f"Worker {cluster.worker} of {len(cluster.addresses)} at {cluster.addresses[cluster.worker]}: waiting for the "
        "others.",
        flush=True,
    )
    wait_for_workers(cluster, start_deadline_secs)
    # The chief as worker 0: then all are of one kind.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": cluster.addresses}),
        task_type="worker",
        task_id=cluster.worker,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    with kept_signals():  # It would swallow every SIGTERM from here on.
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def _tpu(config: TrainingConfig) -> tf.distribute.Strategy:
    """Has never been run: no TPU was at hand."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(config.tpu_name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        raise ValueError(f"training.tpu_name={config.tpu_name!r}: no TPU found: {error}") from error
    return tf.distribute.TPUStrategy(resolver)


STRATEGIES: dict[str, Callable[[TrainingConfig], tf.distribute.Strategy]] = {
    "one_device": _one_device,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}
"""By the names of `training.distribution`."""
