"""What a service counts, for Prometheus to collect."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class ServiceMetrics:
    """The figures of one service.

    Attributes:
        requests: answered, by path and status.
        request_seconds: from a request's headers to the end of its answer, by path.
        photographs: by outcome: captioned, or the reason why not.
        waiting: photographs admitted and not yet answered.
        batch_size: photographs per batch, without those that fill it up.
        batch_seconds: of the model, per batch.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        """Starts at zero."""
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("im2txt_requests", "Requests answered.", ["path", "status"], registry=registry)
        self.request_seconds = Histogram(
            "im2txt_request_seconds", "Time of a request.", ["path"], buckets=_SECONDS, registry=registry
        )
        self.photographs = Counter("im2txt_photographs", "Photographs answered.", ["outcome"], registry=registry)
        self.waiting = Gauge("im2txt_waiting_photographs", "Photographs admitted, not yet answered.", registry=registry)
        self.batch_size = Histogram("im2txt_batch_size", "Photographs per batch.", buckets=_SIZES, registry=registry)
        self.batch_seconds = Histogram(
            "im2txt_batch_seconds", "Time of the model per batch.", buckets=_SECONDS, registry=registry
        )

    def text(self) -> bytes:
        """Returns the figures in Prometheus' text format."""
        return generate_latest(self._registry)
