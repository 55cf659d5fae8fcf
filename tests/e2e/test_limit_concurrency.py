"""How many requests are under way at once: whatever ends them, in line for a place, and by gateways that count together, of which one dies."""

import signal

import pytest
from gateway import run_weir, wait_for
from h2_websocket import Connection
from limit_visitors import VISITS, Services, Visitors, stay
from redis_server import RedisServer

LIMIT = "{concurrency: 2, per: header.x-user}"


@pytest.fixture
def services():
    with Services() as found:
        yield found


@pytest.fixture
def visitors():
    with Visitors() as found:
        yield found


@pytest.fixture
def redis(tmp_path, free_port):
    with RedisServer(tmp_path, free_port(), "--save", "") as server:
        yield server


def together(server, more=""):
    """What a configuration says of the Redis; two gateways share it."""
    return f'''workers: 1
            redis: {{at: "127.0.0.1:{server.port}", timeout: 60s, connect-timeout: 60s, gateways: 2{more}}}'''


def connected(gateway):
    wait_for(lambda: gateway.status()["redis"]["state"] == "up", 60, "redis to be up")
    return gateway


def in_use(gateway, count):
    wait_for(lambda: gateway.metric("weir_limit_in_use", limit="limits.x") == count, 60, f"{count} places to be in use")


def waiting(gateway, count):
    wait_for(lambda: gateway.metric("weir_limit_waiting", limit="limits.x") == count, 60, f"{count} to wait")


def decisions(gateway, word):
    return gateway.metric("weir_limit_decisions_total", limit="limits.x", decision=word)


def passed(visit):
    assert visit.passed()
    return visit


# --- whatever the end is

@pytest.mark.parametrize("protocol", VISITS)
def test_an_end_makes_room(start, services, visitors, protocol):
    gateway = start(services.config(LIMIT))
    for end in ("end", "abort"):
        visits = [passed(visitors.come(gateway, protocol)) for _ in range(2)]
        in_use(gateway, 2)
        assert not visitors.passes(gateway, protocol)
        assert visitors.passes(gateway, protocol, "bob")
        for visit in visits:
            getattr(visit, end)()
        in_use(gateway, 0)
        assert visitors.passes(gateway, protocol)
        in_use(gateway, 0)


def test_a_websocket_by_http2_stays_as_long_as_it_stands(start, services):
    gateway = start(services.config("{concurrency: 1}"))
    with Connection(gateway.address, 60) as client:
        stream = client.open("/ws")
        in_use(gateway, 1)
        assert client.head(client.ask("/ws")).status == 429
        stream.reset()
        in_use(gateway, 0)
        other = client.open("/ws")
        other.close()
        in_use(gateway, 0)


def test_a_service_that_fails_makes_room(start, services, serve, visitors):
    silent = serve(lambda peer: peer.read_request() and peer._until(b"never"))
    rude = serve(lambda peer: peer.read_request())
    text = services.config(LIMIT).replace("services: {", f'services: {{silent: {{at: "{silent.at}", timeout: 50ms, retry: 0}}, rude: "{rude.at}", ') \
               .replace("/ws: chat", "/ws: chat\n              /silent: silent\n              /rude: rude")
    gateway = start(text)
    for path, status in (("/silent", 504), ("/rude", 502)):
        for _ in range(5):
            assert gateway.get(path, {"X-User": "ann"}, timeout=60).status == status
    in_use(gateway, 0)
    assert decisions(gateway, "passed") == 10
    # The service resets what has begun.
    for protocol in ("http1", "http2"):
        visits = [passed(visitors.come(gateway, protocol)) for _ in range(2)]
        in_use(gateway, 2)
        services.http.close_peers()
        in_use(gateway, 0)
        for visit in visits:
            visit.close()
    passed(visitors.come(gateway, "websocket"))
    in_use(gateway, 1)
    services.chat.abort_all()
    in_use(gateway, 0)


def test_one_that_another_limit_refuses_takes_no_place(start, services):
    text = services.config(LIMIT).replace("limits: {", "limits: {rare: {rate: 1/30d}, ").replace("[limits.x]", "[limits.x, limits.rare]")
    gateway = start(text)
    answers = [gateway.request("POST", "/", {"X-User": "ann"}, b"a", timeout=60) for _ in range(4)]
    assert [answer.status for answer in answers] == [200] + [429] * 3
    assert decisions(gateway, "returned") == 3
    in_use(gateway, 0)
    policy = '"x";q=2;qu="concurrent-requests"'
    assert any(policy in value for value in answers[0].all("RateLimit-Policy"))


def test_a_refusal_says_how_many_may_be_there(start, services, visitors):
    gateway = start(services.config("{concurrency: 1}"))
    passed(visitors.come(gateway, "http1"))
    refused = gateway.get("/", timeout=60)
    assert refused.status == 429 and b"At most 1 at a time" in refused.body
    assert refused.header("Retry-After") == "1"
    assert refused.header("RateLimit") == '"x";r=0'
    assert refused.header("RateLimit-Policy") == '"x";q=1;qu="concurrent-requests"'


