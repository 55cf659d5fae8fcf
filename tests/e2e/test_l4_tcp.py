"""TCP connections that go to a service as they are."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
from gateway import run_weir, wait_for
from l4_peers import TcpService, connect, echo, named, read_all, read_exactly, read_line, reset


@pytest.fixture
def service():
    """service(serve): a TCP service."""
    with contextlib.ExitStack() as stack:
        yield lambda serve=echo: stack.enter_context(TcpService(serve))


def config_of(at, options="", more="", drain="1s"):
    return f"""
        version: 1
        listen: {{tcp: {{"127.0.0.1:0": {{to: back{options}}}}}}}
        workers: 2
        drain: {drain}
        services: {{back: {at}}}
        {more}
        """


@pytest.fixture
def through(start, service):
    """through(serve, options): a gateway in front of such a service; (gateway, service)."""
    def make(serve=echo, options="", **others):
        back = service(serve)
        return start(config_of(f'"{back.at}"', options, **others)), back
    return make


def test_both_ways(through):
    gateway, back = through()
    with connect(gateway) as client:
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
    line = gateway.log_lines(1)[0]
    assert line["network.transport"] == "tcp" and line["service"] == "back"
    assert line["upstream.address"] == back.at and line["client.address"] == "127.0.0.1"
    assert (line["bytes.received"], line["bytes.sent"]) == (5, 5)
    assert line["duration"] > 0 and "reason" not in line
    assert gateway.metric("weir_tcp_connections_total", service="back") == 1
    assert gateway.metric("weir_tcp_received_bytes_total") == gateway.metric("weir_tcp_sent_bytes_total") == 5
    wait_for(lambda: gateway.metric("weir_tcp_open_connections") == 0)
    wait_for(lambda: gateway.in_flight() == 0)


def test_service_speaks_first(through):
    gateway, _ = through(named("db"))
    with connect(gateway) as client:
        assert read_line(client) == "db"


def test_short_form(start, service):
    back = service(named("db"))
    gateway = start(f"""
        version: 1
        listen: {{http: "127.0.0.1:0", tcp: {{"127.0.0.1:0": back}}}}
        services: {{back: "{back.at}"}}
        routes: {{/**: {{respond: "http"}}}}
        """)
    with connect(gateway, 1) as client:
        assert read_line(client) == "db"
    assert gateway.get("/").body == b"http"


def test_half_close_of_the_client(through):
    def count(connection):
        connection.sendall(str(len(read_all(connection))).encode())
    gateway, _ = through(count)
    with connect(gateway) as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"100000"
    assert "reason" not in gateway.log_lines(1)[0]


def test_half_close_of_the_service(through):
    got = []

    def serve(connection):
        connection.sendall(b"all I say")
        connection.shutdown(socket.SHUT_WR)
        got.append(read_all(connection))
    gateway, _ = through(serve)
    with connect(gateway) as client:
        assert read_all(client) == b"all I say"
        client.sendall(b"and I go on")
        client.shutdown(socket.SHUT_WR)
        wait_for(lambda: got == [b"and I go on"])
    assert "reason" not in gateway.log_lines(1)[0]


def pour(connection, size):
    """Writes so many bytes; their hash."""
    digest, left, piece = hashlib.sha256(), size, os.urandom(1 << 20)
    while left:
        part = piece[:left]
        connection.sendall(part)
        digest.update(part)
        left -= len(part)
    connection.shutdown(socket.SHUT_WR)
    return digest.hexdigest()


def soak(connection):
    digest, size = hashlib.sha256(), 0
    while data := connection.recv(1 << 20):
        digest.update(data)
        size += len(data)
    return digest.hexdigest(), size


def test_a_gigabyte(through):
    """Half of it each way at once."""
    size, service_side = 512 << 20, {}

    def serve(connection):
        pump = threading.Thread(target=lambda: service_side.update(sent=pour(connection, size)))
        pump.start()
        service_side["got"] = soak(connection)
        pump.join()
    gateway, _ = through(serve)
    with connect(gateway, timeout=120) as client:
        sent = []
        pump = threading.Thread(target=lambda: sent.append(pour(client, size)))
        pump.start()
        got = soak(client)
        pump.join()
    wait_for(lambda: {"got", "sent"} <= service_side.keys())
    assert service_side["got"] == (sent[0], size)
    assert got == (service_side["sent"], size)
    line = gateway.log_lines(1)[0]
    assert line["bytes.received"] == line["bytes.sent"] == size
    assert gateway.memory() < 64 << 20
    assert gateway.metric("weir_tcp_spliced_bytes_total", service="back") > 1.8 * size


def test_what_is_short_is_not_spliced(through):
    gateway, _ = through()
    with connect(gateway) as client:
        for _ in range(100):
            client.sendall(b"hello")
            assert read_exactly(client, 5) == b"hello"
    assert gateway.metric("weir_tcp_received_bytes_total", service="back") == 500
    assert gateway.metric("weir_tcp_spliced_bytes_total", service="back") == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_what_is_spliced_does_not_come_into_the_process(through, tmp_path):
    """The system calls are witnesses: of all these bytes hardly any are read or written."""
    size, calls = 64 << 20, tmp_path / "calls"

    def serve(connection):
        connection.recv(1)
        pour(connection, size)
    gateway, _ = through(serve)
    watch = ["strace", "-f", "-o", calls, "-e", "trace=splice,recvfrom,sendto", "-p", str(gateway.process.pid)]
    with subprocess.Popen(watch, stderr=subprocess.PIPE, text=True) as strace:
        if "attached" not in strace.stderr.readline():
            pytest.skip("nobody may look at system calls here")
        with connect(gateway, timeout=120) as client:
            client.sendall(b"x")
            assert soak(client)[1] == size
        gateway.log_lines(1)
        strace.send_signal(signal.SIGINT)
        strace.communicate()
    moved = {"splice": 0, "recvfrom": 0, "sendto": 0}
    for name, count in re.findall(r"\b(splice|recvfrom|sendto)(?:\(| resumed).*= (\d+)$", calls.read_text(), re.M):
        moved[name] += int(count)
    assert moved["splice"] > 2 * 0.9 * size  # into a pipe, and out of it
    assert moved["recvfrom"] < 0.1 * size and moved["sendto"] < 0.1 * size, moved


def test_slow_reader_slows_the_sender(through):
    sent = [0]

    def serve(connection):
        with contextlib.suppress(OSError):
            while True:
                sent[0] += connection.send(b"x" * 65536)
    gateway, _ = through(serve)
    with connect(gateway) as client:
        read_exactly(client, 1000)
        before = -1
        while before != sent[0]:  # until it stands still
            before = sent[0]
            time.sleep(0.3)
        assert sent[0] < 64 << 20
        assert gateway.memory() < 64 << 20


def test_refusing_endpoint_is_left_for_another(start, service, free_port):
    back = service(named("good"))
    gateway = start(config_of(f'["127.0.0.1:{free_port()}", "{back.at}"]'))
    for _ in range(4):
        with connect(gateway) as client:
            assert read_line(client) == "good"
    lines = gateway.log_lines(4)
    assert all(line["upstream.address"] == back.at for line in lines)
    assert any(line.get("upstream.tries") == 2 for line in lines)


def test_nobody_there(start, free_port):
    gateway = start(config_of(f'"127.0.0.1:{free_port()}"'))
    with pytest.raises(ConnectionResetError), connect(gateway) as client:
        client.recv(1)
    assert gateway.log_lines(1)[0]["reason"] == "upstream-refused"
    assert gateway.metric("weir_tcp_reasons_total", reason="upstream-refused") == 1


def test_failures_eject_an_endpoint(start, service):
    bad, good = service(reset), service(named("good"))
    gateway = start(config_of(f'{{at: ["{bad.at}", "{good.at}"], outlier: 3}}'))
    for _ in range(20):
        with contextlib.suppress(ConnectionResetError, AssertionError), connect(gateway) as client:
            read_line(client)
    wait_for(lambda: gateway.metric("weir_endpoint_healthy", endpoint=bad.at) == 0)
    for _ in range(6):
        with connect(gateway) as client:
            assert read_line(client) == "good"


def test_health_by_connecting(start, service):
    """An endpoint that nobody serves any more is taken out without a client's failure, and comes back."""
    steady, shaky = service(named("steady")), TcpService(named("shaky"))
    gateway = start(config_of(f'{{at: ["{steady.at}", "{shaky.at}"], health: tcp every 50ms, outlier: 0}}'))
    wait_for(lambda: shaky.accepted > 1)
    shaky.close()
    wait_for(lambda: gateway.metric("weir_endpoint_healthy", endpoint=shaky.at) == 0)
    for _ in range(6):
        with connect(gateway) as client:
            assert read_line(client) == "steady"
    assert all(line.get("upstream.tries", 1) == 1 for line in gateway.log_lines(6))


def test_service_dies(through):
    def die(connection):
        connection.recv(10)
        reset(connection)
    gateway, _ = through(die)
    with connect(gateway) as client:
        client.sendall(b"now")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert gateway.log_lines(1)[0]["reason"] == "upstream-closed"


def test_client_vanishes(through):
    ended = []

    def serve(connection):
        try:
            read_all(connection)
        except ConnectionResetError:
            ended.append("reset")
    gateway, _ = through(serve)
    client = connect(gateway)
    client.sendall(b"x")
    wait_for(lambda: gateway.metric("weir_tcp_received_bytes_total") == 1)
    reset(client)
    wait_for(lambda: ended == ["reset"])
    assert gateway.log_lines(1)[0]["reason"] == "client-closed"


def test_silence_ends_a_connection(through):
    gateway, _ = through(options=", idle-timeout: 2s")
    with connect(gateway) as client:
        for _ in range(10):  # any byte begins it anew
            time.sleep(0.25)
            last = time.monotonic()
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert client.recv(1) == b""
        assert time.monotonic() - last > 1.9
    assert gateway.log_lines(1)[0]["reason"] == "idle-timeout"


def test_one_way_alone_is_no_silence(through):
    """Who only downloads is silent, but the connection is not."""
    def serve(connection):
        for _ in range(12):
            connection.sendall(b"x")
            time.sleep(0.25)
    gateway, _ = through(serve, ", idle-timeout: 2s")
    with connect(gateway) as client:
        assert read_all(client) == b"x" * 12


def test_limit_of_connections(through):
    gateway, _ = through(named("in"), ", connections-max: 2")
    with contextlib.ExitStack() as stack:
        results = []
        for _ in range(8):  # two workers with two each
            with contextlib.suppress(ConnectionResetError, AssertionError):
                results.append(read_line(stack.enter_context(connect(gateway))))
        assert 2 <= len(results) <= 4
        wait_for(lambda: gateway.metric("weir_client_connections_refused_total") == 8 - len(results))
    wait_for(lambda: gateway.metric("weir_tcp_open_connections") == 0)
    with connect(gateway) as client:
        assert read_line(client) == "in"


def test_stop_waits_then_cuts(through):
    gateway, _ = through(drain="4s")
    with connect(gateway) as client, connect(gateway) as other:
        for one in (client, other):
            one.sendall(b"x")
            assert one.recv(1) == b"x"
        stopper = threading.Thread(target=gateway.stop)
        stopper.start()
        wait_for(lambda: not accepts(gateway))
        client.sendall(b"still")
        assert read_exactly(client, 5) == b"still"
        client.close()
        with pytest.raises(ConnectionResetError):
            other.recv(1)
        stopper.join()
    reasons = [json.loads(line).get("reason") for line in gateway.log_path.read_text().splitlines()]
    assert [reason for reason in reasons if reason] == ["shutting-down"]


def accepts(gateway):
    try:
        connect(gateway, timeout=1).close()
        return True
    except OSError:
        return False


def test_reloads_lose_nothing(start, service):
    """100 reloads, each to another service, under load: connections keep theirs, no byte is lost."""
    one, two = service(named("one")), service(named("two"))
    configs = [config_of(f'"{back.at}"') for back in (one, two)]
    gateway = start(configs[0])
    stop, failures, turns = threading.Event(), [], [0]

    def load():
        with connect(gateway) as kept:
            name = read_line(kept)
            while not stop.is_set():
                piece = os.urandom(20_000)
                kept.sendall(piece)
                if read_exactly(kept, len(piece)) != piece:
                    failures.append("kept")
                with connect(gateway) as fresh:
                    read_line(fresh)
                    fresh.sendall(piece)
                    fresh.shutdown(socket.SHUT_WR)
                    if read_all(fresh) != piece:
                        failures.append("fresh")
                turns[0] += 1
            kept.shutdown(socket.SHUT_WR)
            if read_all(kept) != b"" or name != "one":
                failures.append("end")

    def guarded():
        try:
            load()
        except Exception as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=guarded) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: turns[0] > 4)
    for number in range(1, 101):
        status, answer = gateway.reload(configs[number % 2])
        assert (status, answer["ok"]) == (200, True)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == [] and turns[0] > 20 and one.accepted > 4 and two.accepted > 0


def test_listener_that_goes_keeps_its_connections(start, service):
    back = service()
    gateway = start(config_of(f'"{back.at}"'))
    address = gateway.addresses[0]
    with connect(gateway) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        gateway.reload(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": other}}}}
            workers: 2
            services: {{other: "{back.at}"}}
            """)
        assert gateway.status()["listeners"][0]["address"] == address
        client.sendall(b"y")
        assert client.recv(1) == b"y"
        gateway.reload("""
            version: 1
            listen: "127.0.0.1:0"
            workers: 2
            routes: {/**: {respond: ok}}
            """)
        wait_for(lambda: not accepts(gateway))
        client.sendall(b"z")
        assert client.recv(1) == b"z"
    assert gateway.log_lines(1)[0]["service"] == "back"


def check(tmp_path, text):
    path = tmp_path / "weir.yaml"
    path.write_text(text)
    code, out, error = run_weir("check", path)
    return code, out + error


@pytest.mark.parametrize("entry, complaint", [
    ('{":5432": bakc}', 'there is no service "bakc"'),
    ('{":5432": bakc}', 'did you mean "back"?'),
    ('{"nowhere": back}', '"nowhere" is not an address'),
    ('{":5432": {idle-timeout: 1h}}', "a TCP listener needs a service"),
    ('{":5432": {to: back, sni: {a.example: back}}}', "either `to` or `sni`"),
    ('{":5432": {sni: {a.example: bakc}}}', 'there is no service "bakc"'),
    ('{":5432": {sni: {"a*.example": back}}}', "is not a server name"),
    ('{":5432": {sni: {A.example: back, a.example.: back}}}', "stands here twice"),
    ('{":5432": {sni: {a.example: [back]}}}', "a server name leads to a service"),
    ('{":5432": {to: back, proxy-protocol: true}}', "from `trusted` peers only"),
    ('{":5432": {to: back, send-proxy: v3}}', 'cannot be "v3"'),
])
def test_what_is_wrong_is_said(tmp_path, entry, complaint):
    code, said = check(tmp_path, f"""version: 1
listen: {{tcp: {entry}}}
services: {{back: "127.0.0.1:1"}}
""")
    assert code == 3 and complaint in said
