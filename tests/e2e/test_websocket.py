"""WebSocket through the gateway: handshake, messages, limits, closing, faults."""

import asyncio
import base64
import contextlib
import hashlib
import random
import signal
import socket
import struct
import threading

import pytest
import websockets

from gateway import wait_for
from websocket_client import HANDSHAKE, KEY, Raw, frame



def connect(gateway, path="/", **options):
    return websockets.connect("ws://%s:%d%s" % (*gateway.address, path),
                              **{"ping_interval": None, "max_size": None, "open_timeout": 20, **options})


def run(coroutine, timeout=60):
    return asyncio.run(asyncio.wait_for(coroutine, timeout))


# --- messages

def test_messages_pass_both_ways(chat):
    gateway, _ = chat()

    async def play():
        async with connect(gateway, "/room?x=1", subprotocols=None) as client:
            for message in ["", "hello", "é" * 1000, b"", b"\0\xff" * 70000, "x" * 3_000_000]:
                await client.send(message)
                assert await client.recv() == message
            await client.send([b"in ", b"three ", b"parts"])
            assert await client.recv() == b"in three parts"
            await (await client.ping())
        return client.close_code

    assert run(play()) == 1000
    line = gateway.log_line("/room")
    assert line["http.response.status_code"] == 101 and line["websocket.close_code"] == 1000
    assert line["websocket.messages.received"] == 7 and line["websocket.messages.sent"] == 7
    assert "reason" not in line
    assert gateway.metric("weir_websockets_open") == 0
    assert gateway.metric("weir_websocket_closes_total", code="1000") == 1
    assert gateway.metric("weir_websocket_messages_total", direction="received") == 7


def test_compression_and_subprotocols_are_the_peers_business(chat):
    gateway, _ = chat(subprotocols=["chat.v2"])

    async def play():
        async with connect(gateway, subprotocols=["chat.v1", "chat.v2"], compression="deflate") as client:
            assert client.subprotocol == "chat.v2"
            assert [e.name for e in client.extensions] == ["permessage-deflate"]
            for message in ["a" * 100_000, b"b" * 10]:
                await client.send(message)
                assert await client.recv() == message

    run(play())


def test_both_codes_and_reasons_of_a_close_pass(chat):
    async def leave(websocket):
        await websocket.recv()
        await websocket.close(4321, "the service says so")

    gateway, back = chat(handle=leave)

    async def play():
        async with connect(gateway) as client:
            await client.send("go")
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            return client.close_code, client.close_reason

    assert run(play()) == (4321, "the service says so")
    assert gateway.log_lines(1)[0]["websocket.close_code"] == 4321


def test_two_hundred_at_once_byte_for_byte(chat):
    gateway, _ = chat()

    async def play_one(number):
        dice = random.Random(number)
        async with connect(gateway, compression=None) as client:
            messages = [dice.randbytes(dice.choice([0, 1, 125, 126, 1000, 65535, 65536, 200_000])) for _ in range(6)]

            async def write():
                for message in messages:
                    await client.send(message)

            task = asyncio.ensure_future(write())
            for message in messages:
                assert hashlib.sha1(await client.recv()).digest() == hashlib.sha1(message).digest()
            await task

    async def play():
        await asyncio.gather(*(play_one(number) for number in range(200)))

    run(play(), 120)
    assert all(line["websocket.close_code"] == 1000 for line in gateway.log_lines(200))


def test_an_idle_one_wakes_up_again(chat):
    gateway, _ = chat()

    async def play():
        async with connect(gateway) as client:
            for _ in range(3):
                await client.send("x")
                assert await client.recv() == "x"
                await asyncio.sleep(2.3)
                assert gateway.metric("weir_websockets_open") == 1

    run(play())


def test_a_slow_reader_makes_the_sender_wait(chat):
    sent = []

    async def flood(websocket):
        for number in range(2000):
            await websocket.send(bytes(100_000))
            sent.append(number)

    gateway, _ = chat(handle=flood)
    client = Raw(gateway)
    wait_for(lambda: len(sent) > 5, what="the beginning")
    seen = -1
    while seen != len(sent):  # until the service is stuck
        seen = len(sent)
        threading.Event().wait(0.5)
    assert seen < 500
    for _ in range(2000):
        assert len(client.read()[1]) == 100_000


# --- the handshake

@pytest.mark.parametrize("change, status", [
    ({"Sec-WebSocket-Version": "8"}, 426), ({"Sec-WebSocket-Version": None}, 426),
    ({"Sec-WebSocket-Key": None}, 400), ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
    ({"Sec-WebSocket-Key": "!" * 24}, 400), ({"Content-Length": "5"}, 400),
    ({"Connection": "Upgrade, Sec-WebSocket-Key"}, 400),
])
def test_a_bad_handshake_is_refused(chat, change, status):
    gateway, back = chat()
    fields = {name: value for name, value in {**HANDSHAKE, **change}.items() if value is not None}
    answer = gateway.get("/", fields, body=b"x" * int(fields.get("Content-Length", 0)))
    assert answer.status == status
    assert answer.header("Sec-WebSocket-Version") == ("13" if status == 426 else None)


