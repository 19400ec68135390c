"""Derives Bazel's targets from the modules' imports, and compares them with the BUILD files.

One py_library per module, one py_binary per command (its library is called `<command>_lib`), one py_test per test file.
`python tests/build_files.py` lists what differs, and with `--write` mends it: what follows from the code is written
anew, what only a person knows (size, data, tags, visibility) is kept, and so is everything above the first target.
Comments belong there: inside a target they would be lost.
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

PACKAGES = ("benchmarks", "configs", "data_prep", "data_prep/sources", "im2txt", "tests")
RUNNER = "run_pytest.py"
# What each package may import of the others; any package may import itself.
ALLOWED_IMPORTS = {
    "im2txt": (),
    "configs": ("im2txt.configuration",),
    "data_prep": ("im2txt",),
    "benchmarks": ("im2txt", "data_prep", "configs"),
    "tests": ("im2txt", "data_prep", "configs", "benchmarks"),
}
# Packages whose modules a command picks by name: whoever depends on the package gets all of them.
LOADED_BY_NAME = ("configs",)
DERIVED = ("srcs", "args", "imports", "main", "deps")
ORDER = ("name", "size", "srcs", "args", "data", "imports", "main", "tags", "visibility", "deps")


@dataclasses.dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        package: its folder, as "data_prep/sources".
        is_command: it has an `if __name__ == "__main__"`.
        imports: dotted names of this project's modules that it imports, in functions too; for tests and benchmarks also
            the commands it names in a string, to start them by `python -m`.
    """

    package: str
    stem: str
    is_command: bool
    imports: frozenset[str]

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


def read_modules(root: Path) -> dict[str, Module]:
    """Reads every module under `root`, keyed by its dotted name ("im2txt" for im2txt/__init__.py)."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            # Bazel itself puts an empty __init__.py where there is none.
            if path.name != RUNNER and (tree.body or path.stem != "__init__"):
                dotted = f"{package}/{path.stem}".replace("/", ".").removesuffix(".__init__")
                found[dotted] = (package, path.stem, tree)
    commands = {dotted for dotted, (_, _, tree) in found.items() if _is_command(tree)}
    modules = {}
    for dotted, (package, stem, tree) in found.items():
        started = commands if package in ("benchmarks", "tests") else set()
        names = {_project_module(name, package, found) for name in _names_in(tree, started)}
        modules[dotted] = Module(package, stem, dotted in commands, frozenset(names - {"", dotted}))
    for package in LOADED_BY_NAME:
        everything = frozenset(name for name, module in modules.items() if module.package == package)
        modules[package] = dataclasses.replace(modules[package], imports=everything - {package})
    return modules


def _is_command(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)


def _names_in(tree: ast.Module, started: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in started:
            yield node.value


def _project_module(name: str, package: str, known: Mapping[str, Any]) -> str:
    sibling = f"{package}.{name.partition('.')[0]}"
    if package == "tests" and sibling in known:  # pytest puts the tests' folder on the import path.
        return sibling
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def derive_targets(modules: Mapping[str, Module]) -> dict[str, dict[str, Target]]:
    """Returns each package's targets by name, as the imports ask for them."""
    targets: dict[str, dict[str, Target]] = {package: {} for package in PACKAGES}
    for module in modules.values():
        labels = {_label(modules[name], module.package) for name in module.imports}
        deps = sorted(labels, key=lambda label: (label.startswith("//"), label))
        source = f"{module.stem}.py"
        if module.stem.endswith("_test"):
            test = {"name": module.stem, "size": "medium", "srcs": [RUNNER, source], "main": RUNNER}
            new = [Target("py_test", {**test, "args": [f"{module.package}/{source}"], "deps": deps})]
        else:
            library = {"name": module.library, "srcs": [source], "deps": deps}
            new = [Target("py_library", library | ({"imports": ["."]} if module.package == "tests" else {}))]
            if module.is_command:
                binary = {"name": module.stem, "srcs": [source], "deps": [f":{module.library}"]}
                new.append(Target("py_binary", binary))
        for target in new:
            attributes = {key: value for key, value in target.attributes.items() if value != []}
            targets[module.package][target.name] = Target(target.rule, attributes)
    return targets


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
    _, present = read_build_file(text)
    gone = sorted(present.keys() - derived.keys())
    messages = [f"//{package}:{name}: no such module or command; remove it from {package}/BUILD" for name in gone]
    for name in sorted(derived):
        old = str(present[name]) if name in present else ""
        new = str(corrected(derived[name], present.get(name)))
        if old != new:
            changes = [line for line in difflib.ndiff(old.splitlines(), new.splitlines()) if line[0] in "+-"]
            head = f"//{package}:{name}: change in {package}/BUILD"
            messages.append("\n".join([head, *changes, "so that it reads", new]))
    return messages


def mend(text: str, derived: Mapping[str, Target]) -> str:
    """Returns the BUILD file's text with its Python targets as derived."""
    head, present = read_build_file(text)
    stanzas = [str(corrected(derived[name], present.get(name))) for name in sorted(derived)]
    return "\n\n".join([head.rstrip("\n"), *stanzas]) + "\n"


def structure_faults(modules: Mapping[str, Module]) -> list[str]:
    """Returns one message per breach of the architecture: direction of imports, cycles, and names of modules."""
    faults = []
    for dotted, module in modules.items():
        package = module.package.split("/")[0]
        allowed = (package, *ALLOWED_IMPORTS[package])
        for name in sorted(module.imports):
            if not any(f"{name}.".startswith(f"{prefix}.") for prefix in allowed):
                faults.append(f"{dotted} imports {name}; {package} may import only {', '.join(allowed)}")
        if module.stem in sys.stdlib_module_names:
            faults.append(f"{dotted} is named like a module of the standard library; rename it")
        twin = f"im2txt.{module.stem}"
        if package == "data_prep" and module.stem != "__init__" and twin in modules:
            faults.append(f"{dotted} and {twin} have the same name; rename one")
    try:
        graphlib.TopologicalSorter({name: module.imports for name, module in modules.items()}).prepare()
    except graphlib.CycleError as error:
        faults.append(f"imports go in a circle: {' -> '.join(reversed(error.args[1]))}")
    return faults


def main() -> str | None:
    """Returns what differs, or mends it with `--write`."""
    root = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", Path(__file__).resolve().parents[1]))
    messages = structure_faults(modules := read_modules(root))
    for package, derived in derive_targets(modules).items():
        path = root / package / "BUILD"
        text = path.read_text(encoding="utf-8")
        if sys.argv[1:] == ["--write"]:
            path.write_text(mend(text, derived), encoding="utf-8")
        else:
            messages += differences(package, text, derived)
    return "\n\n".join(messages) or None


if __name__ == "__main__":
    sys.exit(main())
