"""Long bodies, which go from socket to socket without coming into the process: nobody sees a difference."""

import contextlib
import hashlib
import os
import socket
import threading
import time

import pytest
from gateway import wait_for
from http_client import Closed

BLOCK = os.urandom(1 << 20)
LONG = 9 * len(BLOCK) + 12345


def bytes_of(size):
    """`size` bytes that are the same each time."""
    while size > 0:
        yield BLOCK[:size]
        size -= len(BLOCK)


def digest_of(size):
    digest = hashlib.sha256()
    for part in bytes_of(size):
        digest.update(part)
    return digest.hexdigest()


def receive(connection, size):
    """The digest of the next `size` bytes, of which none is kept."""
    digest = hashlib.sha256(connection.buffer[:size])
    size -= len(connection.buffer[:size])
    connection.buffer = connection.buffer[len(connection.buffer):]
    while size > 0:
        data = connection.socket.recv(min(size, 1 << 20))
        if not data:
            raise Closed
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


def send_sized(peer):
    """GET /SIZE: as many bytes; POST: the digest of what came."""
    while True:
        request = peer.read_head()
        peer.upstream.requests.append(request)
        if request.method == "GET":
            size = int(request.target[1:])
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for part in bytes_of(size):
                peer.send(part)
        else:
            peer.answer(hashlib.sha256(peer.read_body(request)).hexdigest().encode())


