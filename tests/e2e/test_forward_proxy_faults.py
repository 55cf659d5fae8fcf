"""A forward proxy when something goes wrong, or the gateway changes under it."""

import contextlib
import socket
import threading
import time

import pytest
from faults import FullDoor
from gateway import wait_for
from http_client import Closed
from l4_peers import TcpService, echo, read_all, reset
from proxy_client import Tunnel, config, reason_of, refused


@pytest.fixture
def service():
    """service(serve): a TCP service."""
    with contextlib.ExitStack() as stack:
        yield lambda serve=echo: stack.enter_context(TcpService(serve))


@pytest.fixture
def proxy(start):
    return lambda option='"loopback:*"', **more: start(config(option, **more))


def ask(gateway, at, *lines, method="GET", body=b""):
    with gateway.connect() as connection:
        connection.send("\r\n".join([f"{method} http://{at}/ HTTP/1.1", f"Host: {at}", *lines, "", ""]).encode() + body)
        return connection.read_answer(method)


def full_queue():
    """Where nobody lets a connection in, nor refuses it."""
    return contextlib.closing(FullDoor())


def test_a_target_that_refuses(proxy, free_port):
    gateway, at = proxy(), f"127.0.0.1:{free_port()}"
    assert refused(gateway, at) == (502, "upstream-refused", "weir; error=connection_refused")
    answer = ask(gateway, at)
    assert (answer.status, reason_of(answer)) == (502, "upstream-refused")
    assert [line["upstream.address"] for line in gateway.log_lines(2)] == [at, at]
    wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 0)


def test_the_next_address_is_tried(proxy, service):
    """localhost is ::1 too, where nobody listens."""
    with Tunnel(proxy(), f"localhost:{service().port}") as tunnel:
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"


def test_a_target_that_never_lets_in(proxy):
    gateway = proxy('{to: "loopback:*", connect-timeout: 300ms}')
    with full_queue() as door:
        began = time.monotonic()
        assert refused(gateway, door.at) == (504, "upstream-connect-timeout", "weir; error=connection_timeout")
        assert time.monotonic() - began > 0.25


def test_a_client_that_leaves_while_connecting(proxy):
    gateway = proxy('{to: "loopback:*", connect-timeout: 60s}')
    with full_queue() as door:
        with gateway.connect() as connection:
            connection.send(f"CONNECT {door.at} HTTP/1.1\r\nHost: {door.at}\r\n\r\n".encode())
            wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 1)
            reset(connection.socket)
        assert gateway.log_lines(1)[0]["reason"] == "client-closed"
    wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 0)


def test_names_that_lead_nowhere(proxy):
    gateway = proxy('"*.invalid"')
    status, reason, told = refused(gateway, "no.such.host.invalid:443")
    assert (status, reason) in ((502, "upstream-dns"), (504, "upstream-dns-timeout")), told


def test_a_target_that_dies_midway(proxy, service):
    def serve(connection):
        connection.sendall(b"x" * 1000)
        connection.recv(1)
        reset(connection)
    gateway = proxy()
    with Tunnel(gateway, service(serve).at) as tunnel:
        assert tunnel.exactly(1000) == b"x" * 1000
        tunnel.send(b"die")
        with pytest.raises(ConnectionResetError):  # not an end in peace
            tunnel.recv()
    assert gateway.log_lines(1)[0]["reason"] == "upstream-closed"


def test_a_client_that_dies_midway(proxy, service):
    ends = []

    def serve(connection):
        try:
            ends.append(read_all(connection))
        except ConnectionResetError:
            ends.append("reset")
    gateway = proxy()
    with Tunnel(gateway, service(serve).at) as tunnel:
        tunnel.send(b"x")
        reset(tunnel.socket)
        wait_for(lambda: ends == ["reset"])
    assert gateway.log_lines(1)[0]["reason"] == "client-closed"


def test_silence_ends_a_tunnel(proxy, service):
    gateway = proxy('{to: "loopback:*", idle-timeout: 2s}')
    with Tunnel(gateway, service().at) as tunnel:
        for _ in range(10):  # it is not idle while something passes
            time.sleep(0.25)
            last = time.monotonic()
            tunnel.send(b"x")
            assert tunnel.exactly(1) == b"x"
        assert tunnel.recv() == b""
        assert time.monotonic() - last > 1.9
    line = gateway.log_lines(1)[0]
    assert line["reason"] == "idle-timeout" and line["http.response.status_code"] == 200


