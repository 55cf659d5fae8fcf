"""Streams of gRPC that last: silent ones, and long ones."""

import queue
import threading
import time

import grpc
import pytest
from grpc_peer import SERVICE, GrpcService, channel, web_call

SILENCE = 2.5  # seconds: more than any of the time limits below


@pytest.fixture(scope="module")
def service():
    with GrpcService() as service:
        yield service


@pytest.fixture
def gateway(start, service):
    return start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 1
        http: {{body-timeout: 1500ms, head-timeout: 1500ms, keep-alive: 1500ms}}
        services:
          order: {{at: "h2c://{service.at}", timeout: {{first-byte: 1500ms, idle: 1500ms}}}}
        routes: {{grpc shop.Orders/*: {{to: order, grpc-web: true}}}}
        """)


def later(*messages):
    """Each but the first after a silence."""
    for i, message in enumerate(messages):
        if i:
            time.sleep(SILENCE)
        yield message


def test_a_silent_conversation(gateway):
    with channel(gateway.address) as made:
        answers = made.stream_stream(f"/{SERVICE}/Chat")(later(b"a", b"b", b""))
        assert list(answers) == [b"re: a", b"re: b", b"re: "]
    assert "reason" not in gateway.log_line(f"/{SERVICE}/Chat")


def test_a_conversation_that_begins_with_a_silence(gateway):
    turns = queue.Queue()
    with channel(gateway.address) as made:
        answers = made.stream_stream(f"/{SERVICE}/Chat")(iter(turns.get, None))
        time.sleep(SILENCE)
        turns.put(b"a")
        assert next(answers) == b"re: a"
        turns.put(None)
        assert list(answers) == []


def test_a_silent_caller(gateway):
    with channel(gateway.address) as made:
        assert made.stream_unary(f"/{SERVICE}/Add")(later(b"abc", b"de")) == b"5"


def test_a_silent_service(gateway):
    """Before its first message, and between two."""
    with channel(gateway.address) as made:
        assert list(made.unary_stream(f"/{SERVICE}/Watch")(b"%d" % (SILENCE * 1000))) == [b"first", b"second"]


def test_a_silent_service_and_a_browser(gateway):
    _, messages, trailers = web_call(gateway, f"/{SERVICE}/Watch", [b"%d" % (SILENCE * 1000)])
    assert (messages, trailers["grpc-status"]) == ([b"first", b"second"], "0")


def test_a_deadline_ends_a_silent_stream(gateway):
    with channel(gateway.address) as made:
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            list(made.stream_stream(f"/{SERVICE}/Chat")(later(b"a", b"b", b"c"), timeout=1))
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - began > 0.9


def test_many_messages_both_ways_at_once(gateway):
    count = 100_000
    with channel(gateway.address) as made:
        answers = made.stream_stream(f"/{SERVICE}/Chat")(b"%d" % i for i in range(count))
        assert all(answer == b"re: %d" % i for i, answer in enumerate(answers))
        assert answers.code() == grpc.StatusCode.OK


def test_streams_share_a_connection(gateway, service):
    """One that nobody reads holds up no other."""
    with channel(gateway.address) as made:
        slow = made.unary_stream(f"/{SERVICE}/List")(b"200000")
        next(slow)
        results = []
        threads = [threading.Thread(target=lambda: results.append(
            sum(1 for _ in made.unary_stream(f"/{SERVICE}/List")(b"1000")))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == [1000] * 8
        slow.cancel()
