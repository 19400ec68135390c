"""Tests of what all commands share: how flags become values, and how errors become one line and an exit status."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from configs import flickr8k
from im2txt.configuration import DecodingConfig, ExperimentConfig, OptimizationConfig
from im2txt.system import command_line


@dataclasses.dataclass(frozen=True)
class PlainFlags:
    """Flags of a command without an experiment."""

    output_dir: str
    """Where the results go."""
    num_workers: int = 2
    """How many work at once."""
    dry_run: bool = False
    """Write nothing."""

    def __post_init__(self) -> None:
        if self.num_workers < 1:
            raise ValueError(f"num_workers={self.num_workers}: must be at least 1.")


@dataclasses.dataclass(frozen=True)
class ExperimentFlags:
    """Flags of a command with an experiment."""

    config: ExperimentConfig
    workdir: str
    """Folder of the run."""
    batch_size: int = 32
    """Photographs per batch."""


def parse_plain(*argv):
    return command_line.parse(PlainFlags, "Does something.", argv)


def parse_experiment(*argv):
    return command_line.parse_with_config(ExperimentFlags, "Trains something.", argv)


def refusal(capsys, parse, *argv):
    """Exit status and what stands on standard error, with the frame's borders and line breaks taken out."""
    with pytest.raises(SystemExit) as stop:
        parse(*argv)
    return stop.value.code, " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_flags_become_typed_values():
    assert parse_plain("--output_dir=/tmp/x", "--num_workers=5") == PlainFlags("/tmp/x", 5)
    assert parse_plain("--output_dir", "/tmp/x", "--dry_run") == PlainFlags("/tmp/x", 2, True)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--output_dir=x", "--num_worker=3"], ["--num_worker=3", "Perhaps you meant", "--num_workers INT"]),
        (["--output_dir=x", "--num_workers=many"], ["--num_workers", "'many'"]),
        (["--output_dir=x", "--num_workers=0"], ["num_workers=0: must be at least 1."]),
        ([], ["--output_dir", "Where the results go."]),
    ],
)
def test_a_wrong_flag_is_named_and_ends_with_status_2(capsys, argv, told):
    status, message = refusal(capsys, parse_plain, *argv)
    assert status == 2
    for words in told:
        assert words in message


def test_help_explains_the_command_and_its_flags(capsys):
    for parse in (parse_plain, parse_experiment):
        with pytest.raises(SystemExit) as stop:
            parse("--help")
        assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("Does something.", "--num_workers INT How many work at once. (default: 2)"):
        assert words in text
    for words in ("--config.optimization.clip_norm FLOAT Largest global norm", "--workdir STR Folder of the run."):
        assert words in text


@pytest.mark.parametrize("named", [["--config=flickr8k"], ["--config", "flickr8k"]])
def test_config_takes_the_name_of_an_experiment(named):
    expected = ExperimentFlags(flickr8k.get_config(), "/tmp/run", 32)
    assert parse_experiment(*named, "--workdir=/tmp/run") == expected
    assert parse_experiment("--workdir=/tmp/run", *named) == expected


def test_config_takes_a_python_file_and_a_run_s_json(tmp_path):
    (tmp_path / "own.py").write_text(
        "from im2txt.configuration import DecodingConfig, ExperimentConfig\n\n\n"
        "def get_config():\n    return ExperimentConfig(decoding=DecodingConfig(beam_size=11))\n"
    )
    expected = ExperimentConfig(decoding=DecodingConfig(beam_size=11))
    (tmp_path / "config.json").write_text(expected.to_json())
    for name in ("own.py", "config.json"):
        assert parse_experiment(f"--config={tmp_path / name}", "--workdir=x").config == expected


