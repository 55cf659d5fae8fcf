"""CONNECT by HTTP/2 (RFC 9113 §8.5): tunnels that are streams."""

import contextlib
import os
import ssl
import threading

import pytest
from gateway import wait_for
from h2_client import HEADERS, RST_STREAM, Raw
from l4_peers import TcpService, echo, read_all, reset
from proxy_client import H2Tunnels, config

CONNECT_ERROR = 10


@pytest.fixture
def service():
    """service(serve): a TCP service."""
    with contextlib.ExitStack() as stack:
        yield lambda serve=echo: stack.enter_context(TcpService(serve))


@pytest.fixture
def proxy(start):
    return lambda option='"loopback:*"', **more: start(config(option, **more))


def test_several_tunnels_and_requests_on_a_connection(proxy, service):
    back = service()
    gateway = proxy()
    with H2Tunnels(gateway.address) as client:
        streams = [client.open(back.at) for _ in range(3)]
        assert not {"content-length", "transfer-encoding"} & set(dict(client.answers[streams[0]].headers))
        for number, stream in enumerate(streams):
            message = bytes([number]) * 300_000
            client.send_body(stream, message, end=False)
            assert client.read(stream, len(message)) == message
        assert client.request("GET", "/own").body == b"own"
        assert gateway.metric("weir_tunnels_open") == 3
        for stream in streams:
            client.send_body(stream, b"", end=True)
            assert client.finish(stream).is_whole and client.answers[stream].reset is None
    lines = [line for line in gateway.log_lines(4) if line["http.request.method"] == "CONNECT"]
    assert len(lines) == 3
    for line in lines:
        assert line["server.port"] == back.port and line["upstream.address"] == back.at
        assert line["http.request.body.size"] == line["http.response.body.size"] == 300_000
        assert "reason" not in line
    wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 0)


def test_half_closes(proxy, service):
    back = service(lambda connection: connection.sendall(str(len(read_all(connection))).encode()))
    with H2Tunnels(proxy().address) as client:
        stream = client.open(back.at)
        client.send_body(stream, b"x" * 1000, end=True)
        assert client.finish(stream).body == b"1000"


def test_the_target_ends_first(proxy, service):
    heard = []

    def serve(connection):
        connection.sendall(b"that is all")
        connection.shutdown(1)
        heard.append(read_all(connection))
    with H2Tunnels(proxy().address) as client:
        stream = client.open(service(serve).at)
        assert client.finish(stream).body == b"that is all"
        client.send_body(stream, b"I go on", end=True)
        wait_for(lambda: heard == [b"I go on"])


def test_a_reset_of_the_target_is_one_of_the_stream(proxy, service):
    def serve(connection):
        connection.recv(1)
        reset(connection)
    back = service(serve)
    gateway = proxy()
    with H2Tunnels(gateway.address) as client:
        stream = client.open(back.at)
        client.send_body(stream, b"x", end=False)
        assert client.finish(stream).reset == CONNECT_ERROR
        assert client.request("GET", "/own").status == 200
    line = next(line for line in gateway.log_lines(2) if line["http.request.method"] == "CONNECT")
    assert line["reason"] == "upstream-closed"


def test_a_reset_stream_ends_the_targets_connection(proxy, service):
    ends = []

    def serve(connection):
        try:
            ends.append(read_all(connection))
        except ConnectionResetError:
            ends.append("reset")
    gateway = proxy()
    with H2Tunnels(gateway.address) as client:
        stream = client.open(service(serve).at)
        client.h2.reset_stream(stream, 8)
        client.flush()
        wait_for(lambda: ends == ["reset"])
        assert client.request("GET", "/own").status == 200
    line = next(line for line in gateway.log_lines(2) if line["http.request.method"] == "CONNECT")
    assert line["reason"] == "client-closed"


def test_a_connection_that_vanishes_ends_its_tunnels(proxy, service):
    back = service()
    gateway = proxy()
    before = gateway.sockets()
    with H2Tunnels(gateway.address) as client:
        for _ in range(5):
            client.open(back.at)
    wait_for(lambda: gateway.metric("weir_tunnels_open") == 0)
    assert {line["reason"] for line in gateway.log_lines(5)} == {"client-closed"}
    gateway.settle(before)


