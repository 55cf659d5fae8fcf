"""The judge: a version that does worse than the old one goes to 0 % by itself, says so, and stays there until somebody overrules."""

import itertools
import re
import threading
import time

import pytest
from gateway import run_weir, wait_for
from http_client import Closed
from test_shift import shares, shift
from test_upgrade import upgraded  # noqa: F401

JUDGE = "judge: errors +1% or p99 +25%"


class Flawed:
    """A script for services that answer with their name; of `of` requests one fails or is slow, for all connections together."""

    def __init__(self, name, of=0, status=500, pause=0.0):
        self.name, self.of, self.status, self.pause = name, of, status, pause
        self.count = itertools.count(1)

    def __call__(self, peer):
        while True:
            peer.read_request()
            is_flawed = self.of and next(self.count) % self.of == 0
            if is_flawed:
                time.sleep(self.pause)
            peer.answer(self.name.encode(), self.status if is_flawed else 200)


class Clients:
    """Asks on several connections until it is told to end."""

    def __init__(self, gateway, headers=None, count=4):
        self.gateway, self.headers = gateway, headers
        self.ends, self.asked, self.failures = threading.Event(), itertools.count(), []
        self.threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def _ask(self):
        try:
            with self.gateway.connect(30) as connection:
                while not self.ends.is_set():
                    connection.request("GET", "/orders/1", self.headers)
                    next(self.asked)
        except (OSError, Closed) as error:
            self.failures.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join(60)
        assert not self.failures


@pytest.fixture
def judged(start, serve):
    """judged(one, two, options of v2): a gateway in front of two versions; (gateway, how to write its configuration)."""
    def make(one, two, options="share: 50%", judge=JUDGE):
        services = serve(one), serve(two)

        def write(options=options, judge=judge, more=""):
            return f"""
                version: 1
                listen: "127.0.0.1:0"
                workers: 2
                services:
                  order:
                    {judge}
                    stay: none
                    outlier: {{failures: 0}}
                    {more}
                    versions: {{v1: "{services[0].at}", v2: {{at: "{services[1].at}", {options}}}}}
                routes: {{/orders/**: order, /preview/**: order.v2}}
                """
        return start(write(), "--no-watch"), write
    return make


def version(gateway, name="v2"):
    [service] = [one for one in gateway.status()["services"] if one["name"] == "order"]
    return [one for one in service["versions"] if one["name"] == name][0]


def wait_for_verdict(gateway, headers=None):
    with Clients(gateway, headers):
        return wait_for(lambda: version(gateway).get("verdict"), 120, "a verdict")


def test_errors(judged, upgraded):  # noqa: F811
    gateway, write = judged(Flawed("one"), Flawed("two", of=4))
    verdict = wait_for_verdict(gateway)
    assert re.fullmatch(r"errors [\d.]+% of \d+, v1 0% of \d+", verdict["why"]), verdict
    assert shares(gateway) == {"v1": 100, "v2": 0}
    assert {gateway.get("/orders/1").body for _ in range(20)} == {b"one"}
    assert gateway.get("/preview/1").body == b"two", "who names it still gets it"
    assert f"service order: v2 is out: {verdict['why']}; v1 100%, v2 0%" in gateway.stderr
    assert gateway.metric("weir_judge_verdicts_total", service="order", version="v2", reason="errors") == 1
    assert gateway.metric("weir_judge_out", service="order", version="v2") == 1
    assert gateway.metric("weir_version_shifts_total", by="judge") == 1
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert re.search(rf"v2 +0%, 50% in the file, .*, out since {verdict['since']}: {verdict['why']}", said), said
    _, said, _ = run_weir("explain", "GET /orders/1", gateway.config_path, "--control", gateway.control)
    assert f"version:  v2, 0% now, 50% in the file, out since {verdict['since']}: {verdict['why']}" in said, said
    [service] = [one for one in gateway.status()["services"] if one["name"] == "order"]
    assert service["events"][0]["what"].startswith("v2 is out: errors")

    # It stays so over a reload that changes something else, and over an upgrade.
    assert gateway.reload(write(more="timeout: 7s"))[0] == 200
    assert version(gateway)["verdict"] == verdict
    one = upgraded(gateway)
    assert one.upgrade()[0] == 0
    assert version(gateway)["verdict"] == verdict
    assert shares(gateway) == {"v1": 100, "v2": 0}

    # An operator overrules, and the trial begins anew; then the judge speaks again.
    assert shift(gateway, "order", "v2", "50%")[0] == 0
    assert "verdict" not in version(gateway)
    wait_for(lambda: gateway.metric("weir_judge_out", version="v2") == 0, 60, "the metric")
    again = wait_for_verdict(gateway)
    assert again["since"] > verdict["since"]

    # The file says other shares: that is the newer word.
    assert gateway.reload(write(options="share: 40%"))[0] == 200
    assert shares(gateway) == {"v1": 60, "v2": 40} and "verdict" not in version(gateway)


def test_slow_answers(judged):
    gateway, _ = judged(Flawed("one"), Flawed("two", of=20, status=200, pause=0.4), judge="judge: p99 +50%")
    verdict = wait_for_verdict(gateway)
    assert re.fullmatch(r"p99 above [\d.]+ ms of \d+, v1 at most [\d.]+ ms of \d+", verdict["why"]), verdict
    assert gateway.metric("weir_judge_verdicts_total", version="v2", reason="p99") == 1


