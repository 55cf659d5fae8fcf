"""Interim answers and Expect: 100-continue end to end, 103 passed on, and what HTTP/1.0 gets instead."""

import threading
import time

import pytest
from gateway import Gateway
from upstream import Upstream

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 1
body-limits: {{small: 100B}}
services: {{back: {{at: "{at}", outlier: {{failures: 0}}}}}}
routes:
  /**: back
  /limited: {{to: back, use: [body-limits.small]}}
  /own: {{respond: "own"}}
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Upstream() as service, Gateway(tmp_path_factory.mktemp("interim"), CONFIG.format(at=service.at)) as gateway:
        yield gateway, service


@pytest.fixture(autouse=True)
def fresh(pair):
    _, service = pair
    service.script = Upstream.serve
    service.requests.clear()
    yield
    service.close_peers()
    assert not service.errors, service.errors


def head(path, *fields, version="1.1"):
    return f"PUT {path} HTTP/{version}\r\nHost: x\r\n".encode() + b"".join(f.encode() + b"\r\n" for f in fields) + b"\r\n"


EXPECT = "Expect: 100-continue"


def test_the_service_asks_for_the_body(pair):
    """The client waits, the service says 100, the body follows, and one 100 comes, not two."""
    gateway, service = pair

    def script(peer):
        request = peer.read_head()
        service.requests.append(request)
        time.sleep(0.05)
        assert not peer.buffer
        peer.send(b"HTTP/1.1 100 Continue\r\nX-Hint: 1\r\n\r\n")
        peer.answer(peer.read_body(request))

    service.script = script
    with gateway.connect() as connection:
        connection.send(head("/", EXPECT, "Content-Length: 5"))
        interim = connection.read_answer(interim=True)
        assert interim.status == 100
        connection.send(b"hello")
        final = connection.read_answer(interim=True)
        assert (final.status, final.body) == (200, b"hello")
        assert connection.request("HEAD", "/own").status == 200
    assert service.requests[0].header("Expect") == "100-continue"


@pytest.mark.parametrize("form", ["Content-Length: 5", "Transfer-Encoding: chunked"])
def test_the_service_answers_instead(pair, form):
    """A final answer without the body: the client never sends it, and its connection ends, since nobody can know."""
    gateway, service = pair

    def script(peer):
        service.requests.append(peer.read_head())
        peer.answer(b"no", status=417)
        time.sleep(0.1)
        assert not peer.buffer

    service.script = script
    with gateway.connect() as connection:
        connection.send(head("/", EXPECT, form))
        answer = connection.read_answer(interim=True)
        assert (answer.status, answer.body) == (417, b"no")
        assert answer.header("Connection") == "close"
        connection.shut_write()
        assert connection.is_closed()


def test_the_service_never_asks(pair):
    """A service that does not know 100 waits for the body: after a second the gateway asks for it itself."""
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(head("/", EXPECT, "Content-Length: 5"))
        assert connection.read_answer(interim=True).status == 100
        connection.send(b"hello")
        assert connection.read_answer(interim=True).status == 200
    assert service.requests[0].body == b"hello"


def test_a_client_that_does_not_wait(pair):
    """The body comes at once: nobody has to be asked."""
    gateway, service = pair
    with gateway.connect() as connection:
        times = []
        for _ in range(5):
            began = time.monotonic()
            connection.send(head("/", EXPECT, "Content-Length: 5") + b"hello")
            assert connection.read_answer().status == 200
            times.append(time.monotonic() - began)
        assert min(times) < 0.9  # none of them waits for the second that is given to services
    assert [request.body for request in service.requests] == [b"hello"] * 5


def test_refused_before_it_is_sent(pair):
    """413 by Content-Length alone: no 100, and the service hears nothing."""
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(head("/limited", EXPECT, "Content-Length: 101"))
        answer = connection.read_answer(interim=True)
        assert answer.status == 413 and answer.header("Connection") == "close"
    assert not service.requests


def test_an_answer_of_our_own_asks_for_nothing(pair):
    gateway, _ = pair
    with gateway.connect() as connection:
        connection.send(head("/own", EXPECT, "Content-Length: 101"))
        answer = connection.read_answer(interim=True)
        assert (answer.status, answer.body) == (200, b"own")
        assert answer.header("Connection") == "close"


def test_expect_of_http_1_0_is_nothing(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(head("/", EXPECT, "Content-Length: 5", version="1.0"))
        time.sleep(0.05)
        connection.send(b"hello")
        assert connection.read_answer(interim=True).status == 200
    assert service.requests[0].header("Expect") is None
    assert service.requests[0].body == b"hello"


@pytest.mark.parametrize("expect", ["Expect: 200-ok", "Expect: 100-continue, more"])
def test_other_expectations(pair, expect):
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(head("/", expect, "Content-Length: 5") + b"hello")
        assert connection.read_answer(interim=True).status == 417
    assert not service.requests


def test_expect_without_a_body(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        for _ in range(2):
            connection.send(f"GET / HTTP/1.1\r\nHost: x\r\n{EXPECT}\r\n\r\n".encode())
            assert connection.read_answer(interim=True).status == 200
    assert len(service.requests) == 2


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"


def hinting(go_on):
    def script(peer):
        while True:
            peer.read_request()
            peer.send(HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS)
            go_on.wait(5)
            peer.answer(b"final")
    return script


def test_103_is_passed_on_at_once(pair):
    gateway, service = pair
    go_on = threading.Event()
    service.script = hinting(go_on)
    with gateway.connect() as connection:
        connection.send_request("GET", "/")
        for status in (103, 102, 103):
            interim = connection.read_answer(interim=True)
            assert interim.status == status
            assert interim.header("Link") == ("</style.css>; rel=preload" if status == 103 else None)
            assert interim.header("X-Hop") is None
            assert interim.header("Content-Length") is None and interim.header("Connection") is None
        go_on.set()
        assert connection.read_answer(interim=True).body == b"final"
        connection.send_request("GET", "/")
        assert connection.read_answer().body == b"final"


def test_103_is_not_for_http_1_0(pair):
    gateway, service = pair
    go_on = threading.Event()
    go_on.set()
    service.script = hinting(go_on)
    with gateway.connect() as connection:
        connection.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        answer = connection.read_answer(interim=True)
        assert (answer.status, answer.body) == (200, b"final")


def test_an_unasked_100_is_kept_from_the_client(pair):
    gateway, service = pair

    def script(peer):
        while True:
            peer.read_request()
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
            peer.answer(b"final")

    service.script = script
    with gateway.connect() as connection:
        for _ in range(2):
            connection.send_request("GET", "/")
            assert connection.read_answer(interim=True).body == b"final"
