"""Hedging: a request that takes long goes to a second endpoint as well. Both see what becomes of it."""

import concurrent.futures
import contextlib
import random
import re
import threading
import time

import grpc
import pytest
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, channel, frame
from h2_upstream import H2Peer
from http_client import Connection
from load import Load
from upstream import Upstream


class Endpoint(Upstream):
    """Answers each request with its name, unless it `hangs`: then when `let_go`, or never. Knows what was given up."""

    def __init__(self, name, is_h2=False, hangs=False, status=200):
        self.name, self.hangs, self.status = name, hangs, status
        self.let_go, self.given_up, self.answered = threading.Event(), 0, 0
        super().__init__(self.speak_h2 if is_h2 else self.speak_h1)
        self.address = f"h2c://{self.at}" if is_h2 else self.at

    def speak_h1(self, peer):
        while True:
            request = peer.read_request()
            self.requests.append(request)
            if self.hangs and not self.wait_h1(peer):
                return
            peer.answer(self.name.encode(), self.status)
            self.answered += 1

    def wait_h1(self, peer):
        peer.socket.settimeout(0.01)
        while not self.let_go.is_set():
            try:
                data = peer.socket.recv(1)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            assert not data, "more than the request"
            self.given_up += 1
            return False
        peer.socket.settimeout(30)
        return True

    def speak_h2(self, peer):
        speaker = H2Peer(peer)
        while True:
            request = speaker.request()
            self.requests.append(request)
            if self.hangs and not self.wait_h2(speaker, request):
                continue
            if request.header("content-type") == "application/grpc":
                speaker.headers(request.stream, [(":status", "200"), ("content-type", "application/grpc")])
                speaker.data(request.stream, frame(self.name.encode()))
                speaker.headers(request.stream, [("grpc-status", "0")], end=True)
            else:
                speaker.answer(request, self.name.encode(), self.status)
            self.answered += 1

    def wait_h2(self, speaker, request):
        speaker.socket.settimeout(0.01)
        while request.reset is None and not self.let_go.is_set():
            with contextlib.suppress(TimeoutError):
                speaker.pump()
        speaker.socket.settimeout(30)
        if request.reset is not None:
            self.given_up += 1
        return request.reset is None


@pytest.fixture(params=[False, True], ids=["HTTP/1.1", "HTTP/2"])
def is_h2(request):
    return request.param


@pytest.fixture
def endpoint():
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(Endpoint(*arguments, **options))


SOON = "hedge: {after: 50ms, budget: {least: 1000}}"