def test_dotted_flags_override_fields_of_every_type():
    config = parse_experiment(
        "--config=flickr8k",
        "--workdir=x",
        "--config.input.data_dir=/tmp/a=b",
        "--config.input.distort_images=False",
        "--config.encoder.trainable=True",
        "--config.encoder.pooling",
        "max",
        "--config.optimization.learning_rate=2.5e-4",
        "--config.decoding.beam_size=7",
    ).config
    base = flickr8k.get_config()
    assert config == dataclasses.replace(
        base,
        input=dataclasses.replace(base.input, data_dir="/tmp/a=b", distort_images=False),
        encoder=dataclasses.replace(base.encoder, trainable=True, pooling="max"),
        optimization=dataclasses.replace(base.optimization, learning_rate=2.5e-4),
        decoding=dataclasses.replace(base.decoding, beam_size=7),
    )


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("--config.optimization.learning_rat=3", ["learning_rat=3", "--config.optimization.learning_rate FLOAT"]),
        ("--config.optimization.learning_rate=-3", ["optimization.learning_rate=-3.0: must be positive."]),
        ("--config.optimization.learning_rate=fast", ["--config.optimization.learning_rate", "'fast'"]),
        (
            "--config.encoder.pooling=median",
            ["--config.encoder.pooling", "'median'", "'avg', 'max', 'flatten', 'gr"],
        ),
        ("--config.encoder.trainable=maybe", ["--config.encoder.trainable", "'maybe'"]),
        ("--config.encoder.update_batch_norm=True", ["encoder.update_batch_norm=True: needs encoder.trainable=True"]),
    ],
)
def test_a_wrong_override_is_named_with_its_rule_or_the_nearest_field(capsys, override, told):
    status, message = refusal(capsys, parse_experiment, "--config=flickr8k", "--workdir=x", override)
    assert status == 2
    for words in told:
        assert words in message


def test_overrides_together_must_fit_each_other():
    argv = ["--config=flickr8k", "--workdir=x", "--config.optimization.optimizer=adam"]
    assert flickr8k.get_config().optimization.weight_decay > 0
    with pytest.raises(SystemExit):
        parse_experiment(*argv)
    optimization = parse_experiment(*argv, "--config.optimization.weight_decay=0").config.optimization
    assert (optimization.optimizer, optimization.weight_decay) == ("adam", 0)
    assert isinstance(optimization, OptimizationConfig)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--workdir=x"], "error: --config is required: one of "),
        (["--workdir=x", "--config"], "error: --config: '' is no experiment."),
        (["--config=flickr8"], "error: --config: 'flickr8' is no experiment. Did you mean flickr8k? There are "),
        (["--config=zzz"], "error: --config: 'zzz' is no experiment. There are "),
        (["--config=no/such.py"], "error: --config: 'no/such.py' is no file."),
        (["--config=no/such.json"], "error: --config: 'no/such.json' is no file."),
    ],
)
def test_an_experiment_that_is_not_there_is_refused_with_those_that_are(capsys, argv, message):
    status, told = refusal(capsys, parse_experiment, *argv)
    assert status == 2
    assert told.startswith(message)
    configs = pathlib.Path(flickr8k.__file__).parent.glob("[!_]*.py")
    assert "no/such" in message or ", ".join(sorted(path.stem for path in configs)) in told


@pytest.mark.parametrize("content", ["", "def get_config():\n    return {}\n"])
def test_a_python_file_without_an_experiment_is_refused(capsys, tmp_path, content):
    path = tmp_path / "own.py"
    path.write_text(content)
    status, message = refusal(capsys, parse_experiment, f"--config={path}", "--workdir=x")
    assert (status, message) == (
        2,
        f"error: --config: {path} has no get_config() that returns an ExperimentConfig.",
    )


def test_a_config_json_that_does_not_fit_is_refused_with_its_name(capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"input": {"batch_size": 0}}')
    status, message = refusal(capsys, parse_experiment, f"--config={path}", "--workdir=x")
    assert status == 2
    assert message.startswith(f"error: --config: {path} is not a configuration")
    assert "input.batch_size=0: must be at least 1" in message


