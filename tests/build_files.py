"""Derives Bazel's targets from the modules' imports, and compares them with the BUILD files.

One py_library per module, one py_binary per command (its library is called `<command>_lib`), one py_test per test file.
`python tests/build_files.py` lists what differs, and with `--write` mends it: what follows from the code is written
anew, what only a person knows of a target (size, tags) is kept; comments would be lost. The floors of
the house stand here too: imports are checked against them, and each folder is visible to those above it.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import graphlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOTS = ("benchmarks", "configs", "data_prep", "im2txt", "tests")
RUNNER = "run_pytest.py"
# A run that an older version left; data of the test that is named for it.
GOLDEN_RUN = "golden_run"
# The floors of the house. A module may import what stands in its own folder or on a lower floor.
FLOORS = {
    "tests": 30,
    "benchmarks": 29,  # Every module here is one; what they are made of lies in parts/.
    "benchmarks/parts": 28,
    "data_prep": 19,  # The commands.
    "data_prep/building": 12,
    "data_prep/checking": 12,
    "data_prep/downloading": 12,
    "data_prep/features": 12,
    "data_prep/scenes": 12,
    "data_prep/sources": 11,
    "im2txt": 9,  # The commands.
    "im2txt/reporting": 8,
    "im2txt/serving": 8,
    "im2txt/training": 7,
    "im2txt/inference": 7,
    "im2txt/runs": 6,
    "im2txt/decoding": 5,
    "im2txt/model": 4,
    "im2txt/metrics": 4,
    "im2txt/model/decoders": 3,
    "im2txt/shards": 3,
    "im2txt/text": 2,
    "im2txt/images": 2,
    "im2txt/engines": 1,
    "im2txt/system": 1,
    "configs": 1,
    "im2txt/config_sections": -1,  # Below `im2txt.configuration`, which stands on 0.
}
# Single modules that stand lower than their folder: the version, and the knobs that every floor reads.
GROUND_FLOOR = ("im2txt", "im2txt.configuration", "im2txt.configuration_history")
# What runs a trained model stays free of what trains one: what may not be reached, and by which folders and commands.
KEPT_APART = {
    "im2txt.training": (
        "im2txt.reporting",
        "im2txt.inference",
        "im2txt.evaluate",
        "im2txt.run_inference",
        "im2txt.report",
        "im2txt.export",
        "im2txt.serve",
        "im2txt.serving",
        "im2txt.batch_inference",
        "data_prep",
    ),
    # The service runs what was exported, without Keras.
    "im2txt.model": ("im2txt.serve", "im2txt.serving"),
}
# Packages whose modules a command picks by name: whoever depends on the package gets all of them.
LOADED_BY_NAME = ("configs",)
TEMPLATES = "templates"
DERIVED = ("srcs", "args", "data", "imports", "main", "visibility", "deps")
ORDER = ("name", "size", "srcs", "args", "data", "imports", "main", "tags", "visibility", "deps")


@dataclasses.dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        package: its folder, as "data_prep/sources".
        is_command: it has an `if __name__ == "__main__"`.
        imports: dotted names of this project's modules that it imports, in functions too; for tests and benchmarks also
            the commands it names in a string, to start them by `python -m`.
        reads_templates: it calls something with the name of its folder's `templates`, what pages are made from.
    """

    package: str
    stem: str
    is_command: bool
    imports: frozenset[str]
    reads_templates: bool = False

    @property
    def library(self) -> str:
        """The name of its py_library."""
        if self.stem == "__init__":
            return self.package.split("/")[-1]
        return f"{self.stem}_lib" if self.is_command else self.stem


