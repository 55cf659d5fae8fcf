"""Bodies: that they arrive as they were sent, whatever their size and form, and that they move in constant memory."""

import hashlib
import os
import random
import socket
import threading
import time

import pytest
from gateway import Gateway, wait_for
from upstream import Upstream

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 1
services: {{back: {{at: "{at}", outlier: {{failures: 0}}}}}}
routes: {{/**: back}}
"""

# Around the sizes of buffers, of what is copied, moved together or spliced, and of what goes out with a head.
EDGES = [4096, 8192, 16384, 32768, 65536, 262144]
SIZES = [0, 1, 2, 100] + [edge + step for edge in EDGES for step in (-1, 0, 1)] + [1 << 20, 20 << 20]
RANDOM = random.Random(7).randbytes(1 << 20)
PAGE = 100000000


def body_of(size):
    """Bytes of which no two stretches look alike."""
    start = size % 4099
    return (RANDOM[start:] + RANDOM * (size // len(RANDOM) + 1))[:size]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def chunks_of(body, seed):
    """The body in chunks of all sizes."""
    dice, parts, at = random.Random(seed), [], 0
    while at < len(body):
        size = min(dice.choice([1, 2, 15, 16, 1000, 4096, 16384, 65536, 300000]), len(body) - at)
        parts.append(b"%x\r\n" % size + body[at:at + size] + b"\r\n")
        at += size
        if len(parts) > 200:  # then larger ones: the rest of a large body
            parts.append(b"%x\r\n" % (len(body) - at) + body[at:] + b"\r\n" if at < len(body) else b"")
            break
    return b"".join(parts) + b"0\r\n\r\n"


def framed(body, form):
    """(field, what follows the head)"""
    if form == "length":
        return b"Content-Length: %d" % len(body), body
    return b"Transfer-Encoding: chunked", chunks_of(body, len(body))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with Upstream() as service, Gateway(tmp_path_factory.mktemp("bodies"), CONFIG.format(at=service.at)) as gateway:
        yield gateway, service


@pytest.fixture(autouse=True)
def fresh(pair):
    _, service = pair
    service.requests.clear()
    yield
    service.close_peers()
    assert not service.errors, service.errors


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_bodies_go_up(pair, form):
    gateway, service = pair
    service.script = Upstream.serve
    with gateway.connect(timeout=60) as connection:
        for size in SIZES:
            body = body_of(size)
            field, data = framed(body, form)
            connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n" + data)
            assert connection.read_answer().status == 200
            assert digest(service.requests.pop().body) == digest(body), size


@pytest.mark.parametrize("form", ["length", "chunked", "until the close"])
def test_bodies_come_down(pair, form):
    gateway, service = pair

    def script(peer):
        while True:
            body = body_of(int(peer.read_request().target[1:]))
            if form == "until the close":
                peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + body)
                return
            field, data = framed(body, form)
            peer.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n" + data)

    service.script = script
    with gateway.connect(timeout=60) as connection:
        for size in SIZES:
            answer = connection.request("GET", f"/{size}")
            assert digest(answer.body) == digest(body_of(size)), size


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_bodies_in_small_pieces(pair, form):
    """Slow writers on both sides: pieces that end anywhere."""
    gateway, service = pair
    body = body_of(3000)
    field, data = framed(body, form)

    def script(peer):
        service.requests.append(peer.read_request())
        trickle(peer.socket, b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n" + data)
        peer.read_request()

    service.script = script
    with gateway.connect() as connection:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        trickle(connection.socket, b"PUT / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n" + data)
        assert connection.read_answer().body == body
    assert service.requests[0].body == body


def trickle(connection, data):
    dice, at = random.Random(1), 0
    while at < len(data):
        size = dice.randint(1, 30)
        connection.sendall(data[at:at + size])
        at += size
        time.sleep(0.0003)


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_slow_readers(pair, form):
    """With pauses, and more than the kernel holds, nothing is lost or doubled."""
    gateway, service = pair
    body = body_of(16 << 20)
    field, data = framed(body, form)

    def script(peer):
        request = peer.read_head()
        time.sleep(0.1)
        service.requests.append(peer.read_body(request))
        peer.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n" + data)
        peer.read_request()

    service.script = script
    with gateway.connect() as connection:
        connection.send(b"PUT / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n" + data)
        while len(connection.buffer) < 300000:
            time.sleep(0.002)
            connection.buffer += connection.socket.recv(4096)
        assert digest(connection.read_answer().body) == digest(body)
    assert digest(service.requests[0]) == digest(body)


# --- back-pressure

SIZE = int(os.environ.get("WEIR_TEST_BODY", 300 << 20))  # 10 GB: WEIR_TEST_BODY=10737418240
GROWTH = 8 << 20
BLOCK = RANDOM[:65536] * 4


def send_much(connection, size, form):
    left = size
    while left:
        part = BLOCK[:min(left, len(BLOCK))]
        connection.sendall(part if form == "length" else b"%x\r\n%s\r\n" % (len(part), part))
        left -= len(part)
    if form == "chunked":
        connection.sendall(b"0\r\n\r\n")


class Watch:
    """Notes the most memory that a gateway takes."""

    def __init__(self, gateway):
        self.gateway, self.before, self.most = gateway, gateway.memory(), 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.done.wait(0.01):
            self.most = max(self.most, self.gateway.memory())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    @property
    def growth(self):
        return self.most - self.before


def is_sanitized(gateway):
    return "san" in os.readlink(f"/proc/{gateway.process.pid}/exe")


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_large_answer_to_a_slow_client(pair, form):
    """The client pauses: the gateway must stop reading from the service, not store what comes."""
    gateway, service = pair
    sent = []

    def script(peer):
        peer.read_request()
        field = b"Content-Length: %d" % SIZE if form == "length" else b"Transfer-Encoding: chunked"
        peer.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n")
        send_much(peer.socket, SIZE, form)
        sent.append(True)

    service.script = script
    with gateway.connect(timeout=30) as connection, Watch(gateway) as watch:
        connection.send_request("GET", "/")
        connection.read_head()
        time.sleep(0.3)  # everything between the service and us is full by now
        assert not sent
        total, room = len(connection.buffer), bytearray(1 << 20)
        wanted = SIZE if form == "length" else SIZE + 1
        tail = connection.buffer[-5:]
        while total < wanted if form == "length" else not tail.endswith(b"\r\n0\r\n\r\n"):
            size = connection.socket.recv_into(room)
            assert size
            total += size
            tail = (tail + bytes(room[max(0, size - 16):size]))[-16:]
    assert total >= SIZE
    assert is_sanitized(gateway) or watch.growth < GROWTH, watch.growth


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_a_large_upload_to_a_slow_service(pair, form):
    gateway, service = pair
    go_on, total = threading.Event(), []

    def script(peer):
        peer.read_head()
        go_on.wait(10)
        got, room, tail = len(peer.buffer), bytearray(1 << 20), peer.buffer[-16:]
        while got < SIZE if form == "length" else not tail.endswith(b"\r\n0\r\n\r\n"):
            size = peer.socket.recv_into(room)
            if not size:
                return
            got += size
            tail = (tail + bytes(room[max(0, size - 16):size]))[-16:]
        total.append(got)
        peer.answer(b"thanks")

    service.script = script
    with gateway.connect(timeout=30) as connection, Watch(gateway) as watch:
        field = f"Content-Length: {SIZE}" if form == "length" else "Transfer-Encoding: chunked"
        connection.send(f"PUT / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
        sender = threading.Thread(target=send_much, args=(connection.socket, SIZE, form), daemon=True)
        sender.start()
        sender.join(0.3)
        assert sender.is_alive()  # held back
        go_on.set()
        assert connection.read_answer().body == b"thanks"
        sender.join(10)
    assert total[0] >= SIZE
    assert is_sanitized(gateway) or watch.growth < GROWTH, watch.growth


def test_many_slow_downloads_at_once(pair):
    """A hundred clients that do not read hold the kernel's buffers and little of ours; others are served meanwhile."""
    gateway, service = pair

    def script(peer):
        while True:
            target = peer.read_request().target
            if target == "/small":
                peer.answer(b"small")
                continue
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % PAGE)
            send_much(peer.socket, PAGE, "length")

    service.script = script
    with Watch(gateway) as watch:
        slow = [gateway.connect() for _ in range(100)]
        for connection in slow:
            connection.send_request("GET", "/large")
        wait_for(lambda: gateway.in_flight() == 100)
        for _ in range(50):
            assert gateway.get("/small", timeout=60).body == b"small"
        for connection in slow:
            connection.reset()
    # A buffer for each, of those that are lent large, then small ones.
    assert is_sanitized(gateway) or watch.growth < 100 * 300 * 1024, watch.growth
    wait_for(lambda: gateway.in_flight() == 0)
