"""gRPC services that misbehave: whatever they do, the caller gets a status that says what to think of it."""

import threading
import time

import grpc
import h2.errors
import pytest
from gateway import wait_for
from grpc_peer import SERVICE, channel, frame, web_call
from h2_upstream import H2Peer, script
from upstream import Upstream

GRPC = ("content-type", "application/grpc")
CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    from gateway import Gateway
    with Upstream(good) as service, Gateway(tmp_path_factory.mktemp("grpc"), f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            workers: 1
            services: {{order: {{at: "h2c://{service.at}", connections: {{idle: 0}}, outlier: {{failures: 0}}}}}}
            routes:
              grpc shop.Orders/*: {{to: order, grpc-web: true}}
              grpc shop.Hasty/*: {{to: order, timeout: 3s}}
            """) as gateway:
        yield gateway, service


def good(peer):
    speaker = H2Peer(peer)
    while True:
        answer(speaker, speaker.request().stream, b"good")


def answer(speaker, stream, *messages, status="0", more=()):
    speaker.headers(stream, [(":status", "200"), GRPC])
    for message in messages:
        speaker.data(stream, frame(message))
    speaker.headers(stream, [("grpc-status", status), *more], end=True)


def after(*steps, begun=False):
    """A service that does these to its first call, when it has come whole (or `begun` to say something); then it waits for the
    gateway to close."""
    def run(speaker):
        request = speaker.begin() if begun else speaker.request()
        stream = request.stream
        if begun:
            speaker.until(lambda: request.body)
        for step in steps:
            if step(speaker, stream) == "close":
                return
        speaker.linger()
    return script(run)


def head(*fields, status="200", end=False):
    return lambda speaker, stream: speaker.headers(stream, [(":status", status), *(fields or [GRPC])], end)


def message(text, size=None):
    """A message; with `size`, only that much of it."""
    return lambda speaker, stream: speaker.data(stream, frame(text)[:size])


def trailers(*fields):
    return lambda speaker, stream: speaker.headers(stream, list(fields), end=True)


def reset(code):
    return lambda speaker, stream: speaker.send_raw(3, 0, stream, int(code).to_bytes(4, "big"))


def goaway(last, code=0):
    return lambda speaker, stream: speaker.send_raw(7, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def noise(speaker, stream):
    speaker.socket.sendall(b"\xff" * 100)


def close(speaker, stream):
    return "close"


def abort(speaker, stream):
    speaker.peer.reset()
    return "close"


ERRORS = h2.errors.ErrorCodes

# What the service does, the status of the call, and the word in the log.
FAULTS = {
    "closes before the head": ([close], CODE.UNAVAILABLE, "upstream-closed"),
    "resets the connection": ([abort], CODE.UNAVAILABLE, "upstream-closed"),
    "says goodbye, and closes": ([goaway(1), close], CODE.UNAVAILABLE, "upstream-closed"),
    "noise": ([noise], CODE.INTERNAL, "upstream-protocol"),
    "refuses for ever": ([reset(ERRORS.REFUSED_STREAM)], CODE.UNAVAILABLE, "upstream-reset"),
    "an internal error": ([reset(ERRORS.INTERNAL_ERROR)], CODE.INTERNAL, "upstream-reset"),
    "a protocol error": ([reset(ERRORS.PROTOCOL_ERROR)], CODE.INTERNAL, "upstream-reset"),
    "cancels": ([reset(ERRORS.CANCEL)], CODE.CANCELLED, "upstream-reset"),
    "wants calm": ([reset(ERRORS.ENHANCE_YOUR_CALM)], CODE.RESOURCE_EXHAUSTED, "upstream-reset"),
    "wants better TLS": ([reset(ERRORS.INADEQUATE_SECURITY)], CODE.PERMISSION_DENIED, "upstream-reset"),
    "no head": ([message(b"x")], CODE.INTERNAL, "upstream-protocol"),
    "closes after the head": ([head(), close], CODE.UNAVAILABLE, "upstream-incomplete"),
    "closes after a message": ([head(), message(b"one"), close], CODE.UNAVAILABLE, "upstream-incomplete"),
    "aborts after a message": ([head(), message(b"one"), abort], CODE.UNAVAILABLE, "upstream-incomplete"),
    "closes within a message": ([head(), message(b"one" * 100, 50), close], CODE.UNAVAILABLE, "upstream-incomplete"),
    "an internal error after a message": ([head(), message(b"one"), reset(ERRORS.INTERNAL_ERROR)],
                                          CODE.INTERNAL, "upstream-incomplete"),
    "cancels after a message": ([head(), message(b"one"), reset(ERRORS.CANCEL)], CODE.CANCELLED, "upstream-incomplete"),
    "wants calm after a message": ([head(), message(b"one"), reset(ERRORS.ENHANCE_YOUR_CALM)],
                                   CODE.RESOURCE_EXHAUSTED, "upstream-incomplete"),
    "noise after a message": ([head(), message(b"one"), noise], CODE.INTERNAL, "upstream-protocol"),
    "bad trailers": ([head(), message(b"one"), trailers(("X-BAD", "1"))], CODE.INTERNAL, "upstream-protocol"),
}


def failure(make):
    with pytest.raises(grpc.RpcError) as caught:
        make()
    return caught.value


def settle(stage):
    gateway, service = stage
    service.script = good
    service.close_peers()
    wait_for(lambda: gateway.in_flight() == 0)
    assert not service.errors, service.errors
    with channel(gateway.address) as made:
        assert made.unary_unary(f"/{SERVICE}/After")(b"") == b"good"


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream", "stream_unary", "stream_stream"])
@pytest.mark.parametrize("name", FAULTS)
def test_faults(stage, name, kind):
    gateway, service = stage
    steps, code, reason = FAULTS[name]
    service.script = after(*steps)
    path = f"/{SERVICE}/{kind}-{name.replace(' ', '-').replace(',', '')}"
    asked = iter([b"a"]) if kind.startswith("stream") else b"a"
    with channel(gateway.address) as made:
        call = getattr(made, kind)(path)
        error = failure(lambda: list(call(asked)) if kind.endswith("stream") else call(asked))
    assert error.code() == code, error
    assert error.details()
    line = gateway.log_line(path)
    assert (line["reason"], line["rpc.grpc.status_code"]) == (reason, code.value[0])
    assert gateway.metric("weir_upstream_failures_total", service="order", reason=reason) > 0
    settle(stage)


def test_messages_before_a_fault_arrive(stage):
    gateway, service = stage
    service.script = after(head(), message(b"one"), message(b"two"), close)
    got = []
    with channel(gateway.address) as made:
        answers = made.unary_stream(f"/{SERVICE}/Part")(b"")
        error = failure(lambda: [got.append(each) for each in answers])
    assert got == [b"one", b"two"]
    assert (error.code(), error.details()) == (CODE.UNAVAILABLE, "The service's answer broke off.")
    settle(stage)


@pytest.mark.parametrize("text", [False, True])
def test_a_browser_hears_of_a_fault(stage, text):
    gateway, service = stage
    service.script = after(head(), message(b"one"), close)
    got, messages, ends = web_call(gateway, f"/{SERVICE}/Web-{text}", [b""], text)
    assert (got.status, messages, ends["grpc-status"]) == (200, [b"one"], "14")
    line = gateway.log_line(f"/{SERVICE}/Web-{text}")
    assert (line["reason"], line["rpc.grpc.status_code"]) == ("upstream-incomplete", 14)
    settle(stage)


@pytest.mark.parametrize("how", ["refused", "goodbye"])
@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
def test_what_was_not_processed_is_called_again(stage, how, kind):
    """Once, on another connection if need be, although it is a POST."""
    gateway, service = stage

    def run(peer):
        speaker = H2Peer(peer)
        stream = speaker.begin().stream
        peer.upstream.script = good
        (reset(ERRORS.REFUSED_STREAM) if how == "refused" else goaway(0))(speaker, stream)
        if how == "refused":
            answer(speaker, speaker.request().stream, b"good")
        speaker.linger()
    service.script = run
    before = gateway.metric("weir_upstream_retries_total", service="order")
    with channel(gateway.address) as made:
        call = getattr(made, kind)(f"/{SERVICE}/Again")
        got = call(b"a")
        assert (list(got) if kind.endswith("stream") else [got]) == [b"good"]
    assert gateway.metric("weir_upstream_retries_total", service="order") == before + 1
    settle(stage)


def test_a_stream_of_messages_is_not_called_again(stage):
    """What has come of it is not kept: UNAVAILABLE tells its caller that calling again is sensible."""
    gateway, service = stage
    service.script = after(reset(ERRORS.REFUSED_STREAM), begun=True)
    gate = threading.Event()

    def speak():
        yield b"a"
        gate.wait(20)
    with channel(gateway.address) as made:
        error = failure(lambda: list(made.stream_stream(f"/{SERVICE}/Stream")(speak())))
        gate.set()
    assert error.code() == CODE.UNAVAILABLE
    settle(stage)


def test_the_time_ends_within_a_stream(stage):
    """By the route's limit; the service is told that nobody listens any more."""
    gateway, service = stage
    resets = []

    def run(speaker):
        request = speaker.begin()
        head()(speaker, request.stream)
        message(b"one")(speaker, request.stream)
        speaker.until(lambda: request.reset is not None)
        resets.append(request.reset)
    service.script = script(run)
    got = []
    with channel(gateway.address) as made:
        answers = made.unary_stream("/shop.Hasty/List")(b"")
        error = failure(lambda: [got.append(each) for each in answers])
    assert (error.code(), got) == (CODE.DEADLINE_EXCEEDED, [b"one"])
    assert wait_for(lambda: resets) == [ERRORS.CANCEL]
    settle(stage)


def test_a_page_instead_of_a_message(stage):
    """What is no answer of gRPC passes as it is; the caller makes a status of it."""
    gateway, service = stage

    def run(speaker):
        stream = speaker.request().stream
        speaker.headers(stream, [(":status", "503"), ("content-type", "text/html")])
        speaker.data(stream, b"<h1>busy</h1>", end=True)
        speaker.linger()
    service.script = script(run)
    with channel(gateway.address) as made:
        error = failure(lambda: made.unary_unary(f"/{SERVICE}/Page")(b""))
    assert error.code() == CODE.UNAVAILABLE
    settle(stage)


def test_a_page_that_breaks_off_stays_broken(stage):
    """A status must not make it look whole."""
    gateway, service = stage
    service.script = after(head(("content-type", "text/html")), lambda speaker, stream: speaker.data(stream, b"<h1>"), close)
    with channel(gateway.address) as made:
        error = failure(lambda: made.unary_unary(f"/{SERVICE}/Half-a-page")(b""))
    assert error.code() in (CODE.UNKNOWN, CODE.INTERNAL)
    settle(stage)


def test_a_stop_ends_streams_with_a_status(start, serve):
    def run(speaker):
        while True:
            stream = speaker.begin().stream
            head()(speaker, stream)
            message(b"one")(speaker, stream)
    service = serve(script(run))
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 1
        drain: 300ms
        services: {{order: "h2c://{service.at}"}}
        routes: {{grpc shop.Orders/*: order}}
        """)
    gate = threading.Event()

    def speak():
        yield b"a"
        gate.wait(20)
    with channel(gateway.address) as made:
        calls = [made.unary_stream(f"/{SERVICE}/List")(b""), made.stream_stream(f"/{SERVICE}/Chat")(speak())]
        assert [next(call) for call in calls] == [b"one", b"one"]
        assert gateway.stop() == 0
        for call in calls:
            error = failure(lambda each=call: next(each))
            assert (error.code(), error.details()) == (CODE.UNAVAILABLE, "The gateway is shutting down.")
        gate.set()
    assert {line["reason"] for line in gateway.log_lines(2)} == {"shutting-down"}


def test_a_caller_that_breaks_off(stage):
    """In the middle of what it says: the service hears of it."""
    gateway, service = stage
    resets = []

    def run(speaker):
        request = speaker.begin()
        head()(speaker, request.stream)
        message(b"one")(speaker, request.stream)
        speaker.until(lambda: request.reset is not None)
        resets.append(request.reset)
    service.script = script(run)

    def speak():
        yield b"a"
        time.sleep(1)
    with channel(gateway.address) as made:
        answers = made.stream_stream(f"/{SERVICE}/Leave")(speak())
        assert next(answers) == b"one"
        answers.cancel()
        assert wait_for(lambda: resets) == [ERRORS.CANCEL]
    assert gateway.log_line(f"/{SERVICE}/Leave")["reason"] == "client-closed"
    settle(stage)
