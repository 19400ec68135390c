import dataclasses
import importlib
import inspect
import pkgutil

from data_prep import build_shards, sources
from data_prep.sources.base import Source
from data_prep.sources.registry import SOURCES


def test_every_source_of_the_package_is_registered_under_its_modules_name():
    found = {}
    for module in pkgutil.iter_modules(sources.__path__):
        for _, kind in inspect.getmembers(importlib.import_module(f"data_prep.sources.{module.name}"), inspect.isclass):
            is_here = kind.__module__ == f"data_prep.sources.{module.name}" and kind is not Source
            if is_here and dataclasses.is_dataclass(kind) and hasattr(kind, "read"):
                found[module.name] = kind
    assert found == SOURCES


def test_the_command_takes_what_the_registry_holds():
    (source,) = [field for field in dataclasses.fields(build_shards.BuildShardsFlags) if field.name == "source"]
    assert "AnySource" in str(source.type)
    named = {annotated.__metadata__[0].name: annotated.__origin__ for annotated in build_shards.AnySource.__args__}
    assert named == SOURCES
