"""Streams of events and long polling: what comes goes out at once, and silence is no fault."""

import signal
import threading
import time

import pytest

from http_client import Closed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Steps:
    """A service that sends the next piece when the test says so."""

    def __init__(self, *pieces):
        self.pieces, self.go = pieces, threading.Semaphore(0)

    def __call__(self, peer):
        peer.read_request()
        for piece in self.pieces:
            self.go.acquire(timeout=30)
            peer.send(piece)
        peer.socket.recv(1)


@pytest.fixture
def route(start, serve):
    """route(script, options): a gateway with a service on /events."""
    def run(script, options="", service=""):
        back = serve(script)
        return start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 1
            services: {{back: {{at: "{back.at}"{service}}}}}
            routes: {{GET /events: {{to: back{options}}}}}
            """)
    return run


def begin(gateway, headers=None):
    connection = gateway.connect(timeout=20)
    connection.send_request("GET", "/events", headers or {})
    return connection


def read_chunk(connection):
    size = int(connection._until(b"\r\n"), 16)
    data = connection._exactly(size)
    assert connection._exactly(2) == b"\r\n"
    return data


@pytest.mark.parametrize("options", ["", ", stream: sse"])
def test_nothing_is_held_back(route, options):
    events = [b"data: %d\n\n" % number for number in range(5)] + [b"data: hal", b"f\n\n"]
    script = Steps(HEAD, *map(chunk, events))
    connection = begin(route(script, options))
    script.go.release()
    assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")  # the head does not wait for the first event
    for event in events:
        script.go.release()
        assert read_chunk(connection) == event


def test_silence_ends_other_answers_but_no_stream_of_events(route):
    idle = ", timeout: {idle: 300ms}"
    script = Steps(HEAD, chunk(b"data: late\n\n"))
    script.go.release()
    connection = begin(route(script, ", stream: sse, timeout: 500ms", idle))
    connection._until(b"\r\n\r\n")
    time.sleep(1)
    script.go.release()
    assert read_chunk(connection) == b"data: late\n\n"

    script = Steps(HEAD, chunk(b"data: late\n\n"))
    script.go.release()
    connection = begin(route(script, "", idle))
    connection._until(b"\r\n\r\n")
    with pytest.raises(Closed):
        read_chunk(connection)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_comments_keep_a_silent_stream_alive(route, end):
    script = Steps(HEAD, chunk(b"data: on"), chunk(b"e" + end))
    connection = begin(route(script, ", stream: {kind: sse, comment: 200ms}"))
    script.go.release()
    connection._until(b"\r\n\r\n")
    assert read_chunk(connection) == b":\n\n"
    script.go.release()
    seen = [read_chunk(connection)]
    while seen[-1] == b":\n\n":
        seen.append(read_chunk(connection))
    assert seen[-1] == b"data: on"
    time.sleep(0.7)  # within an event there is none
    script.go.release()
    assert read_chunk(connection) == b"e" + end
    assert read_chunk(connection) == b":\n\n"


def test_a_compressed_stream_has_no_comments(route):
    head = HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    script = Steps(head, chunk(b"\x1f\x8b"))
    connection = begin(route(script, ", stream: {kind: sse, comment: 100ms}"))
    script.go.release()
    connection._until(b"\r\n\r\n")
    time.sleep(0.5)
    script.go.release()
    assert read_chunk(connection) == b"\x1f\x8b"


def test_a_stop_ends_streams_between_events(route):
    script = Steps(HEAD, chunk(b"data: on"), chunk(b"e\n\n"))
    gateway = route(script, ", stream: sse")
    connection = begin(gateway)
    script.go.release()
    connection._until(b"\r\n\r\n")
    script.go.release()
    assert read_chunk(connection) == b"data: on"
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    script.go.release()
    assert read_chunk(connection) == b"e\n\n"
    assert connection._exactly(5) == b"0\r\n\r\n"
    assert gateway.process.wait(10) == 0
    assert gateway.log_lines(1)[0]["reason"] == "shutting-down"


def test_the_service_dies_in_a_stream(route):
    def die(peer):
        peer.read_request()
        peer.send(HEAD + chunk(b"data: one\n\n"))
        time.sleep(0.3)
        peer.reset()

    gateway = route(die, ", stream: sse")
    connection = begin(gateway)
    connection._until(b"\r\n\r\n")
    assert read_chunk(connection) == b"data: one\n\n"
    with pytest.raises(Closed):
        read_chunk(connection)
    assert gateway.log_lines(1)[0]["reason"] == "upstream-incomplete"


def test_a_poll_waits_longer_than_others(route):
    def slowly(peer):
        peer.read_request()
        time.sleep(1)
        peer.answer(b"news")

    impatient = ", timeout: {first-byte: 300ms}"
    assert begin(route(slowly, "", impatient)).read_answer("GET").status == 504
    assert begin(route(slowly, ", stream: poll, timeout: 400ms", impatient)).read_answer("GET").body == b"news"
    assert begin(route(slowly, ", stream: {kind: poll, hold: 500ms}", "")).read_answer("GET").status == 504
