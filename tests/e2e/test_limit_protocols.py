"""Each algorithm of limits by each protocol: by one gateway, and by two that count together in one Redis."""

import pytest
from gateway import wait_for
from limit_visitors import VISITS, Services, Visitors
from redis_server import RedisServer

# How many pass. A leaky bucket holds who has to wait; for longer than a request may take
# it holds nobody.
LIMITS = {
    "token-bucket": ("{rate: 3/30d, per: header.x-user}", 3),
    "leaky-bucket": ("{rate: 1/h, burst: 5, algorithm: leaky-bucket, per: header.x-user}", 1),
    "fixed-window": ("{rate: 3/30d, algorithm: fixed-window, per: header.x-user}", 3),
    "sliding-window": ("{rate: 3/30d, algorithm: sliding-window, per: header.x-user}", 3),
    "sliding-log": ("{rate: 3/30d, algorithm: sliding-log, per: header.x-user}", 3),
    "concurrency": ("{concurrency: 3, per: header.x-user}", 3),
}


@pytest.fixture(params=["one", "two"])
def gateways(request, tmp_path, start):
    """gateways(limit): one gateway, or two with the same Redis."""
    with Services() as services:
        if request.param == "one":
            # One worker: of a bucket two workers may find the last one gone by as much as their ideas of the time differ.
            yield lambda limit: [start(services.config(limit, "workers: 1", http="request-timeout: 10m"))]
            return
        with RedisServer(tmp_path, request.getfixturevalue("free_port")(), "--save", "") as server:
            more = f'workers: 1\n            redis: {{at: "127.0.0.1:{server.port}", timeout: 60s, connect-timeout: 60s}}'

            def run(limit):
                both = [start(services.config(limit, more, http="request-timeout: 10m")) for _ in range(2)]
                for gateway in both:
                    wait_for(lambda gateway=gateway: gateway.status()["redis"]["state"] == "up", 60, "redis to be up")
                return both
            yield run


@pytest.mark.parametrize("algorithm", LIMITS)
def test_as_many_pass_as_the_limit_says(gateways, algorithm):
    limit, count = LIMITS[algorithm]
    given = gateways(limit)
    with Visitors() as visitors:
        for protocol in VISITS:
            visits = [visitors.come(given[i % len(given)], protocol, protocol) for i in range(count)]
            assert all(visit.passed() for visit in visits), protocol
            assert not any(visitors.passes(gateway, protocol, protocol) for gateway in given), protocol
            for i, visit in enumerate(visits):
                visit.abort() if i == 1 else visit.end()
            if algorithm == "concurrency":
                wait_for(lambda: visitors.passes(given[-1], protocol, protocol), 60, "who has left to make room")  # noqa: B023
            else:
                assert not any(visitors.passes(gateway, protocol, protocol) for gateway in given), protocol
    assert all(gateway.metric("weir_limit_decisions_total", decision="refused") for gateway in given)
