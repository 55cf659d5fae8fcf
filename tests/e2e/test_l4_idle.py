"""What TCP connections cost while they rest, and that nothing is missing when they wake up or end."""

import contextlib
import json
import socket
import threading
import time

import pytest
from gateway import SANITIZED, wait_for
from l4_peers import TcpService, connect, echo, read_exactly

COUNT = 300
MOST = 2048  # bytes of resident memory for each, both connections included


@pytest.fixture
def echoing(start):
    """A gateway in front of a service that sends back what comes."""
    with TcpService(echo) as service:
        yield start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": {{to: back, idle-timeout: 1h}}}}}}
            workers: 1
            drain: 1s
            services: {{back: "{service.at}"}}
            """)


def are_at_rest(gateway, count):
    """There are that many, and no fiber waits for any of them: only who asks for the metrics has one."""
    return gateway.metric("weir_tcp_open_connections") == count and gateway.metric("weir_worker_fibers") == 0


def bounce(client, data):
    client.sendall(data)
    assert read_exactly(client, len(data)) == data


@contextlib.contextmanager
def resting(gateway, count):
    """That many, each of which has passed something both ways."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(gateway)) for _ in range(count)]
        for client in clients:
            bounce(client, b"x" * 100)
        wait_for(lambda: are_at_rest(gateway, count), 20, "rest")
        yield clients


def test_idle_ones_have_no_fiber_and_little_memory(echoing):
    with resting(echoing, 50):
        pass
    wait_for(lambda: are_at_rest(echoing, 0), 20, "their end")
    before = echoing.memory()
    with resting(echoing, COUNT) as clients:
        # What is not needed goes back to the system by and by.
        wait_for(lambda: SANITIZED or (echoing.memory() - before) / COUNT < MOST, what=f"less than {MOST} bytes each")
        for number, client in enumerate(clients):
            bounce(client, b"%d" % number)
    wait_for(lambda: are_at_rest(echoing, 0), 20, "their end")


def test_resting_again_and_again(echoing):
    with resting(echoing, 3) as clients:
        for size in (1, 100_000, 1, 3_000_000, 1):
            for client in clients:
                with contextlib.suppress(TimeoutError):
                    sender = threading.Thread(target=client.sendall, args=(b"z" * size,))
                    sender.start()
                    assert read_exactly(client, size) == b"z" * size
                    sender.join()
            wait_for(lambda: are_at_rest(echoing, 3), 20, "rest")


def test_half_closed_ones_rest_too(start):
    """The end of one way stands there to be read, and wakes nobody."""
    ends = threading.Event()

    def answer_late(connection):
        while connection.recv(100):
            pass
        ends.wait(30)
        connection.sendall(b"late")
    with TcpService(answer_late) as service:
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": back}}}}
            workers: 1
            services: {{back: "{service.at}"}}
            """)
        with connect(gateway) as client:
            client.sendall(b"x")
            client.shutdown(socket.SHUT_WR)
            wait_for(lambda: are_at_rest(gateway, 1), 20, "rest")
            before = gateway.metric("weir_worker_busy_seconds_total")
            time.sleep(1)
            assert gateway.metric("weir_worker_busy_seconds_total") - before < 0.5
            ends.set()
            assert read_exactly(client, 4) == b"late"
            assert client.recv(1) == b""
        line = gateway.log_lines(1)[0]
        assert (line["bytes.received"], line["bytes.sent"]) == (1, 4) and "reason" not in line


def test_a_stop_cuts_those_that_rest(echoing):
    with resting(echoing, 20) as clients:
        stopper = threading.Thread(target=echoing.stop)
        stopper.start()
        for client in clients:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        stopper.join()
    reasons = [json.loads(line).get("reason") for line in echoing.log_path.read_text().splitlines()]
    assert reasons == 20 * ["shutting-down"]


def test_clients_vanish_while_they_rest(echoing):
    with resting(echoing, 20) as clients:
        for number, client in enumerate(clients):
            if number % 2:  # with a reset
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        wait_for(lambda: are_at_rest(echoing, 0), 20, "their end")
    reasons = [line.get("reason") for line in echoing.log_lines(20)]
    assert sorted(reasons, key=str) == 10 * [None] + 10 * ["client-closed"]
    wait_for(lambda: echoing.in_flight() == 0)