def test_equals_stay(judged):
    """Times far apart are not asked for: a machine that stands still now and then does so for one more than for the other."""
    gateway, _ = judged(Flawed("one", of=10), Flawed("two", of=10), judge="judge: errors +1% or p99 +400%")
    with Clients(gateway):
        wait_for(lambda: version(gateway)["judged"]["requests"] > 2000, 120, "requests")
    assert shares(gateway) == {"v1": 50, "v2": 50}
    assert gateway.metric("weir_judge_verdicts_total") == 0
    judgement = version(gateway)["judged"]
    assert judgement["failures"] * 8 < judgement["requests"] < judgement["failures"] * 12
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert re.search(r"v2 +50%, \d+ of \d+ failed, p99 [\d.]+ ms", said), said


def test_blue_green_goes_back_by_itself(judged):
    gateway, _ = judged(Flawed("blue"), Flawed("green", of=2), options="share: 0%")
    with Clients(gateway):
        wait_for(lambda: version(gateway, "v1")["judged"]["requests"] > 300, 120, "requests of the old version")
    assert shift(gateway, "order", "v2", "100%")[0] == 0
    wait_for_verdict(gateway)
    assert shares(gateway) == {"v1": 100, "v2": 0}
    assert gateway.get("/orders/1").body == b"blue"


def test_by_condition(judged):
    """A version that only a condition leads to is judged by those whom it brings, and then brings nobody."""
    gateway, _ = judged(Flawed("one"), Flawed("two", of=2), options="share: 0%, when: header.x-canary")
    with Clients(gateway):
        wait_for_verdict(gateway, {"X-Canary": "1"})
    assert {gateway.get("/orders/1", {"X-Canary": "1"}).body for _ in range(10)} == {b"one"}
    assert shift(gateway, "order", "v2", "0%")[0] == 0
    assert gateway.get("/orders/1", {"X-Canary": "1"}).body == b"two"


def test_testers_say_nothing_of_a_version_with_a_share(judged):
    """Those whom a condition brings are other people: they count only where there are no others."""
    gateway, _ = judged(Flawed("one"), Flawed("two", of=1), options="share: 0.001%, when: header.x-canary")
    with gateway.connect() as connection:
        for _ in range(300):
            assert connection.request("GET", "/orders/1", {"X-Canary": "1"}).status == 500
    assert gateway.get("/preview/1").status == 500
    with Clients(gateway):
        wait_for(lambda: version(gateway, "v1")["judged"]["requests"] > 300, 120, "requests of the old version")
    assert version(gateway)["judged"]["requests"] < 10
    assert "verdict" not in version(gateway)


@pytest.mark.parametrize("judge,says", [
    ("judge: errors", "a margin looks so: errors +1%, p99 +25%"),
    ("judge: errors 1%", "a margin looks so"),
    ("judge: errors +1% and p99 +5%", "then may stand: or p99 +25%, against v1"),
    ("judge: faults +1%", "a margin looks so"),
    ("judge: {errors: 0%, p99: 0%}", "never says anything"),
    ("judge: {error: 1%}", 'did you mean "errors"?'),
    ("judge: errors +1% against v3", 'there is no version "v3"'),
    ("judge: {errors: 200%}", "100%")])
def test_mistakes(tmp_path, judge, says):
    path = tmp_path / "shop.yaml"
    path.write_text(f"""
        version: 1
        listen: "127.0.0.1:0"
        services:
          order:
            {judge}
            versions: {{v1: 127.0.0.1:1, v2: {{at: 127.0.0.1:2, share: 10%}}}}
        routes: {{/**: order}}
        """)
    code, _, said = run_weir("check", path)
    assert code == 3 and says in said and re.search(r"shop.yaml:6:\d+: error", said), said


def test_who_is_old(tmp_path):
    path = tmp_path / "shop.yaml"
    text = """
        version: 1
        listen: "127.0.0.1:0"
        services: {order: {judge: WORDS, versions: {v1: {at: 127.0.0.1:1, share: 90%}, v2: {at: 127.0.0.1:2, share: 10%}}}}
        routes: {/**: order}
        """
    path.write_text(text.replace("WORDS", "errors +1%"))
    code, _, said = run_weir("check", path)
    assert code == 3 and "cannot tell which version is the old one" in said and "against: v1" in said, said
    path.write_text(text.replace("WORDS", "errors +1% against v1"))
    assert run_weir("check", path)[0] == 0
    path.write_text("""
        version: 1
        listen: "127.0.0.1:0"
        services: {order: {at: "127.0.0.1:1", judge: errors +1%}}
        routes: {/**: order}
        """)
    code, _, said = run_weir("check", path)
    assert code == 3 and "only a service with versions has a judge" in said, said


def test_long_form(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text("""
        version: 1
        listen: "127.0.0.1:0"
        services: {order: {judge: errors +2% or p99 +50% against v1, versions: {v1: 127.0.0.1:1, v2: {at: 127.0.0.1:2, share: 10%}}}}
        routes: {/**: order}
        """)
    code, said, _ = run_weir("fmt", "--long", path)
    assert code == 0 and "errors: 2%" in said and "p99: 50%" in said and "against: v1" in said, said
