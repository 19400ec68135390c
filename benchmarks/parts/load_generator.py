"""Many connections that send one request after another, as fast as they are answered."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import time
from collections.abc import Iterator, Sequence


@dataclasses.dataclass(frozen=True)
class Load:
    """What a run of requests met.

    Attributes:
        secs: from the first request to the last answer.
        latencies: seconds from a request's first byte to its answer's last, of those answered with 200.
        statuses: how often each came; 0 stands for a connection that was lost.
    """

    secs: float
    latencies: Sequence[float]
    statuses: collections.Counter[int]


def drive(host: str, port: int, requests: Sequence[bytes], num_connections: int) -> Load:
    """Sends whole HTTP/1.1 requests over connections that stay open; each sends its next one once it is answered."""
    return asyncio.run(_drive(host, port, requests, num_connections))


def http_request(host: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """Returns a request's bytes: POST if there is a body, else GET."""
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _drive(host: str, port: int, requests: Sequence[bytes], num_connections: int) -> Load:
    connections = [await asyncio.open_connection(host, port) for _ in range(num_connections)]
    remaining = iter(requests)
    latencies: list[float] = []
    statuses: collections.Counter[int] = collections.Counter()
    started = time.perf_counter()
    await asyncio.gather(*(_send_all(reader, writer, remaining, latencies, statuses) for reader, writer in connections))
    secs = time.perf_counter() - started
    for _, writer in connections:
        writer.close()
    return Load(secs, latencies, statuses)


async def _send_all(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    requests: Iterator[bytes],
    latencies: list[float],
    statuses: collections.Counter[int],
) -> None:
    for request in requests:
        started = time.perf_counter()
        writer.write(request)
        try:
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            await reader.readexactly(int(lengths[0].partition(b":")[2]))
        except (OSError, asyncio.IncompleteReadError):
            statuses[0] += 1
            return
        status = int(head.split(b" ", 2)[1])
        statuses[status] += 1
        if status == 200:
            latencies.append(time.perf_counter() - started)
