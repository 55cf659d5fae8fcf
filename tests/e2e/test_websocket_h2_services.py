"""WebSockets to services that are asked by HTTP/2 (RFC 8441)."""

import contextlib
import shutil
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from certificates import authority
from gateway import wait_for
from h2_chat import CONNECTS, Chat, frame as plain_frame
from h2_upstream import serve as serve_h2
from h2_websocket import Connection
from l4_peers import reset
from test_h2_tls import context
from websocket_client import HANDSHAKE, Raw, frame

NODE = shutil.which("node") or shutil.which("nodejs")


@pytest.fixture
def chat(start, serve):
    """chat(script, …): a gateway before a service of HTTP/2: (gateway, its script)."""
    def run(script=None, service="", more="", route="", workers=1):
        script = script or Chat()
        back = serve(script)
        script.back = back
        gateway = start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            workers: {workers}
            services: {{back: {{at: "h2c://{back.at}", outlier: {{failures: 0}}{service}}}}}
            routes: {{/**: {{to: back{route}}}}}
            {more}
            """)
        return gateway, script
    return run


def converse(client, messages):
    for message in messages:
        client.send(frame(0x81, message))
        assert client.read() == (0x81, message)


def close(client, code=1000):
    client.send(frame(0x88, struct.pack(">H", code)))
    assert client.read_close() == code


def test_messages_pass_both_ways(chat):
    gateway, service = chat()
    with contextlib.closing(Raw(gateway, "/room?x=1", {"Sec-WebSocket-Protocol": "a, b", "Cookie": "c=d"}).connection) as connection:
        client = Raw.__new__(Raw)
        client.connection = connection
        converse(client, [b"", b"hello", b"x" * 125, b"y" * 70_000, b"z" * 500_000])
        client.send(frame(0x89, b"ping"))
        assert client.read() == (0x8a, b"ping")
        assert gateway.metric("weir_upstream_http2_streams") == 1
        close(client)
    request = service.asked[0]
    assert request.header(":method") == "CONNECT" and request.header(":protocol") == "websocket"
    assert request.header(":path") == "/room?x=1" and request.header(":scheme") == "http"
    assert request.header(":authority") == "localhost" and request.header("sec-websocket-version") == "13"
    assert request.header("sec-websocket-protocol") == "a, b" and request.header("cookie") == "c=d"
    names = {name for name, _ in request.headers}
    assert not names & {"sec-websocket-key", "upgrade", "connection", "host", "content-length"}
    wait_for(lambda: service.closes == [1000])
    line = gateway.log_line("/room")
    assert line["http.response.status_code"] == 101 and line["websocket.close_code"] == 1000
    assert line["websocket.messages.received"] == line["websocket.messages.sent"] == 5
    assert "reason" not in line and line["upstream.address"] == service.back.at
    wait_for(lambda: gateway.metric("weir_upstream_http2_streams") == 0)
    wait_for(lambda: gateway.in_flight() == 0)
    assert service.resets == []


def test_one_connection_carries_all(chat):
    gateway, service = chat()
    clients = [Raw(gateway) for _ in range(20)]
    for i, client in enumerate(clients):
        converse(client, [b"%d" % i])
    assert gateway.get("/plain").body == b"plain"
    assert service.back.connections == 1
    for client in clients:
        close(client)
        client.connection.__exit__()
    wait_for(lambda: len(service.closes) == 20)


def test_by_http2_on_both_sides(chat):
    gateway, service = chat()
    from h2_websocket import frame as masked
    with Connection(gateway.address) as client:
        streams = [client.open(f"/{i}") for i in range(3)]
        for stream in streams:
            for message in (b"hello", b"x" * 300_000):
                stream.send(masked(0x81, message))
                assert stream.read() == (0x81, message)
        for stream in streams:
            stream.close()
            assert stream.answer.is_whole and stream.answer.reset is None
    wait_for(lambda: service.closes == [1000] * 3)


def test_what_the_service_chooses(chat):
    gateway, _ = chat(Chat(accept=[("sec-websocket-protocol", "b"), ("x-more", "1")]))
    client = Raw(gateway, fields={"Sec-WebSocket-Protocol": "a, b"})
    assert "sec-websocket-protocol: b" in client.head and "x-more: 1" in client.head
    assert "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in client.head
    close(client)


def test_a_choice_that_was_not_offered(chat):
    gateway, service = chat(Chat(accept=[("sec-websocket-protocol", "c")]))
    with gateway.connect() as connection:
        connection.send_request("GET", "/", {**HANDSHAKE, "Sec-WebSocket-Protocol": "a, b"})
        assert connection.read_answer().status == 502
    assert gateway.log_lines(1)[0]["reason"] == "upstream-upgrade"
    wait_for(lambda: service.resets or gateway.metric("weir_upstream_http2_streams") == 0)


def test_a_service_that_speaks_first(chat):
    gateway, _ = chat(Chat(greeting=plain_frame(0x81, b"welcome")))
    client = Raw(gateway)
    assert client.read() == (0x81, b"welcome")
    close(client)


@pytest.mark.parametrize("status", [200 + 204, 403, 500])
def test_a_refusal_is_an_answer(chat, status):
    gateway, service = chat(Chat(status=status))
    for _ in range(3):
        with gateway.connect() as connection:
            connection.send_request("GET", "/", HANDSHAKE)
            answer = connection.read_answer()
            assert (answer.status, answer.body) == (status, b"not here")
    assert gateway.get("/plain").body == b"plain"
    assert service.back.connections == 1
    wait_for(lambda: gateway.metric("weir_upstream_http2_streams") == 0)


def test_the_service_is_asked_what_it_can_do_first(chat):
    """The first WebSocket waits for the service's SETTINGS, other requests do not."""
    gate = threading.Event()
    gateway, service = chat(Chat(delay=gate.wait))
    opened = []
    thread = threading.Thread(target=lambda: opened.append(Raw(gateway)))
    thread.start()
    wait_for(lambda: service.back.connections == 1)
    time.sleep(0.2)
    assert not opened
    gate.set()
    thread.join(30)
    converse(opened[0], [b"hello"])
    close(opened[0])


def test_a_service_without_it_is_a_clear_error(start, serve):
    back = serve(serve_h2)
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{back: "h2c://{back.at}"}}
        routes: {{/**: back}}
        """)
    with gateway.connect() as connection:
        connection.send_request("GET", "/", HANDSHAKE)
        answer = connection.read_answer()
    assert answer.status == 502 and answer.header("Proxy-Status") == "weir; error=http_upgrade_failed"
    assert gateway.log_lines(1)[0]["reason"] == "upstream-no-websocket"
    assert gateway.get("/").body == b"GET /"


# --- over TLS

def chat_h1(peer):
    """Shakes hands by HTTP/1.1, sends messages back, and ends with a Close frame."""
    from websocket_client import KEY
    import base64
    import hashlib

    from h2_chat import take_frame
    request = peer.read_head()
    if request.header("Upgrade") is None:
        peer.answer(b"plain")
        return
    assert request.header("Sec-WebSocket-Key") == KEY
    accept = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    peer.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
              .encode())
    data = bytearray(peer.buffer)
    while True:
        while found := take_frame(data):
            peer.send(plain_frame(*found))
            if found[0] == 0x88:
                return
        more = peer.socket.recv(65536)
        if not more:
            return
        data += more


@pytest.fixture
def secure(start, serve):
    def run(protocols, settings=CONNECTS):
        script = Chat(settings=settings)
        chosen = []

        def speak(peer):
            chosen.append(peer.socket.selected_alpn_protocol())
            if chosen[-1] == "h2":
                script(peer)
            elif "http/1.1" in protocols:
                chat_h1(peer)
        back = serve(speak, tls=context(protocols))
        gateway = start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 1
            services:
              back: {{at: "https://{back.at}", tls: {{ca: {authority().cert}}}, http2: true, outlier: {{failures: 0}}}}
            routes: {{/**: back}}
            """)
        return gateway, script, chosen
    return run


def test_over_tls_by_http2(secure):
    gateway, script, chosen = secure(("h2", "http/1.1"))
    client = Raw(gateway)
    converse(client, [b"hello"])
    close(client)
    assert chosen == ["h2"] and script.asked[0].header(":scheme") == "https"


def test_over_tls_by_http1_when_http2_has_it_not(secure):
    gateway, script, chosen = secure(("h2", "http/1.1"), settings={})
    for _ in range(3):
        client = Raw(gateway)
        converse(client, [b"hello", b"x" * 100_000])
        assert gateway.get("/").body == b"plain"
        close(client)
    assert chosen == ["h2", "http/1.1", "http/1.1", "http/1.1"]
    assert not script.asked and len(script.plain) == 3


def test_over_tls_by_http1_when_that_is_all(secure):
    gateway, _, chosen = secure(("http/1.1",))
    client = Raw(gateway)
    converse(client, [b"hello"])
    close(client)
    assert chosen == ["http/1.1"]


def test_over_tls_with_nothing_but_http2(secure):
    gateway, _, _ = secure(("h2",), settings={})
    with gateway.connect() as connection:
        connection.send_request("GET", "/", HANDSHAKE)
        assert connection.read_answer().status == 502
    assert gateway.get("/").body == b"plain"


# --- faults and ends

def test_a_service_that_vanishes(chat):
    gateway, service = chat()
    client = Raw(gateway)
    converse(client, [b"hello"])
    service.back.peers[0].socket.shutdown(2)
    assert client.read_close() == 1014
    assert gateway.log_lines(1)[0]["reason"] == "upstream-closed"
    again = Raw(gateway)
    converse(again, [b"hello"])
    close(again)


def test_a_stream_that_is_reset(chat):
    class Resetting(Chat):
        def _look(self, speaker, stream, open_streams):
            if open_streams[stream].body:
                speaker.h2.reset_stream(stream, 2)
                speaker.flush()
                del open_streams[stream]
    gateway, _ = chat(Resetting())
    client = Raw(gateway)
    client.send(frame(0x81, b"x"))
    assert client.read_close() == 1014
    assert gateway.get("/plain").body == b"plain"
    assert gateway.log_line("/")["reason"] == "upstream-closed"


def test_a_client_that_vanishes(chat):
    gateway, service = chat()
    client = Raw(gateway)
    converse(client, [b"hello"])
    reset(client.connection.socket)
    wait_for(lambda: service.closes == [1001])
    assert gateway.log_lines(1)[0]["reason"] == "client-closed"
    wait_for(lambda: gateway.metric("weir_upstream_http2_streams") == 0)
    assert gateway.get("/plain").body == b"plain" and service.back.connections == 1


def test_limits_hold(chat):
    gateway, service = chat(route=", websocket: {message-max: 1KiB}")
    client = Raw(gateway)
    client.send(frame(0x81, b"x" * 2000))
    assert client.read_close() == 1009
    wait_for(lambda: service.closes == [1001])


def test_a_slow_client_stops_its_service_and_nobody_else(chat):
    gateway, service = chat()
    slow = Raw(gateway)
    slow.connection.socket.settimeout(1)
    with contextlib.suppress(TimeoutError):
        for _ in range(40):
            slow.send(frame(0x82, bytes(1 << 20)))
    assert gateway.memory() < 150 << 20
    reset(slow.connection.socket)
    wait_for(lambda: gateway.metric("weir_upstream_http2_streams") == 0, 20)


def test_it_survives_a_reload_and_ends_with_a_stop(chat):
    gateway, service = chat(more="drain: {time: 5s, spread: 0s}")
    client = Raw(gateway)
    converse(client, [b"hello"])
    gateway.reload(gateway.config_path.read_text() + "\nhosts: [localhost]\n")
    converse(client, [b"again"])
    stop = threading.Thread(target=gateway.stop)
    stop.start()
    assert client.read_close() == 1001
    client.send(frame(0x88, struct.pack(">H", 1001)))
    stop.join(30)
    wait_for(lambda: service.closes == [1001])
    assert gateway.log_lines(1)[0]["reason"] == "shutting-down"


def test_pings_keep_it(chat):
    gateway, service = chat(route=", websocket: {ping: 1s}")
    client = Raw(gateway)
    for _ in range(3):
        first, payload = client.read()
        assert first == 0x89
        client.send(frame(0x8a, payload))
    client.send(frame(0x81, b"hello"))
    while (found := client.read())[0] == 0x89:
        client.send(frame(0x8a, found[1]))
    assert found == (0x81, b"hello")


@pytest.mark.skipif(not NODE, reason="no node here")
def test_nodes_own_service(start):
    script = Path(__file__).with_name("h2_chat_node.js")
    with subprocess.Popen([NODE, script], stdout=subprocess.PIPE, text=True) as node:
        try:
            port = int(node.stdout.readline())
            gateway = start(f"""
                version: 1
                listen: "127.0.0.1:0"
                services: {{back: "h2c://127.0.0.1:{port}"}}
                routes: {{/**: back}}
                """)
            clients = [Raw(gateway, f"/{i}") for i in range(5)]
            for client in clients:
                converse(client, [b"one", b"two", b"x" * 100])
            assert gateway.get("/plain").body == b"plain"
            for client in clients:
                close(client)
            assert {line.get("websocket.close_code") for line in gateway.log_lines(6)} == {None, 1000}
        finally:
            node.terminate()
