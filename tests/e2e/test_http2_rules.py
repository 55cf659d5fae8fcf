"""HTTP/2 with clients: what is malformed (RFC 9113 §8), and floods."""

import signal
import socket
import struct

import hpack
import pytest

from gateway import SANITIZED, Gateway, suspend, wait_for
from h2_client import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, PRIORITY,
                       PROTOCOL_ERROR, REQUEST, RST_STREAM, SETTINGS, WINDOW_UPDATE, Client, Raw, frame)

CONFIG = """
version: 1
listen: {http: {address: "127.0.0.1:0", http2: true}}
http: {head-timeout: 1s}
routes:
  /a: {respond: {status: 200, body: hello}}
  POST /a: {respond: {status: 200, body: hello}}
"""

RESET = ("reset", PROTOCOL_ERROR)
METHOD, SCHEME, PATH, AUTHORITY = REQUEST


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("rules"), CONFIG) as running:
        yield running


def path(text):
    return [METHOD, SCHEME, (":path", text), AUTHORITY]


@pytest.mark.parametrize("fields, verdict", [
    (REQUEST, ("status", 200)),
    ([METHOD, SCHEME, PATH, ("host", "a.example")], ("status", 200)),
    ([*REQUEST, ("host", "a.example")], ("status", 200)),
    ([*REQUEST, ("host", "a.example:80")], ("status", 200)),
    ([*REQUEST, ("te", "trailers")], ("status", 200)),
    # pseudo-headers
    ([SCHEME, PATH, AUTHORITY], RESET),
    ([METHOD, PATH, AUTHORITY], RESET),
    ([METHOD, SCHEME, AUTHORITY], RESET),
    ([METHOD, METHOD, SCHEME, PATH, AUTHORITY], RESET),
    ([*REQUEST, (":method", "POST")], RESET),
    ([METHOD, SCHEME, PATH, ("x", "y"), AUTHORITY], RESET),
    ([*REQUEST, (":status", "200")], RESET),
    ([*REQUEST, (":protocol", "websocket")], RESET),
    ([(":method", "G T"), SCHEME, PATH, AUTHORITY], RESET),
    ([(":method", ""), SCHEME, PATH, AUTHORITY], RESET),
    (path(""), RESET),
    ([METHOD, SCHEME, PATH], ("status", 400)),
    ([METHOD, (":scheme", "ftp"), PATH, AUTHORITY], ("status", 400)),
    ([(":method", "CONNECT"), SCHEME, PATH, AUTHORITY], RESET),
    ([(":method", "CONNECT"), (":authority", "a.example:443")], ("status", 501)),
    # targets
    (path("a"), ("status", 400)),
    (path("*"), ("status", 400)),
    (path("http://a.example/a"), ("status", 400)),
    (path("/a b"), ("status", 400)),
    (path("/a#b"), ("status", 400)),
    (path("/../a"), ("status", 400)),
    (path("/%2f"), ("status", 400)),
    (path("/a\r\nx: y"), RESET),
    (path("/" + "a" * 9000), ("status", 414)),
    # hosts
    ([*REQUEST, ("host", "b.example")], RESET),
    ([*REQUEST, ("host", "a.example"), ("host", "a.example")], RESET),
    ([METHOD, SCHEME, PATH, (":authority", "user@a.example")], ("status", 400)),
    # fields
    ([*REQUEST, ("X-Upper", "1")], RESET),
    ([*REQUEST, ("x y", "1")], RESET),
    ([*REQUEST, ("x:y", "1")], RESET),
    ([*REQUEST, ("", "1")], RESET),
    ([*REQUEST, ("x", "a\rb")], RESET),
    ([*REQUEST, ("x", "a\nb")], RESET),
    ([*REQUEST, ("x", "a\0b")], RESET),
    ([*REQUEST, ("x", " a")], RESET),
    ([*REQUEST, ("x", "a\t")], RESET),
    ([*REQUEST, ("connection", "close")], RESET),
    ([*REQUEST, ("keep-alive", "1")], RESET),
    ([*REQUEST, ("proxy-connection", "close")], RESET),
    ([*REQUEST, ("transfer-encoding", "chunked")], RESET),
    ([*REQUEST, ("upgrade", "websocket")], RESET),
    ([*REQUEST, ("te", "gzip")], RESET),
    ([*REQUEST, ("content-length", "5")], RESET),
    ([*REQUEST, ("content-length", "0x0")], RESET),
    ([*REQUEST, ("content-length", "0"), ("content-length", "0")], RESET),
    ([*REQUEST, ("content_length", "5")], RESET),
    ([*REQUEST, ("transfer.encoding", "chunked")], RESET),
    # sizes
    ([*REQUEST, ("x", "y" * 40000)], ("status", 431)),
    ([*REQUEST, *[(f"x{i}", "y") for i in range(200)]], ("status", 431)),
])
def test_heads(gateway, fields, verdict):
    with Raw(gateway.address) as client:
        block = client.encoder.encode(fields, huffman=False)
        client.send(frame(HEADERS, END_STREAM | (END_HEADERS if len(block) <= 16384 else 0), 1, block[:16384]))
        for at in range(16384, len(block), 16384):
            is_last = at + 16384 >= len(block)
            client.send(frame(CONTINUATION, END_HEADERS if is_last else 0, 1, block[at:at + 16384]))
        assert client.verdict() == verdict
        client.headers(3, REQUEST)
        assert client.verdict() in (("status", 200), ("reset", 0)), "the connection goes on"


