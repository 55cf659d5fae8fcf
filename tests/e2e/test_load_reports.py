"""Load reports (ORCA): what endpoints say of their load in their answers, and what the gateway makes of it."""

import base64
import collections
import json
import struct

import pytest
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from test_health import config, endpoints, events, state
from upstream import Upstream

AT_ONCE = "blackout: 0s, update: 20ms"


def binary(cpu, rate):
    return base64.b64encode(b"\x09" + struct.pack("<d", cpu) + b"\x31" + struct.pack("<d", rate)).decode()


FORMS = {
    "text": lambda cpu, rate: ("endpoint-load-metrics", f"TEXT cpu_utilization={cpu},rps_fractional={rate}"),
    "json": lambda cpu, rate: ("Endpoint-Load-Metrics", "JSON " + json.dumps({"cpu_utilization": cpu,
                                                                              "rps_fractional": rate})),
    "bin": lambda cpu, rate: ("endpoint-load-metrics", "BIN " + binary(cpu, rate)),
    "grpc": lambda cpu, rate: ("endpoint-load-metrics-bin", binary(cpu, rate)),
}


class Reporter(Upstream):
    """Reports in each answer: in its head, or (`late`) in its trailers."""

    def __init__(self, field=None, late=False):
        self.field, self.late = field, late
        super().__init__(Reporter.answer_all)

    @staticmethod
    def answer_all(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            field, at = peer.upstream.field, peer.upstream.at.encode()
            if not field:
                peer.answer(at)
            elif peer.upstream.late:
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s: %s\r\nX-Other: 1\r\n\r\n"
                          % (len(at), at, field[0].encode(), field[1].encode()))
            else:
                peer.answer(at, headers=[field])


@pytest.fixture
def reporters():
    with Reporter() as one, Reporter() as other:
        yield one, other


def counts(gateway, count=300):
    with gateway.connect() as connection:
        return collections.Counter(connection.request("GET", "/x").body.decode() for _ in range(count))


def weights(gateway):
    return {at: one.get("weight_now", one["weight"]) for at, one in endpoints(gateway).items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("late", [False, True])
def test_reports_become_weights(start, reporters, form, late):
    """Both answer as much, but one needs three times as much of its processor for that."""
    one, other = reporters
    one.late = other.late = late
    one.field, other.field = FORMS[form](0.9, 100), FORMS[form](0.3, 100)
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], load-reports: {{{AT_ONCE}}}}}'))
    wait_for(lambda: counts(gateway, 4) and weights(gateway) == {one.at: 0.5, other.at: 1.5})
    found = counts(gateway)
    assert 55 <= found[one.at] <= 95, found
    assert endpoints(gateway)[one.at]["utilization"] == 0.9
    assert gateway.metric("weir_endpoint_load_reports_total", endpoint=one.at, result="good") > 50
    assert gateway.metric("weir_endpoint_utilization", endpoint=other.at) == 0.3
    assert gateway.metric("weir_endpoint_weight", endpoint=other.at) == 1.5


def test_clients_see_no_reports(start, reporters):
    one, other = reporters
    one.field = other.field = FORMS["text"](0.9, 100)
    other.late = True
    services = f'back: {{at: ["{one.at}", "{other.at}"], load-reports: %s}}'
    gateway = start(config(services % "true"), "--no-watch")

    def seen():
        answers = [gateway.get("/x", headers={"TE": "trailers"}) for _ in range(8)]
        fields = [name.lower() for answer in answers for name, _ in [*answer.headers, *answer.trailers]]
        assert "x-other" in fields
        return fields.count("endpoint-load-metrics")

    assert seen() == 0
    gateway.reload(config(services % "{pass: true}"))
    assert seen() == 8
    gateway.reload(config(services % "false"))
    assert seen() == 8
    assert "utilization" not in endpoints(gateway)[one.at]


def test_reports_do_not_count_at_first_and_not_for_ever(start, reporters):
    one, other = reporters
    one.field, other.field = FORMS["text"](0.9, 100), FORMS["text"](0.3, 100)
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], '
                           'load-reports: {blackout: 3s, expires: 1s, update: 20ms}}'))
    counts(gateway, 10)
    assert weights(gateway) == {one.at: 1, other.at: 1}
    wait_for(lambda: counts(gateway, 4) and weights(gateway) == {one.at: 0.5, other.at: 1.5})
    wait_for(lambda: weights(gateway) == {one.at: 1, other.at: 1})  # nothing is heard of them
    other.field = None  # one alone says nothing beside others
    counts(gateway, 10)
    wait_for(lambda: counts(gateway, 4) and endpoints(gateway)[one.at]["utilization"] == 0.9)
    assert weights(gateway) == {one.at: 1, other.at: 1}


