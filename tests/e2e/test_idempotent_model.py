"""Whatever order things happen in, a gateway does with keys what a model of a few lines says.

Hypothesis makes up histories of requests, answers, failures, clients that leave, and reloads, and shrinks those that go
wrong. Each step waits for what it has caused, so that a history means one thing.
"""

import queue

import hypothesis
import pytest
from gateway import wait_for
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule, run_state_machine_as_test
from idempotency_desk import counted, reason

KEYS, BODIES, PEOPLE = "abc", (b"one", b"other"), ("ann", "bob")


class Counter:
    """A service whose orders are answered when the history says so."""

    def __init__(self):
        self.orders = queue.Queue()

    def serve(self, peer):
        while True:
            request = peer.read_request()
            request.verdict = queue.Queue()
            self.orders.put(request)
            verdict = request.verdict.get(timeout=100)
            if verdict is None:
                return
            peer.answer(b"answer to " + request.body, verdict)


class Running:
    """An order that is at the service, and its client."""

    def __init__(self, key, body, connection, order):
        self.key, self.body, self.connection, self.order = key, body, connection, order


class Histories(RuleBasedStateMachine):
    world = None  # (gateway, counter): set by the test
    number = 0
    running = Bundle("running")

    @initialize()
    def begin(self):
        Histories.number += 1
        self.gateway, self.counter = Histories.world
        self.model = {}  # key: ("running", body), ("kept", body, status), ("open", body)
        self.waiting = []

    @rule(target=running, key=st.sampled_from(KEYS), body=st.sampled_from(BODIES), who=st.sampled_from(PEOPLE))
    def send(self, key, body, who):
        name = (key, who)
        connection = self.gateway.connect()
        connection.send_request("POST", "/orders", {"Idempotency-Key": f"{self.number}-{key}", "X-Who": who}, body)
        state = self.model.get(name)
        if state is None:
            order = self.counter.orders.get(timeout=60)
            assert order.body == body and order.header("X-Who") == who
            self.model[name] = ("running", body)
            one = Running(name, body, connection, order)
            self.waiting.append(one)
            return one
        with connection:
            answer = connection.read_answer("POST")
        self.is_as_said(answer, state, body)
        return hypothesis.stateful.multiple()

    def is_as_said(self, answer, state, body):
        if body != state[1]:
            assert (answer.status, reason(answer)) == (422, "idempotency-key-reused")
        elif state[0] == "kept":
            assert (answer.status, answer.body) == (state[2], b"answer to " + body)
            assert answer.header("Idempotent-Replayed") == "true"
        else:
            assert (answer.status, reason(answer)) == (409, "still-running")

    def end(self, one, verdict, outcome):
        """The service says so; waits until the gateway has taken note."""
        self.waiting.remove(one)
        before = counted(self.gateway, outcome)
        one.order.verdict.put(verdict)
        answer = None
        if one.connection:
            with one.connection:
                answer = one.connection.read_answer("POST")
        wait_for(lambda: counted(self.gateway, outcome) == before + 1, 60, outcome)
        return answer

    @rule(one=consumes(running), status=st.sampled_from([200, 201, 404, 500]))
    def answered(self, one, status):
        answer = self.end(one, status, "kept")
        assert not answer or (answer.status, answer.body) == (status, b"answer to " + one.body)
        assert not answer or answer.header("Idempotent-Replayed") is None
        self.model[one.key] = ("kept", one.body, status)

    @rule(one=consumes(running))
    def answered_with_what_is_not_kept(self, one):
        answer = self.end(one, 503, "freed")
        assert not answer or answer.status == 503
        del self.model[one.key]

    @rule(one=consumes(running))
    def broken_off(self, one):
        answer = self.end(one, None, "left-open")
        assert not answer or reason(answer) == "upstream-closed"
        self.model[one.key] = ("open", one.body)

    @rule(target=running, one=consumes(running))
    def client_leaves(self, one):
        if one.connection:
            one.connection.socket.close()
            one.connection = None
        return one

    @rule()
    def reloaded(self):
        assert self.gateway.reload()[0] == 200

    def teardown(self):
        for one in list(self.waiting):
            self.end(one, None, "left-open")


@pytest.mark.parametrize("state", ["", "disk"], ids=["memory", "disk"])
def test_every_history_is_as_the_model_says(start, serve, tmp_path, state):
    counter = Counter()
    back = serve(counter.serve)
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        {f"state: {tmp_path}/state.db" if state else ""}
        services: {{order: {{at: "{back.at}", outlier: {{failures: 0}}}}}}
        routes: {{/**: {{to: order, idempotent: {{per: header.x-who, except: 503, lease: 1h}}}}}}
        """)
    Histories.world = (gateway, counter)
    run_state_machine_as_test(Histories, settings=hypothesis.settings(
        max_examples=50, stateful_step_count=25, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck)))
    assert counted(gateway, "lost") == counted(gateway, "not-kept") == 0
