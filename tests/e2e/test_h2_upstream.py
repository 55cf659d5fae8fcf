"""Services that are asked by HTTP/2: connections that requests share, and what becomes of them."""

import json
import concurrent.futures
import threading
import time

import h2.errors
import pytest
from gateway import wait_for
from h2_client import HEADERS, RST_STREAM, Raw
from h2_upstream import SETTINGS, H2Peer, script, serve


def configuration(service, more="", workers=1):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: {workers}
        services: {{back: {{at: "h2c://{service.at}", {more}}}}}
        routes: {{/**: back}}
        """


@pytest.fixture
def pair(start, serve):
    """pair(script, more): a gateway and a service behind every path."""
    def make(run=None, more="outlier: {failures: 0}", **options):
        service = serve(run or globals()["serve"])
        return start(configuration(service, more, **options)), service
    return make


def many(gateway, count, method="GET", body=b""):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda i: gateway.request(method, f"/{i}", body=body), range(count)))


def test_what_the_service_sees(pair):
    gateway, service = pair()
    answer = gateway.get("/a%20b?c=d", {"Host": "shop.example", "X-Mixed-Case": "Yes", "Connection": "x-gone",
                                        "X-Gone": "1", "TE": "trailers, deflate", "Cookie": "a=b; c=d",
                                        "Keep-Alive": "timeout=5"})
    assert (answer.status, answer.body) == (200, b"GET /a%20b?c=d")
    request = service.requests[0]
    assert request.headers[:4] == [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"),
                                   (":path", "/a%20b?c=d")]
    names = [name for name, _ in request.headers]
    assert names == [name.lower() for name in names]
    assert not {"host", "connection", "keep-alive", "x-gone", "transfer-encoding", "proxy-connection"} & set(names)
    assert request.header("x-mixed-case") == "Yes"
    assert request.header("te") == "trailers"
    assert request.header("cookie") == "a=b; c=d"


def test_via_names_the_versions(start, serve):
    """Which each message came with (RFC 9110 §7.6.3)."""
    new, old = serve(globals()["serve"]), serve(lambda peer: (peer.read_request(), peer.send(b"HTTP/1.0 200 OK\r\n\r\nx")))
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        services: {{new: "h2c://{new.at}", old: "{old.at}"}}
        routes: {{/new: new, /old: old, /own: {{respond: hello}}}}
        """)
    assert [gateway.get(path).header("Via") for path in ("/new", "/old", "/own")] == ["2 weir", "1.0 weir", "1.1 weir"]
    assert new.requests[0].header("via") == "1.1 weir"
    with Raw(gateway.address) as client:
        client.headers(1, [(":method", "GET"), (":scheme", "http"), (":path", "/new"), (":authority", "a")])
        client.until(RST_STREAM, HEADERS)
    wait_for(lambda: len(new.requests) == 2)
    assert new.requests[1].header("via") == "2 weir"


def test_http2_as_an_option(start, serve):
    service = serve(globals()["serve"])
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{back: {{at: "{service.at}", http2: true, host: inside.example}}}}
        routes: {{/**: back}}
        """)
    assert gateway.get("/a").body == b"GET /a"
    assert service.requests[0].header(":authority") == "inside.example"


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65536, 100000, 3000000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_both_ways(pair, size, chunked):
    def echo(peer):
        speaker = H2Peer(peer)
        request = speaker.request()
        peer.upstream.requests.append(request)
        speaker.answer(request, request.body)
    gateway, service = pair(echo)
    body = bytes(i % 251 for i in range(size))
    with gateway.connect() as connection:
        if chunked:
            head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            chunk = b"%x\r\n%s\r\n" % (size, body) if size else b""
            sender = threading.Thread(target=connection.send, args=(head + chunk + b"0\r\n\r\n",))
            sender.start()
            answer = connection.read_answer()
            sender.join()
        else:
            answer = connection.request("POST", "/x", body=body)
    assert answer.status == 200 and answer.body == body
    assert service.requests[0].header("content-length") == (None if chunked else str(size))


def test_head_has_a_length_and_no_body(pair):
    gateway, _ = pair()
    with gateway.connect() as connection:
        answer = connection.request("HEAD", "/abc")
        assert (answer.status, answer.header("Content-Length"), answer.body) == (200, "9", b"")
        assert connection.request("GET", "/next").body == b"GET /next"


def test_requests_share_a_connection(pair):
    together = threading.Barrier(20, timeout=20)

    def run(speaker):
        requests = [speaker.begin() for _ in range(20)]
        together.reset()
        for request in reversed(requests):
            speaker.answer(request, request.header(":path").encode())
        speaker.request()
        speaker.until(lambda: False)
    gateway, service = pair(script(run))
    answers = many(gateway, 20)
    assert [answer.body for answer in answers] == [b"/%d" % i for i in range(20)]
    assert service.connections == 1


def test_metrics(pair):
    gate = threading.Event()

    def run(speaker):
        requests = [speaker.begin() for _ in range(3)]
        gate.wait(20)
        speaker.h2.reset_stream(requests[0].stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        speaker.h2.reset_stream(requests[1].stream, 0x99)
        speaker.answer(requests[2], b"x")
        speaker.h2.close_connection()
        speaker.flush()
        speaker.linger()
    gateway, service = pair(script(run), "retry: off")
    count = gateway.metric
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answers = pool.submit(many, gateway, 3)
        wait_for(lambda: count("weir_upstream_http2_streams", service="back", endpoint=service.at) == 3)
        assert count("weir_upstream_http2_connections", service="back", endpoint=service.at) == 1
        gate.set()
        assert sorted(answer.status for answer in answers.result()) == [200, 502, 502]
    wait_for(lambda: count("weir_upstream_http2_goaways_total", service="back", code="NO_ERROR") == 1)
    assert count("weir_upstream_http2_resets_total", service="back", code="INTERNAL_ERROR") == 1
    assert count("weir_upstream_http2_resets_total", service="back", code="unknown") == 1
    assert count("weir_upstream_http2_resets_total") == 2
    wait_for(lambda: count("weir_upstream_http2_connections") == count("weir_upstream_http2_streams") == 0)


def test_another_connection_when_one_is_full(pair):
    def run(speaker):
        while True:
            request = speaker.begin()
            time.sleep(0.05)
            assert len(speaker.begun) < 2
            speaker.answer(request, b"x")
    gateway, service = pair(script(run, settings={SETTINGS.MAX_CONCURRENT_STREAMS: 2}))
    assert {answer.status for answer in many(gateway, 6)} == {200}
    assert 1 < service.connections <= 6


def test_requests_wait_when_all_connections_are_full(pair):
    most = []

    def run(speaker):
        while True:
            request = speaker.begin()
            time.sleep(0.01)
            most.append(len(speaker.begun))
            speaker.answer(request, b"x")
    more = "http2: {streams: 3}, connections: {max: 1}, outlier: {failures: 0}"
    gateway, service = pair(script(run), more)
    assert {answer.status for answer in many(gateway, 30)} == {200}
    assert service.connections == 1
    assert max(most) <= 2


def test_the_queue_is_bounded(pair):
    def run(speaker):
        speaker.until(lambda: False)
    more = "http2: {streams: 1}, connections: 1, queue: 2, timeout: {connect: 3s, first-byte: 8s}, outlier: {failures: 0}"
    gateway, _ = pair(script(run), more)
    answers = many(gateway, 8)
    assert sorted(answer.status for answer in answers) == [503] * 7 + [504]
    reasons = [json.loads(answer.body)["reason"] for answer in answers if answer.status == 503]
    assert sorted(reasons) == ["queue-full"] * 5 + ["queue-timeout"] * 2


def test_goaway_lets_running_requests_finish(pair):
    def run(speaker):
        request = speaker.request()
        speaker.peer.upstream.script = serve
        speaker.h2.close_connection(last_stream_id=request.stream)
        speaker.flush()
        time.sleep(0.2)
        # By its own account the library is done; the frames are written by hand.
        speaker.send_raw(1, 4, request.stream, b"\x88")
        speaker.send_raw(0, 1, request.stream, b"hello")
        speaker.linger()
    gateway, service = pair(script(run))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(gateway.get("/1")))
    thread.start()
    wait_for(lambda: gateway.metric("weir_upstream_http2_goaways_total", service="back") == 1)
    assert gateway.get("/2").body == b"GET /2"
    thread.join()
    assert answers[0].body == b"hello"
    assert service.connections == 2


@pytest.mark.parametrize("how", ["refused", "goaway"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_not_processed_is_sent_again(pair, how, method):
    def run(peer):
        speaker = H2Peer(peer)
        request = speaker.request()
        peer.upstream.script = globals()["serve"]
        if how == "refused":
            speaker.h2.reset_stream(request.stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            speaker.flush()
            request = speaker.request()
            peer.upstream.requests.append(request)
            speaker.answer(request, b"second")
            speaker.until(lambda: False)
        speaker.h2.close_connection(last_stream_id=0)
        speaker.flush()
        speaker.linger()
    gateway, service = pair(run)
    answer = gateway.request(method, "/x", body=b"important" if method == "POST" else b"")
    assert answer.status == 200
    assert len(service.requests) == 1
    assert service.requests[0].body == (b"important" if method == "POST" else b"")
    assert gateway.metric("weir_upstream_retries_total", service="back") == 1


def test_refused_for_ever(pair):
    def run(speaker):
        while True:
            speaker.h2.reset_stream(speaker.request().stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            speaker.flush()
    gateway, _ = pair(script(run))
    assert gateway.get("/x").status == 502
    assert gateway.log_line("/x")["reason"] == "upstream-reset"
    assert gateway.metric("weir_upstream_retries_total", service="back") == 2


@pytest.mark.parametrize("method, status", [("GET", 200), ("POST", 502)])
def test_a_connection_that_dies_under_a_request(pair, method, status):
    """Twice is safe for GET only."""
    def run(peer):
        speaker = H2Peer(peer)
        speaker.answer(speaker.request(), b"first")
        speaker.request()
        peer.upstream.script = globals()["serve"]
    gateway, service = pair(run)
    assert gateway.get("/1").body == b"first"
    assert gateway.request(method, "/2", body=b"x" if method == "POST" else b"").status == status


def test_a_slow_client_stops_its_sender_and_nobody_else(pair):
    sent = []

    def run(speaker):
        while True:
            request = speaker.request()
            if request.header(":path") != "/large":
                speaker.answer(request, b"quick")
                continue
            speaker.headers(request.stream, [(":status", "200")])
            while speaker.h2.local_flow_control_window(request.stream) > 0:
                size = min(speaker.h2.local_flow_control_window(request.stream), 16384)
                speaker.h2.send_data(request.stream, bytes(size))
                sent.append(size)
                speaker.flush()
                if len(sent) > 4000:
                    return
    gateway, service = pair(script(run), "http2: {window: 128KiB}, outlier: {failures: 0}")
    with gateway.connect() as connection:
        connection.socket.setsockopt(1, 8, 4096)  # a small receive buffer
        connection.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: sum(sent) >= 131072)
        for _ in range(10):
            assert gateway.get("/small").body == b"quick"
        assert service.connections == 1
        assert sum(sent) < 20_000_000


def test_a_slow_service_stops_the_client(pair):
    gate = threading.Event()

    def run(speaker):
        speaker.grants = False
        request = speaker.begin()
        gate.wait(20)
        speaker.grants = True
        for stream in (None, request.stream):
            speaker.h2.increment_flow_control_window(1 << 24, stream)
        speaker.flush()
        speaker.until(lambda: request.has_ended)
        speaker.answer(request, b"%d" % len(request.body))
    gateway, _ = pair(script(run))
    size = 20_000_000
    handed = []
    with gateway.connect() as connection:
        def upload():
            connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 100_000):
                connection.send(bytes(100_000))
                handed.append(1)
        thread = threading.Thread(target=upload)
        thread.start()
        time.sleep(0.5)
        held = len(handed)
        gate.set()
        answer = connection.read_answer()
        thread.join()
    assert held < size // 100_000 * 0.7
    assert answer.body == b"%d" % size


def test_trailers_both_ways(pair):
    def run(peer):
        speaker = H2Peer(peer)
        request = speaker.request()
        peer.upstream.requests.append(request)
        speaker.answer(request, b"body", trailers=[("x-sum", "abc"), ("host", "evil"), ("set-cookie", "a=b")])
    gateway, service = pair(run)
    with gateway.connect() as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"5\r\nhello\r\n0\r\nX-Check: def\r\nHost: evil\r\n\r\n")
        answer = connection.read_answer()
    assert answer.body == b"body"
    assert [(name.lower(), value) for name, value in answer.trailers] == [("x-sum", "abc")]
    assert service.requests[0].trailers == [("x-check", "def")]


def test_interim_answers(pair):
    def run(speaker):
        request = speaker.request()
        speaker.h2.send_headers(request.stream, [(":status", "103"), ("link", "</a>; rel=preload")])
        speaker.answer(request, b"body")
    gateway, _ = pair(script(run))
    with gateway.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        interim, answer = connection.read_answer(interim=True), connection.read_answer()
    assert (interim.status, interim.header("Link")) == (103, "</a>; rel=preload")
    assert (answer.status, answer.body) == (200, b"body")


def test_expect_continue(pair):
    def run(peer):
        speaker = H2Peer(peer)
        request = speaker.begin()
        assert request.header("expect") == "100-continue" and request.body == b""
        speaker.h2.send_headers(request.stream, [(":status", "100")])
        speaker.flush()
        speaker.until(lambda: request.has_ended)
        speaker.answer(request, request.body)
    gateway, _ = pair(run)
    with gateway.connect() as connection:
        connection.send(b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert connection.read_answer(interim=True).status == 100
        connection.send(b"hello")
        assert connection.read_answer().body == b"hello"


@pytest.mark.parametrize("when", ["before the head", "within the body"])
def test_a_client_that_leaves_cancels_the_stream(pair, when):
    resets, asked = [], threading.Event()

    def run(speaker):
        request = speaker.request()
        asked.set()
        if when == "within the body":
            speaker.headers(request.stream, [(":status", "200")])
            speaker.data(request.stream, b"some")
        speaker.until(lambda: request.reset is not None)
        resets.append(request.reset)
        speaker.answer(speaker.request(), b"still here")
    gateway, service = pair(script(run))
    with gateway.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        if when == "within the body":
            connection.socket.recv(10)
        assert asked.wait(10)
        connection.socket.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")
    wait_for(lambda: resets)
    assert resets == [h2.errors.ErrorCodes.CANCEL]
    assert gateway.get("/next").body == b"still here"
    assert service.connections == 1


def test_ping_finds_a_dead_peer(pair):
    pings = []

    def silent(peer):
        """Neither answers nor acknowledges anything."""
        peer.socket.sendall(b"\0\0\0\4\0\0\0\0\0")
        while data := peer.socket.recv(65536):
            pings.append(data)
    more = "http2: {ping: 200ms, ping-timeout: 200ms}, timeout: {first-byte: 20s}, outlier: {failures: 0}"
    gateway, service = pair(silent, more)
    assert gateway.get("/x", timeout=15).status == 504  # before the time for the first byte is over
    assert any(b"\0\0\x08\x06\0\0\0\0\0" in data for data in pings)
    service.script = globals()["serve"]
    assert gateway.get("/y").body == b"GET /y"


def test_an_idle_connection_ends_with_goaway(pair):
    goodbyes = []

    def run(speaker):
        speaker.answer(speaker.request(), b"x")
        try:
            speaker.until(lambda: False)
        finally:
            goodbyes.append(speaker.goaway)
    gateway, service = pair(script(run), "connections: {idle-timeout: 100ms}, outlier: {failures: 0}")
    assert gateway.get("/x").status == 200
    wait_for(lambda: goodbyes)
    assert goodbyes[0] is not None and goodbyes[0].error_code == 0
    wait_for(lambda: gateway.metric("weir_upstream_connections", service="back") == 0)


def test_the_number_of_requests_a_connection_carries(pair):
    gateway, service = pair(None, "connections: {requests: 3}, outlier: {failures: 0}")
    for i in range(9):
        assert gateway.get(f"/{i}").status == 200
    assert service.connections == 3


def test_a_reload_keeps_connections_and_a_stop_ends_them(pair):
    gateway, service = pair()
    assert gateway.get("/1").status == 200
    assert gateway.reload()[0] == 200
    assert gateway.get("/2").status == 200
    assert service.connections == 1


def test_every_worker_may_have_a_connection(pair):
    gateway, service = pair(None, "connections: {max: 1}, outlier: {failures: 0}", workers=2)
    for _ in range(5):
        assert {answer.status for answer in many(gateway, 16)} == {200}
    assert 1 <= service.connections <= 2


@pytest.mark.parametrize("text, problem", [
    ('{at: ["h2c://a:1", "b:2"]}', "speaks one protocol"),
    ('{at: "h2c://a:1", http2: false}', "not to be asked by"),
    ('{at: "h3://a:1"}', "h2c://"),
    ('{at: "a:1", http2: {streams: 0}}', "streams"),
    ('{at: "a:1", http2: {window: 1}}', "window"),
])
def test_configuration_errors(tmp_path, text, problem):
    from gateway import run_weir
    path = tmp_path / "weir.yaml"
    path.write_text(f'version: 1\nlisten: ":0"\nservices: {{back: {text}}}\nroutes: {{/**: back}}\n')
    code, _, errors = run_weir("check", path)
    assert code == 3 and problem in errors, errors