@pytest.mark.parametrize("length, body", [(3, b"four"), (5, b"four")])
def test_a_length_that_lies(gateway, length, body):
    with Raw(gateway.address) as client:
        client.headers(1, [(":method", "PUT"), SCHEME, (":path", "/a"), AUTHORITY, ("content-length", str(length))],
                       end=False)
        client.send(frame(DATA, END_STREAM, 1, body))
        client_verdicts = [client.verdict()]
        if client_verdicts[0][0] == "status":
            client_verdicts.append(client.verdict())
        assert RESET in client_verdicts or client_verdicts[-1] == ("reset", 0)


def test_trailers_must_end_the_message_and_have_no_pseudo_headers(gateway):
    for fields, end in (([("x", "y")], False), ([(":path", "/")], True), ([("Upper", "y")], True)):
        with Raw(gateway.address) as client:
            block = [(":method", "PUT"), SCHEME, (":path", "/a"), AUTHORITY]
            client.send(frame(HEADERS, END_HEADERS, 1, client.encoder.encode(block)) +
                        frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 1, client.encoder.encode(fields)))
            while (verdict := client.verdict())[0] == "status":
                pass
            assert verdict == RESET


def flood(gateway, kind, payloads, before=lambda client: None):
    """Sends them until the gateway has enough; another connection is served meanwhile."""
    count, memory = gateway.metric("weir_http2_floods_total", kind=kind), gateway.memory()
    with Raw(gateway.address) as client, Client(gateway.address) as other:
        before(client)
        try:
            for payload in payloads:
                client.send(payload)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert other.request("GET", "/a").status == 200
        try:
            assert client.goaway() in (ENHANCE_YOUR_CALM, None)
        except ConnectionResetError:
            pass
    assert gateway.metric("weir_http2_floods_total", kind=kind) == count + 1
    assert SANITIZED or gateway.memory() < memory + (8 << 20)


def test_rapid_reset(gateway):
    def frames():
        encoder = hpack.Encoder()
        for i in range(2000):
            stream = 2 * i + 1
            yield (frame(HEADERS, END_STREAM | END_HEADERS, stream, encoder.encode(REQUEST)) +
                   frame(RST_STREAM, 0, stream, struct.pack("!I", 8)))
    flood(gateway, "resets", frames())


def test_made_you_reset(gateway):
    """The client makes the gateway reset streams, by updates past the largest window (CVE-2025-8671)."""
    def frames():
        encoder = hpack.Encoder()
        for i in range(2000):
            stream = 2 * i + 1
            head = [(":method", "PUT"), SCHEME, (":path", "/a"), AUTHORITY]
            yield (frame(HEADERS, END_HEADERS, stream, encoder.encode(head)) +
                   frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", 0x7fffffff)))
    flood(gateway, "resets", frames())


def test_settings(gateway):
    flood(gateway, "settings", [frame(SETTINGS, 0, 0)] * 2000)


def test_pings(gateway):
    flood(gateway, "pings", [frame(PING, 0, 0, b"12345678") * 10] * 500)


def test_priorities(gateway):
    flood(gateway, "priorities", [frame(PRIORITY, 0, 1, struct.pack("!IB", 3, 1)) * 10] * 500)


def test_updates(gateway):
    flood(gateway, "window-updates", [frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1)) * 10] * 500)


def test_empty_frames(gateway):
    def begin(client):
        client.headers(1, [(":method", "PUT"), SCHEME, (":path", "/a"), AUTHORITY], end=False)
    flood(gateway, "empty-frames", [frame(DATA, 0, 1)] * 2000, begin)


def test_frames_that_nobody_knows(gateway):
    flood(gateway, "empty-frames", [frame(0xbe, 0, 0)] * 2000)


def test_continuations(gateway):
    def begin(client):
        client.send(frame(HEADERS, END_STREAM, 1, client.encoder.encode(REQUEST)))
    flood(gateway, "continuations", [frame(CONTINUATION, 0, 1)] * 2000, begin)


