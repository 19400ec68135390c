"""The strategies by name, what they say of themselves, and what is refused."""

import typing

import pytest
import tensorflow as tf

from im2txt.configuration import ExperimentConfig, InputConfig, TrainingConfig
from im2txt.shards.data_layout import DataLayout
from im2txt.training.strategies import STRATEGIES, build_distribution


def test_every_name_of_the_configuration_has_its_strategy():
    names = typing.get_args(typing.get_type_hints(TrainingConfig)["distribution"])
    assert tuple(STRATEGIES) == names


def test_logical_devices_are_replicas_of_one_process():
    distribution = build_distribution(TrainingConfig(distribution="mirrored", logical_devices=2))
    assert distribution.layout == DataLayout(num_replicas=2)
    assert (distribution.any_worker(True), distribution.any_worker(False)) == (True, False)
    assert distribution.of_chief(12_345) == 12_345


def test_more_logical_devices_than_tensorflow_has_started_with_are_refused():
    with pytest.raises(RuntimeError, match=r"training\.logical_devices=9: TensorFlow has started with 2 device"):
        build_distribution(TrainingConfig(distribution="mirrored", logical_devices=9))


def test_logical_devices_need_mirrored():
    with pytest.raises(ValueError, match=r"training\.logical_devices=4: only mirrored spreads over them"):
        TrainingConfig(logical_devices=4)


def test_a_tpu_needs_shapes_that_never_change():
    with pytest.raises(ValueError, match=r"input\.padded_caption_length=0: a TPU needs shapes that never change"):
        ExperimentConfig(training=TrainingConfig(distribution="tpu"))
    ExperimentConfig(training=TrainingConfig(distribution="tpu"), input=InputConfig(padded_caption_length=40))


def test_a_missing_tpu_is_told_in_one_line(monkeypatch):
    def missing(name):
        raise OSError(f"no address of {name}")

    monkeypatch.setattr(tf.distribute.cluster_resolver, "TPUClusterResolver", missing)
    with pytest.raises(ValueError, match=r"training\.tpu_name='nowhere': no TPU found: no address of nowhere"):
        build_distribution(TrainingConfig(distribution="tpu", tpu_name="nowhere"))


def test_workers_without_a_cluster_are_refused(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="multi_worker needs TF_CONFIG"):
        build_distribution(TrainingConfig(distribution="multi_worker"))
