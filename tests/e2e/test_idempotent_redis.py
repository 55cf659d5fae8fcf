"""Gateways that share a Redis do a request once between them, also when its retries come to all of them at once."""

import concurrent.futures

import pytest
from gateway import wait_for
from idempotency_desk import Desk, check_left_unknown, check_retries_at_once, counted, is_order, post, reason
from redis_server import RedisServer

PATIENT = "timeout: 60s, connect-timeout: 60s"  # how busy the machine is must not count


@pytest.fixture
def redis(tmp_path, free_port):
    with RedisServer(tmp_path, free_port(), "--save", "") as server:
        yield server


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.gate.set()


@pytest.fixture
def shops(start, serve, desk, redis):
    """shops(policy): two gateways before the desk, which share a Redis."""
    def run(policy="POST", patience=PATIENT):
        back = serve(desk.serve)
        gateways = [start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 2
            redis: {{at: "127.0.0.1:{redis.port}", {patience}}}
            services: {{order: "{back.at}"}}
            routes: {{/**: {{to: order, idempotent: {policy}}}}}
            """) for _ in range(2)]
        for gateway in gateways:
            wait_for(lambda one=gateway: one.status()["redis"]["state"] == "up", 60, "redis")
        return gateways
    return run


def test_retries_at_all_gateways_at_once_are_one_execution(shops, desk):
    check_retries_at_once(shops(), desk)


def test_what_one_gateway_left_unknown_is_unknown_to_all(shops, desk):
    check_left_unknown(*shops("{lease: 1s}"), desk)


def test_results_are_kept_no_longer_than_said(shops, desk, redis):
    gateway = shops("{keep: 1h}")[0]
    is_order(post(gateway), 1, False)
    name, = redis.keys()
    assert name.startswith("weir:idempotency:")
    assert 0 < int(redis.ask("PTTL", name)) <= 3600 * 1000


@pytest.mark.parametrize("policy, status", [("refuse", 503), ("local", 201), ("pass", 201)])
def test_without_redis(shops, desk, redis, policy, status):
    gateway = shops(f"{{if-unavailable: {policy}}}", "timeout: 20ms")[0]
    redis.kill()
    wait_for(lambda: gateway.status()["redis"]["state"] == "down", 60, "redis to be gone")
    answers = [post(gateway) for _ in range(2)]
    assert [answer.status for answer in answers] == [status] * 2
    assert len(desk.orders) == {"refuse": 0, "local": 1, "pass": 2}[policy]
    assert counted(gateway, "unavailable") == 2
    if policy == "refuse":
        assert reason(answers[0]) == "store-unavailable"


def test_a_redis_that_stands_still_makes_nobody_wait_for_long(shops, desk, redis):
    gateway = shops("POST", "timeout: 20ms")[0]
    with redis.paused():
        assert reason(post(gateway)) == "store-unavailable"
        assert desk.orders == []


def test_a_result_that_cannot_be_kept_is_given_all_the_same(shops, desk, redis):
    gateway = shops("{timeout: 100ms}", "timeout: 20ms")[0]
    desk.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, gateway)
        desk.wait_for_orders(1)
        redis.kill()
        wait_for(lambda: gateway.status()["redis"]["state"] == "down", 60, "redis to be gone")
        desk.gate.set()
        answer = first.result()
    assert (answer.status, answer.header("Idempotency-Expires")) == (201, None)
    assert counted(gateway, "not-kept") == 1