@dataclasses.dataclass(frozen=True)
class Target:
    """A py_library, py_binary or py_test; an attribute that is no plain value is held as an ast expression."""

    rule: str
    attributes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The part of its label after the colon."""
        return str(self.attributes["name"])

    def __str__(self) -> str:
        lines = [f"{self.rule}("]
        for key in sorted(self.attributes, key=ORDER.index):
            lines.append(f"    {key} = {_value_text(self.attributes[key])},")
        return "\n".join([*lines, ")"])


def _value_text(value: Any) -> str:
    if isinstance(value, ast.expr):
        return ast.unparse(value).replace("'", '"')
    if isinstance(value, list) and len(value) > 1:
        return "\n".join(["[", *(f'        "{item}",' for item in value), "    ]"])
    return repr(value).replace("'", '"')


def packages(root: Path) -> list[str]:
    """Returns the folders that hold modules, as "im2txt/shards"."""
    folders = {path.parent for name in ROOTS for path in (root / name).rglob("*.py")}
    return sorted(folder.relative_to(root).as_posix() for folder in folders)


def read_modules(root: Path) -> dict[str, Module]:
    """Reads every module under `root`, keyed by its dotted name ("im2txt" for im2txt/__init__.py)."""
    found = {}
    for package in packages(root):
        for path in sorted((root / package).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            # Bazel itself puts an empty __init__.py where there is none.
            if path.name != RUNNER and (tree.body or path.stem != "__init__"):
                dotted = f"{package}/{path.stem}".replace("/", ".").removesuffix(".__init__")
                found[dotted] = (package, path.stem, tree)
    commands = {dotted for dotted, (_, _, tree) in found.items() if _is_command(tree)}
    modules = {}
    for dotted, (package, stem, tree) in found.items():
        started = commands if package.split("/")[0] in ("benchmarks", "tests") else set()
        names = {_project_module(name, package, found) for name in _names_in(tree, started)}
        imports = frozenset(names - {"", dotted})
        modules[dotted] = Module(package, stem, dotted in commands, imports, _reads_templates(tree))
    for package in LOADED_BY_NAME:
        everything = frozenset(name for name, module in modules.items() if module.package == package)
        modules[package] = dataclasses.replace(modules[package], imports=everything - {package})
    return modules


def _is_command(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)


def _reads_templates(tree: ast.Module) -> bool:
    given = (argument for node in ast.walk(tree) if isinstance(node, ast.Call) for argument in node.args)
    return any(isinstance(argument, ast.Constant) and argument.value == TEMPLATES for argument in given)


def _names_in(tree: ast.Module, started: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in started:
            yield node.value


def _project_module(name: str, package: str, known: Mapping[str, Any]) -> str:
    helper = f"tests.{name.partition('.')[0]}"
    if package.split("/")[0] == "tests" and helper in known:  # pytest puts the tests' folder on the import path.
        return helper
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def derive_targets(modules: Mapping[str, Module]) -> dict[str, dict[str, Target]]:
    """Returns each package's targets by name, as the imports ask for them."""
    targets: dict[str, dict[str, Target]] = {module.package: {} for module in modules.values()}
    for dotted, module in modules.items():
        labels = {_label(modules[name], module.package) for name in module.imports}
        deps = sorted(labels, key=_label_order)
        source = f"{module.stem}.py"
        if module.stem.endswith("_test"):
            runner = RUNNER if module.package == "tests" else f"//tests:{RUNNER}"
            if "tests.conftest" in modules:  # pytest reads it before any test; nothing imports it.
                deps = sorted({*deps, _label(modules["tests.conftest"], module.package)}, key=_label_order)
            test = {"name": module.stem, "size": "medium", "srcs": [runner, source], "main": runner}
            # The test of the BUILD files reads all of them.
            read = targets if module.stem == "build_files_test" else ()
            files = [_files_label(name, module.package) for name in read]
            files += [f"//tests:{GOLDEN_RUN}"] if module.stem == f"{GOLDEN_RUN}_test" else []
            new = [Target("py_test", {**test, "args": [f"{module.package}/{source}"], "data": files, "deps": deps})]
        else:
            library = {"name": module.library, "srcs": [source], "deps": deps}
            library |= {"imports": ["."]} if module.package == "tests" else {}
            library |= (
                {"data": ast.parse(f'glob(["{TEMPLATES}/*"])', mode="eval").body} if module.reads_templates else {}
            )
            library |= {"visibility": ["//:__subpackages__"]} if dotted in GROUND_FLOOR else {}
            new = [Target("py_library", library)]
            if module.is_command:
                binary = {"name": module.stem, "srcs": [source], "deps": [f":{module.library}"]}
                new.append(Target("py_binary", binary))
        for target in new:
            attributes = {key: value for key, value in target.attributes.items() if value != []}
            targets[module.package][target.name] = Target(target.rule, attributes)
    return targets


