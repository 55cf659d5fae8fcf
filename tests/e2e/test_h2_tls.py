"""Services that speak HTTP/2 over TLS, or would if they could: what both sides agree on (ALPN) counts."""

import ssl
import threading

import grpc
import pytest
from certificates import authority
from gateway import wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_upstream import H2Peer
from h2_upstream import serve as serve_h2
from http_client import Closed
from upstream import Upstream

BOTH, NEW, OLD, NONE = ("h2", "http/1.1"), ("h2",), ("http/1.1",), ()


def context(protocols, certificate=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = certificate or authority().sign()
    made.load_cert_chain(certificate.cert, certificate.key)
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def serve_agreed(peer):
    """Speaks what was agreed on, and notes it."""
    chosen = peer.socket.selected_alpn_protocol()
    peer.upstream.chosen.append(chosen)
    (serve_h2 if chosen == "h2" else Upstream.serve)(peer)


@pytest.fixture
def back(start, serve):
    def run(protocols, more="", script=serve_agreed, front='"127.0.0.1:0"', workers=1):
        service = serve(script, tls=context(protocols))
        service.chosen = []
        gateway = start(f"""
            version: 1
            listen: {front}
            workers: {workers}
            services:
              back: {{at: "https://{service.at}", tls: {{ca: {authority().cert}}}, http2: true, outlier: {{failures: 0}}{more}}}
            routes: {{grpc shop.Orders/*: back, /**: back}}
            """)
        return gateway, service
    return run


@pytest.mark.parametrize("protocols, spoken", [(BOTH, "2"), (NEW, "2"), (OLD, "1.1"), (NONE, "1.1")])
def test_what_is_agreed_on_is_spoken(back, protocols, spoken):
    gateway, service = back(protocols)
    for i in range(5):
        answer = gateway.request("POST", f"/{i}", body=b"x" * 1000)
        assert (answer.status, answer.body) == (200, b"POST /%d" % i)
        assert answer.header("Via") == f"{spoken} weir"
    assert len(service.requests) == 5 and bytes(service.requests[0].body) == b"x" * 1000
    assert service.connections == 1
    if spoken == "2":
        assert service.requests[0].headers[1] == (":scheme", "https")
    if protocols == OLD:
        assert service.chosen == ["http/1.1"]


def test_many_at_once_fall_back_together(back):
    gateway, service = back(OLD, workers=2)
    threads, answers = [], []
    for i in range(20):
        threads.append(threading.Thread(target=lambda i=i: answers.append(gateway.get(f"/{i}").status)))
        threads[-1].start()
    for thread in threads:
        thread.join(20)
    assert answers == [200] * 20
    assert set(service.chosen) == {"http/1.1"} and service.connections <= 20


def test_a_service_that_changes_its_mind(back):
    """From HTTP/1.1 to HTTP/2 and back, as after an update, while nobody reloads anything."""
    gateway, service = back(OLD)
    for protocols, spoken in [(BOTH, "2"), (OLD, "1.1"), (BOTH, "2")]:
        service.tls = context(protocols)
        service.close_peers()
        wait_for(lambda: gateway.metric("weir_upstream_connections", service="back") == 0)
        answer = gateway.get("/x")
        assert (answer.status, answer.header("Via")) == (200, f"{spoken} weir")
    wait_for(lambda: gateway.in_flight() == 0)


@pytest.mark.parametrize("protocols, spoken", [(BOTH, "h2"), (OLD, "http/1.1")])
def test_health_is_checked_by_what_is_agreed_on(back, protocols, spoken):
    gateway, service = back(protocols, ", health: GET /healthz every 50ms")
    wait_for(lambda: len(service.chosen) >= 3)
    assert set(service.chosen) == {spoken}
    assert gateway.metric("weir_endpoint_healthy", service="back") == 1
    assert gateway.get("/x").status == 200


def test_checks_resume_sessions(back):
    resumed = []

    def script(peer):
        resumed.append(peer.socket.session_reused)
        serve_agreed(peer)

    back(BOTH, ", health: GET /healthz every 30ms", script=script)
    wait_for(lambda: resumed.count(True) >= 4)
    assert not resumed[0]


def test_a_check_whose_connection_is_cut(back):
    """In all stages, so that the connection ends before the question does."""
    seen = []

    def script(peer):
        seen.append(peer)
        if len(seen) % 3 == 1:
            peer.reset()
        elif len(seen) % 3 == 2:
            peer.socket.recv(100)
            peer.reset()
        else:
            serve_agreed(peer)

    gateway, _ = back(BOTH, ", health: GET /healthz every 10ms", script=script)
    wait_for(lambda: len(seen) >= 60)
    assert gateway.process.poll() is None


def test_grpc_is_not_made_by_http_1(back):
    gateway, service = back(OLD, front='{http: {address: "127.0.0.1:0", http2: true}}')
    with channel(gateway.address) as made:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                made.unary_unary(f"/{SERVICE}/Get")(b"")
            assert caught.value.code() == grpc.StatusCode.INTERNAL
    assert not service.requests
    assert {line["reason"] for line in gateway.log_lines(2)} == {"upstream-protocol"}
    events = gateway.status()["services"][0]["endpoints"][0]["events"]
    assert any("does not agree to HTTP/2" in event["what"] for event in events)
    assert gateway.get("/x").header("Via") == "1.1 weir"


def test_grpc_over_tls(start):
    certificate = authority().sign()
    credentials = grpc.ssl_server_credentials([(open(certificate.key, "rb").read(), open(certificate.cert, "rb").read())])
    with GrpcService(credentials) as service:
        gateway = start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            services:
              order: {{at: "https://{service.at}", tls: {{ca: {authority().cert}}}, http2: true, health: grpc every 50ms}}
            routes: {{grpc shop.Orders/*: order}}
            """)
        with channel(gateway.address) as made:
            assert made.unary_unary(f"/{SERVICE}/Get")(b"x" * 100_000) == b"got " + b"x" * 100_000
            assert sum(1 for _ in made.unary_stream(f"/{SERVICE}/List")(b"5000")) == 5000
        wait_for(lambda: any(name.endswith("Check") for name, _ in service.orders.metadata))
        assert gateway.metric("weir_endpoint_healthy", service="order") == 1


def test_large_bodies_both_ways(back):
    def echo(peer):
        speaker = H2Peer(peer)
        while True:
            request = speaker.request()
            speaker.answer(request, request.body)
    gateway, _ = back(NEW, script=echo)
    body = bytes(i % 253 for i in range(3_000_000))
    assert gateway.request("POST", "/x", body=body).body == body


def test_a_service_that_closes_without_a_word(back):
    """Without close_notify or GOAWAY, in the middle: no answer looks whole."""
    def run(peer):
        speaker = H2Peer(peer)
        request = speaker.request()
        speaker.headers(request.stream, [(":status", "200")])
        speaker.data(request.stream, b"half")
        peer.reset()
    gateway, _ = back(NEW, script=run)
    with gateway.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(Closed):
            connection.read_answer()
    assert gateway.log_line("/x")["reason"] == "upstream-incomplete"
