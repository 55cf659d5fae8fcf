"""What a stop and an upgrade mean for WebSockets and streams of events that are open."""

import os
import select
import signal
import time

from gateway import run_weir, wait_for
from websocket_client import Raw, frame

COUNT = 250  # 2.5 seconds' worth: 10 ms for each


def follow(clients, timeout=15):
    """When each got its Close frame, in seconds from now; the code is 1001."""
    began, times = time.monotonic(), []
    waiting = {client.connection.socket: client for client in clients}
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], timeout)
        assert ready, f"{len(waiting)} hear nothing"
        for socket in ready:
            client = waiting.pop(socket)
            assert client.read_close() == 1001
            client.send(frame(0x88, b"\x03\xe9"))
            times.append(time.monotonic() - began)
    return times


def are_spread(times):
    """Over about two seconds: never half of them at once, though slow machines gather some."""
    times = sorted(times)
    half = len(times) // 2
    at_once = min(last - first for first, last in zip(times, times[half:]))
    return at_once > 0.15 and times[-1] < 12


def test_a_stop_spreads_the_closes(chat):
    gateway, _ = chat(workers=1, more="drain: {time: 20s, spread: 10s}")
    clients = [Raw(gateway) for _ in range(COUNT)]
    gateway.process.send_signal(signal.SIGTERM)
    times = follow(clients)
    assert are_spread(times), sorted(times)
    assert gateway.process.wait(20) == 0
    lines = gateway.log_lines(COUNT)
    assert {line["reason"] for line in lines} == {"shutting-down"}
    assert {line["websocket.close_code"] for line in lines} == {1001}


def test_without_a_spread_all_go_at_once(chat):
    gateway, _ = chat(workers=1, more="drain: {time: 20s, spread: 0s}")
    clients = [Raw(gateway) for _ in range(COUNT)]
    gateway.process.send_signal(signal.SIGTERM)
    assert max(follow(clients)) < 2
    assert gateway.process.wait(20) == 0


def test_the_spread_leaves_time_to_close(chat):
    gateway, _ = chat(workers=1, more="drain: {time: 3s, spread: 10s}")
    clients = [Raw(gateway) for _ in range(COUNT)]
    gateway.process.send_signal(signal.SIGTERM)
    follow(clients)  # nobody is cut off
    assert gateway.process.wait(20) == 0


def test_messages_pass_until_the_close(chat):
    gateway, _ = chat(workers=1, more="drain: {time: 20s, spread: 10s}")
    clients = [Raw(gateway) for _ in range(COUNT)]
    gateway.process.send_signal(signal.SIGTERM)
    passed, closed = 0, set()
    while len(closed) < COUNT:
        for client in set(clients) - closed:
            client.send(frame(0x81, b"x"))
            first, payload = client.read()
            if first == 0x88:
                assert payload == b"\x03\xe9"
                client.send(frame(0x88, payload))
                closed.add(client)
            else:
                assert (first, payload) == (0x81, b"x")
                passed += 1
    assert passed > 0
    assert gateway.process.wait(40) == 0


def has_ended(pid):
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


def test_an_upgrade_hands_websockets_over_gently(chat):
    """The old process keeps those that it has, and asks their clients to come back, one after the other: to the new one."""
    gateway, _ = chat(workers=1, more="drain: {time: 20s, spread: 10s}")
    clients = [Raw(gateway) for _ in range(COUNT)]
    code, _, error = run_weir("upgrade", "--control", gateway.control)
    assert code == 0, error
    new = gateway.status()["pid"]
    try:
        assert new != gateway.process.pid
        again = Raw(gateway)  # is the new one's
        times = follow(clients)
        assert are_spread(times), sorted(times)
        assert gateway.process.wait(20) == 0
        again.send(frame(0x81, b"here"))
        assert again.read() == (0x81, b"here")
        assert gateway.metric("weir_websockets_open") == 1
        again.send(frame(0x88, b"\x03\xe8"))
        assert again.read_close() == 1000
    finally:
        os.kill(new, signal.SIGTERM)
        wait_for(lambda: has_ended(new), 30, "the end of the new one")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_stop_spreads_the_ends_of_streams(start, serve):
    def events(peer):
        peer.read_request()
        peer.send(HEAD + b"9\r\ndata: x\n\n\r\n")
        peer.socket.recv(1)

    service = serve(events)
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 1
        drain: {{time: 20s, spread: 10s}}
        services: {{back: "{service.at}"}}
        routes: {{/**: {{to: back, stream: sse}}}}
        """)
    connections = [gateway.connect() for _ in range(COUNT)]
    for connection in connections:
        connection.send_request("GET", "/events", {})
    for connection in connections:
        connection._until(b"data: x\n\n\r\n")
    gateway.process.send_signal(signal.SIGTERM)
    began, times = time.monotonic(), []
    waiting = {connection.socket: connection for connection in connections}
    while waiting:
        for socket in select.select(list(waiting), [], [], 15)[0]:
            assert waiting.pop(socket)._exactly(5) == b"0\r\n\r\n"
            times.append(time.monotonic() - began)
    assert are_spread(times), sorted(times)
    assert gateway.process.wait(20) == 0
