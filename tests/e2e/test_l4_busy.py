"""Layer 4 before services that are busy or fail: connections wait in the queue, or another service stands in."""

import contextlib

import pytest
from gateway import wait_for
from l4_peers import TcpService, UdpService, ask, connect, datagram_socket, named, read_all, read_line, reset


@pytest.fixture
def service():
    with contextlib.ExitStack() as stack:
        yield lambda serve, kind=TcpService: stack.enter_context(kind(serve))


def config(services, workers=2, kind="tcp"):
    return f"""
        version: 1
        listen: {{{kind}: {{"127.0.0.1:0": back}}}}
        workers: {workers}
        services: {{{services}}}
        """


def waiting(gateway, count):
    wait_for(lambda: gateway.metric("weir_service_waiting", service="back") == count)


def served(gateway, name):
    """A connection that has come to an endpoint."""
    one = connect(gateway)
    assert read_line(one) == name
    return one


def is_refused(gateway):
    with contextlib.suppress(ConnectionResetError), connect(gateway) as one:
        return read_all(one) == b""
    return True


# --- the queue

@pytest.mark.parametrize("cap", ["concurrency: 1", "concurrency: {endpoint: 1}", "connections: 1"])
def test_a_connection_waits_for_its_turn(start, service, cap):
    one = service(named("a"))
    gateway = start(config(f'back: {{at: "{one.at}", {cap}, queue: 10 for 1m}}'))
    with served(gateway, "a") as first, connect(gateway) as second:
        second.sendall(b"said early\n")
        waiting(gateway, 1)
        assert one.accepted == 1
        first.close()
        assert read_line(second) == "a" and read_line(second) == "said early"
        waiting(gateway, 0)
    assert gateway.metric("weir_service_wait_seconds_count", service="back") == 1
    wait_for(lambda: gateway.in_flight() == 0)
    served(gateway, "a").close()


def test_any_endpoint_that_has_room_takes_the_next(start, service):
    one, other = service(named("a")), service(named("b"))
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], concurrency: {{endpoint: 1}}, queue: 10 for 1m, '
                           'balance: least-connections}'))
    with connect(gateway) as first, connect(gateway) as second:
        names = {read_line(first): first, read_line(second): second}
        assert set(names) == {"a", "b"}
        with connect(gateway) as third:
            waiting(gateway, 1)
            names["b"].close()
            assert read_line(third) == "b"


def test_how_long_and_how_many(start, service):
    one = service(named("a"))
    gateway = start(config(f'back: {{at: "{one.at}", concurrency: 1, queue: 1 for 300ms}}', workers=1))
    with served(gateway, "a"):
        assert is_refused(gateway)
        [line] = gateway.log_lines(1)
        assert line["reason"] == "queue-timeout" and line["service"] == "back"
    wait_for(lambda: gateway.in_flight() == 0)
    assert gateway.metric("weir_tcp_reasons_total", reason="queue-timeout") == 1
    assert gateway.metric("weir_upstream_failures_total", service="back", reason="queue-timeout") == 1


def test_a_full_queue_and_none(start, service):
    one = service(named("a"))
    gateway = start(config(f'back: {{at: "{one.at}", concurrency: 1, queue: 1 for 1m}}'))
    with served(gateway, "a"), connect(gateway):
        waiting(gateway, 1)
        assert is_refused(gateway)
        assert gateway.log_lines(1)[0]["reason"] == "queue-full"
        status, _ = gateway.reload(config(f'back: {{at: "{one.at}", concurrency: 1, queue: 0}}').replace(
            "127.0.0.1:0", gateway.addresses[0]))
        assert status == 200
        assert is_refused(gateway)
        assert gateway.log_lines(2)[1]["reason"] == "service-busy"


def test_who_leaves_is_taken_out(start, service):
    one = service(named("a"))
    gateway = start(config(f'back: {{at: "{one.at}", concurrency: 1, queue: 10 for 1m}}'))
    with served(gateway, "a"):
        gone = connect(gateway)
        waiting(gateway, 1)
        reset(gone)
        waiting(gateway, 0)
        assert gateway.log_lines(1)[0]["reason"] == "client-closed"
    assert one.accepted == 1