@pytest.mark.parametrize("protocol", VISITS)
def test_a_reload_keeps_what_is_under_way(start, services, visitors, protocol):
    gateway = start(services.config(LIMIT))
    visits = [passed(visitors.come(gateway, protocol)) for _ in range(2)]
    assert gateway.reload(services.config("{concurrency: 3, per: header.x-user}"))[0] == 200
    visits.append(passed(visitors.come(gateway, protocol)))
    assert not visitors.passes(gateway, protocol)
    assert gateway.reload(services.config("{concurrency: 1, per: header.x-user}"))[0] == 200
    for left in (2, 1, 0):
        assert not visitors.passes(gateway, protocol)
        visits.pop(0).end()
        in_use(gateway, left)
    assert visitors.passes(gateway, protocol)


# --- in line

@pytest.mark.parametrize("over", ["queue 10 for 1h", "delay 1h"])
@pytest.mark.parametrize("protocol", VISITS)
def test_who_waits_comes_in_turn(start, services, visitors, protocol, over):
    gateway = start(services.config(f"{{concurrency: 1, over: {over}}}"))
    first = passed(visitors.come(gateway, protocol))
    line = []
    for i in range(3):
        line.append(visitors.come(gateway, protocol, f"u{i}"))
        waiting(gateway, i + 1)
    first.end()
    for i, visit in enumerate(line):
        passed(visit)
        waiting(gateway, 2 - i)
        in_use(gateway, 1)
        visit.end()
    in_use(gateway, 0)


def test_who_is_gone_waits_no_more(start, services, visitors):
    gateway = start(services.config("{concurrency: 1, over: queue 2 for 1h}"))
    first = passed(visitors.come(gateway, "http1"))
    line = []
    for i, protocol in enumerate(("http1", "http2")):
        line.append(visitors.come(gateway, protocol))
        waiting(gateway, i + 1)
    assert not visitors.passes(gateway, "http1")  # two wait already
    for visit in line:
        visit.abort()
    waiting(gateway, 0)
    last = visitors.come(gateway, "grpc")
    waiting(gateway, 1)
    first.end()
    passed(last).end()
    in_use(gateway, 0)


def test_shadow_and_log(start, services, visitors):
    for options, word in (("shadow: true", "shadowed"), ("over: log", "logged")):
        gateway = start(services.config(f"{{concurrency: 1, {options}}}"))
        visits = [passed(visitors.come(gateway, "http1")) for _ in range(3)]
        assert [decisions(gateway, kind) for kind in ("passed", word)] == [1, 2]
        in_use(gateway, 1)
        for visit in visits:
            visit.end()
        in_use(gateway, 0)


def test_late_refusals_and_another_service(start, services, serve, visitors):
    gateway = start(services.config("{concurrency: 1, over: tarpit 10ms}"))
    passed(visitors.come(gateway, "http1"))
    assert not visitors.passes(gateway, "http2")
    assert decisions(gateway, "tarpitted") == 1
    cheap = serve(stay)
    text = services.config("{concurrency: 1, over: {to: cheap}}").replace("services: {", f'services: {{cheap: "{cheap.at}", ')
    gateway = start(text)
    for connections in (0, 1, 2):
        passed(visitors.come(gateway, "http1"))
        assert cheap.connections == connections
    assert decisions(gateway, "degraded") == 2
    in_use(gateway, 1)


# --- several gateways

def test_two_gateways_have_so_many_together(start, services, visitors, redis):
    both = [connected(start(services.config(LIMIT, together(redis)))) for _ in range(2)]
    for protocol in VISITS:
        visits = [passed(visitors.come(gateway, protocol)) for gateway in both]
        assert not any(visitors.passes(gateway, protocol) for gateway in both)
        visits[0].abort()
        wait_for(lambda: visitors.passes(both[1], protocol), 60, "the other one's place")  # noqa: B023
        visits[1].end()
        for gateway in both:
            in_use(gateway, 0)
    wait_for(lambda: not [key for key in redis.keys() if "limits.x" in key], 60, "all to be given back")
    assert all(gateway.metric("weir_limit_lease_failures_total") == 0 for gateway in both)


def test_who_waits_hears_of_another_gateways_end(start, services, visitors, redis):
    limit = "{concurrency: 1, over: queue 1h}"
    both = [connected(start(services.config(limit, together(redis)))) for _ in range(2)]
    first = passed(visitors.come(both[0], "grpc"))
    later = visitors.come(both[1], "http2")
    waiting(both[1], 1)
    first.end()
    passed(later).end()


def holders(redis):
    """Who holds something, and until when."""
    [key] = [key for key in redis.keys() if "limits.x" in key] or [None]
    words = redis.ask("ZRANGE", key, 0, -1, "WITHSCORES").split() if key else []
    return {who: float(until) for who, until in zip(words[::2], words[1::2], strict=True) if who != "used"}


# A lease of three seconds ends by mistake only when a gateway that has to renew it does not come to it for two.

