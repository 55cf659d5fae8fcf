"""How many requests may be under way, where the others wait, and who goes first."""

import contextlib
import json
import threading
import time

import pytest
from gateway import run_weir, wait_for
from upstream import Upstream


class Desk(Upstream):
    """A service that answers when it is told to: `open` requests, or all once it is None."""

    def __init__(self, **more):
        self.lock = threading.Condition()
        self.open, self.order, self.busy, self.most = 0, [], 0, 0
        super().__init__(Desk.answer, **more)

    @staticmethod
    def answer(peer):
        desk = peer.upstream
        while True:
            request = peer.read_request()
            with desk.lock:
                desk.order.append(request.target)
                desk.busy += 1
                desk.most = max(desk.most, desk.busy)
                desk.lock.wait_for(lambda: desk.open is None or desk.open > 0, 20)
                if desk.open is not None:
                    desk.open -= 1
                desk.busy -= 1
            peer.answer(desk.at.encode())

    def let(self, count):
        with self.lock:
            self.open = None if count is None else self.open + count
            self.lock.notify_all()


@pytest.fixture
def desk():
    with Desk() as one:
        yield one
        one.let(None)


def config(more, *desks, workers=2, routes="/**: back"):
    at = ", ".join(f'"{one.at}"' for one in desks)
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: {workers}
        services: {{back: {{at: [{at}], timeout: {{first-byte: 20s}}, {more}}}}}
        routes: {{{routes}}}
        """


class Crowd:
    """Requests side by side."""

    def __init__(self, gateway):
        self.gateway, self.answers, self.threads = gateway, {}, []

    def ask(self, path, headers=None):
        def run():
            self.answers[path] = self.gateway.get(path, headers, timeout=30)
        thread = threading.Thread(target=run)
        thread.start()
        self.threads.append(thread)

    def wait(self):
        for thread in self.threads:
            thread.join()
        return {path: answer.status for path, answer in self.answers.items()}


def waiting(gateway, count):
    wait_for(lambda: gateway.metric("weir_service_waiting", service="back") == count)


def fill(gateway, crowd, desk, count):
    """Occupies the service, so that whoever comes now waits."""
    for i in range(count):
        crowd.ask(f"/busy{i}")
    wait_for(lambda: len(desk.order) == count)


def reason(answer):
    return json.loads(answer.body)["reason"]


@pytest.mark.parametrize("cap", ["concurrency: 2", "concurrency: {endpoint: 2}", "connections: 2"])
def test_a_cap_holds_and_others_wait(start, desk, cap):
    gateway = start(config(cap, desk))
    crowd = Crowd(gateway)
    fill(gateway, crowd, desk, 2)
    for i in range(10):
        crowd.ask(f"/{i}")
    waiting(gateway, 10)
    assert len(desk.order) == 2
    desk.let(None)
    assert set(crowd.wait().values()) == {200}
    assert desk.most == 2
    waiting(gateway, 0)
    assert gateway.metric("weir_service_wait_seconds_count", service="back") == 10


@pytest.mark.parametrize("workers", [1, 2])
def test_who_matters_more_goes_first(start, desk, workers):
    routes = ("/low/**: {to: back, importance: low}, /high/**: {to: back, importance: high}, /**: back, "
              "/plan/**: {to: back, importance: {by: header.x-plan, levels: {pro: 7, free: 0}}}")
    gateway = start(config("concurrency: 1, queue: 100 for 20s", desk, workers=workers, routes=routes))
    crowd = Crowd(gateway)
    fill(gateway, crowd, desk, 1)
    asked = [("/low/1", None), ("/plan/free", {"X-Plan": "free"}), ("/usual/1", None), ("/high/1", None), ("/low/2", None),
             ("/usual/2", None), ("/high/2", None), ("/plan/pro", {"X-Plan": "pro"}), ("/plan/none", None)]
    for i, (path, headers) in enumerate(asked):
        crowd.ask(path, headers)
        waiting(gateway, i + 1)
    for done in range(len(asked) + 1):
        desk.let(1)
        wait_for(lambda done=done: len(desk.order) == min(done + 2, len(asked) + 1))
    assert set(crowd.wait().values()) == {200}
    assert desk.order[1:] == ["/plan/pro", "/high/1", "/high/2", "/usual/1", "/usual/2", "/plan/none", "/low/1", "/low/2",
                              "/plan/free"]


def test_a_full_queue(start, desk):
    routes = "/high/**: {to: back, importance: high}, /**: back"
    gateway = start(config("concurrency: 1, queue: 2 for 20s", desk, workers=1, routes=routes))
    crowd = Crowd(gateway)
    fill(gateway, crowd, desk, 1)
    crowd.ask("/1")
    waiting(gateway, 1)
    crowd.ask("/2")
    waiting(gateway, 2)
    answer = gateway.get("/3")
    assert answer.status == 503 and reason(answer) == "queue-full" and answer.header("Retry-After") == "20"
    assert gateway.log_line("/3")["reason"] == "queue-full"
    crowd.ask("/high/4")  # takes the place of the newest
    wait_for(lambda: "/2" in crowd.answers)
    assert reason(crowd.answers["/2"]) == "queue-full"
    desk.let(None)
    assert crowd.wait() == {"/busy0": 200, "/1": 200, "/2": 503, "/high/4": 200}
    assert gateway.metric("weir_upstream_failures_total", service="back", reason="queue-full") == 2


def test_the_queue_has_a_deadline(start, desk):
    gateway = start(config("concurrency: 1, queue: 100 for 300ms", desk))
    crowd = Crowd(gateway)
    fill(gateway, crowd, desk, 1)
    began = time.monotonic()
    answer = gateway.get("/late")
    assert time.monotonic() - began > 0.29
    assert answer.status == 503 and reason(answer) == "queue-timeout" and answer.header("Retry-After") == "1"
    desk.let(None)
    crowd.wait()


def test_no_queue(start, desk):
    gateway = start(config("concurrency: 1, queue: 0", desk))
    crowd = Crowd(gateway)
    fill(gateway, crowd, desk, 1)
    answer = gateway.get("/late")
    assert answer.status == 503 and reason(answer) == "service-busy"
    desk.let(None)
    crowd.wait()


def test_who_leaves_is_taken_out(start, desk):
    gateway = start(config("concurrency: 1, queue: 100 for 20s", desk))
    crowd = Crowd(gateway)
    fill(gateway, crowd, desk, 1)
    with gateway.connect() as connection:
        connection.send_request("GET", "/gone")
        waiting(gateway, 1)
        connection.reset()
        waiting(gateway, 0)
    desk.let(None)
    crowd.wait()
    assert gateway.get("/after").status == 200
    assert "/gone" not in desk.order


def test_a_free_endpoint_is_found(start, desk):
    with Desk() as other:
        gateway = start(config("concurrency: {endpoint: 1}, queue: 100 for 20s", desk, other))
        crowd = Crowd(gateway)
        for i in range(2):
            crowd.ask(f"/{i}")
            wait_for(lambda i=i: len(desk.order) + len(other.order) == i + 1)
        assert len(desk.order) == len(other.order) == 1
        for i in range(2, 6):
            crowd.ask(f"/{i}")
        waiting(gateway, 4)
        other.let(None)
        wait_for(lambda: len(other.order) == 5)
        desk.let(None)
        assert set(crowd.wait().values()) == {200} and len(desk.order) == 1


@pytest.mark.parametrize("more,says", [
    ("queue: 100 in 2s", "100 for 2s"), ("queue: many", "100 for 2s"), ("queue: 100 for 2", "unit"),
    ("concurrency: {endpoints: 2}", "endpoint"), ("concurrency: -1", "0"),
])
def test_errors(tmp_path, desk, more, says):
    path = tmp_path / "weir.yaml"
    path.write_text(config(more, desk).replace("\n        ", "\n"))
    code, out, err = run_weir("check", path)
    assert code == 3 and says in out + err


def test_errors_of_importance(tmp_path, desk):
    path = tmp_path / "weir.yaml"
    path.write_text(config("queue: 1", desk, routes="/**: {to: back, importance: urgent}").replace("\n        ", "\n"))
    code, out, err = run_weir("check", path)
    assert code == 3 and "high (6), normal (4), low (2)" in out + err


class Pond(Upstream):
    """A service of so many workers, each of which takes so long for a request."""

    def __init__(self, workers, time, **more):
        self.room, self.time = threading.Semaphore(workers), time
        self.lock, self.busy, self.most = threading.Lock(), 0, 0
        super().__init__(Pond.answer, **more)

    @staticmethod
    def answer(peer):
        pond = peer.upstream
        while True:
            peer.read_request()
            with pond.lock:
                pond.busy += 1
                pond.most = max(pond.most, pond.busy)
            with pond.room:
                time.sleep(pond.time)
            with pond.lock:
                pond.busy -= 1
            peer.answer(b"x")


def test_the_knee_is_found(start):
    """Five workers of 20 ms each, and 40 clients that never rest: more than some 13 at a time only wait there."""
    with Pond(5, 0.02) as pond:
        gateway = start(config("concurrency: adaptive, queue: 100 for 10s", pond))
        stop, statuses = threading.Event(), []

        def client():
            with gateway.connect() as connection:
                while not stop.is_set():
                    statuses.append(connection.request("GET", "/x").status)
        clients = [threading.Thread(target=client) for _ in range(40)]
        for one in clients:
            one.start()
        limits = []
        try:
            wait_for(lambda: gateway.metric("weir_service_concurrency_limit", service="back") > 3)
            time.sleep(1.5)
            pond.most = 0
            for _ in range(20):
                limits.append(gateway.metric("weir_service_concurrency_limit", service="back"))
                time.sleep(0.1)
        finally:
            stop.set()
            for one in clients:
                one.join()
        assert set(statuses) == {200}
        assert 4 <= sorted(limits)[len(limits) // 2] <= 20, limits
        assert pond.most < 40
        [said] = gateway.status()["services"]
        assert said["concurrency_limit"] >= 3


def test_a_cap_of_layer_4(start):
    """Connections count too: one endpoint has all it may have, the other takes the next; then there is no place."""
    def hold(peer):
        peer.socket.recv(1)
    with Upstream(hold) as one, Upstream(hold) as other:
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": back}}}}
            workers: 2
            services: {{back: {{at: ["{one.at}", "{other.at}"], concurrency: {{endpoint: 2}}, queue: 0}}}}
            """)
        kept = []
        for i in range(4):
            kept.append(gateway.connect())
            wait_for(lambda i=i: one.connections + other.connections == i + 1)
        assert one.connections == other.connections == 2
        with contextlib.suppress(ConnectionResetError), gateway.connect() as late:
            assert late.is_closed()
        kept.pop().close()
        wait_for(lambda: gateway.in_flight() == 3)
        with gateway.connect():
            wait_for(lambda: one.connections + other.connections == 5)
        for connection in kept:
            connection.close()


def test_a_session_does_not_wait_for_a_full_endpoint(start, desk):
    """It goes to another one and stays there, and waits only when all are full."""
    with Desk() as other:
        gateway = start(config("concurrency: {endpoint: 1}, queue: 9 for 1m, sticky: header.x-session, balance: round-robin",
                               desk, other))
        session, desks = {"X-Session": "s1"}, (desk, other)
        for one in desks:
            one.let(1)
        home = gateway.get("/home", session).body.decode()
        home, spare = desks if home == desk.at else desks[::-1]
        spare.let(-1)
        wait_for(lambda: gateway.in_flight() == 0)
        crowd = Crowd(gateway)
        crowd.ask("/stays", session)
        wait_for(lambda: home.order == ["/home", "/stays"])
        crowd.ask("/moves", session)
        wait_for(lambda: spare.order == ["/moves"])
        crowd.ask("/waits", session)
        waiting(gateway, 1)
        for one in desks:
            one.let(None)
        assert set(crowd.wait().values()) == {200}
        assert gateway.metric("weir_sticky_requests_total", outcome="moved") >= 1
