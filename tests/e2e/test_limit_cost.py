"""What requests cost: by what they bring, and by what is only known when the answer is sent; and settling with Redis now and then."""

import concurrent.futures
import threading

import pytest
from gateway import run_weir, wait_for
from h2_client import Connection as H2Connection
from limit_clock import away_from_midnight
from redis_server import RedisServer


def config(limit, *, routes='/**: {respond: "0123456789", use: [limits.x]}', services="", more="workers: 1"):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        {more}
        services: {{{services}}}
        limits: {{x: {limit}}}
        routes: {{{routes}}}
        """


def left(answer):
    return int(answer.header("RateLimit").split(";")[1].removeprefix("r="))


def test_by_what_a_request_brings(start):
    gateway = start(config("{rate: 10/h, cost: header.x-items}"))
    answers = [gateway.get("/", {"X-Items": items}) for items in ("4", "7", "1.5", "0", "-3", "4")]
    assert [answer.status for answer in answers] == [200, 429, 200, 200, 200, 200]
    assert [left(answer) for answer in answers] == [6, 6, 4, 4, 4, 0]
    assert gateway.get("/").status == 429  # without the field it is one


@pytest.fixture(params=["http1", "http2"])
def client(request):
    if request.param == "http2":
        return H2Connection
    from http_client import Connection
    return Connection


def test_by_bytes_of_the_answer(start, client):
    gateway = start(config("{rate: 25/h, reserve: 0, cost: response.size}"))
    with client(gateway.address, 60) as made:
        answers = [made.request("GET", "/") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [left(answer) for answer in answers] == [25, 15, 5, 0]


def test_by_bytes_of_the_request(start, serve, client):
    gateway = start(config("{rate: 25/h, cost: request.size}", services=f'back: "{serve().at}"',
                           routes="/**: {to: back, use: [limits.x]}"))
    with client(gateway.address, 60) as made:
        answers = [made.request("POST", "/", body=b"x" * size) for size in (20, 3, 0, 0)]
    assert [answer.status for answer in answers] == [200] * 4
    assert [left(answer) for answer in answers] == [24, 4, 1, 1]  # one is taken until it is known


def with_tokens(peer):
    while True:
        peer.read_body(peer.read_head())
        peer.send(b"HTTP/1.1 200 OK\r\nX-Used: 7\r\nTrailer: X-Tokens\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"2\r\nok\r\n0\r\nX-Tokens: 40\r\n\r\n")


@pytest.mark.parametrize("cost, after", [("response.header.x-used", 92), ("response.trailer.x-tokens", 59),
                                         ("response.trailer.x-none", 98)])
def test_by_what_the_service_reports(start, serve, client, cost, after):
    gateway = start(config(f"{{rate: 100/h, cost: {cost}}}", services=f'back: "{serve(with_tokens).at}"',
                           routes="/**: {to: back, use: [limits.x]}"))
    with client(gateway.address, 60) as made:
        assert [left(made.request("GET", "/")) for _ in range(2)] == [99, after]


# --- numbers in bodies of JSON

TOTAL = "response.body.usage.total_tokens"


def speaking(body, kind="application/json", fields=()):
    """A service that answers everything with the same."""
    def script(peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            peer.answer(body, headers=[("Content-Type", kind), *fields])
    return script


def costing(start, serve, script, cost=TOTAL, more="reserve: 10"):
    return start(config(f"{{rate: 1000/30d, {more}, cost: {cost}}}", services=f'back: "{serve(script).at}"',
                        routes="/**: {to: back, use: [limits.x]}"))


def settled(gateway):
    """An exchange may end a moment after its client has the answer."""
    wait_for(lambda: gateway.in_flight() == 0, 60, "the exchange to end")


def lefts(gateway, client, *bodies):
    """What each request finds is left."""
    with client(gateway.address, 60) as made:
        found = []
        for body in bodies:
            found.append(left(made.request("POST", "/", body=body)))
            settled(gateway)
        return found


@pytest.mark.parametrize("body, kind, cost", [
    (b'{"id": 1, "usage": {"total_tokens": 40}}', "application/json", 40),
    (b'{"response": "a"}\n{"usage": {"total_tokens": 25}}\n', "application/x-ndjson", 25),
    (b'data: {"usage": null}\n\ndata: {"usage": {"total_tokens": 31}}\n\ndata: [DONE]\n\n', "text/event-stream", 31),
    (b'{"text": "' + b"x" * 3000000 + b'", "usage": {"total_tokens": 77}}', "application/json", 77),
    (b'{"error": "overloaded"}', "application/json", 10),
    (b'usage.total_tokens=40', "text/plain", 10)], ids=["object", "lines", "events", "long", "without", "text"])
def test_by_a_number_in_the_answer(start, serve, client, body, kind, cost):
    gateway = costing(start, serve, speaking(body, kind))
    assert lefts(gateway, client, b"", b"", b"") == [990, 990 - cost, 990 - 2 * cost]
    unknown = 0 if cost != 10 else 3
    wait_for(lambda: gateway.metric("weir_limit_cost_unknown_total", limit="limits.x") == unknown, 60, "it to be counted")


def test_what_is_coded_is_not_asked_for_and_not_read(start, serve):
    service = serve(speaking(b'{"usage": {"total_tokens": 40}}', fields=[("Content-Encoding", "br")]))
    gateway = start(config(f"{{rate: 1000/30d, reserve: 10, cost: {TOTAL}}}", services=f'back: "{service.at}"',
                           routes="/**: {to: back, use: [limits.x]}"))
    with gateway.connect() as made:
        assert left(made.request("GET", "/", {"Accept-Encoding": "gzip, br"})) == 990
        settled(gateway)
        assert left(made.request("GET", "/", {"Accept-Encoding": "gzip, br"})) == 980
    assert [request.all("Accept-Encoding") for request in service.requests] == [["identity"]] * 2


def test_by_a_number_in_the_request(start, serve, client):
    gateway = costing(start, serve, None, "request.body.max_tokens else 2")
    long = b'{"prompt": "' + b"y" * 1000000 + b'", "max_tokens": 300}'
    assert lefts(gateway, client, b'{"max_tokens": 100}', long, b"no json", b"") == [990, 890, 590, 588]


def test_by_how_many_items_a_request_brings(start, serve, client):
    gateway = costing(start, serve, None, "request.body.items else request.body")
    assert lefts(gateway, client, b'{"items": [1, {"items": [2]}, 3]}', b"[{}, {}]", b"") == [990, 987, 985]


def test_events_are_not_held_back_and_the_last_number_counts(start, serve):
    go_on = threading.Event()

    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
                  b'data: {"usage": {"total_tokens": 1}}\n\n')
        assert go_on.wait(60)
        for piece in (b'data: {"usage": {"total_', b'tokens": 5', b'00}}\n', b"\ndata: [DONE]\n\n"):
            peer.send(piece)
        peer.close()

    gateway = costing(start, serve, script)
    with gateway.connect() as made:
        made.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert left(made.read_head()) == 990
        wait_for(lambda: b'total_tokens": 1}' in made.buffer or made._more(), 60, "the first event")
        go_on.set()
    wait_for(lambda: left(gateway.get("/")) < 990 - 500 + 10, 60, "it to be settled")


def test_who_goes_away_before_the_number_pays_the_reserve(start, serve):
    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n")
        peer.read_request()  # never comes

    gateway = costing(start, serve, script)
    with gateway.connect() as made:
        made.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        made.read_head()
        made.reset()
    wait_for(lambda: gateway.metric("weir_limit_cost_unknown_total", limit="limits.x") == 1, 60, "it to be settled")
    with gateway.connect() as made:
        made.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert left(made.read_head()) == 980


def test_what_a_service_does_not_answer_costs_what_was_reserved(start):
    gateway = start(config("{rate: 100/h, reserve: 5, cost: response.header.x-used}", services='gone: "127.0.0.1:1"',
                           routes="/**: {to: gone, use: [limits.x]}"))
    assert [left(gateway.get("/")) for _ in range(2)] == [95, 90]


def test_what_is_written_wrong(tmp_path):
    path = tmp_path / "weir.yaml"
    for cost, complaint in [(" else ".join(f"request.body.n{i}" for i in range(9)), "8 numbers of a body at most"),
                            ("request.body.a.b.c.d.e.f.g.h.i", "8 names at most"), ("response.sise", "there is no"), ("claims.sub", "claims need"), ("header.", "there is no")]:
        path.write_text(config(f"{{rate: 1/h, cost: {cost}}}"))
        code, _, said = run_weir("check", path)
        assert code == 3 and complaint in said, said
    path.write_text(config("{rate: 1/h, per: response.size}"))
    code, _, said = run_weir("check", path)
    assert code == 3 and "this is not known yet when it is asked" in said, said


# --- Redis

@pytest.fixture
def redis(tmp_path, free_port):
    with RedisServer(tmp_path, free_port(), "--save", "") as server:
        yield server


def at(server, timeout="60s"):
    return f'workers: 2\n        redis: {{at: "127.0.0.1:{server.port}", timeout: {timeout}, connect-timeout: {timeout}, gateways: 2}}'


def up(gateway):
    def is_up():
        status = gateway.status()
        return status["redis"]["state"] == "up" and status["redis"]["connections"] == status["workers"]
    wait_for(is_up, 60, "redis to be up")
    return gateway


def test_two_gateways_share_what_is_settled_later(start, redis, client):
    gateways = [up(start(config("{rate: 100/h, reserve: 0, cost: response.size, per: host}", more=at(redis)))) for _ in range(2)]
    with client(gateways[0].address, 60) as made:
        made.request("GET", "/", {"Host": "a.example"} if client is not H2Connection else {})
        made.request("GET", "/", {"Host": "a.example"} if client is not H2Connection else {})
        seen = left(made.request("GET", "/", {"Host": "a.example"} if client is not H2Connection else {}))
    assert seen == 80
    wait_for(lambda: left(gateways[1].get("/", {"Host": "a.example"})) <= 70, 60, "the other to see it")


def commands(gateway):
    return gateway.metric("weir_redis_commands_total", result="ok")


RATE = 300


SETTLED = pytest.mark.parametrize("algorithm", ["token-bucket", "fixed-window", "sliding-window"])


@SETTLED
def test_counting_here_and_settling_now_and_then(start, redis, algorithm):
    """No more passes than the stated bound: the burst, or the rate, of each gateway; and each learns of the others."""
    away_from_midnight()
    gateways = [up(start(config(f"{{rate: {RATE}/day, algorithm: {algorithm}, settle: 50ms, per: header.x-user}}", more=at(redis))))
                for _ in range(2)]

    def ask(i):
        return gateways[i % 2].get("/", {"X-User": "ann"}, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [answer.status for answer in pool.map(ask, range(1000))]
    assert set(statuses) == {200, 429}
    assert RATE <= statuses.count(200) <= 2 * RATE + 10
    assert sum(commands(gateway) for gateway in gateways) < 500
    assert [ask(i).status for i in range(2)] == [429, 429]


@SETTLED
def test_others_hear_of_what_one_has_counted(start, redis, algorithm):
    away_from_midnight()
    gateways = [up(start(config(f"{{rate: 10000/day, algorithm: {algorithm}, settle: 10ms, per: header.x-user}}", more=at(redis))))
                for _ in range(2)]
    for _ in range(200):
        gateways[0].get("/", {"X-User": "ann"})
    for one in (1, 0):
        wait_for(lambda one=one: left(gateways[one].get("/", {"X-User": "ann"})) < 9850, 60, "the other to hear of it")
    # Nothing was counted twice: what Redis knows is no more than what has passed.
    passed = sum(gateway.metric("weir_limit_decisions_total", decision="passed") for gateway in gateways)
    assert left(gateways[1].get("/", {"X-User": "ann"})) >= 10000 - passed - 2


@SETTLED
def test_one_that_is_full_fills_the_other(start, redis, algorithm):
    """What one gateway has let through is no longer there for the other, once it has been heard of."""
    away_from_midnight()
    gateways = [up(start(config(f"{{rate: 50/day, algorithm: {algorithm}, settle: 10ms, per: header.x-user}}", more=at(redis))))
                for _ in range(2)]
    assert [gateways[0].get("/", {"X-User": "ann"}).status for _ in range(50)] == [200] * 50
    statuses = []

    def ask_both():
        gateways[0].get("/", {"X-User": "ann"})
        statuses.append(gateways[1].get("/", {"X-User": "ann"}).status)
        return statuses[-1] == 429
    wait_for(ask_both, 60, "the other to be full")
    assert statuses.count(200) < 50


@SETTLED
def test_what_is_known_later_is_settled_too(start, redis, algorithm):
    away_from_midnight()
    gateways = [up(start(config(f"{{rate: 10000/day, algorithm: {algorithm}, settle: 10ms, reserve: 0, cost: response.size, per: host}}",
                                more=at(redis)))) for _ in range(2)]
    for _ in range(100):
        gateways[0].get("/", {"Host": "a.example"})

    def has_heard():  # by requests that cost nothing: their answers have no body
        found = [left(gateway.request("HEAD", "/", {"Host": "a.example"})) for gateway in gateways]
        return found[1] < 9100
    wait_for(has_heard, 60, "the other to hear of it")


def test_settling_when_redis_is_gone(start, redis):
    gateway = up(start(config("{rate: 100/h, settle: 10ms, per: header.x-user}", more=at(redis, "50ms"))))
    assert gateway.get("/", {"X-User": "ann"}).status == 200
    redis.kill()
    wait_for(lambda: gateway.get("/", {"X-User": "ann"}).status == 200
             and gateway.metric("weir_limit_unavailable_total", limit="limits.x") > 0, 60, "it to count alone")
    redis.start()
    up(gateway)

    def is_together():
        before = gateway.metric("weir_limit_unavailable_total", limit="limits.x")
        gateway.get("/", {"X-User": "bob"})
        return gateway.metric("weir_limit_unavailable_total", limit="limits.x") == before
    wait_for(is_together, 60, "it to count together again")


def test_only_a_bucket_is_settled_now_and_then(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(config("{rate: 1/h, settle: 5}"))
    code, _, said = run_weir("check", path)
    assert code == 3 and "unit" in said, said
