"""Addresses, slow clients, and the end."""

import contextlib
import signal
import socket
import threading

import pytest
from running_services import GreyModel, grey_jpeg, running

from im2txt.serving import server
from im2txt.serving.application import PREDICT_PATH


def test_a_port_that_is_taken_is_named():
    with contextlib.closing(server.listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"--port={port} cannot be used: Address already in use. Another program"):
            server.listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "ü" * 70])
def test_an_address_that_is_not_this_machines_is_named(host):
    with pytest.raises(OSError, match=f"--host={host} --port=0 cannot be used: "):
        server.listen(host, 0)


@pytest.mark.parametrize(("host", "is_loopback"), [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_who_can_reach_it_is_known(host, is_loopback):
    with contextlib.closing(server.listen(host, 0)) as listening:
        assert server.is_loopback(listening) == is_loopback
        assert server.address_of(listening).endswith(f":{listening.getsockname()[1]}/")


HEAD = f"POST {PREDICT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"


@pytest.mark.parametrize("sent", ["", "POST", HEAD])
def test_a_connection_whose_headers_do_not_come_is_closed(sent):
    with running(GreyModel(), read_timeout_secs=0.2) as service, service.connect() as connection:
        connection.sendall(sent.encode())
        assert connection.recv(100) == b""


def test_a_body_that_does_not_come_is_408_and_others_are_served_meanwhile():
    with running(GreyModel(), read_timeout_secs=0.5) as service, service.connect() as connection:
        connection.sendall(f"{HEAD}\r\nhalf".encode())
        assert service.predict(grey_jpeg(3)).status == 200
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 0.5 s" in answer


def send_until_closed(connection):
    while True:
        connection.sendall(b"x" * 100)


def test_a_trickle_after_a_refusal_does_not_keep_the_connection():
    with running(GreyModel(), read_timeout_secs=0.3, max_megabytes=0.001) as service, service.connect() as connection:
        connection.sendall(f"POST {PREDICT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")
        with pytest.raises(OSError, match="reset|pipe"):
            send_until_closed(connection)


def test_one_connection_serves_many_requests():
    with running(GreyModel(), read_timeout_secs=5.0) as service, service.connect() as connection:
        for _ in range(3):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                piece = connection.recv(1000)
                assert piece, answer
                answer += piece


def test_connections_beyond_the_bound_are_503_and_the_service_goes_on(monkeypatch):
    monkeypatch.setattr(server, "_MAX_CONNECTIONS", 4)
    with running(GreyModel()) as service:
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                connection = stack.enter_context(service.connect())
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                connection.recv(1000)  # So that it counts.
            assert service.predict(grey_jpeg(1)).status == 503
        while service.predict(grey_jpeg(1)).status == 503:
            pass


def test_what_is_no_http_is_refused():
    with running(GreyModel()) as service:
        for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"G" * 100_000, b"GET / HTTP/1.1\r\nA\r\n\r\n"):
            with service.connect() as connection:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(1000)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert service.ask("GET", "/healthz").status == 200


def connect_until_refused(service):
    while True:
        service.connect().close()


def test_a_service_that_is_stopped_finishes_what_it_has_and_takes_no_more():
    model = GreyModel()
    with running(model) as service:
        model.gate.clear()
        request = service.in_background([grey_jpeg(42)])
        assert model.entered.wait(60)
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        with pytest.raises(ConnectionError):
            connect_until_refused(service)
        assert service.thread.is_alive()
        model.gate.set()
        assert request.answer().json()["predictions"][0]["captions"][0] == "grey 42"
        stopping.join(60)
        assert not service.thread.is_alive()


def test_a_signal_stops_the_server_and_is_no_failure(monkeypatch):
    listening = server.listen("127.0.0.1", 0)
    before = signal.getsignal(signal.SIGTERM)

    class Server:
        def run(self, sockets):
            assert sockets == [listening]
            signal.raise_signal(signal.SIGTERM)  # As uvicorn does once it has stopped.

    server.serve(Server(), listening)
    listening.close()
    assert signal.getsignal(signal.SIGTERM) is before
