"""How limits count: each algorithm over HTTP, by one gateway and by two with Redis, and quotas that outlive a gateway."""

import concurrent.futures
import contextlib

import pytest
from gateway import run_weir, wait_for
from h2_client import Client
from limit_clock import away_from_midnight
from redis_server import RedisServer


@pytest.fixture
def redis(tmp_path, free_port):
    with RedisServer(tmp_path, free_port(), "--save", "") as server:
        yield f'redis: {{at: "127.0.0.1:{server.port}", timeout: 60s, connect-timeout: 60s}}'


@pytest.fixture(params=["alone", "redis"])
def shared(request):
    return "" if request.param == "alone" else request.getfixturevalue("redis")


def config(limit, more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        {more}
        limits: {{x: {limit}}}
        routes: {{/**: {{respond: "ok", use: [limits.x]}}}}
        """


def begin(start, limit, more=""):
    gateway = start(config(limit, more))
    if "redis" in more:
        wait_for(lambda: gateway.status()["redis"]["state"] == "up", 60, "redis to be up")
    return gateway


def ask(gateway, user="ann"):
    return gateway.get("/", {"X-User": user}, timeout=60)


@pytest.mark.parametrize("algorithm, rate, policy", [
    ("token-bucket", "3/day", "q=3;w=86400"), ("fixed-window", "3/day", "q=3;w=86400"),
    ("fixed-window", "3/month", "q=3;w=2592000"), ("sliding-window", "3/day", "q=3;w=86400"), ("sliding-log", "3/day", "q=3;w=86400")])
def test_as_many_pass_as_the_rate_says(start, shared, algorithm, rate, policy):
    away_from_midnight()
    gateway = begin(start, f"{{rate: {rate}, algorithm: {algorithm}, per: header.x-user}}", shared)
    answers = [ask(gateway) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
    assert answers[0].header("RateLimit").startswith('"x";r=2;t=')
    assert answers[4].header("RateLimit").startswith('"x";r=0;t=')
    assert answers[0].header("RateLimit-Policy").startswith('"x";' + policy.split(";w=")[0])
    assert int(answers[4].header("Retry-After")) >= 1
    assert ask(gateway, "bob").status == 200
    with Client(gateway.address, 60) as client:
        assert client.request("GET", "/", [("x-user", "ann")]).status == 429


def test_a_leaky_bucket_holds_and_lets_all_go(start, shared):
    gateway = begin(start, "{rate: 20/s, burst: 30, algorithm: leaky-bucket, per: header.x-user}", shared)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(gateway), range(12)))
    assert [answer.status for answer in answers] == [200] * 12
    said = [gateway.metric("weir_limit_decisions_total", limit="limits.x", decision=word) for word in ("passed", "delayed")]
    assert sum(said) == 12 and said[0] >= 1


def test_whom_a_leaky_bucket_cannot_hold_is_refused(start, shared):
    gateway = begin(start, "{rate: 1/h, burst: 1, algorithm: leaky-bucket, hold: 2h}", shared)
    assert gateway.get("/").status == 200
    waiting = lambda: gateway.metric("weir_limit_waiting", limit="limits.x")  # noqa: E731
    with Client(gateway.address, 60) as client:
        stream = client.begin("GET", "/")
        wait_for(lambda: waiting() == 1, 60, "one to wait")
        assert gateway.get("/").status == 429
        client.h2.reset_stream(stream)
        client.flush()
        wait_for(lambda: waiting() == 0, 60, "it to be gone")


def test_a_leaky_bucket_holds_nobody_too_long_and_not_too_many(start, shared):
    gateway = begin(start, "{rate: 1/h, burst: 9, algorithm: leaky-bucket, hold: 90m, per: header.x-user}", shared)
    assert crowd([gateway], 5, user="ann") == (1, 3, 1)  # the third would wait for two hours
    gateway.reload(config("{rate: 1/h, burst: 9, algorithm: leaky-bucket, hold: 1d, held: 2, keys: 128, per: header.x-user}", shared))
    assert crowd([gateway], 5, user="bob") == (1, 2, 2)
    assert gateway.metric("weir_limit_waiting", limit="limits.x") == 0


def test_many_at_once_are_counted_to_the_last(start, shared):
    away_from_midnight()
    gateway = begin(start, "{rate: 40/day, per: header.x-user}", shared)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(gateway).status, range(100)))
    assert answers.count(200) == 40 and answers.count(429) == 60


def sums(gateways):
    """How many have passed, been refused, wait, of all gateways."""
    def decided(word):
        return sum(gateway.metric("weir_limit_decisions_total", limit="limits.x", decision=word) for gateway in gateways)
    return decided("passed"), decided("refused"), sum(gateway.metric("weir_limit_waiting", limit="limits.x") for gateway in gateways)


def crowd(gateways, count, **fields):
    """So many come at once, to all gateways in turn: how many pass, are refused, have to wait."""
    before = sums(gateways)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(gateway.address, 60)) for gateway in gateways]
        for i in range(count):
            clients[i % len(clients)].begin("GET", "/", [(f"x-{name}", value) for name, value in fields.items()])
        wait_for(lambda: sum(sums(gateways)) - sum(before) == count, 60, f"{count} to be decided on")
        passed, refused, waiting = (now - then for now, then in zip(sums(gateways), before))
    wait_for(lambda: sums(gateways)[2] == 0, 60, "those who waited to be gone")
    return passed, refused, waiting


ALGORITHMS = ["token-bucket", "leaky-bucket", "fixed-window", "sliding-window", "sliding-log"]


def counting(algorithm):
    return f"algorithm: {algorithm}" + (", hold: 1d" if algorithm == "leaky-bucket" else "")


def through(algorithm, rate, count):
    """What becomes of so many at once: of a leaky bucket one passes, and as many as the rate counts may wait."""
    return (1, count - 1 - rate, rate) if algorithm == "leaky-bucket" else (rate, count - rate, 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_plans_have_rates_of_their_own(start, shared, algorithm):
    away_from_midnight()
    gateway = begin(start, "{rate: {free: 2/day, pro: 5/day, else: 1/day}, by: header.x-plan, per: header.x-user, "
                           f"{counting(algorithm)}}}", shared)
    for plan, rate in [("pro", 5), ("free", 2), ("gold", 1)]:
        assert crowd([gateway], 9, plan=plan, user=plan) == through(algorithm, rate, 9)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_gateways_let_as_many_pass_as_one(start, redis, algorithm):
    away_from_midnight()
    gateways = [begin(start, f"{{rate: 7/day, per: header.x-user, {counting(algorithm)}}}", redis) for _ in range(2)]
    assert crowd(gateways, 40, user="ann") == through(algorithm, 7, 40)
    assert crowd(gateways[:1], 4, user="bob") == ((1, 0, 3) if algorithm == "leaky-bucket" else (4, 0, 0))


def test_a_quota_outlives_its_gateway(start, tmp_path):
    away_from_midnight()
    text = config("{rate: 3/month, per: header.x-user}", f"state: {tmp_path}/state.db")
    first = start(text)
    assert [ask(first).status for _ in range(4)] == [200] * 3 + [429]
    first.stop()
    assert ask(start(text)).status == 429


@pytest.mark.parametrize("limit, complaint", [
    ("{rate: 5/day, algorithm: tumbling}", "token-bucket"),
    ("{rate: 5/min, algorithm: fixed-window, burst: 3}", "a burst is a bucket's"),
    ("{rate: 5/min, hold: 2s}", "only a leaky-bucket holds requests"),
    ("{rate: 5/min, algorithm: sliding-window, held: 2}", "only a leaky-bucket holds requests"),
    ("{rate: 5/min, algorithm: leaky-bucket, hold: 2}", "unit"),
    ("{rate: 5/min, algorithm: leaky-bucket, settle: 1s}", "it cannot be settled now and then"),
    ("{rate: 5/min, algorithm: sliding-log, settle: 1s}", "it cannot be settled now and then"),
    ("{rate: 5/month, algorithm: sliding-log}", "months are not all alike"),
    ("{rate: 5/month, burst: 2}", "months are not all alike"),
    ("{rate: 200000/min, algorithm: sliding-log}", "remembers each request"),
    ("{rate: 90000/min, algorithm: sliding-log}", "more than 1 GiB"),
])
def test_what_does_not_go_together_is_said(tmp_path, limit, complaint):
    (tmp_path / "weir.yaml").write_text(config(limit))
    code, _, said = run_weir("check", tmp_path / "weir.yaml")
    assert code == 3 and complaint in said
