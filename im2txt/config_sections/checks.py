"""What all sections check of their fields: types, and rules with an error that names the field."""

from __future__ import annotations

import math
import typing
from typing import Any, Literal


def check(holds: bool, name: str, value: object, rule: str) -> None:
    """Raises ValueError with the field's name, its value and the rule, unless it holds."""
    if not holds:
        raise ValueError(f"{name}={value!r}: {rule}.")


def check_types(section: Any, prefix: str) -> None:
    """Raises ValueError for what Python and JSON leave unchecked: a "false" would be true, a NaN pass every range."""
    for name, kind in typing.get_type_hints(type(section)).items():
        value = getattr(section, name)
        if typing.get_origin(kind) is Literal:
            choices = typing.get_args(kind)
            check(value in choices, f"{prefix}.{name}", value, f"must be one of {', '.join(choices)}")
        elif kind is float:
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            check(is_number and math.isfinite(value), f"{prefix}.{name}", value, "must be a finite number")
        else:
            check(type(value) is kind, f"{prefix}.{name}", value, f"must be of type {kind.__name__}")
