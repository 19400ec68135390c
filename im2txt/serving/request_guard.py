"""What stands before the application: refuses bodies too large, too slow or too many, and counts every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from im2txt.serving.service_limits import ServiceLimits
from im2txt.serving.service_metrics import ServiceMetrics

_HELD_BODIES = 16  # Of the largest size, that may be in memory at once.
OTHER_PATHS = "other"


class RequestGuard:
    """Wraps an application, so that what it reads of a request keeps to the limits."""

    def __init__(self, application: ASGIApp, limits: ServiceLimits, metrics: ServiceMetrics, paths: Collection[str]):
        """Takes the application and the paths whose requests are counted by name; all others count as one."""
        self._application = application
        self._metrics = metrics
        self._paths = frozenset(paths)
        self.limits = limits
        self.held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; the application's own handler turns what reading raises into an answer."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started = time.monotonic()
        status = 500

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        body = _GuardedBody(self, receive, Headers(scope=scope))
        try:
            await self._application(scope, body.receive, counted_send)
        finally:
            self.held_bytes -= body.num_bytes
            path = scope["path"] if scope["path"] in self._paths else OTHER_PATHS
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(time.monotonic() - started)


class _GuardedBody:
    """One request's body as it arrives."""

    def __init__(self, guard: RequestGuard, receive: Receive, headers: Headers):
        self._guard = guard
        self._receive = receive
        self._end = time.monotonic() + guard.limits.read_timeout_secs
        self._is_complete = False
        declared = headers.get("content-length", "0")
        self._declared = int(declared) if declared.isdecimal() else 0
        self.num_bytes = 0

    async def receive(self) -> Message:
        """Returns the next message; HTTPException 408, 413 or 429 if the body exceeds a limit."""
        if self._is_complete:  # Only a disconnection can follow, however late.
            return await self._receive()
        limits = self._guard.limits
        self._check_size(self._declared)
        try:
            async with asyncio.timeout(self._end - time.monotonic()):
                message = await self._receive()
        except TimeoutError as error:
            told = f"The body did not arrive within {limits.read_timeout_secs:g} s."
            raise HTTPException(408, told, {"Connection": "close"}) from error
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.num_bytes += size
            self._guard.held_bytes += size
            self._check_size(self.num_bytes)
            if self._guard.held_bytes > _HELD_BODIES * limits.max_body_bytes:
                raise HTTPException(429, "Too many large requests at once; try again.", {"Retry-After": "1"})
            self._is_complete = not message.get("more_body", False)
        return message

    def _check_size(self, num_bytes: int) -> None:
        limit = self._guard.limits.max_body_bytes
        if num_bytes > limit:
            raise HTTPException(413, f"The body has {num_bytes:,} bytes or more; at most {limit:,} are taken.")
