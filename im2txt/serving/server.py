"""The application behind a socket: taken early, patient with no one, stopped in order."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from im2txt.serving.service_limits import ServiceLimits

_MAX_CONNECTIONS = 1000
_BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Takes an address; connections wait until `serve` answers them.

    Args:
        host: address or name of this machine.
        port: 0 to 65535; 0 takes any that is free.

    Raises:
        OSError: if it is taken, is not this machine's, or may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
            taken.listen(_BACKLOG)
        except OSError:
            taken.close()
            raise
    except (OSError, UnicodeError) as error:
        number, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (None, "it is no name")
        hint = " Another program listens there: stop it, or name another --port." if number == errno.EADDRINUSE else ""
        raise OSError(f"--host={host} --port={port} cannot be used: {reason}.{hint}") from error
    return taken


def address_of(listening: socket.socket) -> str:
    """Returns the address as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_loopback(listening: socket.socket) -> bool:
    """Whether nobody but this machine reaches it."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def make_server(application: ASGIApp, limits: ServiceLimits) -> uvicorn.Server:
    """Returns a server for an application."""
    protocol = type("Protocol", (ImpatientProtocol,), {"patience_secs": limits.read_timeout_secs})
    config = uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=round(limits.read_timeout_secs + limits.answer_timeout_secs),
    )
    return uvicorn.Server(config)


def serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """Answers requests until SIGTERM or Ctrl-C; then finishes those it has and takes no more."""
    previous = {number: signal.signal(number, _ignore) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run([listening])  # Once it has stopped, it raises the signal again: to be asked to stop is no failure.
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: object) -> None:
    del number, frame


class ImpatientProtocol(H11Protocol):
    """A connection that is closed if a request's headers, or what is left of a refused body, take too long."""

    patience_secs = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts waiting for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops waiting if it begins a request; a trickle does not help."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Starts waiting for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        super().connection_lost(exc)
        self._stop_waiting()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.patience_secs, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
