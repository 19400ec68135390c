"""Signals as a request to stop."""

import os
import signal
import subprocess
import sys

import pytest

from im2txt.system.stop_signals import stop_signals


@pytest.fixture(autouse=True)
def default_handlers():
    """As at a terminal, also where the suite was started with SIGINT ignored (`nohup make test &`)."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number):
    with stop_signals() as stop_requested:
        assert not stop_requested()
        os.kill(os.getpid(), number)
        assert stop_requested()


def test_a_second_signal_ends_at_once():
    with stop_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stop_signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


SWALLOWED = """
import ctypes, os, signal
from im2txt.system.stop_signals import kept_signals, stop_signals

signal.signal(signal.SIGINT, signal.default_int_handler)
libc, ignore = ctypes.CDLL(None), ctypes.c_void_p(1)
with stop_signals() as stop_requested:
    with kept_signals():
        libc.signal(signal.SIGTERM, ignore)
        os.kill(os.getpid(), signal.SIGINT)
        print("within:", stop_requested())
    print("after:", stop_requested())
with stop_signals() as stop_requested:
    with kept_signals():
        libc.signal(signal.SIGTERM, ignore)
    os.kill(os.getpid(), signal.SIGTERM)
    print("SIGTERM:", stop_requested())
"""


def test_a_signal_that_other_code_would_swallow_still_comes():
    # In a process of its own: here threads of other tests may take the signal.
    done = subprocess.run([sys.executable, "-c", SWALLOWED], capture_output=True, text=True, check=True, timeout=60)
    told = [line for line in done.stdout.splitlines() if ":" in line]
    assert told == ["within: False", "after: True", "SIGTERM: True"], done.stdout
