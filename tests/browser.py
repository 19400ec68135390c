"""A real browser without a window, spoken to over a pipe by its DevTools protocol."""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import pathlib
import select
import shutil
import subprocess
import time
from typing import Any

PROGRAM = shutil.which("chromium")
MISSING = "no chromium on PATH; as root on Debian: apt-get install chromium"
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
_LOWEST_PIPE = 10  # Bash must not need the numbers that the pipes are moved to.
_PATIENCE_SECS = 60


class Browser:
    """One page in one browser; a `with` statement ends the process.

    Attributes:
        requests: addresses that pages asked for, in order; data in the page itself does not count.
        messages: what pages wrote to the console, and their errors.
    """

    def __init__(self, profile: pathlib.Path):
        """Starts it with an empty profile."""
        self.requests: list[str] = []
        self.messages: list[str] = []
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.loaded = 0
        (to_read, self._write), (self._read, to_write) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, _LOWEST_PIPE) for end in (to_read, to_write)]
        # The browser reads from descriptor 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", str(PROGRAM), *_FLAGS]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"], pass_fds=theirs, stderr=subprocess.DEVNULL
        )
        for end in (to_read, to_write, *theirs):
            os.close(end)
        self._session = ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = ""
        self.call("Browser.close")  # Its children end with it.
        self._process.wait(_PATIENCE_SECS)
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of the protocol and returns its result; RuntimeError if the browser refuses."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, page: pathlib.Path | str, width: int = 1280, height: int = 900) -> None:
        """Opens a file or an address in a window of so many pixels and waits until it is loaded."""
        is_phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )
        before = self.loaded
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        self.wait_for_load(before)

    def wait_for_load(self, before: int) -> None:
        """Waits until more pages than `before` have been loaded."""
        while self.loaded <= before:
            self._receive()

    def run(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression; RuntimeError with what it threw."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", result))
        return result["result"].get("value")

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Presses a key as a person would."""
        for kind in ("keyDown", "keyUp"):
            typed = text if kind == "keyDown" else ""
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=typed)

    def type(self, text: str) -> None:
        """Presses the keys of a text."""
        for letter in text:
            self.press(letter, text=letter)

    def screenshot(self, path: pathlib.Path) -> None:
        """Writes what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE_SECS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._read, 1 << 20) if ready else b""
            if not part:
                raise RuntimeError(f"The browser said nothing for {_PATIENCE_SECS} s, or ended.")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        parameters = answer.get("params", {})
        match answer.get("method"):
            case "Page.loadEventFired":
                self.loaded += 1
            case "Network.requestWillBeSent" if not parameters["request"]["url"].startswith("data:"):
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.messages.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.messages.append(str(parameters["args"]))
            case "Log.entryAdded":
                self.messages.append(parameters["entry"]["text"])
        return answer