def test_errors_and_a_metric_of_ones_own(start, reporters):
    one, other = reporters
    one.field = ("endpoint-load-metrics", "TEXT named_metrics.queue=0.5,rps_fractional=100,eps=50")
    other.field = ("endpoint-load-metrics", "TEXT named_metrics.queue=0.5,rps_fractional=100,cpu_utilization=7")
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], '
                           f'load-reports: {{metric: named_metrics.queue, penalty: 2, {AT_ONCE}}}}}'))
    wait_for(lambda: counts(gateway, 4) and weights(gateway) == {one.at: 0.5, other.at: 1.5})


def test_who_reports_too_much_is_overloaded(start, reporters):
    one, other = reporters
    one.field, other.field = FORMS["text"](0.95, 0), FORMS["text"](0.5, 0)
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], '
                           'load-reports: {overloaded: 90%, rest: 400ms, update: 20ms}}'))
    wait_for(lambda: counts(gateway, 2) and state(gateway, one.at) == "overloaded")
    assert "overloaded: a utilization of 95 %" in events(gateway, one.at)
    asked = len(one.requests)
    wait_for(lambda: counts(gateway, 2) and len(one.requests) > asked)  # it is tried again
    one.field = FORMS["text"](0.2, 0)
    wait_for(lambda: counts(gateway, 2) and state(gateway, one.at) == "up")
    one.field = other.field = FORMS["text"](2, 0)
    answer = wait_for(lambda: (found := gateway.get("/x")).status == 503 and found)
    assert b"all-overloaded" in answer.body


def test_malformed_reports_are_counted(start, reporters):
    one, _ = reporters
    one.field = ("endpoint-load-metrics", "TEXT cpu_utilization=much")
    gateway = start(config(f'back: {{at: "{one.at}", load-reports: true}}'))
    answer = gateway.get("/x")
    assert (answer.status, answer.header("endpoint-load-metrics")) == (200, None)
    assert gateway.metric("weir_endpoint_load_reports_total", result="bad") == 1


def test_an_agent_reports(start, reporters):
    """The service itself says nothing; asked for its load, it answers with a report and no words."""
    one, other = reporters
    one.field, other.field = FORMS["json"](0.9, 100), FORMS["text"](0.3, 100)

    def answer(peer):
        while True:
            request = peer.read_request()
            if request.target == "/load":
                peer.answer(b"", headers=[peer.upstream.field])
            else:
                peer.answer(peer.upstream.at.encode())

    one.script = other.script = answer
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], agent: GET /load every 30ms, '
                           f'load-reports: {{overloaded: 200%, {AT_ONCE}}}}}'))
    wait_for(lambda: weights(gateway) == {one.at: 0.5, other.at: 1.5})
    one.field = FORMS["text"](3, 100)
    wait_for(lambda: state(gateway, one.at) == "overloaded")
    one.field = FORMS["text"](0.3, 100)
    wait_for(lambda: state(gateway, one.at) == "up")


@pytest.mark.parametrize("balance", ["least-requests", "weighted-round-robin"])
def test_grpc(start, balance):
    calls = collections.Counter()

    def busy(service, cpu):
        def get(message, context):
            calls[service.at] += 1
            context.set_trailing_metadata((("endpoint-load-metrics-bin", base64.b64decode(binary(cpu, 10))),
                                           ("x-trail", "2")))
            return message
        service.orders.get = get

    with GrpcService() as one, GrpcService() as other:
        busy(one, 0.9)
        busy(other, 0.3)
        text = config(f'back: {{at: ["h2c://{one.at}", "h2c://{other.at}"], balance: {balance}, '
                      f'load-reports: {{{AT_ONCE}}}}}')
        gateway = start(text.replace('"127.0.0.1:0"', '{http: {address: "127.0.0.1:0", http2: true}}', 1))
        with channel(gateway.address) as client:
            get = client.unary_unary(f"/{SERVICE}/Get")

            def ask(count):
                for _ in range(count):
                    _, call = get.with_call(b"hello", timeout=10)
                    assert [key for key, _ in call.trailing_metadata()] == ["x-trail"]
                return True

            wait_for(lambda: ask(4) and weights(gateway) == {one.at: 0.5, other.at: 1.5})
            calls.clear()
            ask(100)
    assert 15 <= calls[one.at] <= 35, calls


def test_what_is_refused(tmp_path):
    for services, complaint in [
        ("at: 10.0.0.1:80, load-reports: {metric: cpu}", 'there is no metric "cpu" in load reports'),
        ("at: 10.0.0.1:80, balance: least-connections, load-reports: true", '"least-connections" does not look at'),
    ]:
        path = tmp_path / "weir.yaml"
        path.write_text(config(f"back: {{{services}}}"))
        code, _, error = run_weir("check", path)
        assert code == 3 and complaint in error, error
