"""TensorFlow Serving's REST form of a prediction: requests to photographs, results to answers.

Source: TensorFlow Serving, RESTful API, "Predict API"; row format (`instances`) and columnar format (`inputs`).
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.inference.exported_folder import FROM_FILES
from im2txt.system.json_text import JsonError, parse_json

_INPUT = "encoded_images"
_BINARY = "b64"
_SHAPE = 'Send {"instances": [{"b64": "BASE64 OF A PHOTOGRAPH"}, ...]}.'
_KEYS = {"instances", "inputs", "signature_name"}

Outcome = dict[str, np.ndarray] | UnusablePhotographError


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A parsed request.

    Attributes:
        photographs: each one's Base64 text.
        is_columnar: whether it came as `inputs`, and the answer goes as `outputs`.
    """

    photographs: tuple[str, ...]
    is_columnar: bool


def parse_predict(body: bytes) -> PredictRequest:
    """Parses a request's body; ValueError with what is wrong with it."""
    try:
        request = parse_json(body)
    except JsonError as error:
        raise ValueError(f"The body is {str(error)[:200]}. {_SHAPE}") from error
    if not isinstance(request, dict) or len({"instances", "inputs"} & request.keys()) != 1:
        raise ValueError(f"The body must be an object with either `instances` or `inputs`. {_SHAPE}")
    unknown = sorted(request.keys() - _KEYS)
    if unknown:
        raise ValueError(f"The body has the key {unknown[0][:50]!r}, and may have {', '.join(sorted(_KEYS))}.")
    if request.get("signature_name", FROM_FILES) != FROM_FILES:
        raise ValueError(f"Only the signature {FROM_FILES!r} is served here.")
    is_columnar = "inputs" in request
    values = request["inputs" if is_columnar else "instances"]
    if is_columnar and isinstance(values, dict) and set(values) == {_INPUT}:
        values = values[_INPUT]
    if not isinstance(values, list) or not values:
        name = "inputs" if is_columnar else "instances"
        raise ValueError(f"`{name}` must be a list that is not empty. {_SHAPE}")
    return PredictRequest(tuple(_base64_text(value, i, is_columnar) for i, value in enumerate(values)), is_columnar)


def _base64_text(value: Any, index: int, is_columnar: bool) -> str:
    if not is_columnar and isinstance(value, dict) and set(value) == {_INPUT}:
        value = value[_INPUT]
    if not isinstance(value, dict) or set(value) != {_BINARY} or not isinstance(value[_BINARY], str):
        raise ValueError(f'Photograph {index} is not {{"b64": "..."}}. {_SHAPE}')
    text: str = value[_BINARY]
    return text


def decode_base64(text: str) -> bytes:
    """Returns the bytes of a Base64 text; UnusablePhotographError if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UnusablePhotographError("not_base64", str(error)) from error


def predict_answer(outcomes: Sequence[Outcome], is_columnar: bool) -> dict[str, Any]:
    """Returns the answer: the model's outputs of each photograph, or its `error`; -inf of empty slots becomes null.

    In columnar format the outputs of photographs that could not be used are null, and `errors` says why; null there
    stands for no error.
    """
    rows = [
        {"error": str(outcome)} if isinstance(outcome, UnusablePhotographError) else _row(outcome)
        for outcome in outcomes
    ]
    if not is_columnar:
        return {"predictions": rows}
    names = sorted({name for row in rows for name in row} - {"error"})
    outputs: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    if any("error" in row for row in rows):
        outputs["errors"] = [row.get("error") for row in rows]
    return {"outputs": outputs}


def _row(outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: _plain(values.tolist()) for name, values in outputs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if isinstance(value, float) and not np.isfinite(value) else value
