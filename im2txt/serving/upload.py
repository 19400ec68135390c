"""Photographs as browsers and curl send them, and their captions as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.serving.predict_request import Outcome
from im2txt.text.vocabulary import Vocabulary

_MAX_FIELDS = 10
_HOW = "Send photographs as multipart/form-data (curl -F photograph=@cat.jpg), or one as image/jpeg."


async def read_upload(request: Request, max_photographs: int) -> list[tuple[str, bytes]]:
    """Returns the name and content of each file of a multipart request, or of the one that is the body itself.

    Raises:
        HTTPException: 400 if it is no multipart request or holds no file, 413 if too many, 415 if of another type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [("", await request.body())]
    if kind != "multipart/form-data":
        raise HTTPException(415, f"The body is of type {kind!r}. {_HOW}")
    try:
        # One file too many is read, to be told from a form that is broken.
        async with request.form(max_files=max_photographs + 1, max_fields=_MAX_FIELDS) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if len(files) > max_photographs:
                raise HTTPException(413, f"More than {max_photographs} photographs in one request.")
            if not files:
                raise HTTPException(400, f"There is no file in the form. {_HOW}")
            return [(file.filename or "", await file.read()) for file in files]
    except (UnicodeError, LookupError, ValueError) as error:  # Of odd character sets and headers.
        raise HTTPException(400, f"The form is broken. {_HOW}") from error


def upload_answer(
    names: Sequence[str], outcomes: Sequence[Outcome], vocabulary: Vocabulary
) -> dict[str, list[dict[str, Any]]]:
    """Returns each photograph's captions as `im2txt.run_inference --format=jsonl` prints them, or its `error`."""
    photographs: list[dict[str, Any]] = []
    for name, outcome in zip(names, outcomes, strict=True):
        if isinstance(outcome, UnusablePhotographError):
            photographs.append({"file": name, "error": str(outcome)})
        else:
            photographs.append({"file": name, "captions": _captions(outcome, vocabulary)})
    return {"photographs": photographs}


def _captions(outputs: dict[str, np.ndarray], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    captions = []
    for k, length in enumerate(outputs["lengths"].tolist()):
        if not length:  # Empty slots come last.
            break
        word_ids = outputs["word_ids"][k, :length].tolist()
        captions.append(
            {
                "caption": outputs["captions"][k].decode("utf-8", "replace"),
                "words": " ".join(vocabulary.decode(word_ids)),
                "log_prob": float(outputs["log_probs"][k]),
                "score": float(outputs["scores"][k]),
                "is_complete": word_ids[-1] == vocabulary.end_id,
                "word_log_probs": outputs["word_log_probs"][k, 1:length].tolist(),
            }
        )
    return captions