def bomb(encoder, stream, size):
    """Few bytes that are a large head: a field that the table has, again and again."""
    block = encoder.encode([*REQUEST, ("x-bomb", "y" * 3000)], huffman=False)
    index = encoder.encode([("x-bomb", "y" * 3000)])
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, block + index * (size // 3000))


def test_a_small_hpack_bomb_ends_as_a_head_that_is_too_large(gateway):
    memory = gateway.memory()
    with Raw(gateway.address) as client:
        client.send(bomb(client.encoder, 1, 900000))
        assert client.verdict() == ("status", 431)
        client.headers(3, REQUEST)
        assert client.verdict() == ("status", 200)
    assert SANITIZED or gateway.memory() < memory + (4 << 20)


def test_small_hpack_bombs(gateway):
    encoder = hpack.Encoder()
    flood(gateway, "large-heads", [bomb(encoder, 2 * i + 1, 900000) for i in range(200)])


def test_an_hpack_bomb(gateway):
    """It is not even decoded to its end."""
    flood(gateway, "large-heads", [bomb(hpack.Encoder(), 1, 36000000)])


def test_a_bomb_of_trailers(gateway):
    encoder = hpack.Encoder()
    head = encoder.encode([(":method", "PUT"), SCHEME, (":path", "/a"), AUTHORITY])
    block = encoder.encode([("x-bomb", "y" * 3000)], huffman=False)
    flood(gateway, "large-heads", [  # at once: the stream is open until it is answered
        frame(HEADERS, END_HEADERS, 1, head) +
        frame(HEADERS, END_STREAM | END_HEADERS, 1, block + encoder.encode([("x-bomb", "y" * 3000)]) * 12000)])


def test_many_fields_of_nothing(gateway):
    """Each of them counts, however little it says."""
    head = hpack.Encoder().encode(REQUEST) + b"\x82" * 60000
    flood(gateway, "large-heads", [frame(HEADERS, END_STREAM, 1, head[:16384]) + b"".join(
        frame(CONTINUATION, 0, 1, head[i:i + 16384]) for i in range(16384, len(head), 16384))])


def test_what_a_client_said_that_has_gone_is_not_heard(gateway):
    """Nobody would read the answers."""
    with Raw(gateway.address) as client:
        client.headers(1, REQUEST)
        assert client.verdict() == ("status", 200)
        suspend(gateway.process)
        try:
            for i in range(1, 50):
                client.headers(2 * i + 1, path("/gone"))
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        finally:
            gateway.signal(signal.SIGCONT)
    with Client(gateway.address) as other:
        assert other.request("GET", "/a").status == 200
    wait_for(lambda: gateway.metric("weir_http2_connections") == 0, what="the end of both")
    assert not [line for line in gateway.log_lines(1) if line.get("url.path") == "/gone"]


def test_a_head_that_never_ends(gateway):
    count = gateway.metric("weir_http2_floods_total", kind="slow-heads")
    with Raw(gateway.address) as client:
        client.send(frame(HEADERS, END_STREAM, 1, client.encoder.encode(REQUEST)))
        assert client.goaway() == ENHANCE_YOUR_CALM
    assert gateway.metric("weir_http2_floods_total", kind="slow-heads") == count + 1


def test_a_head_byte_by_byte(gateway):
    with Raw(gateway.address) as client:
        head = frame(HEADERS, END_STREAM | END_HEADERS, 1, client.encoder.encode([*REQUEST, ("x", "y" * 200)]))
        client.socket.settimeout(0.05)
        code = None
        for byte in head:
            try:
                client.send(bytes([byte]))
                if found := client.until(GOAWAY):
                    code = int.from_bytes(found[3][4:8], "big")
                break
            except TimeoutError:
                pass
            except ConnectionError:
                break
        assert code == ENHANCE_YOUR_CALM


SHUT = struct.pack("!HI", 4, 0)  # no answer may have a body until there is a window


def test_a_window_that_stays_shut(tmp_path):
    with Gateway(tmp_path, CONFIG.replace("head-timeout: 1s", "body-timeout: 300ms")) as gateway:
        with Raw(gateway.address, settings=SHUT) as client:
            client.headers(1, REQUEST)
            assert client.verdict() == ("status", 200)
            assert client.verdict() == ("reset", 8)
            client.headers(3, [(":method", "HEAD"), *REQUEST[1:]])
            assert client.verdict() == ("status", 200)
        wait_for(lambda: gateway.log_lines(2)[0]["reason"] == "client-closed")


def test_windows_that_stay_shut(tmp_path):
    config = CONFIG.replace("head-timeout: 1s", "body-timeout: 300ms, http2: {stalls: 20/min}")
    with Gateway(tmp_path, config) as gateway:
        with Raw(gateway.address, settings=SHUT) as client, Client(gateway.address) as other:
            for i in range(25):
                client.headers(2 * i + 1, REQUEST)
            assert other.request("GET", "/a").status == 200
            assert client.goaway() == ENHANCE_YOUR_CALM
            assert other.request("GET", "/a").status == 200
        assert gateway.metric("weir_http2_floods_total", kind="stalls") == 1


def test_a_connection_that_takes_nothing(tmp_path):
    """No window stands in the way, but nobody reads."""
    config = CONFIG.replace("head-timeout: 1s", "body-timeout: 300ms") + \
        "  /large: {respond: {body: %s}}\n" % ("z" * 60000)
    with Gateway(tmp_path, config) as gateway:
        with Raw(gateway.address, settings=struct.pack("!HI", 4, 0x7fffffff)) as client, Client(gateway.address) as other:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 0x7ffe0000)))
            for i in range(120):
                client.headers(2 * i + 1, path("/large"))
            wait_for(lambda: gateway.metric("weir_http2_floods_total", kind="stalls") == 1, 20, "the count")
            assert other.request("GET", "/a").status == 200
        wait_for(lambda: len(gateway.log_lines(121)) >= 121, what="all answers given up")