def test_a_stalled_reader_holds_up_nobody_else(proxy, service):
    sent = []

    def flood(connection):
        connection.settimeout(20)
        with contextlib.suppress(OSError):
            while True:
                sent.append(connection.send(bytes(65536)))
    gateway = proxy(workers=1)
    with H2Tunnels(gateway.address) as client:
        client.open(service(flood).at)
        before = -1
        while before != len(sent):  # until it is stuck
            before = len(sent)
            threading.Event().wait(0.3)
        stream = client.open(service().at)
        client.send_body(stream, b"x", end=False)
        assert client.read(stream, 1) == b"x"
        assert gateway.memory() < 200 << 20


@pytest.mark.parametrize("target, status", [("a.example", None), ("127.0.0.1:0", None), ("10.0.0.1:443", 403), ("u@127.0.0.1:80", None)])
def test_targets_that_are_refused(proxy, target, status):
    with Raw(proxy().address) as client:
        client.headers(1, [(":method", "CONNECT"), (":authority", target)], end=False)
        kind, value = client.verdict()
        assert (kind == "status" and value == (status or 400)) or (status is None and kind == "reset"), (kind, value)


@pytest.mark.parametrize("more", [[(":scheme", "http")], [(":path", "/")], [("content-length", "5")]])
def test_malformed_connects(proxy, service, more):
    back = service()
    with Raw(proxy().address) as client:
        fields = [(":method", "CONNECT"), (":authority", back.at)]
        fields += more
        fields.sort(key=lambda field: not field[0].startswith(":"))
        client.headers(1, fields, end=False)
        found = client.until(HEADERS, RST_STREAM)
        assert found[0] == RST_STREAM or dict(found[3])[":status"] == "400"
    assert back.accepted == 0


def test_other_protocols_are_refused(proxy, service):
    with Raw(proxy().address) as client:
        client.headers(1, [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "http"), (":path", "/"),
                           (":authority", service().at)], end=False)
        assert client.verdict() == ("status", 501)


def test_a_client_that_ends_at_once(proxy, service):
    back = service(lambda connection: connection.sendall(b"got %d" % len(read_all(connection))))
    with H2Tunnels(proxy().address) as client:
        stream = client.ask(back.at, end=True)
        assert client.finish(stream).body == b"got 0"


class Secure(H2Tunnels):
    """By TLS."""

    def __init__(self, address, context):
        import socket as sockets

        import h2_client
        plain = sockets.create_connection(address, 20)
        context.set_alpn_protocols(["h2"])
        self.authority, self.socket = "localhost", context.wrap_socket(plain, server_hostname="localhost")
        self.h2 = h2_client.h2.connection.H2Connection(h2_client.h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers, self.goaways, self.is_over, self.raw = {}, [], False, b""
        self.flush()


def test_by_tls_and_requests_for_foreign_hosts(start, service, serve, authority):
    issued = authority.issue("localhost", "127.0.0.1")
    gateway = start(f"""
        version: 1
        listen: {{https: {{address: "127.0.0.1:0", forward-proxy: "loopback:*"}}}}
        tls: {{cert: {issued.cert}, key: {issued.key}}}
        routes: {{/own: {{respond: own}}}}
        """)
    web, back = serve(), service()
    with Secure(gateway.address, ssl.create_default_context(cafile=authority.file)) as client:
        stream = client.open(back.at)
        data = os.urandom(500_000)
        client.send_body(stream, data, end=False)
        assert client.read(stream, len(data)) == data
        client.authority = web.at
        stream = client.h2.get_next_available_stream_id()
        assert client.request("GET", "/x?y=1").status == 200
        assert web.requests[0].target == "/x?y=1" and web.requests[0].header("Host") == web.at
        client.authority = "10.0.0.1"
        assert client.request("GET", "/").status == 403
