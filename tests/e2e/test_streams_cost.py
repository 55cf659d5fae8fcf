"""What streams of events and long polls cost while nothing comes, and streams of services that speak HTTP/2."""

import re
import signal
import threading
import time
from pathlib import Path

import pytest

from gateway import SANITIZED, wait_for
from h2_upstream import script
from test_streams import HEAD, begin, read_chunk

EVENTS = [(":status", "200"), ("content-type", "text/event-stream")]


@pytest.fixture
def route(start, serve):
    """route(script, options): a gateway with a service on /events."""
    def run(service_script, options="", scheme="http", more=""):
        back = serve(service_script)
        return start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 1
            services: {{back: "{scheme}://{back.at}"}}
            routes: {{GET /events: {{to: back{options}}}}}
            {more}
            """)
    return run


def wakes(gateway):
    """How often threads of the process have begun to wait so far."""
    total = 0
    for path in Path(f"/proc/{gateway.process.pid}/task").iterdir():
        total += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (path / "status").read_text()).group(1))
    return total


def wakes_in(gateway, seconds):
    before = wakes(gateway)
    time.sleep(seconds)
    return wakes(gateway) - before


def test_a_silent_stream_wakes_nobody(route):
    def silence(peer):
        peer.read_request()
        peer.send(HEAD)
        peer.socket.recv(1)

    gateway = route(silence, ", stream: {kind: sse, comment: 60s}")
    time.sleep(1.5)
    alone = wakes_in(gateway, 4.5)  # what the gateway does anyway: it looks after its endpoints
    connections = [begin(gateway) for _ in range(30)]
    for connection in connections:
        assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    time.sleep(1.5)  # for what follows the beginning: the access log, stacks given back
    # Each looking around every two seconds would be 60, again and again.
    wait_for(lambda: wakes_in(gateway, 4.5) < alone + 30, what="nobody who wakes")


def test_a_long_poll_costs_a_fiber_and_no_buffer(route):
    release = threading.Event()

    def hold(peer):
        peer.read_request()
        release.wait(60)
        peer.answer(b"news")

    gateway = route(hold, ", stream: {kind: poll, hold: 2m}", more="")
    count = 150
    warm = [begin(gateway) for _ in range(20)]
    wait_for(lambda: gateway.metric("weir_worker_fibers") >= 20, what="the first polls")
    before = gateway.memory()
    connections = [begin(gateway) for _ in range(count)]
    wait_for(lambda: gateway.metric("weir_worker_fibers") == 20 + count, what="one fiber each")
    wait_for(lambda: gateway.metric("weir_worker_buffers") == 0)
    cost = (gateway.memory() - before) / count
    release.set()
    for connection in warm + connections:
        assert connection.read_answer("GET").body == b"news"
    assert SANITIZED or cost < 20 * 1024, cost  # two pages of stack, and both connections


def test_events_of_an_http2_service_come_at_once(route):
    go = threading.Semaphore(0)
    events = [b"data: %d\n\n" % number for number in range(4)]

    def speak(speaker):
        request = speaker.begin()
        speaker.headers(request.stream, EVENTS)
        for event in events:
            go.acquire(timeout=30)
            speaker.data(request.stream, event)
        speaker.linger()

    connection = begin(route(script(speak), ", stream: {kind: sse, comment: 300ms}", "h2c"))
    assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert read_chunk(connection) == b":\n\n"
    for event in events:
        go.release()
        seen = read_chunk(connection)
        while seen == b":\n\n":
            seen = read_chunk(connection)
        assert seen == event


def test_silence_of_an_http2_service_is_no_fault(route):
    go = threading.Event()

    def speak(speaker):
        request = speaker.begin()
        speaker.headers(request.stream, EVENTS)
        go.wait(30)
        speaker.data(request.stream, b"data: late\n\n", end=True)
        speaker.linger()

    gateway = route(script(speak), ", stream: sse, timeout: 2s", "h2c")
    connection = begin(gateway)
    connection._until(b"\r\n\r\n")
    time.sleep(3)
    go.set()
    assert read_chunk(connection) == b"data: late\n\n"
    assert connection._exactly(5) == b"0\r\n\r\n"
    assert "reason" not in gateway.log_lines(1)[0]


def test_a_stop_ends_streams_of_http2_services(route):
    def speak(speaker):
        request = speaker.begin()
        speaker.headers(request.stream, EVENTS)
        speaker.data(request.stream, b"data: one\n\n")
        speaker.linger()

    gateway = route(script(speak), ", stream: {kind: sse, comment: 60s}", "h2c")
    connection = begin(gateway)
    connection._until(b"\r\n\r\n")
    assert read_chunk(connection) == b"data: one\n\n"
    gateway.process.send_signal(signal.SIGTERM)
    assert connection._exactly(5) == b"0\r\n\r\n"
    assert gateway.process.wait(10) == 0
    assert gateway.log_lines(1)[0]["reason"] == "shutting-down"


def test_an_http2_service_resets_a_stream(route):
    def speak(speaker):
        request = speaker.begin()
        speaker.headers(request.stream, EVENTS)
        speaker.data(request.stream, b"data: one\n\n")
        speaker.h2.reset_stream(request.stream, 2)
        speaker.flush()
        speaker.linger()

    gateway = route(script(speak), ", stream: sse", "h2c")
    connection = begin(gateway)
    connection._until(b"\r\n\r\n")
    assert read_chunk(connection) == b"data: one\n\n"
    assert gateway.log_lines(1)[0]["reason"].startswith("upstream-")
