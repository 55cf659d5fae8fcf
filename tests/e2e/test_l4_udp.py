"""Datagrams that go to a service as they are, and the answers back."""

import contextlib
import os
import random
import socket
import subprocess

import pytest
from gateway import has_ipv6, run_weir, wait_for
from l4_peers import UdpService, ask, datagram_socket, port_of


@pytest.fixture
def service():
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **more: stack.enter_context(UdpService(*arguments, **more))


@pytest.fixture
def client():
    """client(gateway): a socket that speaks to its first listener."""
    with contextlib.ExitStack() as stack:
        def make(gateway, host="127.0.0.1", number=0):
            return stack.enter_context(datagram_socket(gateway, number, host))
        yield make


def config_of(at, options="", listener="127.0.0.1:0"):
    return f"""
        version: 1
        listen: {{udp: {{"{listener}": {{to: back{options}}}}}}}
        workers: 2
        services: {{back: {at}}}
        """


def test_there_and_back(start, service, client):
    back = service()
    gateway = start(config_of(f'"{back.at}"', ", idle-timeout: 2s"))
    one, other = client(gateway), client(gateway)
    for i in range(50):
        assert ask(one, b"one %d" % i) == b"one %d" % i
        assert ask(other, b"other %d" % i) == b"other %d" % i
    assert len(set(back.peers)) == 2
    lines = gateway.log_lines(2)
    for line in lines:
        assert line["network.transport"] == "udp" and line["upstream.address"] == back.at
        assert line["datagrams.received"] == line["datagrams.sent"] == 50
        assert line["bytes.received"] == line["bytes.sent"] and "reason" not in line
    assert gateway.metric("weir_udp_sessions_total", service="back") == 2
    assert gateway.metric("weir_udp_received_datagrams_total") == 100
    wait_for(lambda: gateway.metric("weir_udp_open_sessions") == 0)
    wait_for(lambda: gateway.in_flight() == 0)


@pytest.mark.parametrize("size", [0, 1, 1500, 9000, 65507])
def test_sizes(start, service, client, size):
    gateway = start(config_of(f'"{service().at}"'))
    data = os.urandom(size)
    assert ask(client(gateway), data) == data


def test_many_at_once(start, service, client):
    """Bursts from many clients: each gets its own answers."""
    gateway = start(config_of(f'"{service().at}"'))
    clients = [client(gateway) for _ in range(50)]
    for burst in range(10):
        for number, one in enumerate(clients):
            one.send(b"%d %d" % (number, burst))
        for number, one in enumerate(clients):
            assert one.recv(100) == b"%d %d" % (number, burst)
    assert gateway.metric("weir_udp_dropped_datagrams_total") == 0


def test_several_answers(start, service, client):
    gateway = start(config_of(f'"{service(lambda data: [data, data + b"2", data + b"3"]).at}"'))
    one = client(gateway)
    one.send(b"x")
    assert [one.recv(10) for _ in range(3)] == [b"x", b"x2", b"x3"]


def test_answers_come_from_where_was_asked(start, service):
    """With a listener on every address."""
    back = service()
    gateway = start(config_of(f'"{back.at}"', listener=":0"))
    for host in ["127.0.0.1", "127.0.0.2"]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.settimeout(30)
            one.sendto(b"x", (host, port_of(gateway)))
            assert one.recvfrom(10) == (b"x", (host, port_of(gateway)))
    if not has_ipv6():
        return
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.settimeout(30)
        one.sendto(b"x", ("::1", port_of(gateway)))
        assert one.recvfrom(10)[1][:2] == ("::1", port_of(gateway))


def test_sessions_end_with_their_replies(start, service, client):
    gateway = start(config_of(f'"{service().at}"', ", replies: 1"))
    one = client(gateway)
    for _ in range(3):
        assert ask(one, b"x") == b"x"
        wait_for(lambda: gateway.metric("weir_udp_open_sessions") == 0)
    assert len(gateway.log_lines(3)) == 3


def test_refusal_moves_a_session(start, service, client, free_port):
    back = service()
    gateway = start(config_of(f'{{at: ["127.0.0.1:{free_port()}", "{back.at}"], outlier: 2}}'))
    for _ in range(6):
        one = client(gateway)
        for _ in range(20):  # the refusal of the first comes later
            one.send(b"x")
            with contextlib.suppress(TimeoutError):
                one.settimeout(0.2)
                assert one.recv(10) == b"x"
                break
        else:
            raise AssertionError("no answer")
    wait_for(lambda: gateway.metric("weir_endpoint_healthy") == 1)
    assert gateway.metric("weir_upstream_failures_total", reason="upstream-refused") >= 2


def test_health_by_datagrams(start, service):
    silent = service(lambda data: None)
    gone = UdpService()
    config = config_of(f'{{at: ["{silent.at}", "{gone.at}"], health: udp every 50ms timeout 50ms}}')
    gateway = start(config)
    wait_for(lambda: silent.got and gone.got)
    gone.close()
    wait_for(lambda: gateway.metric("weir_endpoint_healthy", endpoint=gone.at) == 0)
    assert gateway.metric("weir_endpoint_healthy", endpoint=silent.at) == 1


def test_nobody_there(start, client, free_port):
    gateway = start(config_of(f'"127.0.0.1:{free_port()}"'))
    client(gateway).send(b"x")
    assert gateway.log_lines(1)[0]["reason"] == "upstream-refused"


def test_service_comes_back(start, service, client):
    first = UdpService()
    gateway = start(config_of(f'"{first.at}"'))
    one = client(gateway)
    assert ask(one, b"x") == b"x"
    first.close()
    one.settimeout(0.1)
    for _ in range(3):
        one.send(b"lost")
        with contextlib.suppress(TimeoutError):
            one.recv(10)
    service(port=first.port)
    one.settimeout(30)
    assert ask(one, b"y") == b"y"


