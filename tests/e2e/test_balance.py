"""Choosing an endpoint: each algorithm and what surrounds it, from YAML, against real endpoints."""

import collections
import json
import re
import threading
import time

import pytest
from gateway import run_weir, wait_for
from l4_peers import TcpService, connect, named, read_line


class Named:
    """A script for services that answer with their name, after a pause if they are slow."""

    def __init__(self, name, pause=0.0, headers=()):
        self.name, self.pause, self.headers = name, pause, headers

    def __call__(self, peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            time.sleep(self.pause)
            peer.answer(self.name.encode(), headers=self.headers)


@pytest.fixture
def several(start, serve):
    """several(count, options): a gateway in front of services a, b, c, …; (gateway, services)."""
    def make(count, options, endpoints=None, scripts=(), workers=1, more=""):
        services = [serve(scripts[i] if i < len(scripts) else Named("abcdefgh"[i])) for i in range(count)]
        places = [f'{{address: "{service.at}"{(endpoints or [""] * count)[i]}}}' for i, service in enumerate(services)]
        config = f"""
            version: 1
            listen: "127.0.0.1:0"
            admin: "127.0.0.1:0"
            workers: {workers}
            services: {{back: {{at: [{", ".join(places)}], {options}}}}}
            routes: {{/**: back}}
            {more}
            """
        return start(config), services
    return make


def ask(connection, headers=None, path="/"):
    answer = connection.request("GET", path, headers)
    assert answer.status == 200, answer
    return answer.body.decode()


def counts(gateway, number, headers=lambda i: None):
    with gateway.connect() as connection:
        return collections.Counter(ask(connection, headers(i)) for i in range(number))


def lose(gateway, *services):
    """They die; some requests may be lost before the gateway knows that."""
    for service in services:
        service.close()
    good = 0
    for _ in range(100):
        good = good + 1 if gateway.get("/").status == 200 else 0
        if good == 8:
            return
    raise AssertionError("no end of failures")


def at_once(gateway, number, each=1):
    """So many clients, each with so many requests one after the other."""
    found = collections.Counter()

    def client():
        mine = counts(gateway, each)
        found.update(mine)

    threads = [threading.Thread(target=client) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.total() == number * each
    return found


# --- algorithms

def test_round_robin(several):
    gateway, _ = several(3, "balance: round-robin")
    assert counts(gateway, 30) == {"a": 10, "b": 10, "c": 10}


@pytest.mark.parametrize("name", ["round-robin", "weighted-round-robin"])
def test_weights_in_turn(several, name):
    gateway, _ = several(3, f"balance: {name}", [", weight: 5", ", weight: 1", ", weight: 1"])
    assert counts(gateway, 70) == {"a": 50, "b": 10, "c": 10}


@pytest.mark.parametrize("name", ["random", "least-requests", "weighted-least-connections"])
def test_in_proportion_to_weights(several, name):
    gateway, _ = several(2, f"balance: {name}", [", weight: 3", ", weight: 1"])
    found = counts(gateway, 400)
    assert 250 <= found["a"] <= 350, found


@pytest.mark.parametrize("name", ["least-connections", "weighted-least-connections", "least-requests",
                                  "least-response-time", "peak-ewma"])
def test_a_slow_endpoint_gets_less(several, name):
    gateway, _ = several(3, f"balance: {name}", scripts=[Named("slow", 0.3)])
    found = at_once(gateway, 6, 15)
    assert found["slow"] < 20, found
    assert found["b"] > 0 and found["c"] > 0, found


@pytest.mark.parametrize("name", ["least-response-time", "peak-ewma"])
def test_failing_fast_is_not_attractive(several, name):
    """An endpoint that refuses at once would be the fastest of all."""
    def failing(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            peer.answer(b"no", status=500)

    gateway, services = several(3, f"balance: {name}", scripts=[failing, Named("b", 0.02), Named("c", 0.02)])
    with gateway.connect() as connection:
        for _ in range(40):
            connection.request("GET", "/")
    assert len(services[0].requests) <= 4
    assert len(services[1].requests) + len(services[2].requests) >= 35


HASHES = ["ring-hash", "maglev", "rendezvous", "ip-hash"]


def user(i):
    return {"X-User": f"user{i % 100}"}


@pytest.mark.parametrize("name", HASHES)
def test_a_key_stays(several, name):
    gateway, services = several(4, f"balance: {name} header.x-user", workers=2)
    with gateway.connect() as connection:
        first = [ask(connection, user(i)) for i in range(100)]
    assert len(set(first)) == 4
    with gateway.connect() as connection:
        assert [ask(connection, user(i)) for i in range(100)] == first
    # One dies: its keys go to several others, and nobody else's move.
    services[0].close()
    with gateway.connect() as connection:
        then = [ask(connection, user(i)) for i in range(100)]
    assert all(now == before for now, before in zip(then, first, strict=True) if before != "a")
    assert len({now for now, before in zip(then, first, strict=True) if before == "a"}) > 1


def test_by_address(several):
    gateway, _ = several(4, "balance: ip-hash", more="trusted: loopback")
    found = {i: {ask(c, {"X-Forwarded-For": f"10.0.{i}.1"}) for c in [gateway.connect()] * 2} for i in range(30)}
    assert all(len(names) == 1 for names in found.values())
    assert len(set.union(*found.values())) == 4


@pytest.mark.parametrize("function", ["xxhash", "siphash", "murmur3", "md5", "sha1"])
def test_hash_functions(several, function):
    gateway, _ = several(3, f"balance: {{by: maglev, key: header.x-user, hash: {function}, seed: 5}}")
    first = counts(gateway, 100, user)
    assert len(first) == 3 and first == counts(gateway, 100, user)


def test_bounded_load(several):
    """One key that everybody asks for goes to more than one endpoint, once its own is busy."""
    gateway, services = several(3, "balance: {by: ring-hash, key: path, bound: 125%}",
                                scripts=[Named(name, 0.3) for name in "abc"])
    found = at_once(gateway, 9, 4)
    assert max(found.values()) <= 24 and len(found) == 3, found
    wait_for(lambda: gateway.in_flight() == 0)
    assert len(counts(gateway, 6)) == 1


# --- what surrounds them

def test_backups_and_tiers(several):
    gateway, services = several(4, "outlier: {failures: 1, share: 100%}",
                                ["", ", backup: true", ", tier: 1", ""])
    assert set(counts(gateway, 20)) == {"a", "d"}
    lose(gateway, services[0])
    assert set(counts(gateway, 20)) == {"d"}
    lose(gateway, services[3])
    assert set(counts(gateway, 20)) == {"c"}
    lose(gateway, services[2])
    assert set(counts(gateway, 20)) == {"b"}
    state = gateway.status()["services"][0]["endpoints"]
    assert [endpoint.get("tier", 0) for endpoint in state] == [0, 1000, 1, 0]


def test_spilling_in_proportion(several):
    gateway, services = several(3, "spill: 100%, outlier: {failures: 1, share: 100%}", ["", "", ", tier: 1"])
    assert set(counts(gateway, 20)) == {"a", "b"}
    lose(gateway, services[0])
    found = counts(gateway, 200)
    assert 60 <= found["c"] <= 140 and found["b"] + found["c"] == 200, found


def test_the_own_zone_first(several):
    zones = [", zone: eu/a", ", zone: eu/a", ", zone: eu/b", ", zone: eu/b", ", zone: us/c"]
    gateway, services = several(5, "zone: {own: eu/a, at-least: 1}, outlier: {failures: 1, share: 100%}", zones)
    assert set(counts(gateway, 40)) == {"a", "b"}
    lose(gateway, services[0], services[1])
    assert set(counts(gateway, 40)) == {"c", "d"}
    lose(gateway, services[2], services[3])
    assert set(counts(gateway, 10)) == {"e"}
    assert [endpoint["zone"] for endpoint in gateway.status()["services"][0]["endpoints"]] == list("aabbc")
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert "zone eu/a" in said and "us, zone c" in said


def test_a_small_zone_keeps_its_part(several):
    """A zone with a quarter of the endpoints where half of the requests come in keeps half of those."""
    zones = [", zone: a"] + [", zone: b"] * 3
    gateway, _ = several(4, "zone: {own: a, at-least: 1}", zones)
    found = counts(gateway, 400)
    assert 150 <= found["a"] <= 250, found


def test_subsets(several):
    labels = [", labels: {version: v1}", ", labels: {version: v1}", ", labels: {version: v2}", ""]
    gateway, services = several(4, "subset: version header.x-version, outlier: {failures: 1, share: 100%}", labels)
    assert set(counts(gateway, 10, lambda i: {"X-Version": "v2"})) == {"c"}
    assert set(counts(gateway, 10, lambda i: {"X-Version": "v1"})) == {"a", "b"}
    assert set(counts(gateway, 12)) == set("abcd")
    assert set(counts(gateway, 12, lambda i: {"X-Version": "v9"})) == set("abcd")
    services[2].close()
    assert set(counts(gateway, 10, lambda i: {"X-Version": "v2"})) <= set("abd")


def test_a_subset_or_nobody(several):
    labels = [", labels: {version: v1}", ", labels: {version: v2}"]
    gateway, _ = several(2, "subset: {label: version, by: header.x-version, else: none}", labels)
    assert set(counts(gateway, 10, lambda i: {"X-Version": "v2"})) == {"b"}
    answer = gateway.get("/", {"X-Version": "v3"})
    assert answer.status == 503 and b"no-endpoint" in answer.body


def test_slow_start(several, serve):
    """An endpoint that comes back gets little at first."""
    health = "health: GET /ok every 20ms, slow-start: 30s"
    down = threading.Event()

    def moody(peer):
        while True:
            request = peer.read_request()
            if request.target == "/ok":
                peer.answer(b"", status=503 if down.is_set() else 200)
            else:
                peer.answer(b"moody")

    gateway, _ = several(2, health, scripts=[moody])
    assert counts(gateway, 20) == {"moody": 10, "b": 10}
    down.set()
    state = lambda: gateway.status()["services"][0]["endpoints"][0]  # noqa: E731
    wait_for(lambda: state()["state"] == "down")
    down.clear()
    wait_for(lambda: state()["state"] == "up")
    assert 0.09 <= state()["slow_start"] < 0.9
    found = counts(gateway, 200)
    assert 1 <= found["moody"] <= 70, found


# --- sticky sessions

def cookie_of(answer):
    return answer.header("Set-Cookie", "").split(";")[0]


def test_sticky_by_cookie(several):
    gateway, services = several(4, "sticky: cookie")
    answer = gateway.get("/")
    cookie, home = cookie_of(answer), answer.body.decode()
    assert re.fullmatch(r"weir-at=[\w-]{32}; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax",
                        answer.header("Set-Cookie").replace("Path=/; Max-Age=3600", "Max-Age=3600; Path=/"))
    for _ in range(10):
        answer = gateway.get("/", {"Cookie": f"x=y; {cookie}"})
        assert answer.body.decode() == home and answer.header("Set-Cookie") is None
    # Nobody chooses an endpoint by making one up.
    forged = cookie[:-1] + ("A" if cookie[-1] != "A" else "B")
    assert len({gateway.get("/", {"Cookie": forged}).body for _ in range(8)}) == 4
    assert cookie_of(gateway.get("/", {"Cookie": "weir-at=AAAA"})).startswith("weir-at=")
    # It falls over, and stays there.
    services["abcd".index(home)].close()
    answer = gateway.get("/", {"Cookie": cookie})
    other = answer.body.decode()
    assert other != home and cookie_of(answer) not in ("", cookie)
    assert {gateway.get("/", {"Cookie": cookie_of(answer)}).body.decode() for _ in range(5)} == {other}
    assert gateway.metric("weir_sticky_requests_total", outcome="kept") == 15
    assert gateway.metric("weir_sticky_requests_total", outcome="new") == 2
    assert gateway.metric("weir_sticky_requests_total", outcome="moved") == 9


@pytest.mark.parametrize("by,headers", [
    ("header.x-session", {"X-Session": "s1"}),
    ("header.authorization", {"Authorization": "Bearer s1"}),
    ("cookie.sid", {"Cookie": "a=b; sid=s1"}),
    ("client.ip", {}),
])
def test_sticky_by_a_key(several, by, headers):
    gateway, services = several(4, f"sticky: {by}", workers=2)
    home = gateway.get("/", headers).body.decode()
    assert {gateway.get("/", headers).body.decode() for _ in range(10)} == {home}
    assert gateway.reload(gateway.config_path.read_text())[0] == 200
    assert {gateway.get("/", headers).body.decode() for _ in range(5)} == {home}
    services["abcd".index(home)].close()
    others = {gateway.get("/", headers).body.decode() for _ in range(6)}
    assert len(others) == 1 and others != {home}


def test_sticky_round_robin_with_timeout_and_logout(several):
    options = 'balance: round-robin, sticky: {by: header.x-session, timeout: 4s, logout: path == "/logout"}'
    gateway, _ = several(3, options)
    session = {"X-Session": "one"}
    with gateway.connect() as connection:
        home = ask(connection, session)
        assert {ask(connection, session) for _ in range(5)} == {home}
        assert {ask(connection) for _ in range(3)} == set("abc")
        assert ask(connection, session, "/logout") == home
        assert ask(connection, session) != home  # in turn again
        assert gateway.metric("weir_sticky_requests_total", outcome="ended") == 1
        assert gateway.status()["services"][0]["sessions"] == 1
        wait_for(lambda: gateway.status()["services"][0]["sessions"] == 0)
        assert len({ask(connection, {"X-Session": "one"}) for _ in range(4)}) == 1


def test_a_session_that_the_answer_begins(several):
    scripts = [Named(name, headers=[("X-Session", f"of-{name}")]) for name in "abc"]
    gateway, _ = several(3, "sticky: {by: header.x-session, learn: response.header.x-session}", scripts=scripts)
    for _ in range(3):
        begun = gateway.get("/login")
        assert gateway.get("/", {"X-Session": begun.header("X-Session")}).body == begun.body


# --- elsewhere

def test_explained(several, tmp_path):
    gateway, _ = several(3, "balance: maglev header.x-user")
    with gateway.connect() as connection:
        home = ask(connection, {"X-User": "anna"})
    _, said, _ = run_weir("explain", "GET http://x/", str(gateway.config_path), "-H", "X-User: anna")
    address = gateway.status()["services"][0]["endpoints"]["abc".index(home)]["address"]
    assert f'maglev header.x-user = "anna": {address}' in said
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert "service back, maglev header.x-user" in said


def test_explained_live(several):
    """A running gateway says of each endpoint why it is not chosen."""
    gateway, services = several(4, "panic: 0%", [", zone: a", ", zone: b", ", zone: a", ", zone: a, tier: 1"],
                                more="zone: a")
    at = [service.at for service in services]
    assert run_weir("drain", "back", at[2], "--control", gateway.control)[0] == 0
    code, out, error = run_weir("explain", "GET /", gateway.config_path, "--control", gateway.control)
    assert code == 0, error
    lines = [line for line in out.splitlines() if line.startswith("endpoint:")]
    assert lines[0] == f"endpoint: {at[0]}, up"
    assert lines[1] == f"endpoint: {at[1]}, up: in zone b; the gateway stands in a"
    assert lines[2].startswith(f"endpoint: {at[2]}, drained, not chosen: drained since ")
    assert lines[3] == f"endpoint: {at[3]}, up: in tier 1, behind tier 0"
    code, out, _ = run_weir("explain", "GET /", gateway.config_path, "--control", gateway.control, "--json")
    assert [one["state"] for one in json.loads(out)["endpoints"]] == ["up", "up", "drained", "up"]
    code, _, error = run_weir("explain", "GET /", gateway.config_path, "--control", gateway.control + "x")
    assert code == 1 and "no gateway answers" in error


def test_a_zone_for_all_services(several):
    """Written once at the top, it holds for services that say nothing else; what goes elsewhere is counted."""
    zones = [", zone: eu/a", ", zone: eu/a", ", zone: eu/b", ", zone: eu/b", ", zone: us/a", ", zone: eu/a, tier: 2"]
    gateway, services = several(6, "zone: {at-least: 0}, panic: 0%", zones, more="zone: eu/a")
    assert gateway.status()["services"][0]["zone"] == "eu/a"
    counts(gateway, 20)
    assert gateway.metric("weir_zone_requests_total", zone="eu/a") == 20
    assert "weir_spilled_requests_total{" not in gateway.metrics() or \
        gateway.metric("weir_spilled_requests_total") == 0
    seen = {"zone": "eu/b", "region": "us/a", "tier": "eu/a"}
    for to, drained in [("zone", services[0:2]), ("region", services[2:4]), ("tier", services[4:5])]:
        for service in drained:
            assert run_weir("drain", "back", service.at, "--control", gateway.control)[0] == 0
        before = gateway.metric("weir_zone_requests_total", zone=seen[to])
        counts(gateway, 10)
        assert gateway.metric("weir_spilled_requests_total", to=to) == 10
        assert gateway.metric("weir_zone_requests_total", zone=seen[to]) == before + 10


def test_counted(several):
    gateway, services = several(2, "balance: least-response-time")
    counts(gateway, 10)
    assert gateway.metric("weir_endpoint_requests_total", service="back") == 10
    assert gateway.metric("weir_endpoint_in_flight") == 0
    assert gateway.metric("weir_endpoint_latency_seconds") > 0


@pytest.mark.parametrize("name", ["least-connections", "ip-hash", "maglev client.ip", "rendezvous client.ip",
                                  "least-requests", "random", "peak-ewma", "least-response-time"])
def test_connections(start, name):
    """Layer 4, with a service that dies."""
    with TcpService(named("a")) as one, TcpService(named("b")) as two:
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": {{to: back}}}}}}
            workers: 1
            services: {{back: {{at: ["{one.at}", "{two.at}"], balance: {name}}}}}
            """)

        def who():
            with connect(gateway) as client:
                return read_line(client)

        found = collections.Counter(who() for _ in range(30))
        assert len(found) == (1 if "ip" in name else 2), found
        one.close()
        assert len({who() for _ in range(5)}) == 1


def test_sticky_connections(start):
    with TcpService(named("a")) as one, TcpService(named("b")) as two:
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": {{to: back}}}}}}
            workers: 2
            services: {{back: {{at: ["{one.at}", "{two.at}"], sticky: client.ip}}}}
            """)

        def who():
            with connect(gateway) as client:
                return read_line(client)

        assert len({who() for _ in range(10)}) == 1
