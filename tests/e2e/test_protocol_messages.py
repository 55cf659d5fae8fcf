"""How messages are framed on both sides: lengths, chunks, trailers, HEAD, HTTP/1.0, pipelining, ends of connections."""

import socket
import threading
import time

import pytest
from gateway import Gateway
from upstream import Upstream, answering

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 1
services: {{back: {{at: "{at}", outlier: {{failures: 0}}}}}}
routes: {{/**: back}}
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(gateway, service); each test sets the service's script."""
    with Upstream() as service, Gateway(tmp_path_factory.mktemp("messages"), CONFIG.format(at=service.at)) as gateway:
        yield gateway, service


@pytest.fixture(autouse=True)
def fresh(pair):
    _, service = pair
    service.script = Upstream.serve
    service.requests.clear()
    yield
    service.close_peers()
    assert not service.errors, service.errors


def ask(gateway, text):
    """Sends a request as it is written; all that comes until the gateway closes."""
    with gateway.connect() as connection:
        connection.send(text.replace("\n", "\r\n").encode("latin-1"))
        return connection.read_to_end().decode("latin-1")


# --- pipelining

def test_pipelined_requests_are_answered_in_order(pair):
    gateway, _ = pair
    with gateway.connect() as connection:
        connection.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(100)))
        for i in range(100):
            assert connection.read_answer().body == b"GET /%d" % i


def test_pipelined_requests_with_bodies(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(
            b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
            b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n1\r\n!\r\n0\r\n\r\n"
            b"POST /4 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
            b"\r\nHEAD /5 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /6 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            b"GET /7 HTTP/1.1\r\nHost: x\r\n\r\n")
        for expected in (b"POST /1", b"GET /2", b"POST /3", b"POST /4"):
            assert connection.read_answer().body == expected
        assert connection.read_answer("HEAD").header("Content-Length") == "7"
        last = connection.read_answer()
        assert last.body == b"GET /6" and last.header("Connection") == "close"
        assert connection.is_closed()
    assert [request.body for request in service.requests] == [b"hello", b"", b"world!", b"", b"", b""]


def test_a_pipelined_request_in_pieces(pair):
    """Cut at every byte: what is read ahead of one request must serve the next."""
    gateway, service = pair
    both = (b"POST /one HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            b"GET /two HTTP/1.1\r\nHost: x\r\n\r\n")
    with gateway.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(both)):
            connection.send(both[:cut])
            time.sleep(0.0005)
            connection.send(both[cut:])
            assert connection.read_answer().body == b"POST /one"
            assert connection.read_answer().body == b"GET /two"
    assert {request.body for request in service.requests} == {b"abc", b""}


def test_a_refused_request_ends_the_pipeline(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                        b"GET /2 HTTP/1.1\r\nHost : x\r\n\r\n"
                        b"GET /3 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.read_answer().status == 200
        refused = connection.read_answer()
        assert refused.status == 400 and refused.header("Connection") == "close"
        assert connection.is_closed()
    assert [request.target for request in service.requests] == ["/1"]


# --- lengths and chunks

@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 1000, 100000])
def test_chunks_go_through_both_ways(pair, size):
    gateway, service = pair
    body = bytes(i % 251 for i in range(size))
    chunks = b"".join(b"%x;name=\"va;lue\"\r\n%s\r\n" % (len(body[i:i + 777]), body[i:i + 777])
                      for i in range(0, size, 777)) + b"0\r\n\r\n"

    def script(peer):
        while True:
            service.requests.append(peer.read_request())
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

    service.script = script
    with gateway.connect() as connection:
        for _ in range(3):
            connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n" + chunks)
            answer = connection.read_answer()
            assert answer.body == body
            assert answer.header("Transfer-Encoding") == "chunked"
    assert [request.body for request in service.requests] == [body] * 3
    assert all(request.all("Content-Length") == [] for request in service.requests)


def test_trailers_go_through_both_ways(pair):
    gateway, service = pair

    def script(peer):
        service.requests.append(peer.read_request())
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                  b"5\r\nhello\r\n0\r\nX-Sum: up\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
                  b"Connection: close\r\nX-Other: two\r\n\r\n")

    service.script = script
    with gateway.connect() as connection:
        connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n"
                        b"\r\n5\r\nhello\r\n0\r\nX-Sum: down\r\nHost: evil\r\nContent-Length: 9\r\n\r\n")
        answer = connection.read_answer()
    assert answer.trailers == [("X-Sum", "up"), ("X-Other", "two")]
    request = service.requests[0]
    assert request.trailers == [("X-Sum", "down")]
    assert request.header("TE") == "trailers"


def test_a_post_without_a_body_says_so(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        for method in ("POST", "PUT", "PATCH"):
            connection.send(f"{method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.read_answer().status == 200
        connection.request("GET", "/")
        connection.request("DELETE", "/")
    assert [request.header("Content-Length") for request in service.requests] == ["0", "0", "0", None, None]


def test_a_get_may_have_a_body(pair):
    gateway, service = pair
    assert gateway.request("GET", "/search", body=b"query").status == 200
    assert service.requests[0].body == b"query"


@pytest.mark.parametrize("fields", ["Content-Length: 12345", "Transfer-Encoding: chunked", "X-None: 1"])
def test_head(pair, fields):
    gateway, service = pair

    def script(peer):
        while True:
            service.requests.append(peer.read_request())
            peer.send(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode())

    service.script = script
    with gateway.connect() as connection:
        for _ in range(3):
            answer = connection.request("HEAD", "/")
            assert answer.status == 200
            name, value = fields.split(": ")
            if name == "Content-Length":
                assert answer.header(name) == value
            assert not connection.buffer
    assert [request.method for request in service.requests] == ["HEAD"] * 3


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(pair, status):
    gateway, service = pair

    def script(peer):
        while True:
            peer.read_request()
            peer.send(b"HTTP/1.1 %d X\r\nETag: \"a\"\r\n\r\n" % status)

    service.script = script
    with gateway.connect() as connection:
        for _ in range(3):
            answer = connection.request("GET", "/")
            assert answer.status == status and answer.header("ETag") == '"a"'
            assert answer.header("Content-Length") is None
            assert answer.header("Transfer-Encoding") is None
    assert service.connections >= 1


def test_an_answer_that_ends_with_the_connection(pair):
    """An HTTP/1.1 client gets it in chunks, so that its connection lives on and a break shows."""
    gateway, service = pair

    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n")
        for _ in range(5):
            peer.send(b"hello ")
            time.sleep(0.005)

    service.script = script
    with gateway.connect() as connection:
        for _ in range(3):
            answer = connection.request("GET", "/")
            assert answer.body == b"hello " * 5
            assert answer.header("Transfer-Encoding") == "chunked"


# --- HTTP/1.0

def test_a_client_of_http_1_0(pair):
    gateway, service = pair
    text = ask(gateway, "GET /old HTTP/1.0\n\n")
    head, body = text.split("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")
    assert "Connection: close" in head.split("\r\n")
    assert body == "GET /old"
    assert service.requests[0].version == "HTTP/1.1"


def test_a_client_of_http_1_0_that_keeps_alive(pair):
    gateway, _ = pair
    with gateway.connect() as connection:
        for _ in range(3):
            connection.send(b"GET /old HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
            answer = connection.read_answer()
            assert answer.body == b"GET /old"
            assert answer.header("Connection") == "keep-alive"
        connection.send(b"GET /last HTTP/1.0\r\nHost: x\r\n\r\n")
        assert connection.read_answer().body == b"GET /last"
        assert connection.is_closed()


def test_chunks_are_not_for_http_1_0(pair):
    gateway, service = pair
    service.script = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
    text = ask(gateway, "GET / HTTP/1.0\nHost: x\nConnection: keep-alive\n\n")
    head, body = text.split("\r\n\r\n")
    assert "Transfer-Encoding" not in head and "Connection: close" in head
    assert body == "helloworld"


def test_chunks_from_http_1_0_are_refused(pair):
    """RFC 9112 §6.1: such a message is treated as if its framing is faulty."""
    gateway, service = pair
    text = ask(gateway, "POST / HTTP/1.0\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n")
    assert text.startswith("HTTP/1.1 400 ")
    assert not service.requests


@pytest.mark.parametrize("head, body", [
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello"),
    (b"HTTP/1.0 200 OK\r\n\r\n", b"hello"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", b"hello"),
    (b"HTTP/1.0 200\r\nContent-Length: 0\r\n\r\n", b""),
])
def test_a_service_of_http_1_0(pair, head, body):
    gateway, service = pair

    def script(peer):
        while True:
            service.requests.append(peer.read_request())
            peer.send(head + body)
            if b"keep-alive" not in head:
                return

    service.script = script
    before = service.connections
    with gateway.connect() as connection:
        for _ in range(3):
            answer = connection.request("GET", "/")
            assert answer.body == body and answer.version == "HTTP/1.1"
    assert service.connections - before == (1 if b"keep-alive" in head else 3)


# --- ends of connections

def test_the_client_asks_to_close(pair):
    gateway, service = pair
    before = service.connections
    for _ in range(3):
        answer = gateway.get("/", {"Connection": "close"})
        assert answer.header("Connection") == "close"
    # What is between gateway and service is another matter.
    assert service.connections - before <= 1
    assert all(request.header("Connection") is None for request in service.requests)


def test_the_service_asks_to_close(pair):
    gateway, service = pair
    service.script = answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    with gateway.connect() as connection:
        for _ in range(3):
            answer = connection.request("GET", "/")
            assert answer.body == b"ok" and answer.header("Connection") is None


def test_a_half_closed_client_gets_its_answers(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                        b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        connection.shut_write()
        for expected in (b"GET /1", b"GET /2", b"POST /3"):
            assert connection.read_answer().body == expected
        assert connection.is_closed()
    assert service.requests[2].body == b"abc"


def test_a_half_closed_client_with_a_large_body(pair):
    gateway, service = pair
    with gateway.connect() as connection:
        connection.send(b"POST /3 HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 3000000)
        connection.shut_write()
        assert connection.read_answer().body == b"POST /3"
        assert connection.is_closed()
    assert len(service.requests[0].body) == 3000000


# --- answers that come before the request's end

def early(answer, then=None):
    """A script that answers as soon as it has the head, reads nothing of the body, and closes."""
    def script(peer):
        peer.upstream.requests.append(peer.read_head())
        peer.send(answer)
        if then:
            then(peer)
    return script


TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsize"


@pytest.mark.parametrize("end", ["closes", "half-closes and reads on", "waits"])
@pytest.mark.parametrize("form", ["length", "chunked"])
def test_an_early_answer_to_a_large_upload(pair, end, form):
    """The client may still be sending: it gets the answer all the same, not a reset."""
    gateway, service = pair
    done = threading.Event()

    def then(peer):
        if end == "waits":
            done.wait(10)
        elif end != "closes":
            peer.socket.shutdown(socket.SHUT_WR)
            while peer.socket.recv(65536):
                pass

    service.script = early(TOO_LARGE, then)
    with gateway.connect() as connection:
        framing = "Content-Length: 50000000" if form == "length" else "Transfer-Encoding: chunked"
        connection.send(f"POST /upload HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
        sender = threading.Thread(target=send_body, args=(connection, form), daemon=True)
        sender.start()
        answer = connection.read_answer()
        assert (answer.status, answer.body) == (413, b"size")
        assert answer.header("Connection") == "close"
        done.set()
        sender.join(10)
        assert not sender.is_alive()


def send_body(connection, form):
    data = b"x" * 50000
    try:
        for _ in range(1000):
            connection.send(data if form == "length" else b"%x\r\n%s\r\n" % (len(data), data))
            time.sleep(0.001)
    except OSError:
        pass


def test_an_early_answer_to_a_small_upload_keeps_the_connection(pair):
    """What is left of a small body is read and thrown away."""
    gateway, service = pair

    def script(peer):
        while True:
            request = peer.read_head()
            service.requests.append(request)
            peer.answer(b"early")
            peer.read_body(request)

    service.script = script
    with gateway.connect() as connection:
        for _ in range(3):
            connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"x" * 10000)
            answer = connection.read_answer()
            assert answer.body == b"early"
            connection.send(b"x" * 10000)
            if answer.header("Connection") == "close":
                break
        else:
            assert connection.request("HEAD", "/").status == 200


def test_a_service_that_streams_while_it_reads(pair):
    """Both directions at once: an echo of a body that is larger than all buffers together."""
    gateway, service = pair
    size, part = 20000000, 50000

    def script(peer):
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        peer.send(peer.buffer)
        left = size - len(peer.buffer)
        while left:
            data = peer.socket.recv(65536)
            left -= len(data)
            peer.send(data)

    service.script = script
    with gateway.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        sender = threading.Thread(target=lambda: [connection.send(b"y" * part) for _ in range(size // part)])
        sender.start()
        assert connection.read_answer().body == b"y" * size
        sender.join(10)
