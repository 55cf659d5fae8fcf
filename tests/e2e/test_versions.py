"""Versions of a service: who gets which, through every protocol, and who stays across reloads."""

import asyncio
import collections
import contextlib
import re

import pytest
import websockets
from gateway import run_weir
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Client
from h2_upstream import serve as serve_h2
from l4_peers import TcpService, UdpService, ask, connect, datagram_socket, named, read_line
from test_balance import Named
from websocket_service import WebSocketService


def configuration(one, two, options="", more="", listen='"127.0.0.1:0"', beside=""):
    return f"""
        version: 1
        listen: {listen}
        admin: "127.0.0.1:0"
        workers: 2
        services:
          order:
            {beside or "outlier: {failures: 0}"}
            versions:
              v1: "{one}"
              v2: {{at: "{two}", {options}}}
        {more or 'routes: {/orders/**: order, /new/**: order.v2}'}
        """


@pytest.fixture
def two(start, serve):
    """two(options): a gateway in front of versions that answer with their names; (gateway, [service, service])."""
    def make(options="share: 20%", **more):
        services = [serve(Named("one")), serve(Named("two"))]
        return start(configuration(services[0].at, services[1].at, options, **more)), services
    return make


def versions(gateway, users, header="X-User"):
    """The version that each user gets."""
    with gateway.connect() as connection:
        answers = [connection.request("GET", "/orders/1", {header: user}) for user in users]
    return [answer.body.decode() for answer in answers]


USERS = [f"user-{i}" for i in range(400)]


def test_shares_by_key(two):
    gateway, _ = two(beside="stay: header.x-user")
    first = versions(gateway, USERS)
    assert 50 <= first.count("two") <= 115, first.count("two")  # 80 ± 4.4 standard deviations
    assert versions(gateway, USERS) == first
    assert gateway.metric("weir_version_requests_total", version="v2", by="known") == 2 * first.count("two")
    assert gateway.metric("weir_http_requests_total", service="order.v2") == 2 * first.count("two")
    assert gateway.metric("weir_http_requests_total", service="order.v1") == 2 * first.count("one")
    assert gateway.metric("weir_version_share_ratio", version="v1") == 0.8
    lines = gateway.log_lines(len(USERS) * 2)
    assert collections.Counter(line["service"] for line in lines) == {
        "order.v1": 2 * first.count("one"), "order.v2": 2 * first.count("two")}


def test_nobody_comes_back_when_a_share_rises(two):
    gateway, services = two(beside="stay: header.x-user")
    had = versions(gateway, USERS)
    ats = [service.at for service in services]
    assert gateway.reload(configuration(*ats, "share: 40%", beside="stay: header.x-user"))[0] == 200
    has = versions(gateway, USERS)
    assert all(now == "two" for before, now in zip(had, has) if before == "two")
    assert has.count("two") > had.count("two")
    assert gateway.reload(configuration(*ats, "share: 20%", beside="stay: header.x-user"))[0] == 200
    assert versions(gateway, USERS) == had


def test_two_gateways_agree(two, start):
    gateway, services = two(beside="stay: header.x-user")
    other = start(configuration(*[service.at for service in services], "share: 20%", beside="stay: header.x-user"))
    assert versions(gateway, USERS) == versions(other, USERS)


def test_condition(two):
    gateway, _ = two("share: 0%, when: header.x-canary")
    assert gateway.get("/orders/1").body == b"one"
    answer = gateway.get("/orders/1", {"X-Canary": "1"})
    assert answer.body == b"two" and not answer.header("set-cookie")
    assert gateway.get("/new/1").body == b"two"
    assert gateway.metric("weir_version_requests_total", by="condition") == 1
    assert gateway.metric("weir_version_requests_total", by="all", version="v1") == 1


def test_cookie(two):
    gateway, _ = two("share: 50%")
    seen = collections.Counter()
    for _ in range(40):
        answer = gateway.get("/orders/1")
        found = re.fullmatch(r"weir-user=([0-9a-f]{16}); Path=/; HttpOnly; Max-Age=2592000; SameSite=Lax",
                             answer.header("set-cookie"))
        cookie = {"Cookie": f"a=b; weir-user={found.group(1)}"}
        seen[answer.body] += 1
        for _ in range(3):
            again = gateway.get("/orders/2", cookie)
            assert again.body == answer.body and not again.header("set-cookie")
    assert len(seen) == 2, seen


def test_a_version_is_a_service(two):
    gateway, services = two(beside="connections: 7")
    status = {service["name"]: service for service in gateway.status()["services"]}
    assert list(status) == ["order", "order.v1", "order.v2"]
    assert [(v["name"], v["service"], round(v["share"], 6)) for v in status["order"]["versions"]] == [
        ("v1", "order.v1", 0.8), ("v2", "order.v2", 0.2)]
    assert status["order.v2"]["endpoints"][0]["address"] == services[1].at
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert "service order, in versions, users by weir-user" in said and re.search(r"v2 +20%", said), said
    assert run_weir("drain", "order.v2", services[1].at, "--control", gateway.control)[0] == 0
    assert gateway.get("/new/1").status == 503
    code, _, said = run_weir("drain", "order", services[1].at, "--control", gateway.control)
    assert code == 1 and "no endpoint" in said


# --- other protocols

def test_http2(start, serve):
    one, two = serve(serve_h2), serve(serve_h2)
    gateway = start(configuration(f"h2c://{one.at}", f"h2c://{two.at}", "when: header.x-canary",
                                  listen='{http: {address: "127.0.0.1:0", http2: true}}'))
    with Client(gateway.address) as client:
        for i in range(10):
            canary = [("x-canary", "1")] if i % 2 else []
            assert client.request("GET", f"/orders/{i}", canary).status == 200
    services = {line["url.path"]: line["service"] for line in gateway.log_lines(10)}
    assert services == {f"/orders/{i}": "order.v2" if i % 2 else "order.v1" for i in range(10)}


