"""What becomes of requests above a limit, and several limits of one request: by every protocol, by one gateway and by two."""

import concurrent.futures
import contextlib
import json

import grpc
import pytest
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Client
from redis_server import RedisServer
from websocket_client import HANDSHAKE, Raw

NEVER_ENDING = "1h"  # waits that only a client's end or a test's ends


def config(limit, *, services="", routes='/**: {respond: "ok", use: [limits.x]}', more="workers: 1"):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        {more}
        services: {{{services}}}
        limits: {{x: {limit}, wide: {{rate: 5/h, per: header.x-all}}}}
        routes: {{{routes}}}
        """


def ask(gateway, user="ann", path="/"):
    return gateway.get(path, {"X-User": user}, timeout=60)


def decisions(gateway, word, limit="limits.x"):
    return gateway.metric("weir_limit_decisions_total", limit=limit, decision=word)


def abandoned(gateway, count):
    """Clients that are gone are noticed when they are."""
    wait_for(lambda: decisions(gateway, "abandoned") == count, 60, f"{count} to be abandoned")


def waiting(gateway, count):
    wait_for(lambda: gateway.metric("weir_limit_waiting", limit="limits.x") == count, 60, f"{count} to wait")


def begin(gateway, stack, user="ann", path="/"):
    connection = stack.enter_context(gateway.connect(60))
    connection.send_request("GET", path, {"X-User": user})
    return connection


# --- waiting

@pytest.mark.parametrize("over, word", [("delay 1h", "delayed"), ("queue 100 for 1h", "queued")])
def test_all_pass_in_the_end(start, over, word):
    gateway = start(config(f"{{rate: 20/s, burst: 1, per: header.x-user, over: {over}}}", more="workers: 2"))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(gateway), range(12)))
    assert [answer.status for answer in answers] == [200] * 12
    assert decisions(gateway, "passed") + decisions(gateway, word) == 12
    waiting(gateway, 0)


def test_who_would_wait_too_long_is_told_at_once(start):
    gateway = start(config("{rate: 1/h, over: delay 1m}"))
    assert [ask(gateway).status for _ in range(2)] == [200, 429]
    assert decisions(gateway, "refused") == 1


def test_a_queue_has_a_size_and_lets_go_who_is_gone(start):
    gateway = start(config(f"{{rate: 1/h, over: queue 2 for {NEVER_ENDING}, per: header.x-user}}"))
    assert [ask(gateway, user).status for user in ("ann", "bob")] == [200, 200]
    with contextlib.ExitStack() as stack:
        first = begin(gateway, stack, "ann")
        waiting(gateway, 1)
        second = begin(gateway, stack, "bob")
        waiting(gateway, 2)
        refused = ask(gateway, "ann")
        assert refused.status == 429
        assert json.loads(refused.body)["violated-policies"] == ["x"]
        first.reset()
        waiting(gateway, 1)
        third = begin(gateway, stack, "bob")
        waiting(gateway, 2)
        second.reset()
        third.reset()
        waiting(gateway, 0)
        abandoned(gateway, 3)


def test_a_queue_is_left_when_its_time_is_over(start):
    gateway = start(config("{rate: 1/h, over: queue 20ms}"))
    assert [ask(gateway).status for _ in range(2)] == [200, 429]
    assert gateway.log_lines(2)[1]["reason"] == "limit-exceeded"


def test_a_tarpit_holds_some_and_refuses_the_others_at_once(start):
    gateway = start(config(f"{{rate: 1/h, over: tarpit 1 for {NEVER_ENDING}}}"))
    assert ask(gateway).status == 200
    with contextlib.ExitStack() as stack:
        held = begin(gateway, stack)
        waiting(gateway, 1)
        assert ask(gateway).status == 429
        held.reset()
        waiting(gateway, 0)
        abandoned(gateway, 1)
    gateway.reload(config("{rate: 1/h, over: tarpit 10ms}"))
    assert ask(gateway).status == 429
    assert [decisions(gateway, word) for word in ("refused", "tarpitted")] == [1, 1]


def test_a_stream_that_is_reset_waits_no_more(start):
    gateway = start(config(f"{{rate: 1/h, over: queue {NEVER_ENDING}}}"))
    with Client(gateway.address, 60) as client:
        assert client.request("GET", "/").status == 200
        stream = client.begin("GET", "/")
        waiting(gateway, 1)
        client.h2.reset_stream(stream)
        client.flush()
        waiting(gateway, 0)
        abandoned(gateway, 1)


def test_a_stop_lets_nobody_wait(start):
    gateway = start(config(f"{{rate: 1/h, over: queue {NEVER_ENDING}}}", more="drain: 100ms"))
    assert ask(gateway).status == 200
    with contextlib.ExitStack() as stack:
        begin(gateway, stack)
        waiting(gateway, 1)
        assert gateway.stop() == 0


# --- passing all the same

def test_what_is_logged_and_what_is_tried_out(start):
    gateway = start(config("{rate: 1/h, over: log}"))
    assert [ask(gateway).status for _ in range(3)] == [200] * 3
    assert ask(gateway).header("RateLimit").startswith('"x";r=0;t=')
    assert [line.get("reason") for line in gateway.log_lines(4)] == [None] + ["limit-logged"] * 3
    assert gateway.log_lines(4)[3]["error.message"] == "limits.x"
    assert decisions(gateway, "logged") == 3

    gateway.reload(config("{rate: 1/h, shadow: true, keys: 128, over: tarpit 1h}"))
    answers = [ask(gateway) for _ in range(3)]
    assert [answer.status for answer in answers] == [200] * 3
    assert all(answer.header(name) is None for answer in answers for name in ("RateLimit", "RateLimit-Policy", "Retry-After"))
    assert [line.get("reason") for line in gateway.log_lines(7)[4:]] == [None] + ["limit-shadowed"] * 2
    assert decisions(gateway, "shadowed") == 2
    assert gateway.metric("weir_http_reasons_total", reason="limit-shadowed") == 2


def test_a_degraded_request_goes_to_another_service(start, serve, tmp_path):
    dear, cheap = serve(), serve()
    text = config("{rate: 1/h, per: header.x-user, over: {to: cheap}}", services=f'dear: "{dear.at}", cheap: "{cheap.at}"',
                  routes='/fixed: {respond: "ok", use: [limits.x]}, '
                         '/**: {to: dear, use: [limits.x], headers: {request: {set: {X-Seen: yes}}}}')
    gateway = start(text)
    assert [ask(gateway, path="/a").status for _ in range(3)] == [200] * 3
    assert [len(service.requests) for service in (dear, cheap)] == [1, 2]
    assert all(request.header("X-Seen") == "yes" for request in cheap.requests)
    line = gateway.log_lines(3)[2]
    assert (line["reason"], line["service"], line["error.message"]) == ("limit-degraded", "cheap", "limits.x")
    # A route without a service has one then.
    assert ask(gateway, path="/fixed").body == b"GET /fixed"
    assert decisions(gateway, "degraded") == 3
    with Client(gateway.address, 60) as client:
        assert [client.request("GET", "/b", [("x-user", "bob")]).status for _ in range(2)] == [200, 200]
    assert [len(service.requests) for service in (dear, cheap)] == [2, 4]

    (tmp_path / "wrong.yaml").write_text(text.replace("{to: cheap}", "{to: chaep}"))
    code, _, said = run_weir("check", tmp_path / "wrong.yaml")
    assert code == 3 and 'there is no service "chaep"' in said and 'did you mean "cheap"?' in said


@pytest.mark.parametrize("over, status, field, value, body", [
    ("respond: {status: 203, body: \"the short form\"}", 203, "Content-Type", "text/plain; charset=utf-8", b"the short form"),
    ("redirect: {to: \"https://static.example/\", code: 302}", 302, "Location", "https://static.example/", None),
    ("files: FOLDER", 200, "Content-Type", "text/html; charset=utf-8", b"<p>later</p>")])
def test_a_degraded_request_gets_what_a_route_can_give(start, serve, tmp_path, over, status, field, value, body):
    (tmp_path / "later").mkdir()
    (tmp_path / "later/a.html").write_text("<p>later</p>")
    dear = serve()
    gateway = start(config(f"{{rate: 1/h, per: header.x-user, over: {{{over.replace('FOLDER', str(tmp_path / 'later'))}}}}}",
                           services=f'dear: "{dear.at}"', routes="/**: {to: dear, use: [limits.x], headers: {response: {set: {X-Seen: yes}}}}"))
    assert ask(gateway, path="/a.html").status == 200
    answer = ask(gateway, path="/a.html")
    assert (answer.status, answer.header(field)) == (status, value)
    assert body is None or answer.body == body
    assert answer.header("X-Seen") == "yes"  # the route's policies are around it
    assert len(dear.requests) == 1
    assert gateway.log_lines(2)[1]["reason"] == "limit-degraded"
    assert decisions(gateway, "degraded") == 1
    with Client(gateway.address, 60) as client:
        assert client.request("GET", "/a.html", [("x-user", "ann")]).status == status


def test_what_cannot_be_degraded_to_is_said(tmp_path):
    path = tmp_path / "wrong.yaml"
    for over, complaint in [("respond: {status: 99}", "status"), ("files: {}", "folder"), ("respnod: {body: a}", 'did you mean "respond"?'),
                            ("to: a, respond: {body: b}", "goes to one of"), ("redirect: {too: a}", "too")]:
        path.write_text(config(f"{{rate: 1/h, over: {{{over}}}}}"))
        code, _, said = run_weir("check", path)
        assert code == 3 and complaint in said, said


# --- several

def test_a_request_that_one_limit_refuses_counts_in_none(start):
    gateway = start(config("{rate: 1/h, per: header.x-user}", routes='/**: {respond: "ok", use: [limits.wide, limits.x]}'))
    first = ask(gateway)
    assert ", ".join(first.all("RateLimit-Policy")) == '"wide";q=5;w=3600, "x";q=1;w=3600'
    assert [ask(gateway).status for _ in range(8)] == [429] * 8
    refused = ask(gateway)
    assert [member[:member.index(";t=")] for member in refused.all("RateLimit")] == ['"wide";r=4', '"x";r=0']
    assert [ask(gateway, user).status for user in "bcdef"] == [200] * 4 + [429]
    assert decisions(gateway, "returned", "limits.wide") == 9
    assert decisions(gateway, "refused", "limits.wide") == 1
    assert decisions(gateway, "passed", "limits.x") == 5


# --- every protocol

def test_calls_of_grpc(start):
    with GrpcService() as service:
        gateway = start(config("{rate: 1/h, over: refuse}", services=f'order: "h2c://{service.at}"',
                               routes=f"grpc {SERVICE}/*: {{to: order, use: [limits.x]}}"))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            call(b"seven")
            with pytest.raises(grpc.RpcError) as failure:
                call(b"seven")
            assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            gateway.reload(config("{rate: 20/s, burst: 1, keys: 128, over: delay 1h}", services=f'order: "h2c://{service.at}"',
                                  routes=f"grpc {SERVICE}/*: {{to: order, use: [limits.x]}}"))
            for _ in range(5):
                call(b"seven")
            gateway.reload(config("{rate: 1/h, keys: 256, shadow: true}", services=f'order: "h2c://{service.at}"',
                                  routes=f"grpc {SERVICE}/*: {{to: order, use: [limits.x]}}"))
            for _ in range(3):
                call(b"seven")
        lines = gateway.log_lines(10)
        assert [line["rpc.grpc.status_code"] for line in lines] == [0, 8] + [0] * 8
        assert [line.get("reason") for line in lines[7:]] == [None] + ["limit-shadowed"] * 2


def test_websockets(chat):
    gateway, _ = chat(", limit: {rate: 20/s, burst: 1, over: queue 1h}")
    for _ in range(5):
        Raw(gateway).connection.close()
    gateway, _ = chat(", limit: {rate: 1/h, over: tarpit 1ms}")
    Raw(gateway).connection.close()
    assert gateway.request("GET", "/", HANDSHAKE).status == 429


# --- two gateways

@pytest.fixture
def redis(tmp_path, free_port):
    with RedisServer(tmp_path, free_port(), "--save", "") as server:
        yield f'redis: {{at: "127.0.0.1:{server.port}", timeout: 60s, connect-timeout: 60s}}'


def connected(gateway):
    wait_for(lambda: gateway.status()["redis"]["state"] == "up", 60, "redis to be up")
    return gateway


def test_two_gateways_give_back_what_is_refused(start, redis):
    routes = '/**: {respond: "ok", use: [limits.wide, limits.x]}'
    gateways = [connected(start(config("{rate: 1/h, per: header.x-user}", routes=routes, more=redis))) for _ in range(2)]
    assert ask(gateways[0]).status == 200
    assert [ask(gateways[i % 2]).status for i in range(6)] == [429] * 6
    assert [ask(gateways[i % 2], user).status for i, user in enumerate("bcdef")] == [200] * 4 + [429]
    assert sum(decisions(gateway, "returned", "limits.wide") for gateway in gateways) == 6


def test_two_gateways_delay_together(start, redis):
    gateways = [connected(start(config("{rate: 20/s, burst: 1, over: delay 1h}", more=redis))) for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda i: ask(gateways[i % 2]).status, range(10)))
    assert answers == [200] * 10


def test_explained(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(config("{rate: 1/h, shadow: true, over: queue 5 for 2s}"))
    code, said, error = run_weir("explain", "GET /", path)
    assert code == 0, error
    assert "passes, 1 left for client.ip" in said and "only tried out" in said
