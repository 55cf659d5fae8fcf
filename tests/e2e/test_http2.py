"""HTTP/2 with clients: messages both ways, by well-behaved clients."""

import random
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from gateway import Gateway
from h2_client import (ACK, DATA, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, REQUEST, SETTINGS, WINDOW_UPDATE, Client, Raw,
                       frame)
from upstream import Upstream

CONFIG = """
version: 1
listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
services: {{up: "{up}"}}
routes:
  GET /a: {{respond: {{status: 200, body: hello}}}}
  /up/**: up
{more}"""


def answer_with(body, head=b""):
    def serve(peer):
        while True:
            request = peer.read_head()
            peer.read_body(request)
            peer.socket.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (head, len(body)) + body)
    return serve


def echo(peer):
    """Sends back the body, or as many bytes as the path says."""
    while True:
        request = peer.read_head()
        body = peer.read_body(request)
        last = request.target.rsplit("/", 1)[1]
        body = bytes(random.Random(int(last)).randbytes(int(last))) if last.isdigit() else body
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture
def start(tmp_path):
    """start(script): a gateway in front of one service that follows the script."""
    running = []

    def begin(script=echo, more=""):
        upstream = Upstream(script).__enter__()
        running.append(upstream)
        gateway = Gateway(tmp_path, CONFIG.format(up=upstream.at, more=more)).__enter__()
        running.append(gateway)
        gateway.upstream = upstream
        return gateway

    yield begin
    for thing in reversed(running):
        thing.__exit__(None, None, None)


def test_answers_on_one_connection(start):
    gateway = start()
    with Client(gateway.address) as client:
        for _ in range(3):
            answer = client.request("GET", "/a")
            assert (answer.status, answer.body) == (200, b"hello")
        assert dict(answer.headers)["content-length"] == "5"


def test_http_1_goes_on_beside_it(start):
    gateway = start()
    assert gateway.get("/a").body == b"hello"


def test_bodies_both_ways(start):
    gateway = start()
    blob = random.Random(1).randbytes(700000)
    with Client(gateway.address) as client:
        answer = client.request("POST", "/up/echo", [("content-length", str(len(blob)))], blob)
        assert (answer.status, answer.body) == (200, blob)
        answer = client.request("POST", "/up/echo", [], blob)
        assert (answer.status, answer.body) == (200, blob)


def test_a_hundred_streams_at_once(start):
    gateway = start()
    with Client(gateway.address) as client:
        sizes = [random.Random(i).randrange(0, 40000) for i in range(100)]
        streams = [client.begin("GET", f"/up/{size}") for size in sizes]
        for stream, size in zip(streams, sizes):
            assert client.finish(stream).body == random.Random(size).randbytes(size)


def test_head_has_a_length_and_no_body(start):
    gateway = start()
    with Client(gateway.address) as client:
        answer = client.request("HEAD", "/a")
        assert (answer.status, answer.body, dict(answer.headers)["content-length"]) == (200, b"", "5")


