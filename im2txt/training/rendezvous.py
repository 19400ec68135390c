"""The workers of a run wait for each other before TensorFlow does, which would wait without end and hear no signal."""

from __future__ import annotations

import contextlib
import socket
import time

from im2txt.training.cluster import Cluster

_SECS_BETWEEN_TRIES = 0.2
_SECS_TO_CONNECT = 2.0


def wait_for_workers(cluster: Cluster, deadline_secs: float) -> None:
    """Returns once every worker of the cluster has listened at its address: with this, or as TensorFlow's server.

    Args:
        cluster: all workers, and which of them this process is.
        deadline_secs: how long to wait.

    Raises:
        RuntimeError: if this worker's port is taken, or some have not come in time; the message names them.
    """
    own = cluster.addresses[cluster.worker]
    missing = {worker: address for worker, address in enumerate(cluster.addresses) if worker != cluster.worker}
    end = time.monotonic() + deadline_secs
    with _listen(own):
        while missing:
            missing = {worker: address for worker, address in missing.items() if not _listens(address)}
            if missing and time.monotonic() > end:
                named = ", ".join(f"{worker} at {address}" for worker, address in missing.items())
                raise RuntimeError(
                    f"Worker {cluster.worker} has waited {deadline_secs:g} s for worker(s) {named}. Start all workers "
                    "at about the same time, see that their addresses can be reached from here, or raise "
                    "training.start_deadline_secs."
                )
            if missing:
                time.sleep(_SECS_BETWEEN_TRIES)


def split_address(address: str) -> tuple[str, int]:
    """Splits `host:port`; an IPv6 host stands in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _listen(address: str) -> socket.socket:
    """Listens on the address's port, on every interface, as TensorFlow's server will."""
    port = split_address(address)[1]
    try:
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):  # A machine may know IPv6 and have it turned off.
                return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise RuntimeError(
            f"This worker's address is {address}, and the port cannot be had: {error.strerror}. Another run, or the "
            "last one's process, may still hold it: end that, or name another port."
        ) from error


def _listens(address: str) -> bool:
    try:
        with socket.create_connection(split_address(address), timeout=_SECS_TO_CONNECT):
            return True
    except OSError:
        return False
