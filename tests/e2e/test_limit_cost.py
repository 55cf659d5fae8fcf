"""What requests cost: by what they bring, and by what is only known when the answer is sent; and settling with Redis now and then."""

import concurrent.futures

import pytest
from gateway import run_weir, wait_for
from h2_client import Connection as H2Connection
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


def test_what_a_service_does_not_answer_costs_what_was_reserved(start):
    gateway = start(config("{rate: 100/h, reserve: 5, cost: response.header.x-used}", services='gone: "127.0.0.1:1"',
                           routes="/**: {to: gone, use: [limits.x]}"))
    assert [left(gateway.get("/")) for _ in range(2)] == [95, 90]


def test_what_is_written_wrong(tmp_path):
    path = tmp_path / "weir.yaml"
    for cost, complaint in [("response.sise", "there is no"), ("claims.sub", "claims need"), ("header.", "there is no")]:
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


def test_counting_here_and_settling_now_and_then(start, redis):
    """No more passes than the stated bound: the burst of each gateway; and each learns of the others."""
    gateways = [up(start(config(f"{{rate: {RATE}/h, settle: 50ms, per: header.x-user}}", more=at(redis)))) for _ in range(2)]

    def ask(i):
        return gateways[i % 2].get("/", {"X-User": "ann"}, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [answer.status for answer in pool.map(ask, range(1000))]
    assert set(statuses) == {200, 429}
    assert RATE <= statuses.count(200) <= 2 * RATE + 10
    assert sum(commands(gateway) for gateway in gateways) < 500
    assert [ask(i).status for i in range(2)] == [429, 429]


def test_others_hear_of_what_one_has_counted(start, redis):
    gateways = [up(start(config("{rate: 10000/h, settle: 10ms, per: header.x-user}", more=at(redis)))) for _ in range(2)]
    for _ in range(200):
        gateways[0].get("/", {"X-User": "ann"})
    for one in (1, 0):
        wait_for(lambda one=one: left(gateways[one].get("/", {"X-User": "ann"})) < 9850, 60, "the other to hear of it")
    # Nothing was counted twice: what Redis knows is no more than what has passed.
    passed = sum(gateway.metric("weir_limit_decisions_total", decision="passed") for gateway in gateways)
    assert left(gateways[1].get("/", {"X-User": "ann"})) >= 10000 - passed - 2


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
