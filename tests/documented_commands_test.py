"""Every command that the README, docs/ and the commands' own help show has the flags that it is shown with."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

from im2txt.configuration import ExperimentConfig
from im2txt.system import command_line

ROOT = Path(__file__).parent.parent
COMMAND = re.compile(r"^\s*(?:\S*python) -m ((?:im2txt|data_prep)\.\w+)([^`\n]*)$", re.MULTILINE)


def documented() -> list[tuple[str, str, str]]:
    """Where, module and flags of each; those that leave something out (`...`, SOURCE) are no commands."""
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
    for path in (*(ROOT / "im2txt").glob("*.py"), *(ROOT / "data_prep").glob("*.py")):
        texts[path] = importlib.import_module(f"{path.parent.name}.{path.stem}").__doc__ or ""
    found = []
    for path, text in sorted(texts.items()):
        for module, flags in COMMAND.findall(re.sub(r"\\\n\s*", " ", text)):
            if not re.search(r"\.\.\.|SOURCE", flags):
                found.append((path.name, module, flags))
    return found


class ParsedError(Exception):
    """The flags are a command's; nothing else is run."""


@pytest.mark.parametrize(("where", "module", "flags"), documented())
def test_a_documented_command_is_one(where: str, module: str, flags: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load, parse, parse_with_config = command_line.load_config, command_line.parse, command_line.parse_with_config

    def load_config(name: str) -> ExperimentConfig:
        return ExperimentConfig() if name.endswith(".json") else load(name)  # A run's, which is not there.

    def only(parse):
        def run(*args):
            parse(*args)
            raise ParsedError

        return run

    monkeypatch.setattr(command_line, "load_config", load_config)
    monkeypatch.setattr(command_line, "parse", only(parse))
    monkeypatch.setattr(command_line, "parse_with_config", only(parse_with_config))
    monkeypatch.setattr(sys, "argv", [module, *shlex.split(flags, comments=True)])
    with pytest.raises(ParsedError):
        importlib.import_module(module).main()


def test_there_are_such_commands_of_every_module() -> None:
    commands = {path.stem for folder in ("im2txt", "data_prep") for path in (ROOT / folder).glob("*.py")}
    commands -= {"__init__", "configuration", "configuration_history"}
    assert {module.partition(".")[2] for _, module, _ in documented()} == commands
