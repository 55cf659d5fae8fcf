"""How long a service may take: each limit with its reason; deadlines that travel."""

import socket
import time

import grpc
import pytest
from grpc_peer import SERVICE, GrpcService, channel


def config(back, route="back", more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 1
        {more}
        services: {{back: {{{back}, outlier: {{failures: 0}}}}}}
        routes: {{/**: {route}}}
        """


def is_silent(peer):
    peer.upstream.requests.append(peer.read_request())
    peer.socket.recv(1)


def drips(peer):
    """An answer that never ends, though it never stops."""
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        peer.send(b"x")
        time.sleep(0.05)


def reason_of(gateway, path="/x", headers=None):
    answer = gateway.get(path, headers or {})
    line = gateway.log_line(path)
    return answer.status, line.get("reason"), line.get("upstream.tries", 1)


@pytest.mark.parametrize("timeout,route,reason", [
    ("first-byte: 200ms", "back", "upstream-timeout"),
    ("try: 200ms", "back", "upstream-try-timeout"),
    ("total: 200ms", "back", "upstream-total-timeout"),
    ("total: 5s", "{to: back, timeout: 200ms}", "route-timeout")])
def test_before_the_head(start, serve, timeout, route, reason):
    service = serve(is_silent)
    gateway = start(config(f'at: "{service.at}", timeout: {{{timeout}}}', route))
    began = time.monotonic()
    assert reason_of(gateway) == (504, reason, 1)
    assert time.monotonic() - began > 0.15


def test_total_is_for_the_answer_too(start, serve):
    service = serve(drips)
    gateway = start(config(f'at: "{service.at}", timeout: {{total: 400ms}}'))
    with gateway.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        while connection.socket.recv(65536):
            pass
    assert gateway.log_line("/x")["reason"] == "upstream-total-timeout"


def test_a_try_ends_and_another_follows(start, serve):
    silent, well = serve(is_silent), serve()
    gateway = start(config(f'at: [{{address: "{silent.at}", weight: 1}}, {{address: "{well.at}", backup: true}}], '
                           f'timeout: {{try: 1s, total: 20s}}, retry: 2 if timeout'))
    assert reason_of(gateway) == (200, None, 2)


def test_total_bounds_all_tries(start, serve):
    service = serve(is_silent)
    gateway = start(config(f'at: "{service.at}", timeout: {{try: 1s, total: 2500ms}}, retry: 5 if timeout'))
    status, reason, tries = reason_of(gateway)
    assert (status, reason) in ((504, "upstream-total-timeout"), (504, "upstream-try-timeout")) and 2 <= tries <= 3


def test_the_handshake(start):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = "https://127.0.0.1:%d" % listener.getsockname()[1]
        gateway = start(config(f'at: "{at}", tls: {{verify: false}}, timeout: {{tls: 150ms, connect: 5s}}, retry: 0'))
        assert reason_of(gateway) == (504, "upstream-tls-timeout", 1)


# --- deadlines that travel

TRUSTED = "trusted: 127.0.0.0/8\n        http: {deadline: true}"


def now():
    return time.time() * 1000


def test_a_deadline_is_obeyed_and_told(start, serve):
    service = serve(is_silent)
    gateway = start(config(f'at: "{service.at}"', more=TRUSTED))
    until = int(now() + 2000)
    assert reason_of(gateway, headers={"X-Request-Deadline": str(until)}) == (504, "deadline-passed", 1)
    assert now() >= until - 50
    assert abs(int(service.requests[0].header("X-Request-Deadline")) - until) <= 200


def test_each_try_is_told_its_own(start, serve):
    service = serve(is_silent)
    gateway = start(config(f'at: "{service.at}", timeout: {{try: 200ms}}, retry: {{times: 1, if: timeout, backoff: 1ms}}',
                           more=TRUSTED))
    until = int(now() + 20000)
    assert reason_of(gateway, headers={"X-Request-Deadline": str(until)}) == (504, "upstream-try-timeout", 2)
    first, second = (int(request.header("X-Request-Deadline")) for request in service.requests)
    assert 150 < second - first < 10000 and second < until


def test_what_is_passed_already(start, serve):
    service = serve()
    gateway = start(config(f'at: "{service.at}"', more=TRUSTED))
    assert reason_of(gateway, headers={"X-Request-Deadline": str(int(now() - 1000))})[:2] == (504, "deadline-passed")
    assert reason_of(gateway, "/y", {"X-Request-Deadline": "nonsense"})[:2] == (200, None)
    assert service.requests[-1].header("X-Request-Deadline") is None


@pytest.mark.parametrize("more", ["http: {deadline: true}", "trusted: 127.0.0.0/8"])
def test_who_is_not_believed(start, serve, more):
    service = serve()
    gateway = start(config(f'at: "{service.at}"', "{to: back, timeout: 5s}", more=more))
    before = str(int(now() - 1000))
    assert reason_of(gateway, headers={"X-Request-Deadline": before})[:2] == (200, None)
    told = service.requests[0].header("X-Request-Deadline")
    if "deadline" in more:
        assert abs(int(told) - now()) < 6000 and told != before
    else:
        assert told == before     # without the option it is a field like any other


def test_calls_are_told_what_a_try_may_take(start):
    with GrpcService() as service:
        gateway = start(config(f'at: "h2c://{service.at}", timeout: {{try: 2s}}', "back"))
        with channel(gateway.address) as made:
            assert made.unary_unary(f"/{SERVICE}/Get")(b"a", timeout=20) == b"got a"
            assert 0.2 < service.orders.left[0] <= 2.01
            with pytest.raises(grpc.RpcError) as failed:
                made.unary_unary(f"/{SERVICE}/Slow")(b"a", timeout=20)
            assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
