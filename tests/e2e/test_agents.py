"""Agents: endpoints that say how loaded they are before anything is routed to them."""

import collections
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway import wait_for
from l4_peers import TcpService, connect, named, read_line
from test_health import Well, config, endpoints, events, state
from upstream import Upstream


class Agent(Upstream):
    """Says one line to everybody who connects."""

    def __init__(self, line, **more):
        self.line = line
        super().__init__(lambda peer: peer.send(self.line), **more)


class Loaded(Well):
    """A service that says on /load how it is."""

    def __init__(self):
        self.load = b"no"
        Upstream.__init__(self, Loaded.answer)

    @staticmethod
    def answer(peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            peer.answer(peer.upstream.load if request.target == "/load" else peer.upstream.at.encode())


@pytest.fixture
def loaded():
    with Loaded() as one, Loaded() as other:
        yield one, other


def answers(gateway, count=8):
    return {gateway.get("/x").body.decode() for _ in range(count)}


@pytest.mark.parametrize("bad,good,word", [
    (b"yes", b"no", "overloaded"), (b"0%\n", b"80%\n", "overloaded"), (b"drain\n", b"ready\n", "drained"),
    (b"maint # disks\n", b"up ready\n", "drained"), (b"stopped #by hand\n", b"up\n", "down"),
])
def test_an_endpoint_says_how_it_is(start, loaded, bad, good, word):
    one, other = loaded
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], slow-start: 0s, agent: GET /load every 30ms}}'))
    one.load = bad
    wait_for(lambda: state(gateway, one.at) == word)
    assert answers(gateway) == {other.at}
    one.load = good
    wait_for(lambda: state(gateway, one.at) == "up")
    assert answers(gateway) == {one.at, other.at}
    assert any("said by its agent" in event for event in events(gateway, one.at))


def test_all_overloaded(start, loaded):
    one, other = loaded
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], agent: GET /load every 30ms}}'))
    one.load = other.load = b"yes"
    wait_for(lambda: state(gateway, one.at) == state(gateway, other.at) == "overloaded")
    answer = gateway.get("/all")
    assert (answer.status, answer.header("Retry-After")) == (503, "5")
    assert b"all-overloaded" in answer.body
    assert gateway.log_line("/all")["reason"] == "all-overloaded"
    one.load = b"no"
    wait_for(lambda: gateway.get("/x").status == 200)


def test_all_overloaded_as_configured(start, loaded):
    one, _ = loaded
    gateway = start(config(f'back: {{at: "{one.at}", agent: {{path: /load, every: 30ms, '
                           'overloaded: {status: 429, retry-after: 90s, body: later}}}'))
    one.load = b"yes"
    wait_for(lambda: state(gateway, one.at) == "overloaded")
    answer = gateway.get("/all")
    assert (answer.status, answer.header("Retry-After"), answer.body) == (429, "90", b"later")


def test_a_line_by_tcp(start, loaded):
    """The agent listens at a port of its own, for one endpoint."""
    one, _ = loaded
    with Agent(b"up 100% maxconn:20\n") as agent:
        gateway = start(config(f'back: {{at: "{one.at}", agent: tcp {agent.port} every 30ms}}'))
        wait_for(lambda: agent.connections >= 2)
        assert gateway.get("/x").status == 200
        agent.line = b"drain\n"
        wait_for(lambda: state(gateway, one.at) == "drained")
        assert gateway.get("/x").status == 503


@pytest.fixture
def paired():
    """Two services at different addresses with a TCP agent each, at the same port."""
    with Loaded() as one, Upstream(Loaded.answer, address=("127.0.0.2", 0)) as other, Agent(b"100%\n") as first, \
            Agent(b"100%\n", address=("127.0.0.2", first.port)) as second:
        other.load = b"no"
        yield one, other, first, second


def parts(gateway, count=400):
    """What each service gets of requests by different users."""
    with gateway.connect() as connection:
        return collections.Counter(connection.request("GET", "/x", {"X-User": f"user{i}"}).body.decode()
                                   for i in range(count))


@pytest.mark.parametrize("balance", ["round-robin", "weighted-round-robin", "random", "least-requests",
                                     "weighted-least-connections", "ring-hash header.x-user", "maglev header.x-user",
                                     "rendezvous header.x-user", "{by: ip-hash, key: header.x-user}"])