def config(service, routes="{/**: back}", more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 1
        services: {{back: {{{service}}}}}
        routes: {routes}
        {more}
        """


def pair(first, second):
    """The second is asked only when the first may not be."""
    return f'at: [{{address: "{first.address}"}}, {{address: "{second.address}", backup: true}}]'


def states(gateway):
    return [(end["state"], end["failures"], end["in_flight"]) for end in gateway.status()["services"][0]["endpoints"]]


def is_idle(gateway):
    return [in_flight for _, _, in_flight in states(gateway)] == [0, 0]


# --- who wins, and what becomes of the other

def test_the_second_answers_first(start, endpoint, is_h2):
    first, second = endpoint("first", is_h2, hangs=True), endpoint("second", is_h2)
    gateway = start(config(f"{pair(first, second)}, {SOON}, outlier: {{failures: 1}}, breaker: {{in-a-row: 1, per: endpoint}}"))
    for count in (1, 2):  # the second time the first is asked first again: nothing is held against it
        answer = gateway.get(f"/{count}")
        assert (answer.status, answer.body) == (200, b"second")
        wait_for(lambda count=count: first.given_up == count)
        line = gateway.log_line(f"/{count}")
        assert (line["upstream.hedge"], line["upstream.tries"], line["upstream.address"]) == ("won", 2, second.at)
    assert states(gateway) == [("up", 0, 0), ("up", 0, 0)]
    assert gateway.metric("weir_hedges_total", service="back", outcome="won") == 2
    if is_h2:
        assert first.connections == 1  # one stream was reset, its connection goes on
    assert not first.errors and not second.errors


def test_the_first_answers_first(start, endpoint, is_h2):
    first, second = endpoint("first", is_h2, hangs=True), endpoint("second", is_h2, hangs=True)
    gateway = start(config(f"{pair(first, second)}, {SOON}"))
    with gateway.connect() as connection:
        connection.send_request("GET", "/x")
        wait_for(lambda: second.requests)
        first.let_go.set()
        answer = connection.read_answer()
        assert (answer.status, answer.body) == (200, b"first")
        wait_for(lambda: second.given_up == 1)
        assert connection.request("GET", "/y").body == b"first"
    wait_for(lambda: is_idle(gateway))
    line = gateway.log_line("/x")
    assert (line["upstream.hedge"], line["upstream.tries"], line["upstream.address"]) == ("lost", 2, first.at)
    assert states(gateway) == [("up", 0, 0), ("up", 0, 0)]
    assert gateway.metric("weir_hedges_total", service="back", outcome="lost") >= 1  # two where the machine is slow


def test_a_bad_answer_does_not_win(start, endpoint, is_h2):
    first, second = endpoint("first", is_h2, hangs=True), endpoint("second", is_h2, status=500)
    gateway = start(config(f"{pair(first, second)}, {SOON}, outlier: {{failures: 0}}",
                           routes="{/**: back, /here: {respond: here}}"))
    with gateway.connect() as connection:
        connection.send_request("GET", "/x")
        wait_for(lambda: second.answered)
        assert gateway.get("/here").body == b"here"  # the worker has had its turn since
        first.let_go.set()
        assert connection.read_answer().body == b"first"
    assert [failures for _, failures, _ in states(gateway)] == [0, 1]  # the second's own


def test_a_late_failure_harms_nobody(start, serve, endpoint):
    """The first answers 500 and breaks off after the second has won."""
    late = threading.Event()

    def fails_late(peer):
        peer.read_request()
        with contextlib.suppress(EOFError, OSError):
            peer.read_request()  # until it is given up
        with contextlib.suppress(OSError):
            peer.send(b"HTTP/1.1 500 Late\r\nContent-Length: 10\r\n\r\nx")
            peer.reset()
        late.set()

    first, second = serve(fails_late), endpoint("second")
    first.address = first.at
    gateway = start(config(f"{pair(first, second)}, {SOON}, outlier: {{failures: 1}}, breaker: {{in-a-row: 1, per: endpoint}}"))
    assert gateway.get("/x").body == b"second"
    assert late.wait(10)
    assert gateway.get("/y").body == b"second"
    wait_for(lambda: is_idle(gateway))
    assert states(gateway) == [("up", 0, 0), ("up", 0, 0)]
    assert gateway.metric("weir_upstream_failures_total") == 0


def test_the_client_leaves(start, endpoint, is_h2):
    first, second = endpoint("first", is_h2, hangs=True), endpoint("second", is_h2, hangs=True)
    gateway = start(config(f"{pair(first, second)}, {SOON}"))
    connection = gateway.connect()
    connection.send_request("GET", "/x")
    wait_for(lambda: second.requests)
    connection.reset()
    wait_for(lambda: first.given_up == 1 and second.given_up == 1)
    wait_for(lambda: is_idle(gateway))
    assert states(gateway) == [("up", 0, 0), ("up", 0, 0)]


# --- what is sent twice

KEY = {"Idempotency-Key": '"k"'}


def send_in_parts(connection, method, size, headers):
    fields = {"Host": "shop.example", "Transfer-Encoding": "chunked", **headers}
    connection.send((f"{method} /x HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items()) + "\r\n").encode())
    for _ in range(4):
        connection.send(b"%x\r\n%s\r\n" % (size // 4, b"x" * (size // 4)))
        time.sleep(0.01)
    connection.send(b"0\r\n\r\n")


@pytest.mark.parametrize(("method", "headers", "size", "is_hedged"), [
    ("GET", {}, 0, True), ("DELETE", {}, 0, True), ("PUT", {}, 1000, True), ("PUT", {}, 20000, True),
    ("PUT", {}, 200000, False), ("POST", {}, 1000, False), ("PATCH", KEY, 1000, True), ("POST", KEY, 20000, True)])
def test_what_is_sent_twice(start, endpoint, is_h2, method, headers, size, is_hedged):
    """Bodies up to what is kept, once all of them are here."""
    first, second = endpoint("first", is_h2, hangs=True), endpoint("second", is_h2)
    gateway = start(config(f"{pair(first, second)}, hedge: {{after: 50ms, keyed: true, budget: {{least: 1000}}}}"))
    with gateway.connect() as connection:
        if size > 1000:
            send_in_parts(connection, method, size, headers)
        else:
            connection.send_request(method, "/x", headers, b"x" * size)
        wait_for(lambda: first.requests)
        if is_hedged:
            assert connection.read_answer(method).body == b"second"
            assert [len(request.body) for request in second.requests] == [size]
        else:
            time.sleep(0.2)
            first.let_go.set()
            assert connection.read_answer(method).body == b"first"
            assert not second.requests
    assert [len(request.body) for request in first.requests] == [size]


def test_calls_of_grpc(start, endpoint):
    first, second = endpoint("first", True, hangs=True), endpoint("second", True)
    gateway = start(config(f"{pair(first, second)}, hedge: {{after: 50ms, grpc: true, budget: {{least: 1000}}}}",
                           routes="{grpc shop.Orders/*: back, grpc shop.Plain/*: {to: back, hedge: 50ms}}"))
    with channel(gateway.address) as made:
        assert made.unary_unary(f"/{SERVICE}/Get")(b"a") == b"second"
        wait_for(lambda: first.given_up == 1)
        plain = made.unary_unary("/shop.Plain/Get").future(b"a")
        wait_for(lambda: len(first.requests) == 2)
        with pytest.raises(grpc.FutureTimeoutError):
            plain.result(timeout=0.2)
        first.let_go.set()
        assert plain.result() == b"first"
    assert len(second.requests) == 1


# --- how long is unusual, and how often it may be

def test_after_the_routes_own_percentile(start, endpoint):
    """Two routes of one service: the slow one is no news there."""
    first, second = endpoint("first"), endpoint("second")
    text = config(f"{pair(first, second)}, hedge: {{after: p95, budget: 0%}}", routes="{/quick: back, /other: back}")
    gateway = start(text)
    with gateway.connect() as connection:
        for _ in range(300):  # so many that enough are left when a part of them is forgotten meanwhile
            assert connection.request("GET", "/quick").body == b"first"

    def paces():
        return {route["route"]: route["after_seconds"] for route in gateway.status()["services"][0]["hedge"]["routes"]}
    wait_for(lambda: paces().get("/quick"))
    first.hangs = True
    assert gateway.reload(text.replace("0%", "{least: 1000}"))[0] == 200  # the reload forgets nothing
    assert gateway.get("/quick").body == b"second"
    said = run_weir("status", "--control", gateway.control)[1]
    assert re.search(r"hedge after p95, 1 of \d+ requests in 10 s, 0 under way", said), said
    assert "/quick" in said
    with gateway.connect() as connection:  # nothing is known of that one
        connection.send_request("GET", "/other")
        wait_for(lambda: len(first.requests) == 302)
        time.sleep(0.2)
        first.let_go.set()
        assert connection.read_answer().body == b"first"
    assert paces()["/other"] is None
    assert "; hedge after p95" in run_weir("explain", "GET http://shop.example/quick", gateway.config_path)[1]


def test_the_budget_bounds(start, endpoint):
    first, second = endpoint("first", hangs=True), endpoint("second")
    gateway = start(config(f"{pair(first, second)}, hedge: {{after: 10ms, budget: 10%}}"))

    def ask(_):
        return gateway.get("/x").body

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = pool.map(ask, range(100))
        wait_for(lambda: len(first.requests) == 100, 30)
        wait_for(lambda: gateway.metric("weir_hedges_total") + gateway.metric("weir_hedges_refused_total") == 100)
        first.let_go.set()
        assert set(answers) <= {b"first", b"second"}
    assert 1 <= len(second.requests) <= 10
    assert gateway.metric("weir_hedges_refused_total", service="back", reason="budget") == 100 - len(second.requests)


def test_not_where_others_wait(start, endpoint):
    first, second = endpoint("first", hangs=True), endpoint("second")
    gateway = start(config(f"{pair(first, second)}, {SOON}, concurrency: 1"))
    with gateway.connect() as one, gateway.connect() as other:
        one.send_request("GET", "/x")
        wait_for(lambda: first.requests)
        other.send_request("GET", "/y")
        wait_for(lambda: gateway.metric("weir_hedges_refused_total", reason="busy") == 1)
        assert not second.requests
        first.let_go.set()
        assert one.read_answer().body == b"first"
        assert other.read_answer().body == b"first"


# --- routes, reloads, many

def test_a_route_of_its_own(start, endpoint):
    first, second = endpoint("first", hangs=True), endpoint("second")
    gateway = start(config(f"{pair(first, second)}, hedge: {{after: off, budget: {{least: 1000}}}}",
                           routes="{/**: back, /quick: {to: back, hedge: 50ms}, /named: {to: back, use: [hedges.soon]}}",
                           more="hedges: {soon: 50ms}"))
    assert gateway.get("/quick").body == b"second"
    assert gateway.get("/named").body == b"second"
    assert "; hedge after 50ms" in run_weir("explain", "GET http://shop.example/quick", gateway.config_path)[1]
    with gateway.connect() as connection:
        connection.send_request("GET", "/x")
        wait_for(lambda: len(first.requests) == 3)
        time.sleep(0.2)
        first.let_go.set()
        assert connection.read_answer().body == b"first"
    assert len(second.requests) == 2


def test_a_reload_in_the_middle(start, endpoint, is_h2):
    first, second = endpoint("first", is_h2, hangs=True), endpoint("second", is_h2, hangs=True)
    third = endpoint("third", is_h2)
    gateway = start(config(f"{pair(first, second)}, {SOON}"))
    with gateway.connect() as connection:
        connection.send_request("GET", "/x")
        wait_for(lambda: second.requests)
        assert gateway.reload(config(f'at: "{third.address}"'))[0] == 200
        assert gateway.get("/y").body == b"third"
        second.let_go.set()
        assert connection.read_answer().body == b"second"
    wait_for(lambda: first.given_up == 1)


def test_one_of_four_hangs(start, endpoint):
    """Nobody notices: each of its requests is answered by another one. Without, they would wait for ever."""
    ends = [endpoint(str(i)) for i in range(4)]
    gateway = start(config(f'at: [{", ".join(repr(end.at) for end in ends)}], balance: round-robin, '
                           f'hedge: {{after: 20ms, budget: 100%}}'))
    with Connection(gateway.address, 30) as connection:
        for _ in range(20):
            assert connection.request("GET", "/x").status == 200
        wait_for(lambda: gateway.in_flight() == 0)
        before = len(ends[0].requests)
        ends[0].hangs = True
        for _ in range(40):
            assert connection.request("GET", "/x").body in (b"1", b"2", b"3")
    assert len(ends[0].requests) >= before + 5
    wait_for(lambda: ends[0].given_up == len(ends[0].requests) - before)
    assert gateway.metric("weir_upstream_failures_total") == 0


def test_many_at_a_time(start, serve):
    """Four workers share what is known of a route, over reloads: no request is lost, and none is left behind."""
    def stalls(peer):
        while True:
            peer.read_request()
            if random.random() < 0.1:
                time.sleep(0.05)
            peer.answer(b"x")
    ends = [serve(stalls) for _ in range(4)]
    text = config(f'at: [{", ".join(repr(end.at) for end in ends)}], hedge: {{after: p80, budget: 100%}}').replace(
        "workers: 1", "workers: 4")
    gateway = start(text)
    with Load(gateway, threads=4, connections=8) as load:
        for wanted in (20, 40, 60):
            wait_for(lambda wanted=wanted: gateway.metric("weir_hedges_total", outcome="won") >= wanted, 60)
            assert gateway.reload(text)[0] == 200
    assert load.failures == []
    wait_for(lambda: gateway.in_flight() == 0)
    assert gateway.metric("weir_upstream_failures_total") == 0