def _label_order(label: str) -> tuple[bool, str]:
    return label.startswith("//"), label


def _files_label(package: str, from_package: str) -> str:
    return ":all_files" if package == from_package else f"//{package}:all_files"


def _label(module: Module, package: str) -> str:
    if module.package == package:
        return f":{module.library}"
    short = module.library == module.package.split("/")[-1]
    return f"//{module.package}" if short else f"//{module.package}:{module.library}"


def read_build_file(text: str) -> tuple[str, dict[str, Target]]:
    """Splits a BUILD file into the text above its first Python target, and its Python targets by name."""
    targets: dict[str, Target] = {}
    head = text
    for node in ast.parse(text).body:
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("py_"):
            if not targets:
                head = "".join(text.splitlines(keepends=True)[: node.lineno - 1])
            target = Target(ast.unparse(call.func), {str(key.arg): _plain(key.value) for key in call.keywords})
            targets[target.name] = target
        elif targets:
            raise ValueError(f"line {node.lineno}: move it above the first py_ target: `--write` would lose it there")
    return head, targets


def _plain(expression: ast.expr) -> Any:
    try:
        return ast.literal_eval(expression)
    except ValueError:
        return expression


def corrected(derived: Target, present: Target | None) -> Target:
    """Returns the derived target with the attributes that only a person knows."""
    kept = {key: value for key, value in (present.attributes if present else {}).items() if key not in DERIVED}
    return Target(derived.rule, {**derived.attributes, **kept})


def differences(package: str, text: str, derived: Mapping[str, Target]) -> list[str]:
    """Returns one message per target that must change: the lines that differ, then the stanza to paste."""
    written_head, present = read_build_file(text)
    gone = sorted(present.keys() - derived.keys())
    messages = (
        []
        if written_head.strip() == build_head(package)
        else [f"{package}/BUILD must begin with\n{build_head(package)}"]
    )
    messages += [f"//{package}:{name}: no such module or command; remove it from {package}/BUILD" for name in gone]
    for name in sorted(derived):
        old = str(present[name]) if name in present else ""
        new = str(corrected(derived[name], present.get(name)))
        if old != new:
            changes = [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[0] in "+-"]
            head = f"//{package}:{name}: change in {package}/BUILD"
            messages.append("\n".join([head, *changes, "so that it reads", new]))
    return messages


def mend(package: str, text: str, derived: Mapping[str, Target]) -> str:
    """Returns the BUILD file's text as derived, with what only a person knows of the targets that stay."""
    _, present = read_build_file(text)
    stanzas = [str(corrected(derived[name], present.get(name))) for name in sorted(derived)]
    return "\n\n".join([build_head(package), *stanzas]) + "\n"


