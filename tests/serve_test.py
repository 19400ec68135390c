"""`im2txt.serve` as a person starts it, where neither Keras nor training is to be had, and the pictures people send."""

import base64
import contextlib
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from fake_runs import random_run
from fakes import jpeg
from PIL import Image
from running_services import Answer, RunningService

from im2txt import serve
from im2txt.images.image_files import PhotographOptions, to_jpeg
from im2txt.inference.saved_model import write_saved_model
from im2txt.serving import server
from im2txt.system import command_line

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("export") / "captioner")
    write_saved_model(random_run(), folder, "a run")
    return folder


@contextlib.contextmanager
def started(exported, trap, *flags):
    """A process that serves; asking it is what tests do with a `RunningService`."""
    (trap / "keras.py").write_text("raise SystemExit('Keras was imported.')")
    command = [sys.executable, "-m", "im2txt.serve", f"--model={exported}", "--port=0", *flags]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(trap), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"(.*) at http://(127\.0\.0\.1):(\d+)/; Ctrl-C stops\.\n", line)
        assert found, line + process.communicate(timeout=60)[1]
        assert found[1] == exported
        service = types.SimpleNamespace(address=(found[2], int(found[3])), process=process)
        service.ask = types.MethodType(RunningService.ask, service)
        service.predict = types.MethodType(RunningService.predict, service)
        yield service
    finally:
        process.kill()
        process.communicate()


def ask_until_refused(service):
    while True:
        service.ask("GET", "/healthz")


def picture(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def sound_pictures():
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    frames = [Image.fromarray(rng.integers(0, 256, (20, 20), dtype=np.uint8)) for _ in range(3)]
    return {
        "jpeg": jpeg(1),
        "progressive": picture(colours, "JPEG", progressive=True),
        "one pixel": picture(colours.resize((1, 1)), "JPEG"),
        "cmyk": picture(colours.convert("CMYK"), "JPEG"),
        "16 bits": picture(Image.fromarray(rng.integers(0, 65536, (30, 30), dtype=np.uint16)), "PNG"),
        "transparent": picture(colours.convert("RGBA"), "PNG"),
        "animated gif": picture(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated webp": picture(frames[0].convert("RGB"), "WEBP", save_all=True, append_images=frames[1:]),
        "long": picture(Image.new("L", (20_000, 1)), "PNG"),
    }


def bad_pictures():
    bomb = picture(Image.new("1", (20_000, 20_000)), "PNG")
    huge_jpeg = bytearray(jpeg(1))
    at = huge_jpeg.index(b"\xff\xc0") + 5
    huge_jpeg[at : at + 4] = (20_000).to_bytes(2) * 2
    return {
        "bomb": (bomb, "too_large"),
        "bomb by its header": (bytes(huge_jpeg), "too_large: 20000 x 20000"),
        "above the limit of the flag": (picture(Image.new("L", (1001, 1000)), "JPEG"), "too_large: 1001 x 1000"),
        "empty": (b"", "empty_file"),
        "text": (b"a photograph of a cat", "not_an_image"),
        "cut": (jpeg(1)[:-20], "truncated"),
        "cut png": (picture(Image.fromarray(np.eye(64, dtype=np.uint8)), "PNG")[:-30], ""),
        "32 bits": (picture(Image.new("I", (9, 9)), "TIFF"), "unsupported"),
        "no pixels": (b"GIF89a" + bytes(7), ""),
    }


def test_it_serves_without_keras_what_the_model_says_and_ends_well(exported, tmp_path):
    good, bad = sound_pictures(), bad_pictures()
    signature = tf.saved_model.load(exported).signatures["serving_default"]
    with started(exported, tmp_path, "--max_megapixels=1") as service:
        assert "<title>Captions by captioner</title>" in service.ask("GET", "/").text
        # One request each, all in one, and each between two that are sound.
        rows = service.predict(*good.values()).json()["predictions"]
        for (name, content), row in zip(good.items(), rows, strict=True):
            expected = signature(encoded_images=tf.constant([to_jpeg(content, PhotographOptions())]))
            assert row["captions"] == [caption.decode() for caption in expected["captions"].numpy()[0]], name
            np.testing.assert_allclose(row["log_probs"], expected["log_probs"][0], rtol=1e-4, err_msg=name)
        for name, (content, told) in bad.items():
            before, refused, after = service.predict(good["jpeg"], content, good["cmyk"]).json()["predictions"]
            assert before["captions"] == rows[0]["captions"], name
            assert after["captions"] == rows[3]["captions"], name
            assert refused["error"].startswith(told), (name, refused)
            assert service.predict(content).status == 400

        connection = http.client.HTTPConnection(*service.address, timeout=60)
        body = json.dumps({"instances": [{"b64": base64.b64encode(good["jpeg"]).decode()}] * 32})
        connection.putrequest("POST", "/v1/models/im2txt:predict")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:-10].encode())
        service.ask("GET", "/healthz")  # By now it has the first part.
        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionError):
            ask_until_refused(service)
        connection.send(body[-10:].encode())
        assert len(Answer(connection.getresponse()).json()["predictions"]) == 32
        connection.close()
        out, err = service.process.communicate(timeout=60)
        assert (service.process.returncode, out, err) == (0, "", "")


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--port=65536", "--port=65536 must be 0 to 65535."),
        ("--max_batch_size=0", "--max_batch_size=0 must be above 0"),
        ("--max_wait_ms=-1", "--max_wait_ms=-1.0 must be above 0"),
        ("--answer_timeout_secs=inf", "--answer_timeout_secs=inf must be above 0, and finite"),
        ("--max_megapixels=90", "--max_megapixels=90.0 must be at most 89.5"),
        ("--queue_size=31", "--max_photographs=32 is more than --queue_size=31"),
    ],
)
def test_a_limit_out_of_range_is_refused(flag, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["serve", "--model=x", flag])
    with pytest.raises(SystemExit) as stop:
        serve.main()
    assert stop.value.code == 2
    assert told in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_port_that_is_taken_is_one_line(exported, monkeypatch, capsys):
    with contextlib.closing(server.listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["serve", f"--model={exported}", f"--port={port}"])
        with pytest.raises(SystemExit) as stop:
            command_line.run(serve.main)
    assert stop.value.code == 1
    assert capsys.readouterr().err == (
        f"error: --host=127.0.0.1 --port={port} cannot be used: Address already in use. Another program listens there: "
        "stop it, or name another --port.\n"
    )


def test_without_its_packages_it_says_how_to_get_them(exported, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith(("im2txt.serving.server", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("im2txt.serving.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setattr(sys, "argv", ["serve", f"--model={exported}"])
    with pytest.raises(SystemExit) as stop:
        command_line.run(serve.main)
    assert stop.value.code == 1
    assert "`pip install '.[serve]'`" in capsys.readouterr().err
