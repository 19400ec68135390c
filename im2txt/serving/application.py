"""The service's addresses and their answers, as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.serving.photograph_service import PhotographService, QueueFullError
from im2txt.serving.predict_request import Outcome, PredictRequest, decode_base64, parse_predict, predict_answer
from im2txt.serving.request_guard import RequestGuard
from im2txt.serving.service_limits import ServiceLimits
from im2txt.serving.service_metrics import ServiceMetrics
from im2txt.serving.upload import read_upload, upload_answer
from im2txt.text.vocabulary import Vocabulary

MODEL_PATH = "/v1/models/im2txt"
PREDICT_PATH = f"{MODEL_PATH}:predict"
CAPTIONS_PATH = "/captions"
HEALTH_PATH = "/healthz"
METRICS_PATH = "/metrics"
PAGE_PATH = "/"
_CLIENT_CLOSED_REQUEST = 499  # Nobody reads it; it is for the counters.
_STATUS = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
_PAGE_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}

Value = TypeVar("Value")


class CaptionApplication:
    """The handlers of one service."""

    def __init__(self, service: PhotographService, vocabulary: Vocabulary, limits: ServiceLimits, page: str):
        """Takes the service, the model's vocabulary, and the page for people."""
        self._service = service
        self._vocabulary = vocabulary
        self._limits = limits
        self._page = page

    async def predict(self, request: Request) -> Response:
        """TensorFlow Serving's prediction: Base64 in JSON to the model's outputs."""
        self._service.check_room(1)  # Before the body is read.
        body = await request.body()

        def parse() -> PredictRequest:
            parsed = parse_predict(body)
            if len(parsed.photographs) > self._limits.max_photographs:
                raise HTTPException(413, f"More than {self._limits.max_photographs} photographs in one request.")
            return parsed

        try:
            parsed = await asyncio.to_thread(parse)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        contents = await asyncio.to_thread(_decode_all, parsed.photographs)
        outcomes = await self._caption(request, contents)
        return _answer(predict_answer(outcomes, parsed.is_columnar), outcomes)

    async def captions(self, request: Request) -> Response:
        """Uploaded files to captions."""
        self._service.check_room(1)
        files = await read_upload(request, self._limits.max_photographs)
        outcomes = await self._caption(request, [content for _, content in files])
        return _answer(upload_answer([name for name, _ in files], outcomes, self._vocabulary), outcomes)

    async def model_status(self, request: Request) -> Response:
        """TensorFlow Serving's model status."""
        return JSONResponse({"model_version_status": [_STATUS]})

    async def health(self, request: Request) -> Response:
        """Answers as long as the process takes requests."""
        return JSONResponse({"status": "ok"})

    async def show_page(self, request: Request) -> Response:
        """The page for people."""
        return HTMLResponse(self._page, headers=_PAGE_HEADERS)

    async def _caption(self, request: Request, contents: Sequence[bytes | UnusablePhotographError]) -> list[Outcome]:
        """Captions what could be read, for as long as the client is there."""
        sound = [content for content in contents if isinstance(content, bytes)]
        with self._service.admitted(len(sound)):
            try:
                captioned = iter(await _while_connected(request, self._service.caption(sound)))
            except TimeoutError as error:
                told = f"No captions within {self._limits.answer_timeout_secs:g} s; try again."
                raise HTTPException(503, told, {"Retry-After": "1"}) from error
        return [next(captioned) if isinstance(content, bytes) else content for content in contents]


def build_application(
    service: PhotographService, vocabulary: Vocabulary, limits: ServiceLimits, metrics: ServiceMetrics, page: str
) -> ASGIApp:
    """Returns the whole application; the service is started with it and stopped with it."""
    handlers = CaptionApplication(service, vocabulary, limits, page)

    async def show_metrics(request: Request) -> Response:
        return Response(metrics.text(), headers={"Content-Type": metrics.content_type})

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        async with service.started():
            yield

    routes = [
        Route(PAGE_PATH, handlers.show_page),
        Route(CAPTIONS_PATH, handlers.captions, methods=["POST"]),
        Route(PREDICT_PATH, handlers.predict, methods=["POST"]),
        Route(MODEL_PATH, handlers.model_status),
        Route(HEALTH_PATH, handlers.health),
        Route(METRICS_PATH, show_metrics),
    ]
    application = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, QueueFullError: _queue_full, Exception: _fault},
    )
    application.router.redirect_slashes = False  # An address that is nearly one is none.
    return RequestGuard(application, limits, metrics, [route.path for route in routes])


def _decode_all(texts: Sequence[str]) -> list[bytes | UnusablePhotographError]:
    contents: list[bytes | UnusablePhotographError] = []
    for text in texts:
        try:
            contents.append(decode_base64(text))
        except UnusablePhotographError as error:
            contents.append(error)
    return contents


def _answer(answer: dict[str, Any], outcomes: Sequence[Outcome]) -> Response:
    """200 if one of the photographs has captions; otherwise 400, with the first one's reason."""
    first = outcomes[0]
    is_refused = all(isinstance(outcome, UnusablePhotographError) for outcome in outcomes)
    content = {"error": str(first), **answer} if is_refused else answer
    # Strict JSON: what has no finite value must have been replaced.
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, 400 if is_refused else 200, media_type="application/json")


async def _while_connected(request: Request, work: Coroutine[Any, Any, Value]) -> Value:
    """Returns the work's result; cancels it, raising HTTPException, if the client goes away."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(_CLIENT_CLOSED_REQUEST, "The client has gone.")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _queue_full(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFullError)
    return JSONResponse({"error": str(error)}, 429, {"Retry-After": str(error.retry_secs)})


async def _fault(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "A fault of the service; its log has the details."}, 500)
