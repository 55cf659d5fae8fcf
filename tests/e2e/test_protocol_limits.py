"""Bounds and times: each answered with its status, and none of them costs others anything."""

import resource
import socket
import time

import http_client
import pytest
from gateway import SANITIZED, wait_for

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 1
http: {http}
body-limits: {{small: 100B}}
services: {{back: {{at: "{at}", outlier: {{failures: 0}}}}}}
routes:
  /**: back
  /limited: {{to: back, use: [body-limits.small]}}
  /quick: {{to: back, timeout: 300ms}}
"""


@pytest.fixture
def pair(start, serve):
    """pair(http): (gateway, service) with these options for clients."""
    def run(http="{}"):
        service = serve()
        return start(CONFIG.format(at=service.at, http=http)), service
    return run


# --- bounds

@pytest.mark.parametrize("line, fields, status, reason", [
    ("GET /" + "x" * 990 + " HTTP/1.1", [], 200, None),
    ("GET /" + "x" * 1100 + " HTTP/1.1", [], 414, "target-too-long"),
    ("GET /" + "x" * 500000 + " HTTP/1.1", [], 414, "target-too-long"),
    ("X" * 5000 + " / HTTP/1.1", [], None, None),
    ("GET / HTTP/1.1", ["X-A: " + "x" * 1500], 200, None),
    ("GET / HTTP/1.1", ["X-A: " + "x" * 2100], 431, "fields-too-large"),
    ("GET / HTTP/1.1", ["X-A: " + "x" * 500000], 431, "fields-too-large"),
    ("GET / HTTP/1.1", ["x" * 2100 + ": a"], 431, "fields-too-large"),
    ("GET / HTTP/1.1", [f"X-{i}: y" for i in range(10)], 200, None),
    ("GET / HTTP/1.1", [f"X-{i}: y" for i in range(20)], 431, "fields-too-large"),
    ("GET / HTTP/1.1", ["X-A: b"] * 20, 431, "fields-too-large"),
], ids=["a long target", "too long a target", "far too long a target", "a long method",
        "a long field", "too long a field", "far too long a field", "too long a name",
        "many fields", "too many fields", "too many of a name"])
def test_head_bounds(pair, line, fields, status, reason):
    gateway, service = pair("{line-max: 1KiB, head-max: 2KiB, fields-max: 15}")
    with gateway.connect() as connection:
        try:
            connection.send("\r\n".join([line, "Host: x", *fields, "", ""]).encode())
        except ConnectionError:
            pass  # refused before all of it was taken
        answer = connection.read_answer()
        if status is None:
            assert answer.status in (400, 414, 501)
            status = answer.status
        assert answer.status == status
        if status != 200:
            assert answer.header("Connection") == "close"
            assert not service.requests
    line = gateway.log_lines(1)[0]
    assert line["http.response.status_code"] == status
    assert reason is None or line["reason"] == reason


@pytest.mark.parametrize("size, status", [(100, 200), (101, 413), (10000000, 413)])
def test_body_limit_by_length(pair, size, status):
    gateway, service = pair()
    with gateway.connect() as connection:
        try:
            connection.send(b"PUT /limited HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        except ConnectionError:
            pass
        assert connection.read_answer().status == status
    assert len(service.requests) == (status == 200)


@pytest.mark.parametrize("chunks, status", [([50, 50], 200), ([50, 51], 413), ([1000000], 413)])
def test_body_limit_by_what_comes(pair, chunks, status):
    gateway, service = pair()
    with gateway.connect() as connection:
        connection.send(b"PUT /limited HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for size in chunks:
                connection.send(b"%x\r\n%s\r\n" % (size, b"x" * size))
                time.sleep(0.02)
            connection.send(b"0\r\n\r\n")
        except ConnectionError:
            pass
        answer = connection.read_answer()
        assert answer.status == status
    if status == 413:
        assert gateway.log_line("/limited")["reason"] == "body-too-large"
        assert not service.requests  # none that is whole


def test_trailers_have_a_bound(pair):
    gateway, _ = pair("{trailers-max: 256B}")
    with gateway.connect() as connection:
        connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: "
                        + b"x" * 1000 + b"\r\n\r\n")
        assert connection.read_answer().status in (400, 413, 431)


def test_chunk_extensions_have_a_bound(pair):
    gateway, _ = pair()
    with gateway.connect() as connection:
        try:
            connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 1000000)
        except ConnectionError:
            pass
        assert connection.read_answer().status == 400


def test_requests_max(pair):
    gateway, _ = pair("{requests-max: 3}")
    with gateway.connect() as connection:
        closes = [connection.request("GET", "/").header("Connection") for _ in range(3)]
        assert closes == [None, None, "close"]
        assert connection.is_closed()


def test_connections_max(pair):
    gateway, _ = pair("{connections-max: 3}")
    connections = [gateway.connect() for _ in range(3)]
    for connection in connections:
        assert connection.request("GET", "/").status == 200
    with gateway.connect() as connection:
        assert connection.read_answer().status == 503
        assert connection.is_closed()
    connections.pop().close()
    wait_for(lambda: answers(gateway))
    for connection in connections:
        connection.close()


def answers(gateway):
    try:
        return gateway.get("/").status == 200
    except (http_client.Closed, OSError):
        return False


# --- times

def test_head_timeout(pair):
    gateway, service = pair("{head-timeout: 200ms}")
    with gateway.connect() as connection:
        began = time.monotonic()
        connection.send(b"GET /late HTTP/1.1\r\nHost")
        answer = connection.read_answer()
        assert answer.status == 408 and answer.header("Connection") == "close"
        assert time.monotonic() - began > 0.15
    assert gateway.log_lines(1)[0]["reason"] == "request-timeout"
    assert not service.requests


def test_head_timeout_is_for_the_whole_head(pair):
    """A byte now and then does not prolong it."""
    gateway, _ = pair("{head-timeout: 300ms}")
    with gateway.connect() as connection:
        began = time.monotonic()
        connection.socket.settimeout(0.02)
        answer = b""
        while not answer and time.monotonic() - began < 20:
            try:
                connection.send(b"X")
                answer = connection.socket.recv(1000)
            except TimeoutError:
                pass
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("framing, part", [("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
                                           ("Content-Length: 10", ""), ("Content-Length: 100000", "x" * 70000)],
                         ids=["length", "chunked", "nothing", "long"])
def test_body_timeout(pair, framing, part):
    gateway, _ = pair("{body-timeout: 200ms}")
    with gateway.connect() as connection:
        connection.send(f"PUT /late HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n{part}".encode())
        answer = connection.read_answer()
        assert answer.status == 408 and answer.header("Connection") == "close"
    assert gateway.log_line("/late")["reason"] == "request-timeout"
    wait_for(lambda: gateway.in_flight() == 0)


def test_body_timeout_is_for_silence_only(pair):
    gateway, service = pair("{body-timeout: 2s}")
    with gateway.connect() as connection:
        connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            time.sleep(0.25)
            connection.send(b"x")
        assert connection.read_answer().status == 200
    assert service.requests[0].body == b"x" * 12


def test_keep_alive_timeout(pair):
    gateway, _ = pair("{keep-alive: 200ms}")
    with gateway.connect() as connection:
        began = time.monotonic()
        assert connection.request("GET", "/").status == 200
        assert connection.is_closed(30)
        assert time.monotonic() - began > 0.15
    with gateway.connect() as connection:  # also before the first request
        assert connection.is_closed()
    assert len(gateway.log_lines(1)) == 1


def test_request_timeout(pair):
    gateway, service = pair("{request-timeout: 300ms}")
    service.script = silent
    assert gateway.get("/slow").status == 504
    assert gateway.log_line("/slow")["reason"] == "upstream-timeout"
    wait_for(lambda: gateway.in_flight() == 0)


def test_a_routes_timeout(pair):
    gateway, service = pair()
    service.script = silent
    assert gateway.get("/quick", timeout=15).status == 504


def silent(peer):
    peer.read_request()
    while peer.socket.recv(65536):
        pass


# --- slow clients

def test_a_client_that_reads_byte_by_byte_holds_up_nobody(pair):
    """One worker, a large answer to a client that barely reads, and a hundred quick requests beside it."""
    gateway, service = pair()
    large = b"x" * 20000000

    def script(peer):
        while True:
            request = peer.read_request()
            peer.answer(large if request.target == "/large" else b"small")

    service.script = script
    with gateway.connect() as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.send_request("GET", "/large")
        with gateway.connect() as quick:
            for _ in range(100):
                assert len(slow.socket.recv(1)) == 1
                assert quick.request("GET", "/small").body == b"small"


def test_thousands_of_clients_that_dawdle(pair):
    """Each has sent half a head and sends no more. Others are served, and all of them end with a 408."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(3000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    gateway, _ = pair("{head-timeout: 12s}")
    before = gateway.memory()
    connections = []
    try:
        for _ in range(count):
            connection = socket.create_connection(gateway.address)
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            connections.append(connection)
        wait_for(lambda: gateway.metric("weir_client_connections") >= count)
        growth = gateway.memory() - before
        for _ in range(50):
            assert gateway.get("/quick").status == 200
        connections[0].settimeout(60)
        assert connections[0].recv(100).startswith(b"HTTP/1.1 408 ")
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # A fiber and a small buffer for each; the sanitizers need more for every stack.
    if not SANITIZED:
        assert growth < count * 40 * 1024, growth
    wait_for(lambda: gateway.sockets() < 50, 20)