@pytest.mark.parametrize("protocol", VISITS)
def test_what_lasts_longer_than_its_lease_is_renewed(start, services, visitors, redis, protocol):
    both = [connected(start(services.config("{concurrency: 1, lease: 3s}", together(redis)))) for _ in range(2)]
    visit = passed(visitors.come(both[0], protocol))
    [(who, until)] = holders(redis).items()
    wait_for(lambda: holders(redis).get(who, 0) > until + 3000000, 60, "it to be held for longer than a lease")
    assert not visitors.passes(both[1], protocol)
    visit.end()
    wait_for(lambda: visitors.passes(both[1], protocol), 60, "the place")


def test_leases_of_several_configurations_are_renewed(start, services, visitors, redis):
    gateway = connected(start(services.config("{concurrency: 9, lease: 1h}", together(redis))))
    visits = [passed(visitors.come(gateway, "websocket"))]
    for count in (8, 7):
        assert gateway.reload(services.config(f"{{concurrency: {count}, lease: 3s}}", together(redis)))[0] == 200
        visits += [passed(visitors.come(gateway, protocol)) for protocol in ("http2", "websocket")]
    early = sorted(holders(redis).items(), key=lambda one: one[1])[:4]
    wait_for(lambda: all(holders(redis).get(who, 0) > until + 3000000 for who, until in early), 60, "all to be renewed")
    for visit in visits:
        visit.end()
    wait_for(lambda: not holders(redis), 60, "all to be given back")


@pytest.mark.parametrize("lease", ["1h", "3s"])
def test_what_a_killed_gateway_held_comes_back(start, services, visitors, redis, lease):
    text = services.config(f"{{concurrency: 3, lease: {lease}}}", together(redis))
    dying, other = connected(start(text, check=False)), connected(start(text))
    for protocol in ("http1", "grpc", "websocket"):
        passed(visitors.come(dying, protocol))
    wait_for(lambda: len(holders(redis)) == 3, 60, "three places to be taken")
    dying.signal(signal.SIGKILL)
    dying.process.wait(60)
    if lease == "1h":
        assert len(holders(redis)) == 3 and not visitors.passes(other, "http2")
        return
    wait_for(lambda: visitors.passes(other, "http2"), 60, "the leases to end")
    wait_for(lambda: not holders(redis), 60, "nothing to be held")


def test_a_gateway_that_stops_gives_back(start, services, visitors, redis):
    text = services.config("{concurrency: 2, lease: 1h}", together(redis) + "\n            drain: 100ms")
    stopping, other = connected(start(text)), connected(start(text))
    for protocol in ("http2", "websocket"):
        passed(visitors.come(stopping, protocol))
    assert not visitors.passes(other, "http1")
    assert stopping.stop() == 0
    assert holders(redis) == {}
    assert visitors.passes(other, "http1")


def test_without_redis_each_has_its_share(start, services, visitors, redis):
    text = services.config("{concurrency: 4, lease: 3s}", together(redis).replace("timeout: 60s, connect", "timeout: 1s, connect"))
    gateway = connected(start(text))
    early = passed(visitors.come(gateway, "http1"))
    redis.kill()
    wait_for(lambda: gateway.status()["redis"]["state"] != "up", 60, "redis to be down")
    late = [passed(visitors.come(gateway, protocol)) for protocol in ("http2", "websocket")]  # half of four
    assert not visitors.passes(gateway, "http1")
    wait_for(lambda: gateway.metric("weir_limit_lease_failures_total", action="renew"), 60, "a renewal to fail")
    early.end()
    wait_for(lambda: gateway.metric("weir_limit_lease_failures_total", action="return") == 1, 60, "a return to fail")
    in_use(gateway, 2)
    for visit in late:
        visit.end()
    in_use(gateway, 0)
    redis.start()
    connected(gateway)
    visits = [passed(visitors.come(gateway, "http1")) for _ in range(4)]
    assert not visitors.passes(gateway, "http1")
    for visit in visits:
        visit.end()


def test_a_redis_that_has_forgotten_is_told_again(start, services, visitors, redis):
    both = [connected(start(services.config("{concurrency: 1, lease: 3s}", together(redis)))) for _ in range(2)]
    visit = passed(visitors.come(both[0], "websocket"))
    redis.ask("FLUSHALL")
    wait_for(lambda: holders(redis), 60, "the place to be known again")
    assert not visitors.passes(both[1], "http1")
    visit.end()


# --- what is said before

def test_explained_and_complained_about(tmp_path, services):
    path = tmp_path / "weir.yaml"
    path.write_text(services.config("{concurrency: {pro: 20, else: 2}, by: header.x-plan}"))
    code, said, error = run_weir("explain", "GET /", path, "-H", "X-Plan: pro")
    assert code == 0, error
    assert "passes, 20 left for client.ip" in said
    for limit, complaint in (("{concurrency: 0}", "concurrency"), ("{rate: 1/s, concurrency: 2}", "not both"),
                             ("{rate: 5/min, algorithm: concurrency}", "concurrency: 10")):
        path.write_text(services.config(limit))
        code, _, said = run_weir("check", path)
        assert code == 3 and complaint in said