def test_requests_and_connections_wait_in_one_line(start, serve):
    """A service that both layers use has one queue."""
    back = serve()
    gateway = start(f"""
        version: 1
        listen: {{http: "127.0.0.1:0", tcp: {{"127.0.0.1:0": back}}}}
        workers: 2
        services: {{back: {{at: "{back.at}", concurrency: 1, queue: 10 for 1m}}}}
        routes: {{/**: back}}
        """)
    with connect(gateway, 1) as first, gateway.connect() as request:
        wait_for(lambda: back.connections == 1)
        request.send_request("GET", "/a")
        waiting(gateway, 1)
        first.close()
        assert request.read_answer().body == b"GET /a"


# --- fallbacks

def test_another_service_stands_in(start, service, free_port):
    spare = service(named("spare"))
    gateway = start(config(f'back: {{at: "127.0.0.1:{free_port()}", outlier: {{failures: 0}}, fallback: spare}}, spare: "{spare.at}"'))
    served(gateway, "spare").close()
    assert gateway.metric("weir_fallbacks_total", service="back", reason="upstream-refused") == 1
    [line] = gateway.log_lines(1)
    assert (line["service"], line["upstream.address"], line["reason"]) == ("spare", spare.at, "upstream-refused")
    assert line["upstream.tries"] == 2 and line["error.message"] == "served by a fallback"


@pytest.mark.parametrize("more,reason", [
    ("concurrency: 1, queue: 0", "service-busy"), ("concurrency: 1, queue: 1 for 50ms", "queue-timeout"),
    ("connections: 1, queue: 0", "service-busy"),
])
def test_instead_of_a_busy_one(start, service, more, reason):
    one, spare = service(named("a")), service(named("spare"))
    gateway = start(config(f'back: {{at: "{one.at}", {more}, fallback: {{to: spare, on: busy}}}}, spare: "{spare.at}"'))
    with served(gateway, "a"):
        served(gateway, "spare").close()
        assert gateway.metric("weir_fallbacks_total", service="back", reason=reason) == 1


def test_only_for_what_is_listed(start, service, free_port):
    spare = service(named("spare"))
    gateway = start(config(f'back: {{at: "127.0.0.1:{free_port()}", fallback: {{to: spare, on: busy}}}}, spare: "{spare.at}"'))
    assert is_refused(gateway)
    assert spare.accepted == 0


def test_datagrams_go_elsewhere_too(start, service, free_port):
    """The first is lost where nobody listens, as datagrams are."""
    spare = service(lambda data: b"spare", UdpService)
    gateway = start(config(f'back: {{at: "127.0.0.1:{free_port()}", fallback: spare}}, spare: "{spare.at}"', kind="udp"))
    with datagram_socket(gateway) as one:
        one.send(b"lost")
        wait_for(lambda: gateway.metric("weir_fallbacks_total", service="back", reason="upstream-refused") == 1)
        assert ask(one, b"x") == b"spare"


def test_datagrams_to_a_busy_service_go_elsewhere(start, service):
    one, spare = service(lambda data: b"a", UdpService), service(lambda data: b"spare", UdpService)
    gateway = start(config(f'back: {{at: "{one.at}", concurrency: 1, fallback: spare}}, spare: "{spare.at}"', kind="udp"))
    with datagram_socket(gateway) as first, datagram_socket(gateway) as second:
        assert ask(first, b"x") == b"a"
        assert ask(second, b"x") == b"spare"
    assert gateway.metric("weir_fallbacks_total", service="back", reason="service-busy") == 1


def test_datagrams_do_not_wait(start, service):
    """Nobody waits who sends them."""
    one = service(lambda data: b"a", UdpService)
    gateway = start(config(f'back: {{at: "{one.at}", concurrency: {{endpoint: 1}}}}', kind="udp"))
    with datagram_socket(gateway) as first, datagram_socket(gateway) as second:
        assert ask(first, b"x") == b"a"
        second.send(b"x")
        wait_for(lambda: gateway.metric("weir_udp_dropped_datagrams_total") == 1)
        assert gateway.metric("weir_udp_reasons_total", reason="service-busy") == 1
