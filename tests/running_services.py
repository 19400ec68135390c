"""Services on a free port of this machine, in a thread of the test's own process, over a model that can be held."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from im2txt.images.unusable_photographs import UnusablePhotographError
from im2txt.reporting import service_page
from im2txt.serving import server
from im2txt.serving.application import PREDICT_PATH, build_application
from im2txt.serving.photograph_service import Model, PhotographService
from im2txt.serving.service_limits import ServiceLimits
from im2txt.serving.service_metrics import ServiceMetrics
from im2txt.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary([("grey", 5), ("<S>", 4), ("</S>", 4), ("light", 3), ("dark", 2)])
PATIENCE_SECS = 60
BOUNDARY = "a-boundary"


def grey_jpeg(level: int) -> bytes:
    """A photograph that `GreyModel` calls by its level, 0 to 255."""
    stream = io.BytesIO()
    Image.new("L", (16, 16), level).save(stream, "JPEG", quality=95)
    return stream.getvalue()


class GreyModel:
    """Captions a photograph by its mean grey: `grey LEVEL`, and `light` or `dark` as the second caption.

    Attributes:
        gate: batches wait as long as it is cleared.
        entered: set when a batch has come to the gate.
        batches: levels of each batch that has passed.
        text: shown instead of `grey`.
        bad_level: a batch that holds it fails.
    """

    image_shape = (2, 2, 3)

    def __init__(self, text: str = "grey", bad_level: int = -1):
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []
        self.text = text
        self.bad_level = bad_level

    def prepare(self, encoded_image: bytes) -> np.ndarray:
        """Every pixel is the mean of the photograph."""
        try:
            level = np.asarray(Image.open(io.BytesIO(encoded_image)).convert("L")).mean()
        except OSError as error:
            raise UnusablePhotographError("damaged", str(error)) from error
        return np.full(self.image_shape, level / 255, np.float32)

    def caption(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Two captions, of one and two words; the second slot of black photographs is empty."""
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECS)
        levels = [round(float(image.mean()) * 255) for image in images]
        self.batches.append(levels)
        if self.bad_level in levels:
            raise RuntimeError("The model has a bad day.")
        rows = len(levels)
        second = np.array([level > 0 for level in levels])
        log_probs = np.stack([np.full(rows, -1.0), np.where(second, -3.0, -np.inf)], axis=1).astype(np.float32)
        ids = [[[1, 0, 2, 2], [1, 3 if level > 127 else 4, 0, 2]] for level in levels]
        return {
            "captions": np.array([[f"{self.text} {level}".encode(), b"light grey"] for level in levels], object),
            "log_probs": log_probs,
            "scores": log_probs,
            "word_ids": np.array(ids, np.int32),
            "word_log_probs": np.tile(np.float32([[0, -0.5, -0.5, 0], [0, -1, -1, -1]]), (rows, 1, 1)),
            "lengths": np.stack([np.full(rows, 3), np.where(second, 4, 0)], axis=1).astype(np.int32),
        }


class RunningService:
    """A service, and requests to it.

    Attributes:
        server: to be told to stop.
        address: host and port.
    """

    def __init__(self, model: Model, limits: ServiceLimits, vocabulary: Vocabulary):
        """Starts it."""
        metrics = ServiceMetrics()
        service = PhotographService(model, limits, metrics)
        page = service_page.page("Captions")
        self.server = server.make_server(build_application(service, vocabulary, limits, metrics, page), limits)
        listening = server.listen("127.0.0.1", 0)
        self.address: tuple[str, int] = listening.getsockname()
        self.url = server.address_of(listening)
        self.thread = threading.Thread(target=self.server.run, args=([listening],))
        self.thread.start()

    def stop(self) -> None:
        """Stops it as a signal does, and waits until it has."""
        self.server.should_exit = True
        self.thread.join(PATIENCE_SECS)
        assert not self.thread.is_alive()

    def connect(self) -> socket.socket:
        """A connection for what no client would send."""
        return socket.create_connection(self.address, PATIENCE_SECS)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Sends one request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_SECS)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def predict(self, *photographs: bytes, **more: Any) -> Answer:
        """Asks for captions in TensorFlow Serving's row format."""
        instances = [{"b64": base64.b64encode(content).decode()} for content in photographs]
        return self.ask("POST", PREDICT_PATH, json.dumps({"instances": instances, **more}))

    def upload(self, *files: tuple[str, bytes]) -> Answer:
        """Sends files as a browser does."""
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.ask("POST", "/captions", multipart(*files), Content_Type=kind)

    def count(self, name: str) -> float:
        """A figure of /metrics, 0 if it is not there yet."""
        for line in self.ask("GET", "/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def in_background(self, photographs: list[bytes]) -> Background:
        """Asks for captions in a thread."""
        return Background(self, photographs)


class Answer:
    """A response, read."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    def json(self) -> Any:
        """Its body, as strict JSON."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is no JSON")

        return json.loads(self.text, parse_constant=refuse)


class Background:
    """A request on its way."""

    def __init__(self, service: RunningService, photographs: list[bytes]):
        self._thread = threading.Thread(target=self._run, args=(service, photographs))
        self._thread.start()

    def _run(self, service: RunningService, photographs: list[bytes]) -> None:
        self._answer = service.predict(*photographs)

    def answer(self) -> Answer:
        """Waits for it."""
        self._thread.join(PATIENCE_SECS)
        return self._answer


def multipart(*files: tuple[str, bytes]) -> bytes:
    """A form's body."""
    parts = b""
    for name, content in files:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="photograph"; filename="{name}"\r\n\r\n'
        parts += head.encode() + content + b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()


@contextlib.contextmanager
def running(model: Model, vocabulary: Vocabulary = VOCABULARY, **limits: Any) -> Iterator[RunningService]:
    """Runs a service within the `with`; a model that is held is let go first."""
    service = RunningService(model, ServiceLimits(**limits), vocabulary)
    try:
        yield service
    finally:
        if isinstance(model, GreyModel):
            model.gate.set()
        service.stop()
