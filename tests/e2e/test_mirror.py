"""Mirroring: copies of requests, compared with the originals, through the whole gateway."""

import time

import pytest
from gateway import run_weir, wait_for
from test_balance import Named


def configuration(one, two, mirror="order.v2", more=""):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        admin: "127.0.0.1:0"
        workers: 2
        drain: 2s
        services:
          order:
            outlier: {{failures: 0}}
            versions:
              v1: "{one}"
              v2: {{at: "{two}", share: 0%}}
            mirror: {mirror}
        routes: {{/orders/**: order}}
        {more}
        """


@pytest.fixture
def mirrored(start, serve):
    """mirrored(mirror, scripts): a gateway with a service and its mirror; (gateway, service, mirror)."""
    def make(mirror="order.v2", one=None, two=None):
        services = [serve(one or Named("same")), serve(two or Named("same"))]
        return start(configuration(services[0].at, services[1].at, mirror)), *services
    return make


def requests(gateway, **labels):
    return gateway.metric("weir_mirror_requests_total", **labels)


def test_copies(mirrored):
    gateway, one, two = mirrored("{to: order.v2, compare: body}")
    for i in range(20):
        assert gateway.get(f"/orders/{i}?a=b", {"X-Mine": "1"}).body == b"same"
    wait_for(lambda: requests(gateway, result="same-status") == 20)
    wait_for(lambda: gateway.metric("weir_mirror_bodies_total", result="same") == 20)
    assert sorted(r.target for r in two.requests) == sorted(r.target for r in one.requests)
    assert all(r.header("x-weir-mirror") == "order" and r.header("x-mine") == "1" for r in two.requests)
    assert not any(r.header("x-weir-mirror") for r in one.requests)
    assert gateway.metric("weir_mirror_duration_seconds_count", side="copy") == 20
    assert len(gateway.log_lines(20)) == 20  # the copies are in no log
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert "100% mirrored to order.v2" in said, said
    _, said, _ = run_weir("explain", "GET /orders/1", gateway.config_path)
    assert "100% mirrored to order.v2" in said, said


def test_bodies_of_requests(mirrored):
    gateway, one, two = mirrored("{to: order.v2, unsafe: true, body: 1KiB}", Reading(), Reading())
    for size in [0, 10, 1024]:
        assert gateway.request("POST", "/orders/1", body=b"x" * size).body == b"%d" % size
    wait_for(lambda: requests(gateway, result="same-status") == 3)
    assert sorted(len(request.body) for request in two.requests) == [0, 10, 1024]
    assert gateway.request("POST", "/orders/1", body=b"x" * 1025).body == b"1025"
    with gateway.connect() as connection:  # a body of unknown length, that comes piece by piece
        connection.send(b"POST /orders/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        time.sleep(0.05)
        connection.send(b"2\r\nde\r\n0\r\n\r\n")
        assert connection.read_answer().body == b"5"
        connection.send(b"POST /orders/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n")
        assert connection.read_answer().body == b"2048"
    wait_for(lambda: requests(gateway, result="same-status") == 4)
    wait_for(lambda: gateway.metric("weir_mirror_dropped_total", reason="too-large") == 2)
    assert sorted(len(request.body) for request in two.requests) == [0, 5, 10, 1024]


def silent(peer):
    """Takes requests and answers none."""
    while True:
        peer.upstream.requests.append(peer.read_request())


class Reading:
    """Answers with the size of the body."""

    def __call__(self, peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            peer.answer(b"%d" % len(request.body))


def test_the_original_waits_for_nothing(mirrored):
    gateway, _, two = mirrored("{to: order.v2, copies: 3, timeout: 3s}", two=silent)
    with gateway.connect() as connection:
        for _ in range(50):
            assert connection.request("GET", "/orders/1").body == b"same"
    # Had they waited for their copies, there would have been room for all of these.
    assert gateway.metric("weir_mirror_dropped_total", reason="busy") >= 30
    wait_for(lambda: requests(gateway, result="no-answer") == 50 - gateway.metric("weir_mirror_dropped_total"), 20)
    two.close()
    assert gateway.get("/orders/1").body == b"same"


def test_differences(mirrored):
    gateway, *_ = mirrored("{to: order.v2, compare: body}", two=Named("other"))
    for _ in range(5):
        gateway.get("/orders/1")
    wait_for(lambda: gateway.metric("weir_mirror_bodies_total", result="different") == 5)
    assert requests(gateway, result="same-status") == 5


def test_nothing_is_left_behind(mirrored):
    """Reloads and a stop while copies are under way: the old configurations go, and so does the program."""
    gateway, one, two = mirrored("{to: order.v2, timeout: 10m}", two=silent)
    for i in range(3):
        assert gateway.get("/orders/1").status == 200
        assert gateway.reload(configuration(one.at, two.at, "{to: order.v2, timeout: 10m, copies: %d}" % (i + 1)))[0] == 200
    wait_for(lambda: len(two.requests) == 3)
    assert gateway.get("/orders/1").body == b"same"
    assert gateway.stop() == 0  # long before the copies' time is over


def test_clients_that_leave(mirrored):
    gateway, _, two = mirrored("{to: order.v2, unsafe: true}")
    for _ in range(5):
        with gateway.connect() as connection:
            connection.send(b"POST /orders/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    wait_for(lambda: gateway.metric("weir_mirror_dropped_total", reason="lost") == 5)
    assert two.requests == []

    def mirror():
        return {service["name"]: service for service in gateway.status()["services"]}["order"]["mirror"]
    # A copy is counted as lost before its place is free.
    wait_for(lambda: mirror() == {"to": "order.v2", "share": 1, "running": 0})


@pytest.mark.parametrize("mirror,says", [("order.v3", 'there is no service "order.v3"'), ("order", "its own mirror"),
                                         ("order.v2 200%", "up to 100%"), ("{to: order.v2, body: 3}", "unit")])
def test_mistakes(tmp_path, mirror, says):
    path = tmp_path / "shop.yaml"
    path.write_text(configuration("127.0.0.1:1", "127.0.0.1:2", mirror))
    code, _, said = run_weir("check", path)
    assert code == 3 and says in said and "shop.yaml:13:" in said, said