def test_a_target_that_never_answers(proxy, service):
    gateway = proxy('{to: "loopback:*", idle-timeout: 300ms}')
    answer = ask(gateway, service(read_all).at)
    assert (answer.status, reason_of(answer)) == (504, "upstream-timeout")


def test_an_answer_that_breaks_off(proxy, serve):
    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.close()
    gateway = proxy()
    with pytest.raises(Closed):
        ask(gateway, serve(script).at)
    assert gateway.log_lines(1)[0]["reason"] == "upstream-incomplete"


@pytest.mark.parametrize("said, reason", [(b"", "upstream-closed"), (b"nonsense\r\n\r\n", "upstream-protocol"),
                                          (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "upstream-protocol")])
def test_answers_that_are_none(proxy, serve, said, reason):
    def script(peer):
        peer.read_request()
        peer.send(said)
        peer.close()
    answer = ask(proxy(), serve(script).at)
    assert (answer.status, reason_of(answer)) == (502, reason)


def test_an_answer_before_the_whole_request(proxy, serve):
    def script(peer):
        peer.read_head()
        peer.answer(b"too much", 413)
        peer.socket.shutdown(socket.SHUT_WR)
        read_all(peer.socket)
    gateway = proxy()
    at = serve(script).at
    with gateway.connect() as connection:
        connection.send(f"POST http://{at}/ HTTP/1.1\r\nHost: {at}\r\nContent-Length: 10000000\r\n\r\n".encode() + bytes(1000))
        assert connection.read_answer().status == 413


def test_a_request_that_breaks_off(proxy, service):
    gateway, back = proxy(), service(read_all)
    with gateway.connect() as connection:
        connection.send(f"POST http://{back.at}/ HTTP/1.1\r\nHost: {back.at}\r\nContent-Length: 100\r\n\r\nhalf".encode())
        wait_for(lambda: back.accepted == 1)
    assert gateway.log_lines(1)[0]["reason"] == "client-closed"
    wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 0)


# --- changes

def test_tunnels_survive_reloads(proxy, service):
    back = service()
    gateway = proxy()
    with Tunnel(gateway, back.at) as tunnel:
        for option in ('"a.example"', '"loopback:*"'):
            assert gateway.reload(config(option))[0] == 200
            tunnel.send(b"x")
            assert tunnel.exactly(1) == b"x"
        assert gateway.metric("weir_proxy_open_connections") == 1
        gateway.reload(config('"a.example"'))
        assert refused(gateway, back.at)[:2] == (403, "target-denied")
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"
    wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 0)


def test_the_option_comes_and_goes(start, service):
    back = service()
    without = """
        version: 1
        listen: "127.0.0.1:0"
        routes: {/own: {respond: own}}
        """
    with_it = without.replace('listen: "127.0.0.1:0"', 'listen: {http: {address: "127.0.0.1:0", forward-proxy: "loopback:*"}}')
    gateway = start(without)
    assert refused(gateway, back.at)[0] == 501
    gateway.reload(with_it)
    with Tunnel(gateway, back.at) as tunnel:
        gateway.reload(without)
        assert refused(gateway, back.at)[0] == 501
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"


def test_tunnels_last_to_the_end_of_a_drain(proxy, service):
    gateway = proxy(drain="4s")
    with Tunnel(gateway, service().at) as tunnel:
        began = time.monotonic()
        stop = threading.Thread(target=gateway.stop)
        stop.start()
        time.sleep(1.5)
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"
        with contextlib.suppress(ConnectionResetError):
            assert tunnel.recv() == b""
        assert time.monotonic() - began > 3.8
        stop.join()
    assert gateway.log_lines(1)[0]["reason"] == "shutting-down"


def test_a_stop_waits_for_no_tunnel_longer_than_it_lasts(proxy, service):
    gateway = proxy(drain="60s")
    with Tunnel(gateway, service().at) as tunnel:
        stop = threading.Thread(target=gateway.stop)
        stop.start()
        tunnel.end()
        assert tunnel.recv() == b""
        stop.join(30)
        assert not stop.is_alive()
    assert "reason" not in gateway.log_lines(1)[0]
