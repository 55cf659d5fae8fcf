"""Requests that come with an Idempotency-Key are done once: what clients, services and operators see of it."""

import concurrent.futures
import json
import threading

import grpc
import h2_client
import pytest
import websocket_client
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from idempotency_desk import ORDER, Desk, counted, is_order, post, reason


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.gate.set()


@pytest.fixture
def shop(start, serve, desk):
    """shop(policy="POST"): a gateway before the desk."""
    def run(policy="POST", script=None, more="", service="", **options):
        back = serve(script or desk.serve)
        return start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            workers: 2
            {more}
            services: {{order: {{at: "{back.at}"{service}}}}}
            routes: {{/**: {{to: order, idempotent: {policy}}}}}
            """, **options)
    return run


# --- once

def test_who_sends_it_again_gets_the_first_answer(shop, desk):
    gateway = shop()
    is_order(post(gateway), 1, False)
    is_order(post(gateway, '"k1"'), 1, True)
    is_order(post(gateway, "k2"), 2, False)
    is_order(post(gateway), 1, True)
    assert len(desk.orders) == 2
    assert [order.body for order in desk.orders] == [ORDER] * 2
    assert desk.orders[0].header("Idempotency-Key") == "k1"
    assert int(desk.orders[0].header("Idempotency-Fence")) > 0
    assert (counted(gateway, "kept"), counted(gateway, "replayed")) == (2, 2)


def test_of_many_at_once_one_runs_and_the_others_are_told_to_wait(shop, desk):
    gateway = shop()
    desk.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(post, gateway) for _ in range(8)]
        wait_for(lambda: counted(gateway, "running") == 7, what="seven who are told to wait")
        desk.gate.set()
        answers = [answer.result() for answer in answers]
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7
    waiting = next(answer for answer in answers if answer.status == 409)
    assert reason(waiting) == "still-running"
    assert 1 <= int(waiting.header("Retry-After")) <= 30
    assert len(desk.orders) == 1
    is_order(post(gateway), 1, True)


def test_another_request_under_the_same_key_is_refused(shop, desk):
    gateway = shop()
    post(gateway, path="/orders?a=1&b=%41")
    for other in ({"body": b"{}"}, {"path": "/orders?a=2&b=A"}, {"path": "/other?a=1&b=A"}):
        answer = post(gateway, **{"path": "/orders?a=1&b=A", **other})
        assert (answer.status, reason(answer)) == (422, "idempotency-key-reused")
    is_order(post(gateway, path="/orders?b=A&a=1"), 1, True)
    assert len(desk.orders) == 1
    reasons = [line.get("reason") for line in gateway.log_lines(5)]
    assert reasons.count("idempotency-key-reused") == 3


def test_who_nobody_knows_is_never_given_the_answer_of_another(shop, desk):
    gateway = shop()
    is_order(post(gateway, Authorization="Bearer ann"), 1, False)
    assert post(gateway, Authorization="Bearer bob").status == 422
    assert post(gateway).status == 422
    is_order(post(gateway, Authorization="Bearer ann"), 1, True)


def test_keys_belong_to_who_sends_them(shop, desk):
    gateway = shop("{per: header.x-tenant}")
    is_order(post(gateway, **{"X-Tenant": "a"}), 1, False)
    is_order(post(gateway, **{"X-Tenant": "b"}), 2, False)
    is_order(post(gateway, **{"X-Tenant": "a", "Authorization": "Bearer renewed"}), 1, True)


def test_malformed_keys_and_missing_ones(shop, desk):
    gateway = shop("{required: true, docs: 'https://shop.example/retries'}")
    for key, word in ((None, "idempotency-key-missing"), ('"a", "b"', "bad-idempotency-key"), ("k" * 256, "bad-idempotency-key")):
        answer = post(gateway, key)
        assert (answer.status, reason(answer)) == (400, word)
        assert answer.header("Content-Type") == "application/problem+json"
        assert answer.header("Link") == '<https://shop.example/retries>; rel="help"'
    assert gateway.get("/orders").status == 201  # others need none
    assert len(desk.orders) == 1


def test_failures_of_the_service_are_kept_too_unless_told_otherwise(shop):
    statuses = iter([500, 503, 201])

    def script(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            peer.answer(b"x", next(statuses))

    gateway = shop("{except: 503}", script)
    assert [post(gateway).status for _ in range(2)] == [500, 500]
    assert [post(gateway, "k2").status for _ in range(3)] == [503, 201, 201]


def test_of_a_large_answer_the_head_is_kept(shop):
    def script(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            peer.send(b"HTTP/1.1 201 X\r\nLocation: /orders/7\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(64):
                peer.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            peer.send(b"0\r\n\r\n")

    gateway = shop("{answer-body: 100KiB}", script)
    first = post(gateway)
    assert (first.status, first.body) == (201, b"x" * 4096 * 64)
    again = post(gateway)
    assert (again.status, reason(again), again.header("Location")) == (409, "result-too-large", "/orders/7")
    assert "answered with 201" in json.loads(again.body)["detail"]
    assert (counted(gateway, "head-kept"), counted(gateway, "too-large")) == (1, 1)


def test_a_stream_of_events_is_not_held_back(shop):
    release = threading.Event()

    def script(peer):
        peer.upstream.requests.append(peer.read_request())
        peer.send(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ndata:1\r\n")
        assert release.wait(100)
        peer.send(b"6\r\ndata:2\r\n0\r\n\r\n")

    gateway = shop(script=script)
    with gateway.connect() as connection:
        connection.send_request("POST", "/orders", {"Idempotency-Key": "k1"}, b"x")
        seen = b""
        while b"data:1" not in seen:
            seen += connection._receive()
        release.set()
        while b"data:2" not in seen:
            seen += connection._receive()
    assert reason(post(gateway, body=b"x", **{"Content-Type": ""})) in ("result-too-large", "idempotency-key-reused")


def test_a_long_request_body_reaches_the_service(shop, desk):
    gateway = shop()
    body = bytes(range(256)) * 2048  # 512 KiB: it is streamed
    is_order(post(gateway, body=body), 1, False)
    is_order(post(gateway, body=body), 1, True)
    assert desk.orders[0].body == body
    answer = post(gateway, "k2", body + body + b"x")
    assert (answer.status, reason(answer)) == (413, "body-too-large")
    assert len(desk.orders) == 1


# --- what did not end well

def test_what_did_not_begin_leaves_nothing_behind(start, serve, desk, free_port):
    port = free_port()
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{order: {{at: "127.0.0.1:{port}", outlier: {{failures: 0}}}}}}
        routes: {{/**: {{to: order, idempotent: POST}}}}
        """)
    answer = post(gateway)
    assert (answer.status, reason(answer)) == (502, "upstream-refused")
    assert counted(gateway, "freed") == 1
    serve(desk.serve, address=("127.0.0.1", port))
    is_order(post(gateway), 1, False)


def closing_first(desk):
    """A service that closes its first connection after it has read a request."""
    closed = []

    def script(peer):
        if not closed:
            closed.append(peer.read_request())
            return
        desk.serve(peer)
    return script


def test_what_may_have_been_done_is_not_done_again(shop, desk):
    gateway = shop("{lease: 1s}", closing_first(desk), service=", outlier: {failures: 0}")
    assert reason(post(gateway)) == "upstream-closed"
    answer = wait_for(lambda: (answer := post(gateway)).status != 409 and answer, what="the end of the lease")
    assert (answer.status, reason(answer)) == (500, "outcome-unknown")
    assert post(gateway, body=b"another").status == 422
    assert desk.orders == []
    assert counted(gateway, "left-open") == 1


def test_or_it_is_when_the_operator_says_so(shop, desk):
    gateway = shop("{lease: 1s, unknown: retry}", closing_first(desk), service=", outlier: {failures: 0}")
    assert reason(post(gateway)) == "upstream-closed"
    is_order(wait_for(lambda: (answer := post(gateway)).status != 409 and answer, what="the end of the lease"), 1, False)
    is_order(post(gateway), 1, True)
    assert counted(gateway, "left-open") == 1


def test_a_service_that_knows_keys_may_be_tried_again_meanwhile(shop, desk):
    retry = ", retry: {times: 1, if: closed, keyed: true}, outlier: {failures: 0}"
    gateway = shop("POST", closing_first(desk), service=retry)
    is_order(post(gateway), 1, False)
    is_order(post(gateway), 1, True)
    assert len(desk.orders) == 1


def leave(gateway, desk, count):
    """Sends an order, and goes away when the service has it."""
    with gateway.connect() as connection:
        connection.send_request("POST", "/orders", {"Idempotency-Key": "k1", "Content-Type": "application/json"}, ORDER)
        desk.wait_for_orders(count)


def test_a_client_that_goes_away_loses_no_result(shop, desk):
    gateway = shop()
    desk.gate.clear()
    leave(gateway, desk, 1)
    assert post(gateway).status == 409
    desk.gate.set()
    wait_for(lambda: counted(gateway, "kept") == 1, what="the result to be kept")
    is_order(post(gateway), 1, True)
    assert len(desk.orders) == 1


def test_nor_does_one_of_http2(shop, desk):
    gateway = shop()
    desk.gate.clear()
    with h2_client.Client(gateway.address) as client:
        stream = client.begin("POST", "/orders", [("idempotency-key", "k1"), ("content-type", "application/json")], end=False)
        client.send_body(stream, ORDER)
        desk.wait_for_orders(1)
        client.h2.reset_stream(stream, h2_client.CANCEL)
        client.flush()
    desk.gate.set()
    wait_for(lambda: counted(gateway, "kept") == 1, what="the result to be kept")
    is_order(post(gateway), 1, True)


def test_a_gateway_that_stops_does_not_wait_for_what_has_no_client(shop, desk):
    gateway = shop(more="drain: {time: 2s}")
    desk.gate.clear()
    leave(gateway, desk, 1)
    assert gateway.stop() == 0
    assert not desk.gate.is_set()


def test_a_lease_lasts_as_long_as_its_request(shop, desk):
    gateway = shop("{lease: 1s}")
    desk.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, gateway)
        wait_for(lambda: gateway.metric("weir_idempotency_renewals_total", outcome="ok") >= 7, 100, "more than two leases")
        assert post(gateway).status == 409
        desk.gate.set()
        is_order(first.result(), 1, False)
    is_order(post(gateway), 1, True)


# --- every protocol

def test_over_http2(shop, desk):
    gateway = shop()
    headers = [("idempotency-key", '"k1"'), ("content-type", "application/json")]
    with h2_client.Client(gateway.address) as client:
        first = client.request("POST", "/orders", headers, ORDER)
        again = client.request("POST", "/orders", headers, ORDER)
    assert (first.status, first.body, again.status, again.body) == (201, b"order 1", 201, b"order 1")
    assert dict(again.headers)["idempotent-replayed"] == "true"
    is_order(post(gateway), 1, True)  # and by HTTP/1.1 it is the same


def test_calls_of_grpc_are_made_once(start):
    with GrpcService() as service:
        gateway = start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            services: {{order: "h2c://{service.at}"}}
            routes: {{grpc {SERVICE}/*: {{to: order, idempotent: POST}}}}
            """)
        key = (("idempotency-key", "k1"),)
        with channel(gateway.address) as made:
            get = made.unary_unary(f"/{SERVICE}/Get")
            for replayed in (None, "true"):
                answer, call = get.with_call(b"seven", metadata=key)
                assert answer == b"got seven"
                assert dict(call.initial_metadata()).get("idempotent-replayed") == replayed
                assert dict(call.initial_metadata())["x-head"] == "1"
                assert dict(call.trailing_metadata())["x-trail"] == "2"
            with pytest.raises(grpc.RpcError) as failure:
                get(b"eight", metadata=key)
            assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            for _ in range(2):
                with pytest.raises(grpc.RpcError) as failure:
                    made.unary_unary(f"/{SERVICE}/Fail")(b"", metadata=(("idempotency-key", "k2"),))
                assert failure.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert [name for name, _ in service.orders.metadata] == [f"/{SERVICE}/Get", f"/{SERVICE}/Fail"]


def test_websockets_pass(chat):
    gateway, _ = chat(", idempotent: {required: true}")
    for _ in range(2):
        websocket_client.Raw(gateway, fields={"Idempotency-Key": "k1"}).connection.close()


# --- what operators see

def test_explained_and_rehearsed(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("""
version: 1
listen: "127.0.0.1:0"
idempotency: {orders: {methods: [POST, PATCH], required: true}}
routes: {/orders: {respond: "ok", use: [idempotency.orders]}}
tests:
  - {post: /orders, header: {idempotency-key: k1}, is: 200}
  - {post: /orders, is: 400}
  - {get: /orders, is: 200}
""")
    code, said, error = run_weir("test", path)
    assert code == 0, said + error
    said = run_weir("explain", "POST /orders", "-H", "Idempotency-Key: k1", path)[1]
    assert 'idempotency.orders' in said or 'once for the key "k1"' in said
    assert "refuses, without an Idempotency-Key" in run_weir("explain", "POST /orders", path)[1]
    path.write_text(path.read_text().replace("required: true", "requierd: true"))
    code, _, error = run_weir("check", path)
    assert code == 3 and 'did you mean "required"' in error


def test_stores_that_are_not_there(tmp_path):
    path = tmp_path / "weir.yaml"
    for store, words in (("disk", "needs `state`"), ("redis", "needs `redis`")):
        path.write_text(f'version: 1\nlisten: "127.0.0.1:0"\nroutes: {{/**: {{respond: ok, idempotent: {{store: {store}}}}}}}\n')
        code, _, error = run_weir("check", path)
        assert code == 3 and words in error


def test_keys_outlive_a_reload(shop, desk):
    gateway = shop()
    is_order(post(gateway), 1, False)
    assert gateway.reload(gateway.config_path.read_text().replace("workers: 2", "workers: 2\nhttp: {body-timeout: 20s}"))[0] == 200
    is_order(post(gateway), 1, True)
