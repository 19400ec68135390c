"""Whatever is sent, the service answers with a status that blames the request, and goes on."""

import base64
import collections
import io
import json
import random

from PIL import Image
from running_services import BOUNDARY, GreyModel, grey_jpeg, multipart, running

from im2txt.serving.application import CAPTIONS_PATH, PREDICT_PATH

EXPECTED = {200, 400, 404, 405, 408, 413, 415}
NO_ANSWER = 0
"""The service has hung up without a status: what came was no whole request."""
NUMBERS = (0, -1, 1.5, 2**63, 10**400, float("inf"), float("nan"), True, None)
TEXTS = ("", "b64", "instances", "inputs", "encoded_images", "QQ==", "\ud800", "\x00", "é" * 50, "=" * 9, "A" * 999)


def any_photograph(rng):
    """A sound file of some format, black and white or colour."""
    stream = io.BytesIO()
    image = Image.new(rng.choice(["L", "RGB"]), (rng.randint(1, 40), rng.randint(1, 40)), rng.randint(0, 255))
    image.save(stream, rng.choice(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]))
    return stream.getvalue()


def harmed(rng, content):
    """Bytes with a few of them flipped, cut, doubled, moved or replaced."""
    content = bytearray(content)
    for _ in range(rng.choice([0, 1, 1, 2, 5, 20])):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice([1, 1, 2, 8, 200]))
        how = rng.randrange(5)
        if how == 0 and start < len(content):
            content[start] ^= 1 << rng.randrange(8)
        elif how == 1:
            del content[start:end]
        elif how == 2:
            content[start:start] = content[start:end]
        elif how == 3:
            content[start:end] = rng.randbytes(end - start)
        elif how == 4:
            content[start:end] = rng.choice([b"\xff", b"\0", b"\r\n", b'"', b"--", b"{", b"\xff\xd9", b"%"])
    return bytes(content)


def any_value(rng, depth=0):
    """A value of JSON."""
    kind = rng.randrange(6 if depth < 4 else 4)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind == 3:
        return {"b64": base64.b64encode(any_photograph(rng)).decode()}
    if kind == 4:
        return [any_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS): any_value(rng, depth + 1) for _ in range(rng.randrange(4))}


def any_request(rng):
    """The bytes of a request: from sound to nonsense."""
    photographs = [harmed(rng, any_photograph(rng)) for _ in range(rng.randint(1, 3))]
    kind = "application/json"
    path = PREDICT_PATH
    match rng.randrange(4):
        case 0:
            encoded = [{"b64": base64.b64encode(content).decode()} for content in photographs]
            body = json.dumps({"instances": encoded}).encode()
        case 1:
            body = json.dumps({rng.choice(TEXTS[2:4]): any_value(rng), rng.choice(TEXTS): any_value(rng)}).encode()
        case 2:
            path, kind = CAPTIONS_PATH, f"multipart/form-data; boundary={BOUNDARY}"
            body = multipart(*[(rng.choice(["a.jpg", "é", '"', ""]), content) for content in photographs])
        case _:
            path, kind, body = CAPTIONS_PATH, "image/jpeg", photographs[0]
    if rng.random() < 0.4:
        body = harmed(rng, body)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    if rng.random() < 0.05:
        head = harmed(rng, head)
    return head + body


def status_of(service, request):
    """Sends a request's bytes and returns the status of what comes back, or NO_ANSWER."""
    with service.connect() as connection:
        answer = b""
        try:
            connection.sendall(request)
            while b"\r\n" not in answer and (piece := connection.recv(65536)):
                answer += piece
        except ConnectionError:
            pass
    return int(answer.split(b" ", 2)[1]) if answer else NO_ANSWER


def fuzz(service, seed, num_requests):
    """Sends requests drawn from a seed; returns how often each status came. A sound request must always be answered."""
    rng = random.Random(seed)
    statuses = collections.Counter()
    for number in range(num_requests):
        request = any_request(rng)
        status = status_of(service, request)
        assert status in EXPECTED | {NO_ANSWER}, (seed, number, status, request)
        statuses[status] += 1
        if number % 50 == 49:
            assert service.predict(grey_jpeg(100)).status == 200, (seed, number, request)
    return statuses


def test_nothing_that_is_sent_is_a_fault_of_the_service(capfd):
    with running(GreyModel(), read_timeout_secs=0.3) as service:
        statuses = fuzz(service, seed=1, num_requests=300)
        assert service.predict(grey_jpeg(42)).json()["predictions"][0]["captions"][0] == "grey 42"
    assert statuses[200] > 20
    assert statuses[400] > 20
    assert "Traceback" not in capfd.readouterr().err
