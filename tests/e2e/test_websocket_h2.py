"""WebSocket by HTTP/2 (RFC 8441): a stream that an extended CONNECT has made one."""

import contextlib
import socket
import struct

import pytest

from gateway import wait_for
from h2_client import SETTINGS, Client, Raw
from h2_websocket import Connection, frame
from websocket_service import WebSocketService


@pytest.fixture
def service():
    with contextlib.ExitStack() as stack:
        yield lambda handle=None, **options: stack.enter_context(WebSocketService(handle, **options))


@pytest.fixture
def chat(start, service):
    """chat(options, handle): a gateway before a WebSocket service: (gateway, service)."""
    def run(options="", handle=None, more="", **service_options):
        back = service(handle, **service_options)
        gateway = start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            services: {{back: "{back.at}"}}
            routes:
              GET /plain: {{respond: {{status: 200, body: hello}}}}
              GET /**: {{to: back{options}}}
            {more}
            """)
        return gateway, back
    return run


def text(message):
    return frame(0x81, message)


def closes_of(back, count=1):
    return wait_for(lambda: back.closes if len(back.closes) >= count else None, 20, "the service's ends")


# --- messages

def test_it_is_announced(chat):
    gateway, _ = chat()
    with Raw(gateway.address) as client:
        settings = client.until(SETTINGS)[3]
        assert struct.pack(">HI", 8, 1) in [settings[i:i + 6] for i in range(0, len(settings), 6)]


def test_messages_pass_both_ways(chat):
    gateway, back = chat()
    with Connection(gateway.address) as client:
        stream = client.open("/room?x=1")
        assert not {"sec-websocket-accept", "upgrade", "connection"} & set(dict(stream.answer.headers))
        for message in [b"", b"hello", b"x" * 125, b"y" * 70000, b"z" * 3_000_000]:
            stream.send(text(message))
            assert stream.read() == (0x81, message)
        for part in (frame(0x02, b"in "), frame(0x00, b"three "), frame(0x80, b"parts")):
            stream.send(part)
        assert stream.read() == (0x82, b"in three parts")
        stream.send(frame(0x89, b"ping"))
        assert stream.read() == (0x8a, b"ping")
        stream.close()
        assert stream.answer.is_whole and stream.answer.reset is None
        assert client.request("GET", "/plain").body == b"hello"
    assert closes_of(back) == [1000]
    line = gateway.log_line("/room")
    assert line["http.request.method"] == "GET" and line["http.response.status_code"] == 200
    assert line["websocket.close_code"] == 1000
    assert line["websocket.messages.received"] == 6 and line["websocket.messages.sent"] == 6
    assert "reason" not in line
    assert gateway.metric("weir_websockets_open") == 0
    assert gateway.metric("weir_websocket_closes_total", code="1000") == 1
    assert gateway.metric("weir_websocket_messages_total", direction="received") == 6


def test_the_handshake_is_said_as_http_1_says_it(chat):
    seen = []

    async def note(websocket):
        seen.append(websocket.request_headers)
        await websocket.close()

    gateway, _ = chat(handle=note, subprotocols=["chat.v2"])
    with Connection(gateway.address) as client:
        stream = client.open("/", **{"sec-websocket-protocol": "chat.v1, chat.v2", "origin": "http://a.example",
                                     "sec-websocket-key": "of no use", "cookie": "a=1",
                                     "sec-websocket-extensions": "permessage-deflate, x-unknown"})
        answer = dict(stream.answer.headers)
        assert answer["sec-websocket-protocol"] == "chat.v2"
        assert answer["sec-websocket-extensions"].startswith("permessage-deflate")
        stream.read_close()
        stream.end()
    fields = seen[0]
    assert fields["Upgrade"] == "websocket" and fields["Connection"] == "Upgrade" and fields["Host"] == "localhost"
    assert len(fields.get_all("Sec-WebSocket-Key")) == 1 and len(fields["Sec-WebSocket-Key"]) == 24
    assert fields["Origin"] == "http://a.example" and fields["Cookie"] == "a=1" and fields["Via"].startswith("2 ")
    assert not [name for name, _ in fields.raw_items() if name.startswith(":")]


def test_many_on_one_connection_beside_requests(chat):
    gateway, back = chat()
    with Connection(gateway.address) as client:
        streams = [client.open(f"/{i}") for i in range(60)]
        assert gateway.metric("weir_websockets_open") == 60
        assert (gateway.metric("weir_http2_connections"), gateway.metric("weir_http2_streams")) == (1, 60)
        for turn in range(3):
            for i, stream in enumerate(streams):
                stream.send(text(b"%d/%d " % (turn, i) * (i * 20 + 1)))
            assert client.request("GET", "/plain").body == b"hello"
            for i, stream in enumerate(streams):
                assert stream.read() == (0x81, b"%d/%d " % (turn, i) * (i * 20 + 1))
        for stream in streams:
            stream.close()
    assert closes_of(back, 60) == [1000] * 60
    wait_for(lambda: not gateway.metric("weir_http2_connections") + gateway.metric("weir_http2_streams"), what="none")


def test_an_idle_one_wakes_up_again(chat):
    gateway, _ = chat(options=", websocket: {ping: 10s}")
    with Connection(gateway.address) as client:
        stream = client.open()
        for pause in (0.1, 1.6, 2.4):
            socket_wait(client, pause)
            stream.send(text(b"hello"))
            assert stream.read() == (0x81, b"hello")
        socket_wait(client, 1.6)
        stream.close()


def socket_wait(client, seconds):
    """Deals with what comes meanwhile, which should be nothing of note."""
    if not seconds:
        return
    client.socket.settimeout(seconds)
    with contextlib.suppress(socket.timeout):
        while not client.is_over:
            client.pump()
    client.socket.settimeout(30)


# --- back-pressure

def test_a_slow_client_makes_the_service_wait_and_nobody_else(chat):
    sent = []

    async def pour(websocket):
        await websocket.recv()
        while len(sent) < 2000:
            await websocket.send(b"x" * 65536)
            sent.append(1)

    gateway, _ = chat(handle=pour)
    with Connection(gateway.address, window=65535) as client:
        stream = client.open()
        stream.send(text(b"go"))
        wait_for(lambda: len(sent) > 2, what="the first messages")
        last = -1
        while last != len(sent):
            last = len(sent)
            socket_wait(client, 0.5)
        assert len(sent) < 400, "kernel buffers and one window, not all of it"
        for _ in range(20):
            assert client.request("GET", "/plain").body == b"hello"
        for _ in range(2000):
            assert stream.read() == (0x82, b"x" * 65536)
        stream.close()


def test_a_slow_service_makes_the_client_wait_and_nobody_else(chat):
    import asyncio
    go_on = []

    async def hold(websocket):
        while not go_on:
            await asyncio.sleep(0.02)
        total = 0
        async for message in websocket:
            total += len(message)
            if total == 16 << 20:
                await websocket.send("all")

    gateway, _ = chat(handle=hold, max_queue=1, read_limit=65536)
    with Connection(gateway.address) as client:
        stream, message = client.open(), text(b"y" * 65536)
        for sent in range(256):
            if len(message) > client.h2.local_flow_control_window(stream.number):
                socket_wait(client, 0.2)
                if len(message) > client.h2.local_flow_control_window(stream.number):
                    break
            stream.send(message)
        assert sent < 250, "the window stays shut at some time"
        for _ in range(20):
            assert client.request("GET", "/plain").body == b"hello"
        go_on.append(1)
        for _ in range(sent, 256):
            stream.send(message)
        assert stream.read() == (0x81, b"all")
        stream.close()


# --- refused

@pytest.mark.parametrize("change, status", [
    ({"protocol": "webtransport"}, 501),
    ({"protocol": "connect-udp"}, 501),
    ({"protocol": "websocket-x"}, 501),
    ({"end": True}, 400),
    ({"content-length": "0"}, 400),
    ({"sec-websocket-version": None}, 400),
    ({"sec-websocket-version": "8"}, 426),
    ({":path": "/none", "protocol": "h2c"}, 501),
])
def test_what_is_no_websocket_is_refused(chat, change, status):
    gateway, _ = chat()
    with Connection(gateway.address) as client:
        answer = client.finish(client.ask(**change))
        if status == 400 and "sec-websocket-version" in change:
            assert answer.status in (400, 426)
        else:
            assert answer.status == status
        if answer.status == 426:
            assert dict(answer.headers)["sec-websocket-version"] == "13"
        assert dict(answer.headers)["content-type"] == "application/problem+json"
        assert client.request("GET", "/plain").status == 200


@pytest.mark.parametrize("fields", [
    {":method": "GET"}, {":scheme": None}, {":path": None}, {":protocol": ""}, {":protocol": "web socket"},
    {"upgrade": "websocket"}, {"connection": "upgrade"}, {":authority": None}])
def test_what_is_malformed_is_reset(chat, fields):
    gateway, back = chat()
    usual = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/",
             ":authority": "localhost", "sec-websocket-version": "13", **fields}
    with Raw(gateway.address) as client:
        client.headers(1, [(name, value) for name, value in usual.items() if value is not None], end=False)
        assert client.verdict() == (("status", 400) if ":authority" in fields else ("reset", 1))


def test_policies_see_the_handshake(chat):
    gateway, _ = chat(options=", ip: {deny: [127.0.0.0/8]}")
    with Connection(gateway.address) as client:
        assert client.finish(client.ask("/")).status == 403
        assert client.request("GET", "/plain").status == 200


def test_a_service_may_decline(start, serve):
    service = serve(lambda peer: (peer.read_head(), peer.socket.sendall(
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")))
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    with Connection(gateway.address) as client:
        answer = client.finish(client.ask("/"))
        assert (answer.status, answer.body) == (403, b"no")


# --- limits

def test_a_message_that_is_too_large_is_1009(chat):
    gateway, back = chat(options=", websocket: {message-max: 1KiB}")
    with Connection(gateway.address) as client:
        stream = client.open("/large")
        stream.send(text(b"x" * 1024))
        assert stream.read() == (0x81, b"x" * 1024)
        stream.send(text(b"x" * 1025))
        assert stream.read_close() == 1009
        stream.end()
    assert closes_of(back) == [1001]
    line = gateway.log_line("/large")
    assert line["websocket.close_code"] == 1009 and line["reason"] == "message-too-large"


def test_messages_that_come_too_fast_are_1008(chat):
    gateway, _ = chat(options=", websocket: {rate: 5/min}")
    with Connection(gateway.address) as client:
        stream = client.open("/fast")
        for _ in range(5):
            stream.send(text(b"x"))
            assert stream.read() == (0x81, b"x")
        stream.send(text(b"x"))
        assert stream.read_close() == 1008
    assert gateway.log_line("/fast")["reason"] == "messages-too-many"


@pytest.mark.parametrize("data, code", [
    (b"\x81\x05hello", 1002),       # not masked
    (frame(0xc1, b"x"), 1002),      # a reserved bit
    (frame(0x83, b"x"), 1002),      # a reserved kind
    (frame(0x88, b"\x03"), 1002),   # half a code
])
def test_broken_frames_are_not_passed_on(chat, data, code):
    gateway, _ = chat()
    with Connection(gateway.address) as client:
        stream = client.open()
        stream.send(data)
        assert stream.read_close() == code


def test_silence_is_pinged_and_who_does_not_answer_is_given_up(chat):
    gateway, back = chat(options=", websocket: {ping: 2s}")
    with Connection(gateway.address) as client:
        stream = client.open("/silent")
        for _ in range(3):
            first, word = stream.read()
            assert first == 0x89
            stream.send(frame(0x8a, word))
        assert stream.read()[0] == 0x89
        line = gateway.log_line("/silent")
        assert line["websocket.close_code"] == 1006 and line["reason"] == "client-closed"
    assert closes_of(back) == [1001]


def test_an_idle_one_can_be_ended(chat):
    gateway, back = chat(options=", websocket: {idle: 300ms}")
    with Connection(gateway.address) as client:
        stream = client.open("/idle")
        assert stream.read_close() == 1001
        stream.send(frame(0x88, b"\x03\xe9"))
        stream.end()
    assert closes_of(back) == [1001]
    assert gateway.log_line("/idle")["reason"] == "idle-timeout"


# --- ends

def reset(stream):
    stream.reset()


def end_without_a_word(stream):
    stream.send(b"", end=True)


def close_the_connection(stream):
    stream.connection.socket.close()


def half_close_the_connection(stream):
    stream.connection.socket.shutdown(socket.SHUT_WR)


def reset_the_connection(stream):
    stream.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.connection.socket.close()


@pytest.mark.parametrize("idle", [0, 1.6])
@pytest.mark.parametrize("leave", [reset, end_without_a_word, close_the_connection, half_close_the_connection,
                                   reset_the_connection])
def test_the_client_vanishes(chat, leave, idle):
    gateway, back = chat()
    with Connection(gateway.address) as client:
        stream = client.open("/gone")
        socket_wait(client, idle)
        leave(stream)
        assert closes_of(back) == [1001]
    line = gateway.log_line("/gone")
    assert line["websocket.close_code"] == 1006 and line["reason"] == "client-closed"
    wait_for(lambda: gateway.metric("weir_websockets_open") == 0, what="no WebSocket")


def test_a_reset_while_the_service_is_slow(chat):
    """The client leaves while the gateway waits to write to it, and in the midst of a message."""
    async def pour(websocket):
        while True:
            await websocket.send(b"x" * 65536)

    gateway, back = chat(handle=pour)
    with Connection(gateway.address, window=65535) as client:
        stream = client.open("/gone")
        stream.bytes(100)
        socket_wait(client, 0.5)
        stream.reset()
        assert gateway.log_line("/gone")["websocket.close_code"] == 1006
        assert client.request("GET", "/plain").body == b"hello"
    closes_of(back)


def test_a_reset_between_request_and_answer(start, serve):
    def hold(peer):
        peer.read_head()
        peer.socket.recv(1)

    service = serve(hold)
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    with Connection(gateway.address) as client:
        stream = client.ask("/early")
        wait_for(gateway.in_flight, what="the request")
        client.h2.reset_stream(stream, 8)
        client.flush()
        assert gateway.log_line("/early")["reason"] == "client-closed"


@pytest.mark.parametrize("idle", [0, 1.6])
def test_the_service_dies(start, serve, idle):
    import hashlib
    from base64 import b64encode

    def die(peer):
        key = peer.read_head().header("Sec-WebSocket-Key")
        accept = b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        peer.socket.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n\x81\x02hi")
        wait_for(lambda: go_on, 20, "leave to go")
        peer.socket.close()

    go_on = []
    service = serve(die)
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    with Connection(gateway.address) as client:
        stream = client.open("/dies")
        assert stream.read() == (0x81, b"hi"), "what came with the head"
        socket_wait(client, idle)
        go_on.append(1)
        assert stream.read_close() == 1014
        stream.send(frame(0x88, b"\x03\xf6"))
        stream.end()
    line = gateway.log_line("/dies")
    assert line["websocket.close_code"] == 1006 and line["reason"] == "upstream-closed"


def test_a_client_that_does_not_end_its_side_is_reset(chat):
    gateway, _ = chat()
    with Connection(gateway.address) as client:
        stream = client.open()
        stream.send(frame(0x88, b"\x03\xe8"))
        assert stream.read_close() == 1000
        answer = stream.answer
        while answer.reset is None:
            client.pump()
        assert answer.is_whole and answer.reset == 0


# --- changes around it

def test_reloads_leave_messages_alone(chat):
    gateway, _ = chat()
    with Connection(gateway.address) as client:
        stream = client.open()
        message = text(b"half")
        for _ in range(5):
            stream.send(message[:3])
            assert gateway.reload()[0] == 200
            stream.send(message[3:])
            assert stream.read() == (0x81, b"half")
        stream.close()


def test_it_outlives_its_listener(chat):
    gateway, _ = chat()
    with Connection(gateway.address) as client:
        stream = client.open("/stays")
        config = gateway.config_path.read_text().replace("127.0.0.1:0", "127.0.0.2:0")
        assert gateway.reload(config)[0] == 200
        while not client.goaways:
            client.pump()
        for _ in range(3):
            stream.send(text(b"still here"))
            assert stream.read() == (0x81, b"still here")
        stream.close()
        while not client.is_over:
            client.pump()
        assert set(client.goaways) == {0}
    assert gateway.log_line("/stays")["websocket.close_code"] == 1000


@pytest.mark.parametrize("idle", [0, 1.6])
def test_a_stop_closes_with_1001(chat, idle):
    gateway, back = chat()
    with Connection(gateway.address) as client:
        streams = [client.open("/stop") for _ in range(3)]
        socket_wait(client, idle)
        gateway.process.terminate()
        for stream in streams:
            assert stream.read_close() == 1001
            stream.send(frame(0x88, b"\x03\xe9"))
            assert stream.end().reset is None
    assert closes_of(back, 3) == [1001] * 3
    assert gateway.process.wait(10) == 0
    assert [line["reason"] for line in gateway.log_lines(3)] == ["shutting-down"] * 3


def test_plain_requests_know_nothing_of_it(chat):
    gateway, _ = chat()
    with Client(gateway.address) as client:
        assert client.request("GET", "/plain").body == b"hello"
    with Raw(gateway.address) as client:
        client.headers(1, [(":method", "CONNECT"), (":authority", "a.example:443")])
        assert client.verdict() == ("status", 501)
