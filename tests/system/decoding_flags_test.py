"""Flags that replace a run's decoding."""

import dataclasses

import pytest

from im2txt.configuration import DecodingConfig
from im2txt.system import command_line
from im2txt.system.decoding_flags import DECODING, DecodingFlags


@dataclasses.dataclass(frozen=True)
class SomeFlags:
    """Flags of some command."""

    decoding: DECODING = DecodingFlags()


def parse(*argv):
    return command_line.parse(SomeFlags, "A command.", argv).decoding.given()


def test_every_field_is_a_flag_of_its_own_type():
    given = {}
    for field in dataclasses.fields(DecodingConfig):
        value = {"method": "sample", "top_p": 0.25}.get(field.name, field.default)
        assert parse(f"--{field.name}={value}") == {field.name: value}
        assert type(parse(f"--{field.name}={value}")[field.name]) is type(field.default)
        given[field.name] = value
    assert parse(*(f"--{name}={value}" for name, value in given.items())) == given
    assert parse() == {}


def test_the_help_is_that_of_the_configuration(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Another seed draws other captions. None takes the run's configuration." in shown
    assert shown.count("None takes the run's configuration.") == len(dataclasses.fields(DecodingConfig))


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--beam_size=0", "decoding.beam_size=0: must be in 1 to 100"),
        ("--beam_size=101", "decoding.beam_size=101: must be in 1 to 100"),
        ("--beam_size=three", "three"),
        ("--method=greedy", "greedy"),
        ("--temperature=0", "decoding.temperature=0.0: must be positive"),
    ],
)
def test_a_value_out_of_range_is_a_wrong_flag(flag, told, capsys):
    with pytest.raises(SystemExit) as stop:
        parse(flag)
    assert stop.value.code == 2
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())
