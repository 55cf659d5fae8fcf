"""Agents: endpoints that say how loaded they are before anything is routed to them."""

import pytest
from gateway import wait_for
from test_health import Well, config, events, state
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
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], agent: GET /load every 30ms}}'))
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


def test_a_silent_agent_is_forgotten(start, loaded):
    one, _ = loaded
    agent = Agent(b"yes\n")
    gateway = start(config(f'back: {{at: "{one.at}", agent: tcp {agent.port} every 30ms expires 300ms}}'))
    wait_for(lambda: state(gateway, one.at) == "overloaded")
    agent.close()
    wait_for(lambda: state(gateway, one.at) == "up")
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
