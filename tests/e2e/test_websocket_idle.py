"""What WebSockets cost while they rest, and that nothing is missing when they wake up or end."""

import contextlib
import json

import pytest

from authority import SecureConnection
from gateway import SANITIZED, wait_for
from https import pair
from websocket_client import HANDSHAKE, Raw, frame

COUNT = 400
MOST = 4096  # bytes of resident memory for each, both connections included
MOST_TLS = 7168


def are_at_rest(gateway, count):
    """There are that many, and no fiber waits for any of them: only who asks for the metrics has one."""
    return gateway.metric("weir_websockets_open") == count and gateway.metric("weir_worker_fibers") == 0


@contextlib.contextmanager
def resting(gateway, count, connect=lambda: None):
    """That many, each of which has passed a message both ways."""
    clients = [Raw(gateway, connection=connect()) for _ in range(count)]
    for client in clients:
        client.send(frame(0x81, b"x"))
    for client in clients:
        assert client.read() == (0x81, b"x")
    wait_for(lambda: are_at_rest(gateway, count), what="rest")
    try:
        yield clients
    finally:
        for client in clients:
            client.connection.close()


def cost_no_more(gateway, most, **how):
    """What is not needed goes back to the system by and by, until each costs no more than `most`."""
    with resting(gateway, 50, **how):
        pass
    wait_for(lambda: gateway.metric("weir_websockets_open") == 0, what="their end")
    before = gateway.memory()
    with resting(gateway, COUNT, **how) as clients:
        wait_for(lambda: SANITIZED or (gateway.memory() - before) / COUNT <= most, what=f"at most {most} bytes each")
        for number, client in enumerate(clients):
            client.send(frame(0x82, b"%d" % number))
            assert client.read() == (0x82, b"%d" % number)


def secure_connection(gateway, authority):
    return SecureConnection(gateway.address, authority.context(), "localhost")


def test_idle_ones_have_no_fiber_and_little_memory(chat):
    gateway, _ = chat(", websocket: {ping: 60s}")
    cost_no_more(gateway, MOST)


def test_so_have_those_over_tls(chat, authority):
    listen = '{https: "127.0.0.1:0"}'
    gateway, _ = chat(", websocket: {ping: 60s}", listen=listen, more="tls: " + pair(authority.issue("localhost")))
    cost_no_more(gateway, MOST_TLS, connect=lambda: secure_connection(gateway, authority))


def test_the_log_line_knows_the_request(chat):
    gateway, back = chat()
    client = Raw(gateway, "/room?x=1", {"User-Agent": "test/1", "Cookie": "secret=1"})
    client.send(frame(0x81, b"x"))
    client.read()
    wait_for(lambda: are_at_rest(gateway, 1), what="rest")
    assert gateway.reload()[0] == 200  # what the line is made of must outlive its configuration
    client.send(frame(0x88, b"\x03\xe8"))
    assert client.read_close() == 1000
    line = gateway.log_lines(1)[0]
    assert line["url.path"] == "/room" and line["url.query"] == "x=1" and line["user_agent.original"] == "test/1"
    assert line["http.request.method"] == "GET" and line["http.response.status_code"] == 101
    assert line["upstream.address"] == back.at and line["service"] == "back" and line["request.id"]
    assert line["duration"] > 0 and line["http.route"] and "secret" not in json.dumps(line)


def test_idle_ones_count_for_balancing_and_end_with_their_service(chat):
    gateway, back = chat()
    with resting(gateway, 3) as clients:
        assert gateway.in_flight() == 3
        back.abort_all()
        for client in clients:
            assert client.read_close() == 1014
            client.send(frame(0x88, b"\x03\xf6"))
        assert {line["reason"] for line in gateway.log_lines(3)} == {"upstream-closed"}
        assert gateway.in_flight() == 0


def test_messages_sent_with_the_handshake_are_passed_on(chat):
    gateway, _ = chat()
    with gateway.connect() as connection:
        fields = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
        early = frame(0x81, b"early") + frame(0x81, b"birds")
        connection.send(b"GET / HTTP/1.1\r\n" + fields.encode() + b"\r\n" + early)
        assert connection._until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert connection._exactly(14) == b"\x81\x05early\x81\x05birds"


def test_half_a_frame_can_rest(chat):
    gateway, _ = chat()
    client = Raw(gateway)
    for data in (frame(0x81, b"slowly"), frame(0x89, b"ping"), frame(0x82, b"x" * 300)):
        for byte in data[:10]:
            client.send(bytes([byte]))
            wait_for(lambda: are_at_rest(gateway, 1), what="rest")
        client.send(data[10:])
        first, payload = client.read()
        assert first in (0x81, 0x8a, 0x82) and payload in (b"slowly", b"ping", b"x" * 300)


@pytest.mark.parametrize("is_secure", [False, True])
def test_both_directions_may_be_full_at_once(chat, authority, is_secure):
    async def shout(websocket):
        for _ in range(40):
            await websocket.send(bytes(200_000))
        async for message in websocket:
            await websocket.send(f"{len(message)}")

    if is_secure:
        gateway, _ = chat(handle=shout, listen='{https: "127.0.0.1:0"}', more="tls: " + pair(authority.issue("localhost")))
    else:
        gateway, _ = chat(handle=shout)
    client = Raw(gateway, connection=secure_connection(gateway, authority) if is_secure else None)
    wait_for(lambda: gateway.metric("weir_worker_fibers") > 0, what="the service to be stuck")
    client.send(frame(0x82, bytes(100_000)))
    for _ in range(40):
        assert len(client.read()[1]) == 200_000
    assert client.read() == (0x81, b"100000")
    wait_for(lambda: are_at_rest(gateway, 1), what="rest")
