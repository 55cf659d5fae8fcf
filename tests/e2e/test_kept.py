"""What is known of a service at run time: kept by reloads, and as far as it is said, by upgrades."""

import contextlib
import threading

import pytest
from gateway import wait_for
from test_upgrade import upgraded  # noqa: F401

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    services:
      failing: {{at: ["{bad}", "{good}"], balance: round-robin, panic: 0%, outlier: {{failures: 1, gateway-failures: 1, share: 100%, eject: 1h, longest: 1h}}}}
      broken: {{at: "{bad}", outlier: {{failures: 0}}, breaker: open 1h if 2 in a row fail}}
      timed: {{at: ["{good}", "{other}"], balance: least-response-time}}
      session: {{at: ["{good}", "{other}"], balance: round-robin, sticky: header.x-session}}
      cookie: {{at: ["{good}", "{other}"], balance: round-robin, sticky: {{cookie: at, secret: one-for-all-processes}}}}
    routes: {{/failing/**: failing, /broken/**: broken, /timed/**: timed, /session/**: session, /cookie/**: cookie}}
    """


def bad(peer):
    while True:
        peer.read_request()
        peer.answer(b"bad", status=503)


def named(name):
    def answer(peer):
        while True:
            peer.read_request()
            peer.answer(name.encode())
    return answer


@pytest.fixture
def gateway(start, serve):
    """One that has learnt something of each."""
    one = start(CONFIG.format(bad=serve(bad).at, good=serve(named("good")).at, other=serve(named("other")).at))
    for path, count in [("/failing/x", 4), ("/broken/x", 2), ("/timed/x", 8)]:
        for _ in range(count):
            one.get(path)
    one.get("/session/x", {"X-Session": "s1"})
    return one


def known(gateway):
    services = {one["name"]: one for one in gateway.status()["services"]}
    failing = services["failing"]["endpoints"][0]
    return {"ejected": failing["state"], "since": failing.get("history"), "breaker": services["broken"]["breaker"],
            "timed": [one["latency_seconds"] > 0 for one in services["timed"]["endpoints"]],
            "sessions": services["session"]["sessions"]}


def test_reloads_keep_what_is_known(gateway):
    before = known(gateway)
    assert (before["ejected"], before["breaker"]) == ("ejected", "open")
    assert before["timed"] == [True, True] and before["sessions"] == 1
    home = gateway.get("/session/x", {"X-Session": "s1"}).body
    for text in ("panic: 0%", "panic: 1%"):  # the same file, and one in which the service is another
        status, _ = gateway.reload(gateway.config_path.read_text().replace("panic: 0%", text))
        assert status == 200
        assert known(gateway) == before
        assert [gateway.get("/failing/x").status for _ in range(4)] == [200] * 4
        assert gateway.get("/broken/x").status == 503
        assert {gateway.get("/session/x", {"X-Session": "s1"}).body for _ in range(4)} == {home}


def test_reloads_in_the_middle_of_requests(gateway):
    """Nobody notices, and nothing is forgotten."""
    home = gateway.get("/session/x", {"X-Session": "s1"}).body
    found, ends = [], threading.Event()

    def ask():
        with gateway.connect() as connection:
            while not ends.is_set():
                found.append((connection.request("GET", "/session/x", {"X-Session": "s1"}).body,
                              connection.request("GET", "/failing/x").status))
    thread = threading.Thread(target=ask)
    thread.start()
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(ends.set)
        for _ in range(5):
            count = len(found)
            assert gateway.reload()[0] == 200
            wait_for(lambda count=count: len(found) > count + 2)
    assert set(found) == {(home, 200)}


def test_upgrades_keep_sessions_by_cookie_and_learn_the_rest_anew(gateway, upgraded):  # noqa: F811
    answer = gateway.get("/cookie/x")
    cookie = {"Cookie": answer.header("Set-Cookie").split(";")[0]}
    code, error = upgraded(gateway).upgrade()
    assert code == 0, error
    for _ in range(5):
        again = gateway.get("/cookie/x", cookie)
        assert again.body == answer.body and again.header("Set-Cookie") is None
    assert known(gateway) == {"ejected": "up", "since": None, "breaker": "closed", "timed": [False, False], "sessions": 0}
    wait_for(lambda: [gateway.get("/failing/x").status for _ in range(4)] == [200] * 4)
    assert known(gateway)["ejected"] == "ejected"
