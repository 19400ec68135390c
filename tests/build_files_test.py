"""The BUILD files equal the imports, and the imports keep to the architecture."""

import textwrap
from pathlib import Path

import build_files
import pytest

ROOT = Path(__file__).parents[1]


def _write(root: Path, files: dict[str, str]) -> dict[str, build_files.Module]:
    for name, text in {"configs/__init__.py": "'Experiments.'", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return build_files.read_modules(root)


def _stanzas(root: Path, files: dict[str, str], package: str) -> dict[str, str]:
    targets = build_files.derive_targets(_write(root, files))[package]
    return {name: str(target) for name, target in targets.items()}


@pytest.fixture(scope="module")
def modules() -> dict[str, build_files.Module]:
    return build_files.read_modules(ROOT)


@pytest.mark.parametrize("package", build_files.packages(ROOT))
def test_targets_are_those_of_the_modules_and_deps_are_their_imports(
    package: str, modules: dict[str, build_files.Module]
) -> None:
    derived = build_files.derive_targets(modules).get(package, {})
    messages = build_files.differences(package, (ROOT / package / "BUILD").read_text(encoding="utf-8"), derived)
    assert not messages, "\n\n".join(["`python tests/build_files.py --write` mends this:", *messages])


def test_imports_and_names_keep_to_the_architecture(modules: dict[str, build_files.Module]) -> None:
    faults = build_files.structure_faults(modules)
    assert not faults, "\n".join(faults)


def test_imports_in_functions_and_of_names_in_modules_become_deps(tmp_path: Path) -> None:
    files = {
        "im2txt/__init__.py": "__version__ = '1'",
        "im2txt/shards.py": "import os",
        "im2txt/records.py": "def parse():\n    from im2txt.shards import list_shards",
        "data_prep/plan.py": "from im2txt import __version__, records\nimport im2txt.shards",
    }
    assert _stanzas(tmp_path, files, "im2txt")["records"] == textwrap.dedent("""\
        py_library(
            name = "records",
            srcs = ["records.py"],
            deps = [":shards"],
        )""")
    assert _stanzas(tmp_path, files, "data_prep")["plan"] == textwrap.dedent("""\
        py_library(
            name = "plan",
            srcs = ["plan.py"],
            deps = [
                "//im2txt",
                "//im2txt:records",
                "//im2txt:shards",
            ],
        )""")


def test_a_command_is_a_binary_over_its_library_and_a_test_that_starts_it_depends_on_it(tmp_path: Path) -> None:
    files = {
        "im2txt/train.py": "if __name__ == '__main__':\n    print(1)",
        "tests/train_test.py": "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'im2txt.train'])",
    }
    assert _stanzas(tmp_path, files, "im2txt") == {
        "train_lib": 'py_library(\n    name = "train_lib",\n    srcs = ["train.py"],\n)',
        "train": 'py_binary(\n    name = "train",\n    srcs = ["train.py"],\n    deps = [":train_lib"],\n)',
    }
    assert _stanzas(tmp_path, files, "tests")["train_test"] == textwrap.dedent("""\
        py_test(
            name = "train_test",
            size = "medium",
            srcs = [
                "run_pytest.py",
                "train_test.py",
            ],
            args = ["tests/train_test.py"],
            main = "run_pytest.py",
            deps = ["//im2txt:train_lib"],
        )""")


def test_what_makes_pages_has_its_templates_with_it(tmp_path: Path) -> None:
    files = {
        "im2txt/reporting/pages.py": "import jinja2\njinja2.PackageLoader('im2txt.reporting', 'templates')",
        "im2txt/reporting/words.py": "'templates'",
    }
    stanzas = _stanzas(tmp_path, files, "im2txt/reporting")
    assert stanzas["pages"] == textwrap.dedent("""\
        py_library(
            name = "pages",
            srcs = ["pages.py"],
            data = glob(["templates/*"]),
        )""")
    assert "data" not in stanzas["words"]
    derived = build_files.derive_targets(build_files.read_modules(tmp_path))["im2txt/reporting"]
    written = build_files.mend("im2txt/reporting", "", derived)
    assert build_files.differences("im2txt/reporting", written, derived) == []


def test_helpers_of_tests_are_imported_by_their_bare_names(tmp_path: Path) -> None:
    stanzas = _stanzas(tmp_path, {"tests/fakes.py": "", "tests/a_test.py": "from fakes import jpeg"}, "tests")
    assert stanzas["fakes"] == textwrap.dedent("""\
        py_library(
            name = "fakes",
            srcs = ["fakes.py"],
            imports = ["."],
        )""")
    assert 'deps = [":fakes"]' in stanzas["a_test"]


def test_every_test_reaches_the_conftest_that_it_does_not_import(tmp_path: Path) -> None:
    files = {"tests/conftest.py": "", "tests/a_test.py": "", "tests/text/b_test.py": ""}
    assert 'deps = [":conftest"]' in _stanzas(tmp_path, files, "tests")["a_test"]
    assert 'deps = ["//tests:conftest"]' in _stanzas(tmp_path, files, "tests/text")["b_test"]


def test_whoever_depends_on_the_configs_gets_all_of_them(tmp_path: Path) -> None:
    stanzas = _stanzas(tmp_path, {"configs/tiny.py": "", "configs/full.py": ""}, "configs")
    assert 'deps = [\n        ":full",\n        ":tiny",\n    ]' in stanzas["configs"]


def test_a_wrong_target_is_reported_with_the_lines_to_change_and_mended(tmp_path: Path) -> None:
    files = {"im2txt/shards.py": "", "im2txt/storage.py": "", "im2txt/records.py": "import im2txt.shards"}
    derived = build_files.derive_targets(_write(tmp_path, files))["im2txt"]
    written = textwrap.dedent("""\
        # Another head.

        py_library(name = "gone", srcs = ["gone.py"])

        py_library(
            name = "records",
            srcs = ["records.py"],
            tags = ["slow"],
            deps = [":storage"],
        )

        py_library(name = "shards", srcs = ["shards.py"])
        """)
    head, gone, records, storage = build_files.differences("im2txt", written, derived)
    assert head == f"im2txt/BUILD must begin with\n{build_files.build_head('im2txt')}"
    assert gone == "//im2txt:gone: no such module or command; remove it from im2txt/BUILD"
    corrected = textwrap.dedent("""\
        py_library(
            name = "records",
            srcs = ["records.py"],
            tags = ["slow"],
            deps = [":shards"],
        )""")
    assert '-     deps = [":storage"],\n+     deps = [":shards"],\n' in records
    assert records.endswith(f"so that it reads\n{corrected}")
    assert storage.startswith("//im2txt:storage: change in im2txt/BUILD\n+ py_library(")

    mended = build_files.mend("im2txt", written, derived)
    assert mended.startswith(build_files.build_head("im2txt") + "\n\npy_library(")
    assert corrected in mended
    assert "gone" not in mended
    assert build_files.differences("im2txt", mended, derived) == []
    assert build_files.mend("im2txt", mended, derived) == mended


def test_what_stands_below_the_targets_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2: move it above the first py_ target"):
        build_files.read_build_file('py_library(name = "a")\nfilegroup(name = "b")\n')


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        (
            {"im2txt/a.py": "import data_prep.b", "data_prep/b.py": ""},
            "im2txt.a (floor 9) imports data_prep.b (floor 19)",
        ),
        ({"configs/a.py": "import im2txt.b", "im2txt/b.py": ""}, "configs.a (floor 1) imports im2txt.b (floor 9)"),
        (
            {"im2txt/shards/a.py": "import im2txt.runs.b", "im2txt/runs/b.py": ""},
            "im2txt.shards.a (floor 3) imports im2txt.runs.b (floor 6)",
        ),
        (
            {"im2txt/text/a.py": "import im2txt.images.b", "im2txt/images/b.py": ""},
            "im2txt.text.a (floor 2) imports im2txt.images.b (floor 2)",
        ),
        (
            {
                "im2txt/report.py": "def main():\n    import im2txt.reporting.b",
                "im2txt/reporting/b.py": "import im2txt.training.c",
                "im2txt/training/c.py": "",
            },
            "im2txt.reporting.b -> im2txt.training.c: im2txt.reporting.b must do without im2txt.training",
        ),
        (
            {"data_prep/a.py": "", "data_prep/sources/a.py": ""},
            "data_prep.a and data_prep.sources.a have the same name; rename one",
        ),
        ({"im2txt/a.py": "import im2txt.b", "im2txt/b.py": "import im2txt.a"}, "imports go in a circle: im2txt."),
        ({"im2txt/json.py": ""}, "im2txt.json is named like a module of the standard library"),
    ],
)
def test_a_breach_of_the_architecture_is_named(tmp_path: Path, files: dict[str, str], fault: str) -> None:
    found = build_files.structure_faults(_write(tmp_path, files))
    assert any(fault in line for line in found), found
