"""Workers that wait for each other: those that come, one that never does, a port that is taken."""

import socket
import threading
import time

import pytest

from im2txt.training.cluster import Cluster
from im2txt.training.rendezvous import split_address, wait_for_workers
from im2txt.training.supervisor import free_addresses


def test_workers_go_on_when_all_have_come():
    addresses, all_there = free_addresses(3), threading.Barrier(3, timeout=60)
    arrived = []

    def come(worker):
        wait_for_workers(Cluster(addresses, worker), deadline_secs=60)
        with socket.create_server(split_address(addresses[worker])):  # As TensorFlow's, for one that looks up late.
            arrived.append(worker)
            all_there.wait()

    threads = [threading.Thread(target=come, args=(worker,)) for worker in range(3)]
    for thread in threads[:2]:
        thread.start()
    threads[0].join(0.3)
    assert arrived == []
    threads[2].start()
    for thread in threads:
        thread.join()
    assert sorted(arrived) == [0, 1, 2]


def test_a_worker_that_never_comes_is_named_after_the_deadline():
    addresses = free_addresses(3)
    start = time.monotonic()
    with (
        socket.create_server(split_address(addresses[2])),
        pytest.raises(RuntimeError) as told,
    ):
        wait_for_workers(Cluster(addresses, 0), deadline_secs=0.3)
    assert str(told.value).startswith(f"Worker 0 has waited 0.3 s for worker(s) 1 at {addresses[1]}. Start all")
    assert "training.start_deadline_secs" in str(told.value)
    assert 0.3 < time.monotonic() - start < 30


def test_a_port_that_is_taken_is_told():
    addresses = free_addresses(1)
    with (
        socket.create_server(split_address(addresses[0])),
        pytest.raises(RuntimeError, match=rf"address is {addresses[0]}, and the port cannot be had: .*another port"),
    ):
        wait_for_workers(Cluster(addresses, 0), deadline_secs=1)


def test_an_ipv6_host_stands_in_brackets():
    assert split_address("[::1]:2222") == ("::1", 2222)
    assert split_address("gpu1.cluster:80") == ("gpu1.cluster", 80)
