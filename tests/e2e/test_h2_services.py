"""HTTP/2 services at their limits, and real ones: settings that change under way, goodbyes, floods, node and nghttpd."""

import concurrent.futures
import contextlib
import subprocess
import threading
import time

import h2.errors
import hpack
import pytest
from gateway import wait_for
from h2_upstream import SETTINGS, H2Peer, script
from h2_upstream import serve as serve_usually
from http_client import Closed


def configuration(at, more=""):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 1
        services: {{back: {{at: "h2c://{at}", outlier: {{failures: 0}}{more}}}}}
        routes: {{/**: back}}
        """


@pytest.fixture
def pair(start, serve):
    def make(run, more=""):
        service = serve(run)
        return start(configuration(service.at, more)), service
    return make


def many(gateway, count, method="GET", body=b"", first=0):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda i: gateway.request(method, f"/{first + i}", body=body), range(count)))


def settings(*pairs):
    return b"".join(code.to_bytes(2, "big") + value.to_bytes(4, "big") for code, value in pairs)


# --- settings that change


def test_a_window_that_shrinks_below_nothing(pair):
    """RFC 9113 §6.9.2: what is on its way already makes the window negative; sending goes on once it is positive."""
    sizes = []

    def run(speaker):
        speaker.grants = False
        request = speaker.begin()
        speaker.until(lambda: len(request.body) >= 60_000)
        speaker.send_raw(4, 0, 0, settings((SETTINGS.INITIAL_WINDOW_SIZE, 100)))
        speaker.h2.increment_flow_control_window(1 << 24)
        speaker.flush()
        sizes.append(len(request.body))
        time.sleep(0.2)
        speaker.send_raw(8, 0, request.stream, (60_000).to_bytes(4, "big"))  # still not above zero
        time.sleep(0.2)
        speaker.socket.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            speaker.until(lambda: False)
        sizes.append(len(request.body))
        speaker.socket.settimeout(20)
        speaker.send_raw(8, 0, request.stream, (1 << 24).to_bytes(4, "big"))
        # The library knows nothing of the windows that were opened by hand.
        speaker.h2.increment_flow_control_window((1 << 24) - 1, request.stream)
        speaker.until(lambda: request.has_ended)
        speaker.answer(request, b"%d" % len(request.body))
        speaker.until(lambda: False)
    gateway, _ = pair(script(run))
    answer = gateway.request("POST", "/x", body=bytes(1_000_000), timeout=20)
    assert (answer.status, answer.body) == (200, b"1000000")
    assert sizes[0] <= sizes[1] <= 65_535


@pytest.mark.parametrize("size", [100, 8000])
def test_a_body_that_is_read_after_the_answer_has_begun(start, serve, size):
    """What the service had no window for is still there when its client's connection has gone on."""
    go_on = threading.Event()

    def run(speaker):
        speaker.answer(speaker.begin())  # the window holds from then on
        request = speaker.begin()
        speaker.headers(request.stream, [(":status", "200")], end=False)
        go_on.wait(10)
        speaker.send_raw(8, 0, request.stream, (1 << 24).to_bytes(4, "big"))
        speaker.h2.increment_flow_control_window(1 << 24, request.stream)
        speaker.until(lambda: request.has_ended)
        speaker.data(request.stream, bytes(request.body), end=True)
        speaker.linger()

    service = serve(script(run, settings={SETTINGS.INITIAL_WINDOW_SIZE: 0}))
    gateway = start(configuration(service.at).replace("{/**: back}", "{/back: back, /here: {respond: here}}"))
    assert gateway.get("/back").status == 200
    with gateway.connect() as connection:
        connection.send_request("POST", "/back", body=b"a" * size)
        assert connection.read_head().status == 200
        for _ in range(20):
            gateway.request("POST", "/here", body=b"b" * size)
        go_on.set()
        assert connection.read_chunks() == b"a" * size


def test_fewer_streams_than_are_under_way(pair):
    """What runs goes on; what comes waits for room, or takes another connection."""
    most = []

    def run(speaker):
        requests = [speaker.begin() for _ in range(6)]
        speaker.send_raw(4, 0, 0, settings((SETTINGS.MAX_CONCURRENT_STREAMS, 2)))
        speaker.until(lambda: all(request.has_ended for request in requests))
        for request in requests:
            speaker.answer(request, b"first")
        while True:
            request = speaker.begin()
            time.sleep(0.02)
            most.append(len(speaker.begun) + 1)
            speaker.answer(request, b"next")
    gateway, service = pair(script(run), ", connections: {max: 1}")
    assert {answer.body for answer in many(gateway, 6)} == {b"first"}
    assert {answer.body for answer in many(gateway, 12)} == {b"next"}
    assert service.connections == 1 and max(most) <= 2


def test_more_streams_than_before(pair):
    """Who waited for room gets it at once."""
    def run(speaker):
        first = speaker.begin()
        speaker.h2.update_settings({SETTINGS.MAX_CONCURRENT_STREAMS: 100})
        speaker.flush()
        others = [speaker.begin() for _ in range(9)]
        speaker.until(lambda: all(each.has_ended for each in others))
        for request in [*others, first]:
            speaker.answer(request, b"x")
        speaker.until(lambda: False)
    gateway, service = pair(script(run, settings={SETTINGS.MAX_CONCURRENT_STREAMS: 1}), ", connections: {max: 1}")
    assert {answer.status for answer in many(gateway, 10)} == {200}
    assert service.connections == 1


def test_no_streams_at_all(pair):
    """A service that allows none is as good as full. What was sent before it said so is refused; what was about to be sent
    waits with the connection, as long as an answer may take."""
    def run(speaker):
        speaker.send_raw(4, 0, 0, settings((SETTINGS.MAX_CONCURRENT_STREAMS, 0)))
        while True:
            speaker.h2.reset_stream(speaker.request().stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            speaker.flush()
    gateway, _ = pair(script(run), ", connections: {max: 1}, timeout: {connect: 300ms, first-byte: 1s}")
    gateway.get("/x")
    assert gateway.log_line("/x")["reason"] in ("upstream-connections", "upstream-timeout")


def test_a_smaller_table_for_fields(pair):
    """HPACK's dynamic table shrinks to nothing under way."""
    seen = []

    def run(speaker):
        for i in range(4):
            request = speaker.request()
            seen.append(request.header("x-same"))
            if i == 1:
                speaker.h2.update_settings({SETTINGS.HEADER_TABLE_SIZE: 0})
                speaker.flush()
            speaker.answer(request, b"x")
        speaker.until(lambda: False)
    gateway, service = pair(script(run))
    assert [gateway.get("/x", {"X-Same": "value"}).status for _ in range(4)] == [200] * 4
    assert seen == ["value"] * 4 and service.connections == 1


def test_larger_frames_and_windows(pair):
    def run(speaker):
        speaker.h2.update_settings({SETTINGS.MAX_FRAME_SIZE: 1 << 20, SETTINGS.INITIAL_WINDOW_SIZE: 1 << 24})
        speaker.flush()
        while True:
            request = speaker.request()
            speaker.answer(request, b"%d" % len(request.body))
    gateway, _ = pair(script(run))
    assert gateway.request("POST", "/x", body=bytes(2_000_000)).body == b"2000000"
    assert gateway.request("POST", "/x", body=bytes(2_000_000)).body == b"2000000"


# --- goodbyes


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_goodbye_in_the_middle_of_many(pair, method):
    """Requests above the last one go to another connection, each just once; those below are answered here."""
    asked = []

    def run(peer):
        speaker = H2Peer(peer)
        requests = [speaker.begin() for _ in range(6)]
        speaker.until(lambda: all(each.has_ended for each in requests))
        peer.upstream.script = note
        requests.sort(key=lambda each: each.stream)
        kept = requests[:3]
        speaker.send_raw(7, 0, 0, kept[-1].stream.to_bytes(4, "big") + bytes(4))
        time.sleep(0.1)
        for request in kept:
            asked.append(request.header(":path"))
            speaker.answer(request, b"old")
        speaker.linger()

    def note(peer):
        speaker = H2Peer(peer)
        while True:
            request = speaker.request()
            asked.append(request.header(":path"))
            speaker.answer(request, b"new")
    gateway, service = pair(run)
    answers = many(gateway, 6, method, b"x" if method == "POST" else b"")
    assert sorted(answer.body for answer in answers) == [b"new"] * 3 + [b"old"] * 3
    assert sorted(asked) == [f"/{i}" for i in range(6)]
    assert service.connections == 2
    assert gateway.metric("weir_upstream_retries_total", service="back") == 3
    assert gateway.metric("weir_upstream_http2_goaways_total", service="back", code="NO_ERROR") == 1


def test_goodbye_in_two_steps(pair):
    """A notice first (RFC 9113 §6.8): what is under way then is answered, what comes goes elsewhere."""
    def run(peer):
        speaker = H2Peer(peer)
        request = speaker.request()
        peer.upstream.script = serve_usually
        speaker.send_raw(7, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4))
        time.sleep(0.2)
        speaker.send_raw(7, 0, 0, request.stream.to_bytes(4, "big") + bytes(4))
        speaker.answer(request, b"old")
        speaker.linger()
    gateway, service = pair(run)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        old = pool.submit(gateway.get, "/old")
        wait_for(lambda: gateway.metric("weir_upstream_http2_goaways_total", service="back") >= 1)
        assert gateway.get("/new").body == b"GET /new"
        assert old.result().body == b"old"
    assert service.connections == 2
    assert gateway.metric("weir_upstream_retries_total", service="back") == 0


def test_goodbye_for_a_reason(pair):
    """An error says nothing of what was processed: POST is not repeated."""
    def run(speaker):
        request = speaker.request()
        speaker.send_raw(7, 0, 0, request.stream.to_bytes(4, "big") + (11).to_bytes(4, "big"))
    gateway, _ = pair(script(run))
    assert gateway.request("POST", "/x", body=b"x").status == 502
    assert gateway.log_line("/x")["reason"] == "upstream-closed"
    assert gateway.metric("weir_upstream_http2_goaways_total", code="ENHANCE_YOUR_CALM") == 1


# --- floods: the service is cut off or bears its own cost; memory stays where it was


def bomb(speaker, stream):
    """A value of 4 KB put into the table once, then named 30,000 times: 120 MB out of 30 KB."""
    first = hpack.Encoder().encode([(":status", "200"), ("x-bomb", "x" * 3000)], huffman=False)
    while True:
        block = first + b"\xbe" * 15_000
        speaker.send_raw(1, 0, stream, block[:16_000])
        speaker.send_raw(9, 4, stream, block[16_000:])
        stream = speaker.request().stream


def continuations(speaker, stream):
    speaker.send_raw(1, 0, stream, b"\x88")
    for _ in range(100_000):
        speaker.send_raw(9, 0, stream, b"\x00\x01a\x01b" * 100)


def empty_continuations(speaker, stream):
    speaker.send_raw(1, 0, stream, b"\x88")
    for _ in range(100_000):
        speaker.send_raw(9, 0, stream)


def pings(speaker, stream):
    for _ in range(200_000):
        speaker.socket.sendall((b"\0\0\x08\6\0\0\0\0\0" + bytes(8)) * 100)


def many_settings(speaker, stream):
    for _ in range(200_000):
        speaker.socket.sendall(b"\0\0\0\4\0\0\0\0\0" * 100)


def empty_data(speaker, stream):
    speaker.headers(stream, [(":status", "200")])
    for _ in range(20_000):
        speaker.socket.sendall((b"\0\0\0\0\0" + stream.to_bytes(4, "big")) * 10)
    raise EOFError


def resets(speaker, stream):
    """Of the same stream, again and again."""
    for _ in range(20_000):
        speaker.send_raw(3, 0, stream, (8).to_bytes(4, "big"))
    raise EOFError


@pytest.mark.parametrize("flood", [bomb, continuations, empty_continuations, pings, many_settings, empty_data, resets])
def test_floods(pair, flood):
    def run(peer):
        speaker = H2Peer(peer)
        peer.socket.settimeout(5)
        request = speaker.request()
        with contextlib.suppress(TimeoutError):
            flood(speaker, request.stream)
    gateway, service = pair(run, ", timeout: {first-byte: 2s, idle: 2s}, http2: {ping: 0s}")
    service.script = serve_usually
    assert gateway.get("/before").status == 200
    service.close_peers()
    service.script = run
    before = gateway.memory()
    try:
        assert gateway.get("/flood", timeout=20).status in (502, 504)
    except Closed:  # the head was good; what followed was not
        assert gateway.log_line("/flood")["reason"] in ("upstream-incomplete", "upstream-protocol", "upstream-body-timeout")
    assert gateway.memory() < before + 20_000_000
    service.script = serve_usually
    service.close_peers()
    wait_for(lambda: gateway.in_flight() == 0)
    assert gateway.get("/after").body == b"GET /after"


# --- real ones

NODE = """
const http2 = require('http2');
const server = http2.createServer({settings: {maxConcurrentStreams: 10}});
server.on('stream', (stream, headers) => {
  const parts = [];
  stream.on('error', () => {});
  stream.on('data', part => parts.push(part));
  stream.on('end', () => {
    const body = Buffer.concat(parts);
    if (headers[':path'] === '/trailers') {
      stream.respond({':status': 200}, {waitForTrailers: true});
      stream.on('wantTrailers', () => stream.sendTrailers({'x-sum': String(body.length)}));
    } else if (headers[':path'] === '/goodbye') {
      stream.respond({':status': 200});
      stream.session.goaway(0, stream.id);
    } else {
      stream.respond({':status': 200, 'x-path': headers[':path']});
    }
    stream.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@pytest.fixture(scope="module")
def node():
    process = subprocess.Popen(["node", "-e", NODE], stdout=subprocess.PIPE)
    yield f"127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()


def test_node(start, node):
    gateway = start(configuration(node))
    assert {answer.status for answer in many(gateway, 40)} == {200}
    body = bytes(i % 251 for i in range(2_000_000))
    assert gateway.request("POST", "/x", body=body).body == body
    with gateway.connect() as connection:
        connection.send(b"POST /trailers HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nContent-Length: 5\r\n\r\nhello")
        answer = connection.read_answer()
    assert (answer.body, answer.trailers) == (b"hello", [("x-sum", "5")])
    for i in range(5):
        assert gateway.request("POST", "/goodbye", body=b"x").body == b"x"
        assert gateway.get(f"/after/{i}").header("x-path") == f"/after/{i}"


def test_nghttpd(start, tmp_path, free_port):
    (tmp_path / "large").write_bytes(bytes(i % 249 for i in range(5_000_000)))
    (tmp_path / "small").write_bytes(b"hello")
    port = free_port()
    process = subprocess.Popen(["nghttpd", "--no-tls", "-a", "127.0.0.1", "-m", "5", "-d", str(tmp_path), str(port)])
    try:
        gateway = start(configuration(f"127.0.0.1:{port}"))
        wait_for(lambda: gateway.get("/small").body == b"hello")
        assert gateway.get("/large", timeout=20).body == (tmp_path / "large").read_bytes()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda i: gateway.get("/small" if i % 2 else f"/none{i}"), range(100)))
        assert [answer.status for answer in answers] == [200 if i % 2 else 404 for i in range(100)]
    finally:
        process.kill()
        process.wait()