def test_percentages_are_parts_of_the_weight(start, paired, balance):
    one, other, first, _ = paired
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], balance: {balance}, '
                           f'agent: tcp {first.port} every 30ms}}'))
    found = parts(gateway)
    assert 140 <= found[one.at] <= 260, found
    first.line = b"up 20%\n"
    wait_for(lambda: endpoints(gateway)[one.at].get("weight_now") == 0.2)
    assert endpoints(gateway)[one.at]["weight"] == 1
    assert gateway.metric("weir_endpoint_weight", endpoint=one.at) == 0.2
    found = parts(gateway)
    assert 15 <= found[one.at] <= 130, found  # a sixth of them is 67
    first.line = b"100%\n"
    wait_for(lambda: "weight_now" not in endpoints(gateway)[one.at])
    found = parts(gateway)
    assert 140 <= found[one.at] <= 260, found


def test_percentages_by_http_and_at_layer_4(start):
    with TcpService(named("a")) as one, TcpService(named("b"), "127.0.0.2") as other, \
            Loaded() as first, Upstream(Loaded.answer, address=("127.0.0.2", first.port)) as second:
        second.load = b"no"
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": {{to: back}}}}}}
            workers: 1
            services:
              back:
                at: ["{one.at}", "{other.at}"]
                balance: weighted-round-robin
                agent: {{path: /load, port: {first.port}, every: 30ms}}
            """)
        first.load = b"25%"
        wait_for(lambda: endpoints(gateway)[one.at].get("weight_now") == 0.25)

        def who(_):
            with connect(gateway) as client:
                return read_line(client)

        found = collections.Counter(map(who, range(100)))
        assert 18 <= found["a"] <= 22, found


def test_no_more_requests_than_an_agent_allows(start, paired):
    """What is more goes to the other one; where both have enough, nobody is left."""
    one, other, first, second = paired
    arrived, go_on = threading.Semaphore(0), threading.Event()

    def wait(peer):
        while True:
            request = peer.read_request()
            if request.target != "/load":
                arrived.release()
                go_on.wait(60)
            peer.answer(peer.upstream.at.encode())

    one.script = other.script = wait
    first.line = b"maxconn:2\n"
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], agent: tcp {first.port} every 30ms}}'))
    wait_for(lambda: endpoints(gateway)[one.at].get("limit") == 2)
    with ThreadPoolExecutor(12) as pool:
        asked = []
        for _ in range(10):  # one after the other, since workers that look at once may both find room
            asked.append(pool.submit(gateway.get, "/x"))
            assert arrived.acquire(timeout=30)
        assert endpoints(gateway)[one.at]["in_flight"] == 2
        second.line = b"maxconn:3\n"
        wait_for(lambda: endpoints(gateway)[other.at].get("limit") == 3)
        answer = gateway.get("/more")
        assert (answer.status, answer.header("Retry-After")) == (503, "5")
        go_on.set()
        found = collections.Counter(one.result().body.decode() for one in asked)
    assert found == {one.at: 2, other.at: 8}
    assert gateway.get("/x").status == 200


def test_a_silent_agent_is_forgotten(start, loaded):
    one, _ = loaded
    agent = Agent(b"yes\n")
    gateway = start(config(f'back: {{at: "{one.at}", slow-start: 0s, '
                           f'agent: tcp {agent.port} every 30ms expires 300ms}}'))
    wait_for(lambda: state(gateway, one.at) == "overloaded")
    agent.line = b"no 50%\n"
    wait_for(lambda: endpoints(gateway)[one.at].get("weight_now") == 0.5)
    agent.close()
    wait_for(lambda: "weight_now" not in endpoints(gateway)[one.at])
    assert "its agent is silent: what it said is forgotten" in events(gateway, one.at)
    assert gateway.get("/x").status == 200


def test_nonsense_changes_nothing(start, loaded):
    one, other = loaded
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], agent: GET /load every 30ms}}'))
    one.load = b"<html>drain</html>"
    asked = len(one.requests)
    wait_for(lambda: len(one.requests) > asked + 3)
    assert state(gateway, one.at) == "up"


def test_a_reload_without_agents_forgets_what_they_said(start, loaded):
    one, _ = loaded
    text = config(f'back: {{at: "{one.at}", agent: GET /load every 30ms}}')
    gateway = start(text, "--no-watch")
    one.load = b"yes"
    wait_for(lambda: state(gateway, one.at) == "overloaded")
    assert gateway.reload(text + "# anew\n")[0] == 200
    assert state(gateway, one.at) == "overloaded"
    assert gateway.reload(text.replace(", agent: GET /load every 30ms", ""))[0] == 200
    assert state(gateway, one.at) == "up"