def test_cookie_crumbs_are_joined_and_the_version_is_said(start):
    seen = []

    def serve(peer):
        request = peer.read_head()
        seen.append(request)
        peer.socket.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    gateway = start(serve)
    with Client(gateway.address) as client:
        answer = client.request("GET", "/up/x", [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")])
        assert answer.status == 204
    assert seen[0].all("cookie") == ["a=1; b=2"]
    assert seen[0].header("Host") == "a.example" and seen[0].header("Via").startswith("2 ")


def test_trailers_both_ways(start):
    seen = []

    def serve(peer):
        request = peer.read_head()
        peer.read_body(request)
        seen.append(request)
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")

    gateway = start(serve)
    with Client(gateway.address) as client:
        stream = client.begin("POST", "/up/x", end=False)
        client.send_body(stream, b"body", end=False)
        client.h2.send_headers(stream, [("x-end", "1")], end_stream=True)
        client.flush()
        answer = client.finish(stream)
        assert answer.body == b"ok" and answer.trailers == [("x-sum", "7")]
    assert seen[0].body == b"body" and seen[0].trailers == [("x-end", "1")]


def test_interim_answers(start):
    def serve(peer):
        request = peer.read_head()
        peer.socket.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        peer.read_body(request)
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    gateway = start(serve)
    with Client(gateway.address) as client:
        stream = client.begin("POST", "/up/x", [("expect", "100-continue"), ("content-length", "4")], end=False)
        while len(client.answers[stream].interim) < 2:
            client.pump()
        assert client.answers[stream].interim == [103, 100]
        client.send_body(stream, b"body")
        assert client.finish(stream).status == 200


def test_an_early_answer_ends_the_stream(start):
    gateway = start()
    with Client(gateway.address) as client:
        stream = client.begin("POST", "/nowhere", end=False)
        answer = client.finish(stream)
        assert answer.status == 404
        while answer.reset is None:
            client.pump()
        assert answer.reset == 0
        assert client.request("GET", "/a").status == 200


def test_a_service_that_breaks_off_resets_its_stream_alone(start):
    def serve(peer):
        peer.read_head()
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.socket.close()

    gateway = start(serve)
    with Client(gateway.address) as client:
        answer = client.request("GET", "/up/x")
        assert answer.status == 200 and answer.reset == 2
        assert client.request("GET", "/a").status == 200
    assert gateway.log_line("/up/x")["reason"] == "upstream-incomplete"


def test_a_reset_gives_the_request_up(start):
    def serve(peer):
        peer.read_head()
        peer.socket.recv(1)

    gateway = start(serve)
    with Client(gateway.address) as client:
        stream = client.begin("GET", "/up/x")
        while gateway.in_flight() == 0:
            pass
        client.h2.reset_stream(stream, 8)
        client.flush()
        assert gateway.log_line("/up/x")["reason"] == "client-closed"
        assert client.request("GET", "/a").status == 200


def test_a_slow_reader_holds_only_its_own_stream(start):
    gateway = start()
    with Raw(gateway.address) as client:
        path = [*REQUEST[:2], (":path", "/up/300000"), REQUEST[3]]
        client.headers(1, path)
        size = 0
        while size < 65535:
            size += len(client.until(DATA)[3])
        client.headers(3, [*REQUEST[:1], *REQUEST[1:]])
        while (found := client.until(HEADERS, DATA))[2] != 3:
            pass
        assert dict(found[3])[":status"] == "200"


LARGE = 50000


def order_of_bodies(gateway, urgencies, then=lambda client: None):
    """Asks for large bodies on streams 1, 3, …, while a window that another has used up is shut; opens it, and returns
    the streams in the order in which their bodies ended."""
    with Raw(gateway.address, settings=struct.pack("!HI", 4, 1 << 20)) as client:
        size, begun = 0, set()
        ask(client, 101, None)
        ask(client, 103, "u=7")
        while size < 65535:
            size += len(client.until(DATA)[3])
        for i, priority in enumerate(urgencies):
            ask(client, 105 + 2 * i, priority)
        while len(begun) < len(urgencies):
            begun.add(client.until(HEADERS)[2])
        then(client)
        client.send(frame(PING, 0, 0, b"are here"))
        client.until(PING)  # all that was said before has been heard
        client.send(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1 << 24)))
        ends, frames = [], []
        while len(ends) < len(urgencies) + 1:
            found = client.until(DATA)
            frames.append(found[2])
            if found[1] & END_STREAM:
                ends.append((found[2] - 105) // 2)
        return ends, frames


def ask(client, stream, priority):
    fields = [*REQUEST[:2], (":path", "/large"), REQUEST[3], *([("priority", priority)] if priority else [])]
    client.headers(stream, fields)


@pytest.mark.parametrize("urgencies, order", [
    (["u=5", "u=1", None, "u=0"], [3, 1, 2, 0, -1]),
    (["u=4", "u=2, i=?0", "u=9", "nonsense==="], [1, 2, 3, 0, -1]),  # what cannot be read is as if it were not there
])
def test_the_most_urgent_answer_goes_first(start, urgencies, order):
    gateway = start(more=f"  /large: {{respond: {{status: 200, body: {'z' * LARGE}}}}}\n")
    assert order_of_bodies(gateway, urgencies)[0] == order


def test_a_priority_may_change(start):
    """PRIORITY_UPDATE (RFC 9218 §7.1)."""
    gateway = start(more=f"  /large: {{respond: {{status: 200, body: {'z' * LARGE}}}}}\n")

    def change(client):
        client.send(frame(0x10, 0, 0, struct.pack("!I", 105) + b"u=0"))
    assert order_of_bodies(gateway, ["u=6", "u=1"], change)[0] == [0, 1, -1]


def test_incremental_answers_share(start):
    gateway = start(more=f"  /large: {{respond: {{status: 200, body: {'z' * LARGE}}}}}\n")
    ends, frames = order_of_bodies(gateway, ["u=2, i", "u=2, i"])
    assert ends[2] == -1
    turns = [stream for stream, before in zip(frames, [None, *frames]) if stream != before]
    assert len(turns) > 5, "they take turns"


def test_goodbye_on_stop(start):
    def serve(peer):
        peer.read_head()
        gateway.process.terminate()
        go_on.wait(10)
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    go_on = threading.Event()
    gateway = start(serve)
    with Raw(gateway.address) as client:
        client.headers(1, [*REQUEST[:2], (":path", "/up/x"), REQUEST[3]])
        notice = client.until(GOAWAY)
        assert notice[3][:4] == b"\x7f\xff\xff\xff", "first, that it should go"
        ping = client.until(PING)
        client.send(frame(PING, ACK, 0, ping[3]))
        assert client.until(GOAWAY)[3] == struct.pack("!II", 1, 0), "then, what was the last"
        go_on.set()
        assert client.until(DATA)[3] == b"ok"
        assert client.until(DATA) is None
    assert gateway.process.wait(10) == 0


def test_goodbye_when_the_listener_goes(start):
    gateway = start()
    with Raw(gateway.address) as client:
        client.headers(1, REQUEST)
        assert client.verdict() == ("status", 200)
        status, _ = gateway.reload(gateway.config_path.read_text().replace("127.0.0.1:0", "127.0.0.2:0"))
        assert status == 200
        assert client.goaway() == 0


def test_goodbye_after_the_longest_silence(start):
    gateway = start(more="http: {keep-alive: 1500ms}\n")
    with Client(gateway.address) as client:
        assert client.request("GET", "/a").status == 200
        while not client.is_over:
            client.pump()
        assert client.goaways == [0]


@pytest.mark.parametrize("trickle", [
    frame(0xbe, 0, 0, bytes(200)),                 # a frame that does not end
    frame(PING, 0, 0, b"12345678") * 12,           # and some that do
], ids=["one frame", "pings"])
def test_what_is_no_request_does_not_keep_a_connection_open(start, trickle):
    gateway = start(more="http: {keep-alive: 1s}\n")
    with Raw(gateway.address) as client:
        client.headers(1, REQUEST)
        assert client.verdict() == ("status", 200)
        client.socket.settimeout(0.05)
        code = None
        for byte in trickle:
            try:
                client.send(bytes([byte]))
                if found := client.until(GOAWAY):
                    code = int.from_bytes(found[3][4:8], "big")
                break
            except TimeoutError:
                pass
            except ConnectionError:
                break
        assert code == 0, "it was kept to the last byte"


def test_a_long_answer_does_not_count_as_silence(start):
    def serve(peer):
        peer.read_head()
        threading.Event().wait(1.5)
        peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    gateway = start(serve, more="http: {keep-alive: 1s}\n")
    with Client(gateway.address) as client:
        assert client.request("GET", "/up/x").body == b"ok"
        assert client.request("GET", "/a").body == b"hello"


def test_the_preface_may_come_byte_by_byte(start):
    gateway = start()
    with Raw(gateway.address) as client:
        client.headers(1, REQUEST)
        assert client.verdict() == ("status", 200)
    with socket.create_connection(gateway.address, 10) as plain:
        for byte in PREFACE + frame(SETTINGS, 0, 0):
            plain.sendall(bytes([byte]))
        assert plain.recv(9)[3] == SETTINGS


@pytest.mark.skipif(not shutil.which("h2load"), reason="needs h2load")
def test_reloads_under_load_lose_nothing(start):
    gateway = start()
    load = subprocess.Popen(["h2load", "-n", "4000", "-c", "4", "-m", "16", gateway.url + "/a"],
                            stdout=subprocess.PIPE, text=True)
    while load.poll() is None:
        assert gateway.reload()[0] == 200
    assert "4000 succeeded, 0 failed, 0 errored" in load.stdout.read()