def structure_faults(modules: Mapping[str, Module]) -> list[str]:
    """Returns one message per breach of the architecture: direction of imports, cycles, and names of modules."""
    faults = []
    homes: dict[tuple[str, str], str] = {}
    for dotted, module in modules.items():
        for name in sorted(module.imports):
            if not _may_import(dotted, module, name, modules[name]):
                faults.append(
                    f"{dotted} (floor {_floor(dotted, module)}) imports {name} (floor {_floor(name, modules[name])}); "
                    "imports point down"
                )
        if module.stem in sys.stdlib_module_names:
            faults.append(f"{dotted} is named like a module of the standard library; rename it")
        if module.stem != "__init__":
            other = homes.setdefault((module.package.split("/")[0], module.stem), dotted)
            if other != dotted:
                faults.append(f"{other} and {dotted} have the same name; rename one")
    try:
        graphlib.TopologicalSorter({name: module.imports for name, module in modules.items()}).prepare()
    except graphlib.CycleError as error:
        faults.append(f"imports go in a circle: {' -> '.join(reversed(error.args[1]))}")
        return faults
    for forbidden, apart in KEPT_APART.items():
        for dotted in modules:
            if _is_within(dotted, apart):
                chain = _chain_to(dotted, forbidden, modules)
                if chain:
                    faults.append(f"{' -> '.join(chain)}: {dotted} must do without {forbidden}")
    return faults


def _floor(dotted: str, module: Module) -> int:
    if dotted in GROUND_FLOOR:
        return 0
    package = module.package
    while package not in FLOORS:
        package, _, last = package.rpartition("/")
        if not last:
            raise ValueError(f"{module.package} stands on no floor; name it in FLOORS of tests/build_files.py")
    return FLOORS[package]


def _may_import(dotted: str, module: Module, name: str, imported: Module) -> bool:
    if module.package.split("/")[0] == "tests" or module.package == imported.package:
        return True
    return _floor(dotted, module) > _floor(name, imported)


def _is_within(dotted: str, places: tuple[str, ...]) -> bool:
    return any(f"{dotted}.".startswith(f"{place}.") for place in places)


def _chain_to(start: str, goal: str, modules: Mapping[str, Module]) -> list[str]:
    """Returns the shortest chain of imports from a module into a folder; empty if there is none."""
    chains = [[start]]
    seen = {start}
    for chain in chains:
        if _is_within(chain[-1], (goal,)):
            return chain
        new = sorted(modules[chain[-1]].imports - seen)
        seen.update(new)
        chains += [[*chain, name] for name in new]
    return []


def build_head(package: str) -> str:
    """Returns what stands above a BUILD file's targets: the rules, and who may depend on the folder."""
    rules = ["py_library"]
    floor = FLOORS.get(package, FLOORS[package.split("/")[0]])
    above = sorted(f"//{name}:__pkg__" for name, other in FLOORS.items() if other > floor and name != "tests")
    above.append("//tests:__subpackages__")
    if package in ("benchmarks", "benchmarks/parts", "data_prep", "im2txt", "tests"):
        rules.insert(0, "py_binary")
    if package.split("/")[0] == "tests":
        rules = [*rules, "py_test"]
    names = ", ".join(f'"{rule}"' for rule in rules)
    lines = [f'load("@rules_python//python:defs.bzl", {names})', "", "# Those on higher floors."]
    lines += ["package(default_visibility = [", *(f'    "{label}",' for label in above), "])", ""]
    lines += ["filegroup(", '    name = "all_files",', '    srcs = glob(["*"]),', ")"]
    if package == "tests":
        lines += ["", "filegroup(", f'    name = "{GOLDEN_RUN}",', f'    srcs = glob(["{GOLDEN_RUN}/**"]),', ")"]
        lines += ["", f'exports_files(["{RUNNER}"])']
    return "\n".join(lines)


def main() -> str | None:
    """Returns what differs, or mends it with `--write`."""
    root = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", Path(__file__).resolve().parents[1]))
    messages = structure_faults(modules := read_modules(root))
    for package, derived in derive_targets(modules).items():
        path = root / package / "BUILD"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if sys.argv[1:] == ["--write"]:
            path.write_text(mend(package, text, derived), encoding="utf-8")
        else:
            messages += differences(package, text, derived)
    return "\n\n".join(messages) or None


if __name__ == "__main__":
    sys.exit(main())
