"""One flag for each field of `DecodingConfig`, for every command that captions with a run."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from typing import Annotated, Any, TypeVar

import tyro

from im2txt.config_sections.decoding_config import check_ranges
from im2txt.configuration import DecodingConfig

Flags = TypeVar("Flags")


def _with_decoding_fields(cls: type[Flags]) -> type[Flags]:
    """Adds the fields of `DecodingConfig` to a dataclass: None by default, and the same help."""
    types = typing.get_type_hints(DecodingConfig)
    helps = _field_docstrings(DecodingConfig)
    fields = [
        (name, Annotated[kind | None, tyro.conf.arg(help=f"{helps[name]} None takes the run's configuration.")], None)
        for name, kind in types.items()
    ]
    namespace = {"__module__": cls.__module__, "__doc__": cls.__doc__}
    return dataclasses.make_dataclass(cls.__name__, fields, bases=(cls,), frozen=True, namespace=namespace)


def _field_docstrings(cls: type[Any]) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, docstring in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(docstring, ast.Expr):
            found[ast.unparse(field.target)] = str(ast.literal_eval(docstring.value))
    return found


@_with_decoding_fields
@dataclasses.dataclass(frozen=True)
class DecodingFlags:
    """How captions are searched for, where it is not as the run's configuration says.

    A command holds it as `decoding: DECODING = DecodingFlags()`.
    """

    def __post_init__(self) -> None:
        check_ranges(self.given())  # What depends on the run's own configuration `DecodingConfig.replaced` checks.

    def given(self) -> dict[str, Any]:
        """Returns the fields of `DecodingConfig` that were given."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}


DECODING = Annotated[tyro.conf.OmitArgPrefixes[DecodingFlags], tyro.conf.arg(name="")]
"""The type of a command's field for them: the flags stand among its own."""
