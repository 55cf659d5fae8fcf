"""How limits count: each algorithm over HTTP, by one gateway and by two with Redis, and quotas that outlive a gateway."""

import concurrent.futures
import time

import pytest
from gateway import run_weir, wait_for
from h2_client import Client
from redis_server import RedisServer


@pytest.fixture(params=["alone", "redis"])
def shared(request, tmp_path):
    if request.param == "alone":
        yield ""
        return
    with RedisServer(tmp_path, request.getfixturevalue("free_port")(), "--save", "") as server:
        yield f'redis: {{at: "127.0.0.1:{server.port}", timeout: 60s, connect-timeout: 60s}}'


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


def away_from_midnight():
    """A window of the calendar is not to end while a test looks at it."""
    left = 86400 - time.time() % 86400
    if left < 120:
        time.sleep(left + 1)


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
    gateway = begin(start, "{rate: 1/h, burst: 1, algorithm: leaky-bucket}", shared)
    assert gateway.get("/").status == 200
    waiting = lambda: gateway.metric("weir_limit_waiting", limit="limits.x")  # noqa: E731
    with Client(gateway.address, 60) as client:
        stream = client.begin("GET", "/")
        wait_for(lambda: waiting() == 1, 60, "one to wait")
        assert gateway.get("/").status == 429
        client.h2.reset_stream(stream)
        client.flush()
        wait_for(lambda: waiting() == 0, 60, "it to be gone")


def test_many_at_once_are_counted_to_the_last(start, shared):
    away_from_midnight()
    gateway = begin(start, "{rate: 40/day, per: header.x-user}", shared)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(gateway).status, range(100)))
    assert answers.count(200) == 40 and answers.count(429) == 60


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
    ("{rate: 5/month, algorithm: sliding-log}", "months are not all alike"),
    ("{rate: 5/month, burst: 2}", "months are not all alike"),
    ("{rate: 200000/min, algorithm: sliding-log}", "remembers each request"),
    ("{rate: 90000/min, algorithm: sliding-log}", "more than 1 GiB"),
])
def test_what_does_not_go_together_is_said(tmp_path, limit, complaint):
    (tmp_path / "weir.yaml").write_text(config(limit))
    code, _, said = run_weir("check", tmp_path / "weir.yaml")
    assert code == 3 and complaint in said