@pytest.fixture
def through(start, serve):
    """through(script): (gateway, service); `idle` is how long either side may be silent within a body."""
    def run(script=send_sized, workers=1, idle="30s"):
        service = serve(script)
        gateway = start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: {workers}
            http: {{body-timeout: {idle}}}
            services: {{back: {{at: "{service.at}", timeout: {{idle: {idle}}}}}}}
            routes: {{/**: back}}
            """)
        return gateway, service
    return run


def download(connection, size):
    connection.send_request("GET", f"/{size}")
    answer = connection.read_head()
    assert answer.status == 200 and answer.header("Content-Length") == str(size)
    return receive(connection, size)


def test_every_length_arrives_whole_over_the_same_connections(through):
    gateway, service = through()
    sizes = [1, 8000, 8192, 16384, 24000, 24576, 40000, 65536, 100000, 262144, 1 << 20, LONG]
    with gateway.connect() as connection:
        for size in sizes + sizes[::-1]:
            assert download(connection, size) == digest_of(size), size
    assert service.connections == 1
    assert [line["http.response.body.size"] for line in gateway.log_lines(24)] == sizes + sizes[::-1]


def test_uploads_arrive_whole_over_the_same_connections(through):
    gateway, service = through()
    sizes = [1, 40000, 65536, 70000, 100000, 1 << 20, LONG]
    with gateway.connect() as connection:
        for size in sizes:
            answer = connection.request("POST", "/", body=b"".join(bytes_of(size)))
            assert answer.body.decode() == digest_of(size), size
    assert service.connections == 1
    assert [line["http.request.body.size"] for line in gateway.log_lines(len(sizes))] == sizes


def test_many_at_once(through):
    """More than there are pipes: the others' bytes are copied, and nobody gets somebody else's."""
    gateway, service = through(workers=2)
    failures = []

    def fetch(number):
        size = 300_000 + 1000 * number
        with gateway.connect(60) as connection:
            for _ in range(2):
                if download(connection, size) != digest_of(size):
                    failures.append(number)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_slow_client_is_waited_for(through):
    gateway, service = through(idle="3s")
    with gateway.connect() as connection:
        connection.send_request("GET", f"/{2 * LONG}")
        assert connection.read_head().status == 200
        assert gateway.get("/5").status == 200
        wait_for(lambda: gateway.metric("weir_worker_pipes") == 1)
        digest, left = hashlib.sha256(connection.buffer), 2 * LONG - len(connection.buffer)
        connection.buffer = b""
        began = time.monotonic()
        while left > 0:
            data = connection.socket.recv(min(left, 400_000))
            digest.update(data)
            left -= len(data)
            if time.monotonic() < began + 4:  # longer in all than a client may be silent
                time.sleep(0.1)
        assert digest.hexdigest() == digest_of(2 * LONG)
        assert connection.request("GET", "/3").status == 200
        wait_for(lambda: gateway.metric("weir_worker_pipes") == 0)


def test_a_client_that_stops_reading_is_given_up(through):
    gateway, service = through(idle="1s")
    with gateway.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send_request("GET", f"/{100 * LONG}")
        line = gateway.log_lines(1)[0]
        assert line["reason"] == "client-closed"
        assert line["http.response.body.size"] < 100 * LONG
    assert gateway.get("/5").status == 200


def test_constant_memory(through):
    gateway, service = through()
    size = 300 << 20

    def resident():
        with open(f"/proc/{gateway.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    with gateway.connect(60) as connection:
        download(connection, LONG)
        before = resident()
        connection.send_request("GET", f"/{size}")
        assert connection.read_head().status == 200
        most, left = 0, size - len(connection.buffer)
        while left > 0:
            left -= len(connection.socket.recv(1 << 20))
            most = max(most, resident())
    assert left == 0
    assert most - before < 8 << 20
    assert gateway.log_lines(2)[1]["http.response.body.size"] == size


def break_off(peer, leave):
    request = peer.read_head()
    peer.upstream.requests.append(request)
    if request.target == "/5":
        peer.answer(b"after")
        return
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
    for part in bytes_of(LONG // 2):
        peer.send(part)
    leave(peer)


@pytest.mark.parametrize("leave, reason", [
    (lambda peer: peer.close(), "upstream-incomplete"),
    (lambda peer: peer.socket.recv(1), "upstream-body-timeout"),
], ids=["close", "silence"])
def test_an_upstream_that_breaks_off(through, leave, reason):
    gateway, service = through(lambda peer: break_off(peer, leave), idle="1s" if "timeout" in reason else "30s")
    with gateway.connect() as connection:
        connection.send_request("GET", "/long")
        assert connection.read_head().status == 200
        got = connection.read_to_end()
    assert len(got) == LONG // 2
    assert hashlib.sha256(got).hexdigest() == digest_of(LONG // 2)
    line = gateway.log_lines(1)[0]
    assert line["reason"] == reason
    assert line["http.response.body.size"] == LONG // 2
    assert gateway.get("/5").body == b"after"


def test_an_upstream_that_resets(through):
    gateway, service = through(lambda peer: break_off(peer, lambda peer: peer.reset()))
    with gateway.connect() as connection:
        connection.send_request("GET", "/long")
        assert connection.read_head().status == 200
        assert len(connection.read_to_end()) < LONG
    assert gateway.log_lines(1)[0]["reason"] == "upstream-incomplete"
    assert gateway.get("/5").body == b"after"


def test_a_client_that_leaves(through):
    gateway, service = through()
    before = gateway.get("/5") and gateway.descriptors()
    for leave in ("close", "reset"):
        connection = gateway.connect()
        connection.send_request("GET", f"/{100 * LONG}")
        assert connection.read_head().status == 200
        getattr(connection, leave)()
    assert [line["reason"] for line in gateway.log_lines(3)[1:]] == ["client-closed"] * 2
    assert gateway.get("/5").status == 200
    pipes = 2 * 2  # what may be kept of them
    wait_for(lambda: gateway.descriptors() <= before + pipes, what="the connections' end")


def test_a_client_that_breaks_off_its_upload(through):
    def read_some(peer):
        request = peer.read_head()
        peer.upstream.requests.append(request)
        if request.method == "GET":
            peer.answer(b"after")
        else:
            peer.read_body(request)

    gateway, service = through(read_some)
    connection = gateway.connect()
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LONG)
    for part in bytes_of(LONG // 2):
        connection.send(part)
    connection.close()
    line = gateway.log_lines(1)[0]
    assert line["reason"] == "client-closed"
    assert gateway.get("/5").body == b"after"


def test_an_early_answer_ends_a_long_upload(through):
    def refuse(peer):
        peer.upstream.requests.append(peer.read_head())
        peer.answer(b"no", status=413)

    gateway, service = through(refuse)
    with gateway.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LONG)
        with contextlib.suppress(ConnectionError):
            connection.send(BLOCK[:200_000])
        answer = connection.read_answer()
    assert (answer.status, answer.body) == (413, b"no")


def test_the_next_request_may_wait_behind_a_long_upload(through):
    """Exactly the body goes through the pipe; what follows it is the next request."""
    gateway, service = through()
    with gateway.connect() as connection:
        body = b"".join(bytes_of(LONG))
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LONG
        connection.send(head + body + b"GET /7 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.read_answer().body.decode() == digest_of(LONG)
        assert connection.read_answer().body == BLOCK[:7]


def test_bytes_behind_a_long_answer_are_nobodys(through):
    """An upstream that says more than it announced is not used again."""
    def say_more(peer):
        while True:
            peer.upstream.requests.append(peer.read_head())
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
            peer.send(b"".join(bytes_of(LONG)) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    gateway, service = through(say_more)
    with gateway.connect() as connection:
        for _ in range(3):
            assert download(connection, LONG) == digest_of(LONG)
    assert service.connections == 3


def test_a_connection_rests_after_a_long_upload(through):
    """It has no fiber then: it lives as long as any other."""
    gateway, service = through()
    with gateway.connect() as connection:
        connection.request("POST", "/", body=b"".join(bytes_of(LONG)))
        wait_for(lambda: gateway.metric("weir_worker_fibers") == 0, what="a worker without fibers")
        assert connection.request("GET", "/3").status == 200