@pytest.mark.parametrize("module", ["im2txt.train", "data_prep.build_shards"])
@pytest.mark.parametrize("is_script", [False, True])  # Bazel starts the file itself.
def test_help_names_a_command_that_can_be_run(module, is_script, tmp_path):
    path = pathlib.Path(command_line.__file__).parents[2] / f"{module.replace('.', '/')}.py"
    started = [str(path)] if is_script else ["-m", module]
    environment = os.environ | {"PYTHONPATH": str(path.parents[1])}
    done = subprocess.run(
        [sys.executable, *started, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: python -m {module} ")


def test_a_place_for_a_folder_must_not_be_a_file_nor_lie_in_one(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for name in ("folder", "folder/new/run", "new"):
        command_line.check_can_be_folder("workdir", str(tmp_path / name))
    command_line.check_can_be_folder("workdir", "gs://bucket/run")
    with pytest.raises(ValueError, match="--workdir is empty: name a folder"):
        command_line.check_can_be_folder("workdir", "")
    for name in ("file", "file/run", "file/runs/run"):
        with pytest.raises(NotADirectoryError) as error:
            command_line.check_can_be_folder("workdir", str(tmp_path / name))
        told = f"--workdir={tmp_path / name}: {tmp_path}/file is a file, not a folder. Name another place."
        assert str(error.value) == told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 猫.jpg", "größe 猫.jpg"),
        ("two\nlines", "two\nlines"),
        ("\x1b[31mred\r.jpg", r"\x1b[31mred\r.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\udce9.jpg"),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown, capsys):
    def main():
        raise OSError(f"{text} is bad.")

    assert command_line.printable(text) == shown
    assert ended(main) == 1
    assert capsys.readouterr().err == f"error: {shown} is bad.\n"


def ended(main):
    with pytest.raises(SystemExit) as stop:
        command_line.run(main)
    return stop.value.code


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """`run` reads and sets variables; the other tests must not see them."""
    monkeypatch.delenv("BUILD_WORKING_DIRECTORY", raising=False)
    monkeypatch.delenv("IM2TXT_TRACEBACK", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_the_exit_status_is_what_main_returns(result, status):
    assert ended(lambda: result) == status


def raised_in(package, error):
    """A main function that raises in a module of `package`; errors of other packages are no user's fault."""
    functions = {"__name__": package, "error": error}
    exec("def main():\n    raise error", functions)
    return functions["main"]


@pytest.mark.parametrize("error", [ValueError("a bad value."), FileNotFoundError("no such folder."), RuntimeError("x")])
def test_what_the_user_can_mend_ends_in_one_line_and_status_1(capsys, monkeypatch, error):
    main = raised_in("im2txt.train", error)
    assert ended(main) == 1
    assert capsys.readouterr().err == f"error: {error}\n"
    monkeypatch.setenv("IM2TXT_TRACEBACK", "1")
    with pytest.raises(type(error), match=str(error)):
        command_line.run(main)


@pytest.mark.parametrize("error", [ValueError("shapes do not match"), RuntimeError("iterator changed")])
def test_errors_of_other_packages_keep_their_traceback(error):
    with pytest.raises(type(error), match=str(error)):
        command_line.run(raised_in("numpy.core", error))


def test_programming_errors_keep_their_traceback():
    with pytest.raises(KeyError, match="forgotten"):
        command_line.run(lambda: {}["forgotten"])


def test_ctrl_c_ends_with_status_130(capsys):
    def main():
        raise KeyboardInterrupt

    assert ended(main) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_relative_paths_are_the_user_s_under_bazel(monkeypatch, tmp_path):
    monkeypatch.chdir(os.getcwd())  # Puts the folder back after the test.
    monkeypatch.setenv("BUILD_WORKING_DIRECTORY", str(tmp_path))
    seen = []
    ended(lambda: seen.append(os.getcwd()))
    assert seen == [str(tmp_path)]


def test_command_line_and_configuration_import_no_tensorflow():
    program = "import sys, im2txt.system.command_line; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
