"""Circuit breakers: services and endpoints that fail are left alone, and asked again."""

import contextlib
import json
import time

import grpc
import pytest
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, channel, frame
from h2_upstream import script
from upstream import Upstream


class Moody(Upstream):
    """A service that answers with `status`, or closes its connections when that is None."""

    def __init__(self, status=200, **more):
        self.status, self.delay = status, 0
        super().__init__(Moody.answer, **more)

    @staticmethod
    def answer(peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            time.sleep(peer.upstream.delay)
            if peer.upstream.status is None:
                peer.close()
                return
            peer.answer(peer.upstream.at.encode(), status=peer.upstream.status)


@pytest.fixture
def moody():
    with Moody() as one, Moody() as other:
        yield one, other


def config(breaker, *services, more=""):
    at = ", ".join(f'"{one.at}"' for one in services)
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        services: {{back: {{at: [{at}], outlier: {{failures: 0}}, breaker: {breaker}{more}}}}}
        routes: {{/**: back}}
        """


def statuses(gateway, count, path="/x"):
    with gateway.connect() as connection:
        return [connection.request("GET", path).status for _ in range(count)]


def service(gateway):
    [found] = [one for one in gateway.status()["services"] if one["name"] == "back"]
    return found


def open_it(gateway, *failing):
    for one in failing:
        one.status = 500
    statuses(gateway, 20)
    assert gateway.metric("weir_breaker_state", service="back") >= 1


def test_it_opens_and_says_so(start, moody):
    one, _ = moody
    gateway = start(config("open 20s if 50% of 20 fail", one))
    assert statuses(gateway, 15) == [200] * 15
    one.status = 500
    assert statuses(gateway, 14) == [500] * 14
    assert service(gateway)["breaker"] == "closed"
    assert statuses(gateway, 3) == [500, 503, 503]
    asked = len(one.requests)
    answer = gateway.get("/open")
    assert answer.status == 503 and json.loads(answer.body)["reason"] == "breaker-open"
    assert 10 < int(answer.header("Retry-After")) <= 20
    assert answer.header("Proxy-Status") == "weir; error=destination_unavailable"
    assert len(one.requests) == asked
    assert gateway.log_line("/open")["reason"] == "breaker-open"
    assert gateway.metric("weir_breaker_state", service="back") == 1
    assert gateway.metric("weir_breaker_transitions_total", service="back", to="open") == 1
    said = service(gateway)
    assert said["breaker"] == "open" and 10 < said["breaker_open_for_seconds"] <= 20
    assert said["events"][0]["what"] == "breaker open for 20000 ms: 15 of 30 requests failed"


def test_connections_that_fail_count(start, moody):
    one, _ = moody
    gateway = start(config("open 20s if 5 in a row fail", one))
    one.status = None
    answers = statuses(gateway, 6, "/closes")
    assert answers[-1] == 503 and set(answers[:4]) == {502}


def test_slow_answers_count(start, moody):
    one, _ = moody
    gateway = start(config("open 20s if p50 of 5 above 50ms", one))
    one.delay = 0.08
    assert statuses(gateway, 6) == [200] * 5 + [503]
    assert "took more than 50 ms" in service(gateway)["events"][0]["what"]


def test_the_ramp(start, moody):
    one, _ = moody
    gateway = start(config("open 300ms if 50% of 20 fail ramp 6s", one))
    open_it(gateway, one)
    one.status = 200
    wait_for(lambda: service(gateway)["breaker"] == "half-open")
    began = time.monotonic()
    passed = {0: [], 1: [], 2: []}
    with gateway.connect() as connection:
        while (at := time.monotonic() - began) < 6:
            passed[int(at / 2)].append(connection.request("GET", "/x").status == 200)
            time.sleep(0.002)
    first, last = (sum(third) / len(third) for third in (passed[0], passed[2]))
    assert 0.05 < first < 0.5 < last < 0.98  # a sixth, and five
    wait_for(lambda: service(gateway)["breaker"] == "closed")
    assert statuses(gateway, 50) == [200] * 50
    assert [event["what"] for event in service(gateway)["events"]][:2] == ["breaker closed", "breaker half-open"]
    for to in ("open", "half-open", "closed"):
        assert gateway.metric("weir_breaker_transitions_total", service="back", to=to) == 1


def test_it_opens_again_for_twice_as_long(start, moody):
    one, _ = moody
    gateway = start(config("open 200ms if 50% of 20 fail trial", one))
    open_it(gateway, one)
    asked = len(one.requests)

    def times():
        statuses(gateway, 3)
        return [event["what"] for event in service(gateway)["events"] if "open for" in event["what"]]
    wait_for(lambda: len(times()) >= 3)
    assert [text.split(":")[0] for text in times()[-3:]] == [f"breaker open for {ms} ms" for ms in (800, 400, 200)]
    assert len(one.requests) <= asked + 3  # a trial each time
    one.status = 200
    wait_for(lambda: statuses(gateway, 1) == [200])
    assert statuses(gateway, 20) == [200] * 20


def test_it_survives_a_reload(start, moody):
    one, _ = moody
    gateway = start(config("open 20s if 50% of 20 fail", one))
    open_it(gateway, one)
    assert gateway.reload(config("open 20s if 50% of 20 fail", one, more=", panic: 40%"))[0] == 200
    asked = len(one.requests)
    assert statuses(gateway, 5) == [503] * 5 and len(one.requests) == asked
    assert service(gateway)["breaker"] == "open"
    assert gateway.reload(config("open 20s if 50% of 20 fail", one).replace(", breaker: open 20s if 50% of 20 fail", ""))[0] == 200
    assert statuses(gateway, 5) == [500] * 5
    wait_for(lambda: gateway.metric("weir_breaker_state", service="back") == 0)


def test_an_endpoint_is_taken_out(start, moody):
    one, other = moody
    gateway = start(config("open 20s if 5 in a row fail per endpoint", one, other))
    one.status = 500
    statuses(gateway, 12)
    asked = len(one.requests)
    assert statuses(gateway, 20) == [200] * 20 and len(one.requests) == asked
    endpoints = {each["address"]: each for each in service(gateway)["endpoints"]}
    assert endpoints[one.at]["state"] == "breaker open" and endpoints[other.at]["state"] == "up"
    assert endpoints[one.at]["history"].startswith("breaker open")
    assert gateway.metric("weir_breaker_state", service="back", endpoint=one.at) == 1
    assert gateway.metric("weir_breaker_state", service="back", endpoint=other.at) == 0


def test_no_panic_forgives_it(start, moody):
    one, other = moody
    gateway = start(config("open 20s if 5 in a row fail per endpoint", one, other))
    one.status = other.status = 500
    statuses(gateway, 30)
    asked = len(one.requests) + len(other.requests)
    answer = gateway.get("/open")
    assert answer.status == 503 and json.loads(answer.body)["reason"] == "breaker-open"
    assert 10 < int(answer.header("Retry-After")) <= 20
    time.sleep(0.5)  # as the sweep looks for panics
    assert gateway.get("/open").status == 503
    assert len(one.requests) + len(other.requests) == asked


@pytest.mark.parametrize("half", ["ramp 200ms", "trial"])
def test_an_endpoint_comes_back(start, moody, half):
    one, other = moody
    gateway = start(config(f"open 300ms if 5 in a row fail {half} per endpoint", one, other))
    one.status = 500
    statuses(gateway, 12)
    one.status = 200
    asked = len(one.requests)
    wait_for(lambda: set(statuses(gateway, 4)) == {200} and len(one.requests) > asked + 10)
    wait_for(lambda: {each["breaker"] for each in service(gateway)["endpoints"]} == {"closed"})


def test_a_service_of_tcp(start, free_port):
    port = free_port()
    gateway = start(f"""
        version: 1
        listen: {{tcp: {{"127.0.0.1:0": back}}}}
        workers: 1
        services: {{back: {{at: "127.0.0.1:{port}", outlier: {{failures: 0}}, breaker: open 3s if 5 in a row fail trial}}}}
        """)

    def dial():
        with contextlib.suppress(ConnectionResetError), gateway.connect() as connection:
            return connection.socket.recv(10)
    for _ in range(5):
        dial()
    assert gateway.metric("weir_breaker_state", service="back") == 1
    dial()
    assert gateway.metric("weir_upstream_failures_total", service="back", reason="upstream-refused") == 5
    assert gateway.metric("weir_upstream_failures_total", service="back", reason="breaker-open") == 1

    def hello(peer):
        peer.send(b"hello")
        peer.close()
    with Upstream(hello, address=("127.0.0.1", port)):
        wait_for(lambda: dial() == b"hello")
    wait_for(lambda: gateway.metric("weir_breaker_state", service="back") == 0)


def test_errors_point_at_the_word(tmp_path):
    path = tmp_path / "weir.yaml"
    line = "  a: {at: 127.0.0.1:1, breaker: open 10s if 50% of 20 fall}"
    path.write_text(f'version: 1\nlisten: "127.0.0.1:0"\nservices:\n{line}\nroutes: {{/**: a}}\n')
    code, out, err = run_weir("check", path)
    assert code == 3 and f"{path}:4:{line.index('fall') + 1}" in out + err and "50% of 20 fail" in out + err


@pytest.mark.parametrize("messages", [(), (b"one",)])
def test_calls_of_grpc(start, messages):
    """A status of UNAVAILABLE is a failure, at once or behind messages; an open breaker says so in gRPC's words."""
    asked = []

    def fail(speaker):
        while True:
            stream = speaker.request().stream
            asked.append(stream)
            head = [(":status", "200"), ("content-type", "application/grpc")]
            if messages:
                speaker.headers(stream, head)
                for text in messages:
                    speaker.data(stream, frame(text))
                head = []
            speaker.headers(stream, [*head, ("grpc-status", "14")], end=True)
    with Upstream(script(fail)) as back:
        gateway = start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            workers: 1
            services: {{back: {{at: "h2c://{back.at}", outlier: {{failures: 0}}, breaker: open 20s if 50% of 6 fail}}}}
            routes: {{grpc shop.Orders/*: back}}
            """)
        with channel(gateway.address) as calls:
            get = calls.unary_unary(f"/{SERVICE}/Get")
            for _ in range(6):
                with pytest.raises(grpc.RpcError):
                    get(b"x")
            before = len(asked)
            with pytest.raises(grpc.RpcError) as caught:
                get(b"x")
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "left alone" in caught.value.details()
            assert len(asked) == before
        assert gateway.metric("weir_breaker_state", service="back") == 1
