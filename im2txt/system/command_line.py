"""What every command's door has in common: flags in, one clear line and an exit status out."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import itertools
import os
import pkgutil
import re
import runpy
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import tyro

from im2txt.config_sections.decoder_config import decoder_class
from im2txt.configuration import ExperimentConfig
from im2txt.system import storage
from im2txt.system.error_lines import error_line

Flags = TypeVar("Flags")


def parse(flags_class: type[Flags], description: str, argv: Sequence[str] | None = None) -> Flags:
    """Parses a command's flags into its frozen dataclass.

    A bad flag ends the process with status 2 and names the flag; a ValueError of the dataclass's own checks likewise.

    Args:
        flags_class: the dataclass; its fields' docstrings are the help texts.
        description: what the command does, shown above the flags; usually the module's docstring.
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        The parsed flags.
    """
    try:
        return tyro.cli(
            flags_class,
            prog=_program(flags_class),
            description=description,
            args=argv,
            use_underscores=True,
            config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff),
        )
    except ValueError as error:  # Of a dataclass within the dataclass.
        _refuse(str(error))


def parse_with_config(flags_class: type[Flags], description: str, argv: Sequence[str] | None = None) -> Flags:
    """Parses the flags of a command that takes an experiment: `--config=NAME_OR_PATH --config.SECTION.FIELD=VALUE`.

    `--config` names a module of `configs/`, a Python file with `get_config()`, or a run's `config.json`; the dotted
    flags override its fields. `--config.decoder.name` with another decoder's name replaces the whole section by that
    decoder's defaults. `flags_class` has a field `config: ExperimentConfig`, and no default for it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    named = [i for i, argument in enumerate(arguments) if re.fullmatch("--config(=.*)?", argument)]
    values = {field.name: field.default for field in dataclasses.fields(flags_class)}  # type: ignore[arg-type]
    values = {name: tyro.MISSING if value is dataclasses.MISSING else value for name, value in values.items()}
    if named:
        first = arguments.pop(named[0])
        name = first.partition("=")[2] if "=" in first else arguments.pop(named[0]) if named[0] < len(arguments) else ""
        try:
            values["config"] = _with_named_decoder(load_config(name), arguments)
        except (ValueError, OSError) as error:
            _refuse(f"--config: {error}")
    elif "--help" in arguments or "-h" in arguments:
        values["config"] = _with_named_decoder(ExperimentConfig(), arguments)
    else:
        _refuse(f"--config is required: one of {', '.join(config_names())}, or a path.")
    return tyro.cli(
        flags_class,
        prog=_program(flags_class),
        description=description,
        args=arguments,
        default=flags_class(**values),
        use_underscores=True,
        config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),  # Fields are written FIELD=True or =False.
    )


def _with_named_decoder(config: ExperimentConfig, arguments: Sequence[str]) -> ExperimentConfig:
    """Returns the configuration with the decoder that `--config.decoder.name` names, where it is another one."""
    flag = "--config.decoder.name"
    after = [value for before, value in itertools.pairwise(arguments) if before == flag]
    joined = [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{flag}=")]
    for name in after + joined:
        if name != config.decoder.name:
            config = dataclasses.replace(config, decoder=decoder_class(name)())
    return config


def _program(flags_class: type[Any]) -> str:
    """Returns what starts the command whose flags these are; under Bazel too, which starts it by another name."""
    module = flags_class.__module__
    if module == "__main__":
        project = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = os.path.relpath(os.path.abspath(sys.modules[module].__file__ or ""), project)
        module = path.removesuffix(".py").replace(os.sep, ".")
    return f"python -m {module}"


def _refuse(message: str) -> NoReturn:
    """Ends the process as a bad flag does."""
    print(f"error: {printable(message)}", file=sys.stderr)
    sys.exit(2)


def check_can_be_folder(flag: str, path: str) -> None:
    """Raises NotADirectoryError if a local path, or what would be a folder above it, is a file; ValueError if empty."""
    if not path:
        raise ValueError(f"--{flag} is empty: name a folder.")
    _check_folders(flag, path, path)


def check_can_be_file(flag: str, path: str) -> None:
    """Raises an OSError if a local path is a folder, or what would be a folder above it is a file."""
    if not storage.is_remote(path):
        if os.path.isdir(path):
            raise IsADirectoryError(f"--{flag}={path} is a folder. Name a file in it, or in another place.")
        _check_folders(flag, path, os.path.dirname(os.path.abspath(path)))


def _check_folders(flag: str, path: str, folder: str) -> None:
    existing = "" if storage.is_remote(folder) else os.path.abspath(folder)
    while existing and not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if existing and not os.path.isdir(existing):
        raise NotADirectoryError(f"--{flag}={path}: {existing} is a file, not a folder. Name another place.")


def printable(text: str) -> str:
    """Returns text that a terminal shows as it is: control characters and undecodable bytes become escapes."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def config_names() -> list[str]:
    """Returns the experiments in `configs/`."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module("configs").__path__))


def load_config(name: str) -> ExperimentConfig:
    """Loads an experiment; see `parse_with_config`.

    Raises:
        FileNotFoundError: if a path is named that is not there.
        ValueError: if it is neither a path nor a name in `configs/`, or the file gives no valid configuration.
    """
    if name.endswith((".py", ".json")):
        if not os.path.exists(name):
            raise FileNotFoundError(f"{name!r} is no file.")
        if name.endswith(".json"):
            return ExperimentConfig.from_json(storage.read_text(name, storage.MAX_DOCUMENT_BYTES), name)
        storage.check_file(name, storage.MAX_DOCUMENT_BYTES)
        config = runpy.run_path(name).get("get_config", lambda: None)()
        if not isinstance(config, ExperimentConfig):
            raise ValueError(f"{name} has no get_config() that returns an ExperimentConfig.")
        return config
    if name not in config_names():
        nearest = difflib.get_close_matches(name, config_names(), n=1)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        raise ValueError(f"{name!r} is no experiment.{hint} There are {', '.join(config_names())}, or name a .py file.")
    return importlib.import_module(f"configs.{name}").get_config()


def run(main: Callable[[], int | None]) -> None:
    """Runs a command's main function and ends the process.

    Exit status 0 (or what `main` returns) for success, 1 with one line on standard error for anything the user can
    mend (see `error_lines`), 130 after Ctrl-C. All other errors keep their traceback.
    """
    if "BUILD_WORKING_DIRECTORY" in os.environ:  # `bazel run` starts elsewhere; relative paths are the user's.
        os.chdir(os.environ["BUILD_WORKING_DIRECTORY"])
    try:
        sys.exit(main() or 0)
    except Exception as error:
        line = error_line(error)
        if line is None or os.environ.get("IM2TXT_TRACEBACK"):
            raise
        print(f"error: {printable(line)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
