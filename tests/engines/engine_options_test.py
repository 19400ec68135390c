"""Where the jobs of a command run: one flag says it."""

import sys
import types

import pytest

from im2txt.engines.engine_options import EngineOptions
from im2txt.engines.local_engine import LocalEngine
from im2txt.engines.spark_engine import SparkEngine


@pytest.fixture
def pyspark(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", types.SimpleNamespace())


def test_jobs_run_on_this_machine_unless_told_otherwise():
    engine = EngineOptions(num_workers=5).make()
    assert isinstance(engine, LocalEngine)
    assert engine._num_workers == 5


@pytest.mark.parametrize(
    ("flag", "master"),
    [
        ("spark", None),  # Spark's own configuration.
        ("spark://host:7077", "spark://host:7077"),
        ("yarn", "yarn"),
        ("k8s://https://host:443", "k8s://https://host:443"),
        ("local[2]", "local[2]"),
        ("local[*]", "local[*]"),
    ],
)
def test_an_address_is_that_of_a_spark_master(flag, master, pyspark):
    engine = EngineOptions(engine=flag).make()
    assert isinstance(engine, SparkEngine)
    assert engine._master == master


@pytest.mark.parametrize("flag", ["", "lokal", "local2", "spark:", "spark://", "Spark", "mesos://host:5050"])
def test_any_other_engine_is_refused(flag):
    with pytest.raises(ValueError, match=r"^--engine=.* is neither `local` nor `spark` nor the address of a Spark mas"):
        EngineOptions(engine=flag)


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match=r"--num_workers=0 must be at least 1\."):
        EngineOptions(num_workers=0)
