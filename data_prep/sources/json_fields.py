"""Values of a JSON file's objects, taken by name and type, for sources whose files are JSON."""

from __future__ import annotations

from typing import Any, TypeVar

Kind = TypeVar("Kind")


def typed_field(record: Any, key: str, kind: type[Kind]) -> Kind:
    """Returns a value of a JSON object; ValueError if the record is no object, lacks the key or has another type there.

    A string of digits is no int, and neither are `1.0` and `true`: ids that mix types would match no caption.
    """
    if not isinstance(record, dict):
        raise ValueError(f"{str(record)[:60]!r} is no JSON object")
    if key not in record:
        raise ValueError(f"lacks {key!r}; it has {sorted(record)[:10]}")
    value = record[key]
    if type(value) is not kind:
        raise ValueError(f"{key!r} is {str(value)[:60]!r}, of type {type(value).__name__}; needs {kind.__name__}")
    return value


def image_id_field(record: Any, key: str) -> int:
    """Returns an image id; ValueError as `typed_field`, and if the id does not fit the records."""
    image_id = typed_field(record, key, int)
    if not 0 <= image_id < 2**63:
        raise ValueError(f"{key!r} is {image_id}; needs an id in [0, 2**63)")
    return image_id