def test_oldest_session_makes_room(start, service, client):
    back = service()
    gateway = start(config_of(f'"{back.at}"', ", sessions-max: 3"))
    clients = [client(gateway) for _ in range(4)]
    for one in clients[:3]:
        assert ask(one, b"x") == b"x"
    assert ask(clients[0], b"y") == b"y"
    assert ask(clients[3], b"z") == b"z"
    line = gateway.log_lines(1)[0]
    assert line["reason"] == "session-evicted" and line["client.port"] == clients[1].getsockname()[1]
    assert gateway.metric("weir_udp_open_sessions") == 3


def test_reloads_keep_sessions(start, service, client):
    one, two = service(lambda data: b"one"), service(lambda data: b"two")
    gateway = start(config_of(f'"{one.at}"'))
    kept = client(gateway)
    assert ask(kept, b"x") == b"one"
    for number in range(20):
        status, _ = gateway.reload(config_of(f'"{(two, one)[number % 2].at}"'))
        assert status == 200
        assert ask(kept, b"x") == b"one"
        assert ask(client(gateway), b"x") == [b"two", b"one"][number % 2]
    assert one.peers.count(one.peers[0]) >= 20


def test_tcp_and_udp_on_one_port(start, service, free_port):
    back = service()
    port = free_port()
    gateway = start(f"""
        version: 1
        listen: {{tcp: {{"127.0.0.1:{port}": back}}, udp: {{"127.0.0.1:{port}": back}}}}
        services: {{back: "{back.at}"}}
        """)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(30)
        one.connect(("127.0.0.1", port))
        assert ask(one, b"x") == b"x"
    with socket.create_connection(("127.0.0.1", port)):
        pass
    assert gateway.reload(f"""
        version: 1
        listen: {{udp: {{"127.0.0.1:{port}": back}}}}
        services: {{back: "{back.at}"}}
        """)[0] == 200
    wait_for(lambda: refuses(port))


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    except ConnectionRefusedError:
        return True


def test_stop_ends_sessions(start, service, client):
    gateway = start(config_of(f'"{service().at}"'))
    assert ask(client(gateway), b"x") == b"x"
    assert gateway.stop() == 0
    assert '"reason":"shutting-down"' in gateway.log_path.read_text()


SERVER_ID, CLIENT_ID, FIRST_ID = b"SRVID678", b"CLID", b"first-destination"


def long_packet(to, source, body=b""):
    return bytes([0xc3, 0, 0, 0, 1, len(to)]) + to + bytes([len(source)]) + source + body.ljust(1180, b"\0")


def quic_server(name):
    """Answers as a QUIC server does, as far as can be seen from outside."""
    return lambda data: long_packet(CLIENT_ID, SERVER_ID) if data[0] & 0x80 else b"\x40" + CLIENT_ID + name


def test_quic_client_that_moves_keeps_its_service(start, service, client):
    backs = [service(quic_server(name)) for name in (b"A", b"B", b"C")]
    listed = ", ".join(f'"{back.at}"' for back in backs)
    gateway = start(config_of(f"[{listed}]", ", quic: true"))
    one = client(gateway)
    assert ask(one, long_packet(FIRST_ID, CLIENT_ID))[0] == 0xc3
    name = ask(one, b"\x40" + SERVER_ID + b"data")[-1:]
    for _ in range(5):
        moved = client(gateway)
        assert ask(moved, b"\x40" + SERVER_ID + b"data")[-1:] == name
    assert gateway.metric("weir_udp_open_sessions") == 1
    stranger = client(gateway)
    ask(stranger, b"\x40" + b"UNKNOWN9" + b"data")
    assert gateway.metric("weir_udp_open_sessions") == 2


def test_garbage_for_quic(start, service, client):
    gateway = start(config_of(f'"{service().at}"', ", quic: true"))
    one, source = client(gateway), random.Random(7)
    for size in [0, 1, 2, 5, 6, 7, 20, 21, 22] * 10:
        data = bytes([source.choice([0x40, 0xc0, 0x80, 0xff])]) + source.randbytes(size)
        assert ask(one, data) == data


def test_dnsmasq(start, tmp_path, free_port, client):
    """A real service, and a real client's question."""
    port = free_port()
    server = subprocess.Popen(["/usr/sbin/dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                               f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--user=",
                               "--address=/shop.test/192.0.2.7", f"--pid-file={tmp_path}/pid"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        gateway = start(config_of(f'"127.0.0.1:{port}"', ", replies: 1"))
        question = bytes.fromhex("1234 0100 0001 0000 0000 0000 04") + b"shop\x04test\0\0\x01\0\x01"

        def answer():
            one = client(gateway)
            one.settimeout(0.2)
            one.send(question)
            with contextlib.suppress(TimeoutError):
                return one.recv(512)
        assert wait_for(answer).endswith(bytes([192, 0, 2, 7]))
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("entry, complaint", [
    ('{":53": bakc}', 'there is no service "bakc"'),
    ('{"unix:/run/x.sock": back}', "is not an address"),
    ('{":53": {replies: 1}}', '"to"'),
    ('{":53": {to: back, idle-timeout: 5}}', "idle-timeout"),
])
def test_what_is_wrong_is_said(tmp_path, entry, complaint):
    path = tmp_path / "weir.yaml"
    path.write_text(f'version: 1\nlisten: {{udp: {entry}}}\nservices: {{back: "127.0.0.1:1"}}\n')
    code, out, error = run_weir("check", path)
    assert code == 3 and complaint in out + error
