"""JSON as others wrote it: parsed, or refused with one kind of error."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any


class JsonError(ValueError):
    """A text that is no JSON, or none that this program reads; the message continues `FILE is ...`."""


def parse_json(text: str | bytes, without: Collection[str] = ()) -> Any:
    """Returns parsed JSON.

    Args:
        text: UTF-8, if bytes.
        without: keys to drop from all objects while parsing, since large files would not fit otherwise.

    Raises:
        JsonError: for whatever cannot be read, lists nested without end and endless numbers included.
    """
    hook = (lambda fields: _without(fields, without)) if without else None
    try:
        return json.loads(text, object_hook=hook)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise JsonError(f"cut short or not JSON: {error}") from error
    except RecursionError as error:
        raise JsonError("not what it should be: its lists and objects are nested without end") from error
    except ValueError as error:  # A number of thousands of digits.
        raise JsonError(f"not what it should be: {error}") from error


def _without(fields: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    for key in keys:
        fields.pop(key, None)
    return fields
