"""Trying again: what is sent a second time, and what is not; the budget; an endpoint that dies under load."""

import itertools
import threading
import time

import grpc
import h2.errors
import h2_client
import pytest
from faults import closed_port
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, channel, frame
from h2_upstream import H2Peer
from h2_upstream import script as h2_script
from http_client import Connection
from load import Load
from upstream import Upstream

REFUSED_STREAM = int(h2.errors.ErrorCodes.REFUSED_STREAM)


def config(services, workers=1, more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: {workers}
        services: {{{services}}}
        routes: {more or "{/**: back}"}
        """


# --- every failure, with every kind of request

def closes(peer):
    peer.read_request()


def resets(peer):
    peer.read_request()
    peer.reset()


def is_silent(peer):
    peer.read_request()
    peer.socket.recv(1)


def is_busy(peer):
    while True:
        peer.read_request()
        peer.answer(b"busy", status=503)


def breaks_off(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def good(peer):
    while True:
        request = peer.read_request()
        peer.upstream.requests.append(request)
        peer.answer(b"%d" % len(request.body))


def then_on_h2(act):
    def run(speaker):
        while True:
            if act(speaker, speaker.request().stream) == "close":
                return
    return h2_script(run)


def good_h2(peer):
    speaker = H2Peer(peer)
    while True:
        request = speaker.request()
        peer.upstream.requests.append(request)
        speaker.answer(request, b"%d" % len(request.body))


def send_reset(code):
    return lambda speaker, stream: speaker.send_raw(3, 0, stream, code.to_bytes(4, "big"))


H1_FAULTS = {"refuses": None, "closes": closes, "resets": resets, "is silent": is_silent, "is busy": is_busy,
             "breaks off": breaks_off}
H2_FAULTS = {"refuses": None, "closes": then_on_h2(lambda speaker, stream: "close"),
             "refuses the stream": then_on_h2(send_reset(REFUSED_STREAM)),
             "resets the stream": then_on_h2(send_reset(2)),
             "is silent": then_on_h2(lambda speaker, stream: None),
             "is busy": then_on_h2(lambda speaker, stream: speaker.headers(stream, [(":status", "503")], end=True))}
UNBEGUN = {"refuses", "refuses the stream"}          # surely not processed: any method
DEFAULT = UNBEGUN | {"closes", "resets", "resets the stream"}

KEY = [("Idempotency-Key", '"k"')]
REQUESTS = {"GET": ("GET", []), "PUT": ("PUT", []), "POST": ("POST", []), "POST with a key": ("POST", KEY)}
BODIES = {"none": 0, "small": 1000, "in parts": 20000, "large": 300000}


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"], scope="module")
def protocol(request):
    return request.param


class Pair:
    """A service of two endpoints: one that fails, asked first, and one that does not."""

    def __init__(self, folder, protocol):
        from gateway import Gateway
        self.faults = H2_FAULTS if protocol == "HTTP/2" else H1_FAULTS
        scheme = "h2c://" if protocol == "HTTP/2" else ""
        self.bad, self.good = Upstream(closes), Upstream(good_h2 if scheme else good)
        closed, self.keeper = closed_port()
        gone = f"127.0.0.1:{closed}"

        def service(first, more):
            return (f'{{at: [{{address: "{scheme}{first}", weight: 1}}, {{address: "{scheme}{self.good.at}", backup: true}}], '
                    f'connections: {{idle: 0}}, outlier: {{failures: 0}}, {more}}}')
        every = "retry: {if: connect-error refused-stream reset closed timeout 503 bad-answer, keyed: true, backoff: 1ms}"
        # Only who waits for a silent one has little patience, and enough for the other one where that is asked.
        hasty = {"plain": "timeout: 300ms", "every": "timeout: 1s", "never": "timeout: 300ms"}
        services, routes = [], []
        for name, retry in (("plain", ""), ("every", f"{every}, "), ("never", "retry: 0, ")):
            services += [f"{name}: {service(self.bad.at, retry)}", f"{name}-gone: {service(gone, retry)}",
                         f"{name}-hasty: {service(self.bad.at, retry + hasty[name])}"]
            routes += [f"/{each}/**: {{to: {each}, rewrite: {{path: /x}}}}" for each in (name, f"{name}-gone", f"{name}-hasty")]
        services, routes = ", ".join(services), ", ".join(routes)
        self.gateway = Gateway(folder, config(services, more=f"{{{routes}}}"))
        self.gateway.__enter__()

    def close(self):
        self.gateway.__exit__(None, None, None)
        self.bad.close()
        self.good.close()
        self.keeper.close()


@pytest.fixture(scope="module")
def pair(protocol, tmp_path_factory):
    made = Pair(tmp_path_factory.mktemp("retry"), protocol)
    yield made
    made.close()


def ask(pair, service, fault, method, fields, body):
    if pair.faults[fault]:
        pair.bad.script = pair.faults[fault]
    name = {"refuses": f"{service}-gone", "is silent": f"{service}-hasty"}.get(fault, service)
    size = BODIES[body]
    pair.good.requests.clear()
    with pair.gateway.connect() as connection:
        if body in ("none", "small"):
            return connection.request(method, f"/{name}/x", fields, b"x" * size)
        lines = [f"{method} /{name}/x HTTP/1.1", "Host: shop.example", "Transfer-Encoding: chunked"]
        lines += [f"{field}: {value}" for field, value in fields]
        connection.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        try:
            for _ in range(2):
                time.sleep(0.02)
                connection.send(b"%x\r\n%s\r\n" % (size // 2, b"x" * (size // 2)))
            connection.send(b"0\r\n\r\n")
        except OSError:
            pass  # an answer that came early has ended it
        return connection.read_answer(method)


def can_be_sent_again(fault, body):
    """Before the body has begun to be read, or when it was kept."""
    return body != "large" or fault == "refuses"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("kind", REQUESTS)
def test_what_is_sent_again(pair, kind, body):
    method, fields = REQUESTS[kind]
    if method == "GET" and body != "none":
        pytest.skip("a GET has no body")
    for fault, service in itertools.product(pair.faults, ("plain", "every", "never")):
        is_harmless = method != "POST" or (service == "every" and fields)
        is_listed = service == "every" or (service == "plain" and fault in DEFAULT)
        wanted = is_listed and (fault in UNBEGUN or is_harmless) and can_be_sent_again(fault, body)
        answer = ask(pair, service, fault, method, fields, body)
        told = f"{service} {fault}: {answer.status} {answer.body[:200]!r}"
        if wanted:
            assert answer.status == 200 and answer.body == b"%d" % BODIES[body], told
            assert len(pair.good.requests) == 1, told
        else:
            assert answer.status in (502, 503, 504), told
            assert not pair.good.requests, told
    assert not pair.bad.errors and not pair.good.errors


# --- calls of gRPC

def ends_with(status):
    """A call that ends in the head of its answer."""
    def run(speaker):
        while True:
            stream = speaker.request().stream
            speaker.headers(stream, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", str(status))],
                            end=True)
    return h2_script(run)


def good_calls(peer):
    speaker = H2Peer(peer)
    while True:
        request = speaker.request()
        peer.upstream.requests.append(request)
        speaker.headers(request.stream, [(":status", "200"), ("content-type", "application/grpc")])
        speaker.data(request.stream, frame(b"good"))
        speaker.headers(request.stream, [("grpc-status", "0")], end=True)


def test_statuses_of_calls(start, serve):
    bad, well = serve(ends_with(14)), serve(good_calls)

    def service(more):
        return (f'{{at: [{{address: "h2c://{bad.at}", weight: 1}}, {{address: "h2c://{well.at}", backup: true}}], '
                f'outlier: {{failures: 0}}{more}}}')
    gateway = start(config(
        f"plain: {service('')}, listed: {service(', retry: 1 if unavailable')}",
        more="{grpc shop.Plain/*: plain, grpc shop.Orders/*: listed}"))
    with channel(gateway.address) as made:
        assert made.unary_unary(f"/{SERVICE}/Get")(b"a") == b"good"
        bad.script = ends_with(9)
        bad.close_peers()
        with pytest.raises(grpc.RpcError) as failed:
            made.unary_unary(f"/{SERVICE}/Get")(b"a")
        assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        bad.script = ends_with(14)
        bad.close_peers()
        with pytest.raises(grpc.RpcError) as failed:
            made.unary_unary("/shop.Plain/Get")(b"a")
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert gateway.metric("weir_upstream_retries_total", service="listed") == 1


# --- what a route says, and what people are shown

def test_a_route_of_its_own(start, serve):
    bad, well = serve(is_busy), serve(good)
    gateway = start(config(
        f'back: {{at: [{{address: "{bad.at}", weight: 1}}, {{address: "{well.at}", backup: true}}], outlier: {{failures: 0}}, '
        f'retry: 2 if 503}}', more="{/**: back, /once: {to: back, retry: 0}, GET /named: {to: back, use: [retries.hard]}}\n"
        "        retries: {hard: 1 if 5xx}"))
    assert gateway.get("/x").status == 200
    assert gateway.get("/once").status == 503
    assert gateway.get("/named").status == 200
    assert gateway.log_line("/x")["upstream.tries"] == 2
    assert gateway.metric("weir_upstream_retries_total", service="back", reason="503") == 2
    assert "retry 2 if 503, 2 of 3 requests in 10 s, 0 under way" in run_weir("status", "--control", gateway.control)[1]
    assert "; retry 2 if 503" in run_weir("explain", "GET http://shop.example/x", gateway.config_path)[1]
    assert "; retry off" in run_weir("explain", "GET http://shop.example/once", gateway.config_path)[1]


class AtOnce(h2_client.Connection):
    """All of a request is in one packet."""

    def send_request(self, method, path, headers=None, body=b""):
        self.flush = lambda: None
        super().send_request(method, path, headers, body)
        del self.flush
        self.flush()


@pytest.mark.parametrize("connect", [Connection, AtOnce], ids=["http1", "http2"])
def test_a_body_is_still_there_for_the_next_try(start, serve, connect):
    """After an answer that is not wanted, while others send theirs."""
    answered = threading.Event()

    def busy_for_a_while(peer):
        peer.read_request()
        peer.answer(b"busy", status=503, headers=[("Retry-After", "1")])
        answered.set()
        peer.read_request()

    bad, well = serve(busy_for_a_while), serve(good)
    gateway = start(config(
        f'back: {{at: [{{address: "{bad.at}", weight: 1}}, {{address: "{well.at}", backup: true}}], outlier: {{failures: 0}}, '
        f'retry: 1 if 503}}', more="{/**: back, /here: {respond: here}}"))
    with connect(gateway.address, 10) as connection:
        connection.send_request("PUT", "/x", body=b"a" * 8000)
        assert answered.wait(10)
        for _ in range(20):
            with connect(gateway.address, 10) as other:
                other.request("PUT", "/here", body=b"b" * 8000)
        assert connection.read_answer().status == 200
    assert well.requests[0].body == b"a" * 8000
    assert gateway.log_line("/x")["upstream.tries"] == 2


# --- an endpoint dies, and comes back

def test_one_of_four_dies_under_load(start, free_port):
    """The one-line service, not tuned: nobody notices."""
    services = [Upstream(address=("127.0.0.1", free_port())) for _ in range(4)]
    gateway = start(config(f'back: [{", ".join(repr(service.at) for service in services)}]', workers=2))
    with Load(gateway, threads=4, connections=8) as load:
        wait_for(lambda: all(len(service.requests) > 50 for service in services))
        for _ in range(2):
            host, port = services[0].host, services[0].port
            services[0].close()
            time.sleep(0.7)
            services[0] = Upstream(address=(host, port))
            time.sleep(0.3)
    for service in services:
        service.close()
    assert load.failures == []
    assert load.done > 200


def test_no_storm_when_all_fail(start):
    """A service that fails for everyone is asked at most a fifth more."""
    count = itertools.count()

    def fails(peer):
        while True:
            peer.read_request()
            next(count)
            peer.answer(status=503)
    with Upstream(fails) as one, Upstream(fails) as two:
        gateway = start(config(f'back: {{at: ["{one.at}", "{two.at}"], retry: 2 if 5xx}}', workers=2))
        with Load(gateway, threads=4, connections=8, status=503) as load:
            time.sleep(4)
        asked = next(count)
        assert load.failures == []
        assert asked <= 1.2 * load.done + 1, (asked, load.done)
        assert asked >= 1.1 * load.done
        assert gateway.metric("weir_retry_budget_exhausted_total", service="back") > 0.5 * load.done


def test_the_budget_outlives_a_reload(start):
    with Upstream(is_busy) as one:
        text = config(f'back: {{at: "{one.at}", outlier: {{failures: 0}}, '
                      f'retry: {{times: 1, if: 503, backoff: 1ms, budget: {{share: 20%, least: 0}}}}}}')
        gateway = start(text)
        for _ in range(50):
            assert gateway.get("/x").status == 503
        retries = gateway.metric("weir_upstream_retries_total", service="back")
        assert retries in (9, 10)
        assert gateway.reload(text.replace("1ms", "2ms"))[0] == 200
        for _ in range(4):
            assert gateway.get("/x").status == 503
        assert gateway.metric("weir_upstream_retries_total", service="back") <= retries + 1