def test_grpc(start):
    with GrpcService() as one, GrpcService() as two:
        gateway = start(configuration(f"h2c://{one.at}", f"h2c://{two.at}", "share: 50%, when: header.x-canary",
                                      listen='{http: {address: "127.0.0.1:0", http2: true}}',
                                      more="routes: {grpc shop.Orders/*: order}"))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            for i in range(40):
                answer, context = call.with_call(b"x", metadata=(("x-canary", "1"),) if i % 4 == 0 else ())
                assert answer == b"got x"
                assert not any(key == "set-cookie" for key, _ in context.initial_metadata())
        counts = collections.Counter(line["service"] for line in gateway.log_lines(40))
        assert counts["order.v1"] and counts["order.v2"] > 10, counts


def test_websocket(start):
    async def say(name, websocket):
        await websocket.send(name)

    async def ask(gateway, **more):
        url = "ws://%s:%d/orders/1" % gateway.address
        async with websockets.connect(url, open_timeout=20, ping_interval=None, **more) as client:
            return await client.recv()

    with WebSocketService(lambda w: say("one", w)) as one, WebSocketService(lambda w: say("two", w)) as two:
        gateway = start(configuration(one.at, two.at, "when: header.x-canary"))
        assert asyncio.run(ask(gateway)) == "one"
        assert asyncio.run(ask(gateway, extra_headers={"X-Canary": "1"})) == "two"
    assert {line["service"] for line in gateway.log_lines(2)} == {"order.v1", "order.v2"}


def test_tcp(start):
    with TcpService(named("one")) as one, TcpService(named("two")) as two:
        gateway = start(configuration(one.at, two.at, "share: 50%", listen='{tcp: {"127.0.0.1:0": {to: order}}}',
                                      more="drain: 1s"))
        seen = collections.Counter()
        for _ in range(60):
            with connect(gateway) as client:
                seen[read_line(client)] += 1
        assert 10 <= seen["two"] <= 50, seen
        assert collections.Counter(line["service"] for line in gateway.log_lines(60)) == {
            "order.v1": seen["one"], "order.v2": seen["two"]}
        assert gateway.metric("weir_version_requests_total") == 60


def test_udp(start):
    """Each session is drawn and stays where it is; a shift is for those that come after it."""
    with UdpService(lambda data: b"one " + data) as one, UdpService(lambda data: b"two " + data) as two:
        gateway = start(configuration(one.at, two.at, "share: 50%", listen='{udp: {"127.0.0.1:0": {to: order}}}',
                                      more="drain: 1s"))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(datagram_socket(gateway)) for _ in range(40)]
            names = [ask(client, b"a")[:3] for client in clients]
            assert 4 <= names.count(b"two") <= 36, names  # 20 ± 5 standard deviations
            assert [ask(client, b"b")[:3] for client in clients] == names
            assert gateway.metric("weir_version_requests_total") == 40
            assert run_weir("shift", "order", "v2", "100%", "--control", gateway.control)[0] == 0
            assert [ask(client, b"c")[:3] for client in clients] == names
            late = stack.enter_context(datagram_socket(gateway))
            assert ask(late, b"d") == b"two d"


# --- without a network

def test_tests_and_explanations(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(configuration("127.0.0.1:1", "127.0.0.1:2", "share: 10%, when: header.x-canary", more="""routes:
          /orders/**: order
        tests:
          - {get: /orders/1, is: order}
          - {get: /orders/1, is: order.v1}
          - {get: /orders/1, header: {x-canary: 1}, is: order.v2}
          - {get: /orders/1, header: {cookie: weir-user=00000000000000aa}, is: order}
        """))
    code, said, _ = run_weir("test", path)
    assert code == 0, said
    path.write_text(path.read_text().replace("is: order.v1}", "is: order.v2}"))
    code, said, _ = run_weir("test", path)
    assert code == 1 and "got order.v1" in said
    _, said, _ = run_weir("explain", "GET /orders/1", path)
    assert "service order, version v1 perhaps, of 90%" in said, said
    _, said, _ = run_weir("explain", "GET /orders/1", path, "-H", "X-Canary: 1")
    assert "version v2 since header.x-canary" in said and "127.0.0.1:2" in said, said


@pytest.mark.parametrize("options,says", [
    ("share: 110%", "100%"), ("share: 10", "20%"), ("shre: 10%", 'unknown option "shre" for version "v2"'),
    ("when: heder.x", "heder"), ("share: 10%, versions: {a: 127.0.0.1:1}", "no versions of its own")])
def test_mistakes(tmp_path, options, says):
    path = tmp_path / "shop.yaml"
    path.write_text(configuration("127.0.0.1:1", "127.0.0.1:2", options))
    code, _, said = run_weir("check", path)
    assert code == 3 and says in said and re.search(r"shop.yaml:11:\d+: error", said), said


def test_names_of_versions_are_taken(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text("""
        version: 1
        listen: "127.0.0.1:0"
        services: {order: {versions: {v1: 127.0.0.1:1}}, order.v1: 127.0.0.1:2}
        routes: {/**: order.v1, /a/**: order.v3}
        """)
    code, _, said = run_weir("check", path)
    assert code == 3 and '"order.v1" is the name of a version, too' in said, said
    assert 'did you mean "order.v1"?' in said, said