def test_only_get_opens_a_websocket(chat):
    gateway, _ = chat()
    assert gateway.request("POST", "/", HANDSHAKE).status == 400


@pytest.mark.parametrize("fields", [
    {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"},
    {"Upgrade": "TLS/1.0", "Connection": "Upgrade"},
    {"Upgrade": "websocket"},                                       # not named by Connection
    {"Upgrade": "websocket, h2c", "Connection": "keep-alive"},
])
def test_other_upgrades_are_never_passed_on(shop, fields):
    gateway, service = shop
    answer = gateway.get("/plain", fields)
    assert answer.status == 200
    seen = service.requests[-1]
    assert seen.header("Upgrade") is None and seen.header("Connection") is None
    assert seen.header("HTTP2-Settings") is None


def test_a_service_that_upgrades_unasked_is_refused(start, serve):
    service = serve(lambda peer: (peer.read_request(), peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")))
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    assert gateway.get("/").status == 502


def accept(key):
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


GOOD = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Accept": accept(KEY)}


@pytest.mark.parametrize("change", [
    {"Sec-WebSocket-Accept": accept("x" * 24)}, {"Sec-WebSocket-Accept": None}, {"Upgrade": "h2c"},
    {"Connection": "close"}, {"Sec-WebSocket-Protocol": "never.offered"},
    {"Sec-WebSocket-Extensions": "permessage-deflate"}, {"Sec-WebSocket-Extensions": "x-other"},
])
def test_a_wrong_answer_to_the_handshake_is_502(start, serve, change):
    fields = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    service = serve(lambda peer: (peer.read_request(), peer.send(b"HTTP/1.1 101 X\r\n" + "".join(
        f"{n}: {v}\r\n" for n, v in fields.items()).encode() + b"\r\n")))
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    answer = gateway.get("/", HANDSHAKE)
    assert answer.status == 502
    assert "http_upgrade_failed" in answer.header("Proxy-Status")
    assert gateway.log_lines(1)[0]["reason"] == "upstream-upgrade"


def test_a_service_may_decline(shop):
    gateway, service = shop
    answer = gateway.get("/no", HANDSHAKE)
    assert answer.status == 200
    seen = service.requests[-1]
    assert seen.header("Upgrade") == "websocket" and seen.header("Connection") == "Upgrade"


def test_policies_see_the_handshake(chat):
    gateway, _ = chat(", limit: 1/h")
    Raw(gateway)
    assert gateway.get("/", HANDSHAKE).status == 429


def test_connect_and_other_hosts_are_refused(shop):
    gateway, service = shop
    with gateway.connect() as connection:
        connection.send(b"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n")
        assert connection.read_answer("GET").status == 501
    before = len(service.requests)
    strict = gateway.reload(f"""
        version: 1
        listen: "127.0.0.1:0"
        hosts: shop.example
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    assert strict[0] == 200
    with gateway.connect() as connection:
        connection.send(b"GET http://other.example/x HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert connection.read_answer("GET").status in (404, 421)
    assert len(service.requests) == before


# --- limits

def test_a_message_that_is_too_large_is_1009(chat):
    gateway, back = chat(", websocket: {message-max: 1KiB}")

    async def play():
        async with connect(gateway, compression=None) as client:
            await client.send(b"x" * 1024)
            assert len(await client.recv()) == 1024
            await client.send([b"x" * 600, b"x" * 600])
            with pytest.raises(websockets.ConnectionClosed):
                await client.recv()
            return client.close_code

    assert run(play()) == 1009
    line = gateway.log_lines(1)[0]
    assert line["reason"] == "message-too-large" and line["websocket.close_code"] == 1009
    wait_for(lambda: back.closes == [1001], what="the service's end")


def test_messages_that_come_too_fast_are_1008(chat):
    gateway, _ = chat(", websocket: {rate: 20/min}")
    client = Raw(gateway)
    for _ in range(20):
        client.send(frame(0x81, b"x"))
        assert client.read() == (0x81, b"x")
    client.send(frame(0x81, b"x"))
    assert client.read_close() == 1008
    client.connection.close()
    assert gateway.log_lines(1)[0]["reason"] == "messages-too-many"


@pytest.mark.parametrize("data, code", [
    (b"\x81\x05Hello", 1002), (frame(0xc1, b"x"), 1002), (frame(0x83, b"x"), 1002), (frame(0x80, b"x"), 1002),
    (frame(0x09, b"x"), 1002), (frame(0x88, b"\x03\xed"), 1002), (frame(0x88, b"\x03\xe8\xff"), 1007),
    (frame(0x81, b"x") + b"\x91\x80", 1002),
])
def test_broken_frames_are_not_passed_on(chat, data, code):
    gateway, back = chat()
    client = Raw(gateway)
    client.send(data)
    first, payload = client.read()
    if first == 0x81:
        first, payload = client.read()
    assert (first, struct.unpack(">H", payload)[0]) == (0x88, code)
    client.connection.close()
    assert gateway.log_lines(1)[0]["reason"] == "websocket-protocol"
    wait_for(lambda: back.closes == [1001], what="the service's end")


def test_silence_is_pinged_and_its_answers_end_here(chat):
    gateway, _ = chat(", websocket: {ping: 2s}")
    client = Raw(gateway)
    for _ in range(2):
        first, payload = client.read()
        assert first == 0x89
        client.send(frame(0x8a, payload))
    client.send(frame(0x81, b"still here"))
    assert client.read() == (0x81, b"still here")


def test_who_does_not_answer_pings_is_given_up(chat):
    gateway, back = chat(", websocket: {ping: 1s}")
    client = Raw(gateway)
    assert client.read()[0] == 0x89
    wait_for(lambda: back.closes == [1001], what="the service's end")
    line = gateway.log_lines(1)[0]
    assert line["reason"] == "client-closed" and line["websocket.close_code"] == 1006


def test_an_idle_websocket_can_be_ended(chat):
    gateway, back = chat(", websocket: {idle: 1s, ping: 0s}")
    client = Raw(gateway)
    client.send(frame(0x81, b"x"))
    client.read()
    assert client.read_close() == 1001
    client.send(frame(0x88, b"\x03\xe9"))
    assert gateway.log_lines(1)[0]["reason"] == "idle-timeout"
    wait_for(lambda: back.closes == [1001], what="the service's end")


# --- faults

def test_the_service_dies_between_messages(chat):
    async def die(websocket):
        await websocket.recv()
        websocket.transport.abort()

    gateway, _ = chat(handle=die)
    client = Raw(gateway)
    client.send(frame(0x81, b"x"))
    assert client.read_close() == 1014
    client.send(frame(0x88, b"\x03\xf6"))
    line = gateway.log_lines(1)[0]
    assert line["reason"] == "upstream-closed" and line["websocket.close_code"] == 1006


def test_the_service_dies_in_a_message(chat):
    async def die(websocket):
        websocket.transport.write(b"\x82\x7e\x10\x00" + b"x" * 100)
        await asyncio.sleep(0.2)
        websocket.transport.abort()

    gateway, _ = chat(handle=die)
    client = Raw(gateway)
    assert client.connection._exactly(104)[4:] == b"x" * 100
    with contextlib.suppress(ConnectionError):
        assert client.connection.socket.recv(1) == b""  # the frame cannot be ended: no Close frame in its midst
    assert gateway.log_lines(1)[0]["reason"] == "upstream-closed"


def test_the_client_vanishes(chat):
    gateway, back = chat()
    client = Raw(gateway)
    client.send(frame(0x82, b"x" * 1000)[:500])
    client.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.connection.socket.close()
    wait_for(lambda: len(back.closes) == 1, what="the service's end")
    assert gateway.log_lines(1)[0]["reason"] == "client-closed"


def test_reloads_leave_messages_alone(chat):
    gateway, back = chat()

    async def play():
        async with connect(gateway) as client:
            for number in range(10):
                assert gateway.reload()[0] == 200
                await client.send(f"{number}")
                assert await client.recv() == f"{number}"

    run(play())


def test_a_reload_in_the_midst_of_a_frame(chat):
    gateway, _ = chat()
    client = Raw(gateway)
    data = frame(0x82, bytes(range(256)) * 40)
    client.send(data[:5000])
    assert gateway.reload()[0] == 200
    client.send(data[5000:])
    assert client.read() == (0x82, bytes(range(256)) * 40)


def test_a_stop_closes_with_1001(chat):
    gateway, back = chat()
    clients = [Raw(gateway) for _ in range(5)]
    clients[0].send(frame(0x81, b"x"))
    assert clients[0].read() == (0x81, b"x")
    gateway.process.send_signal(signal.SIGTERM)
    for client in clients:
        assert client.read_close() == 1001
        client.send(frame(0x88, b"\x03\xe9"))
        assert client.connection.socket.recv(1) == b""
    assert gateway.process.wait(20) == 0
    wait_for(lambda: back.closes == [1001] * 5, what="the service's end")


def test_a_stop_lets_a_frame_end(start, serve):
    go_on = threading.Event()

    def slowly(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 101 X\r\n" + "".join(f"{n}: {v}\r\n" for n, v in GOOD.items()).encode() + b"\r\n")
        peer.send(b"\x82\x7e\x10\x00" + b"x" * 100)
        go_on.wait(20)
        peer.send(b"x" * (4096 - 100))
        assert peer.socket.recv(2) == b"\x88\x82"  # the gateway's Close, masked

    service = serve(slowly)
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    client = Raw(gateway)
    client.connection._exactly(50)
    gateway.process.send_signal(signal.SIGTERM)
    threading.Event().wait(0.5)
    go_on.set()
    assert client.connection._exactly(4 + 4096 - 50)[-1:] == b"x"
    assert client.read_close() == 1001
    client.send(frame(0x88, b"\x03\xe9"))
    assert gateway.process.wait(20) == 0
