"""Services that misbehave, before clients of HTTP/1.1 and of HTTP/2. Each fault ends with the right status, reason and
metric, with nothing leaked, and the next request is served."""

import os
import threading

import http_client
import pytest
from faults import Stage, hear_the_end, wait_for
from upstream import Upstream


@pytest.fixture(scope="module", params=["HTTP/1.1", "HTTP/2"])
def stage(request, tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("faults"), http2=request.param == "HTTP/2")
    yield stage
    stage.close()


def sends(*parts, then="close"):
    """A script: reads a request, sends the parts, and closes, resets or stays silent."""
    def script(peer):
        peer.upstream.requests.append(peer.read_request())
        for part in parts:
            peer.send(part)
        if then == "reset":
            peer.reset()
        elif then == "wait":
            hear_the_end(peer, 10)
    return script


def says_nothing(peer):
    hear_the_end(peer, 10)


def closes_before_the_request(peer):
    peer.close()


def resets_before_the_request(peer):
    peer.reset()


def closes_within_the_request(peer):
    peer.socket.recv(1)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer_with(*fields, body=b"hello"):
    return b"HTTP/1.1 200 OK\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


# Faults before there is a head: the client is told which.
NO_ANSWER = {
    "says nothing": (says_nothing, 504, "upstream-timeout"),
    "closes before the request": (closes_before_the_request, 502, "upstream-closed"),
    "closes within the request": (closes_within_the_request, 502, "upstream-closed"),
    "closes before the head": (sends(), 502, "upstream-closed"),
    "resets before the head": (sends(then="reset"), 502, "upstream-closed"),
    "says nothing to the request": (sends(then="wait"), 504, "upstream-timeout"),
    "closes within the status line": (sends(b"HTTP/1.1 2"), 502, "upstream-closed"),
    "closes within the head": (sends(b"HTTP/1.1 200 OK\r\nContent-Le"), 502, "upstream-closed"),
    "resets within the head": (sends(b"HTTP/1.1 200 OK\r\nContent-Le", then="reset"), 502, "upstream-closed"),
    "stops within the head": (sends(b"HTTP/1.1 200 OK\r\nContent-Le", then="wait"), 504, "upstream-timeout"),
    "closes after 100": (sends(b"HTTP/1.1 100 Continue\r\n\r\n"), 502, "upstream-closed"),
    "stops after 103": (sends(b"HTTP/1.1 103 Early Hints\r\n\r\n", then="wait"), 504, "upstream-timeout"),
    "speaks another language": (sends(b"220 mail.example ESMTP\r\n", then="wait"), 502, "upstream-protocol"),
    "sends noise": (sends(bytes(range(256)) * 4000, then="wait"), 502, "upstream-protocol"),
    "sends zeros": (sends(bytes(100000), then="wait"), 502, "upstream-protocol"),
    "speaks HTTP/0.9": (sends(b"<html>hello</html>"), 502, "upstream-protocol"),
    "speaks HTTP/2": (sends(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), 502, "upstream-protocol"),
    "a status of two digits": (sends(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), 502, "upstream-protocol"),
    "a status of four digits": (sends(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), 502, "upstream-protocol"),
    "status 099": (sends(b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"), 502, "upstream-protocol"),
    "unasked 101": (sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
                    502, "upstream-protocol"),
    "interim answers without end": (sends(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, then="wait"),
                                    502, "upstream-protocol"),
    "length and chunks": (sends(answer_with(b"Content-Length: 5", b"Transfer-Encoding: chunked")),
                          502, "upstream-protocol"),
    "two lengths": (sends(answer_with(b"Content-Length: 5", b"Content-Length: 6")), 502, "upstream-protocol"),
    "a list of lengths": (sends(answer_with(b"Content-Length: 5, 6")), 502, "upstream-protocol"),
    "a negative length": (sends(answer_with(b"Content-Length: -5")), 502, "upstream-protocol"),
    "a huge length": (sends(answer_with(b"Content-Length: 99999999999999999999")), 502, "upstream-protocol"),
    "an unknown coding": (sends(answer_with(b"Transfer-Encoding: gzip")), 502, "upstream-protocol"),
    "a space before the colon": (sends(answer_with(b"Content-Length : 5")), 502, "upstream-protocol"),
    "a folded field": (sends(answer_with(b"X-A: b\r\n c", b"Content-Length: 5")), 502, "upstream-protocol"),
    "NUL in a field": (sends(answer_with(b"X-A: b\0c", b"Content-Length: 5")), 502, "upstream-protocol"),
    "a bare CR in a field": (sends(answer_with(b"X-A: b\rc", b"Content-Length: 5")), 502, "upstream-protocol"),
    "a large head": (sends(answer_with(b"X-A: " + b"x" * 200000)), 502, "upstream-head-too-large"),
    "many fields": (sends(answer_with(*[b"X-%d: y" % i for i in range(5000)])), 502, "upstream-head-too-large"),
}


@pytest.mark.parametrize("name", NO_ANSWER)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_answer(stage, name, method):
    script, status, reason = NO_ANSWER[name]
    service = stage.service_for(reason)
    path = stage.path(service)
    before = stage.reasons(reason), stage.failures(service, reason)
    stage.service.script = script
    with stage.gateway.connect() as connection:
        answer = connection.request(method, path, body=b"x" * 1000 if method == "POST" else b"")
        while answer.status == 103:
            answer = connection.read_answer()
        assert answer.status == status
        assert answer.header("Content-Type") == "application/problem+json"
        assert "error=" in answer.header("Proxy-Status")
        # The client has done nothing wrong: its connection goes on.
        stage.service.script = Upstream.serve
        assert connection.request("GET", "/back/next").body == b"GET /back/next"
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (status, reason)
    assert stage.reasons(reason) == before[0] + 1
    assert stage.failures(service, reason) == before[1] + 1
    stage.check_clean()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_resets_before_the_request(stage, method):
    """That may come to light while the gateway still connects, or later."""
    for _ in range(10):
        path = stage.path("back")
        stage.service.script = resets_before_the_request
        assert stage.gateway.request(method, path, body=b"x" if method == "POST" else b"").status == 502
        assert stage.gateway.log_line(path)["reason"] in ("upstream-closed", "upstream-refused")
    stage.check_served()
    stage.check_clean()


# Faults after the head: all that can be done is to break the answer off, visibly.
BROKEN = {
    "closes after the head": (sends(HEAD), "upstream-incomplete"),
    "resets after the head": (sends(HEAD, then="reset"), "upstream-incomplete"),
    "stops after the head": (sends(HEAD, then="wait"), "upstream-body-timeout"),
    "too short": (sends(HEAD + b"hello"), "upstream-incomplete"),
    "too short, and waits": (sends(HEAD + b"hello", then="wait"), "upstream-body-timeout"),
    "resets within the body": (sends(HEAD + b"hello", then="reset"), "upstream-incomplete"),
    "closes before the first chunk": (sends(CHUNKED), "upstream-incomplete"),
    "closes within a chunk line": (sends(CHUNKED + b"5\r\nhello\r\n1"), "upstream-incomplete"),
    "closes within a chunk": (sends(CHUNKED + b"5\r\nhello\r\n5\r\nwor"), "upstream-incomplete"),
    "closes between chunks": (sends(CHUNKED + b"5\r\nhello\r\n"), "upstream-incomplete"),
    "closes within the last chunk": (sends(CHUNKED + b"5\r\nhello\r\n0\r\n"), "upstream-incomplete"),
    "closes within the trailers": (sends(CHUNKED + b"5\r\nhello\r\n0\r\nX-A: b\r\n"), "upstream-incomplete"),
    "stops between chunks": (sends(CHUNKED + b"5\r\nhello\r\n", then="wait"), "upstream-body-timeout"),
    "a bad chunk size": (sends(CHUNKED + b"5\r\nhello\r\nxyz\r\n", then="wait"), "upstream-protocol"),
    "a chunk size that overflows": (sends(CHUNKED + b"5\r\nhello\r\n10000000000000005\r\nhello"), "upstream-protocol"),
    "a chunk longer than it said": (sends(CHUNKED + b"5\r\nhello world\r\n"), "upstream-protocol"),
    "a bad trailer": (sends(CHUNKED + b"5\r\nhello\r\n0\r\nX A: b\r\n\r\n"), "upstream-protocol"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answer(stage, name):
    script, reason = BROKEN[name]
    service = stage.service_for(reason)
    path = stage.path(service)
    before = stage.reasons(reason), stage.failures(service, reason)
    stage.service.script = script
    with stage.gateway.connect() as connection:
        connection.send_request("GET", path)
        try:
            answer = connection.read_answer()
        except http_client.Closed:
            answer = None
        # A gateway that reads the fault together with the head may say so instead.
        assert answer is None or answer.status == 502, answer
    line = stage.gateway.log_line(path)
    assert line["http.response.status_code"] in (200, 502)
    assert line["reason"] == reason
    assert stage.reasons(reason) == before[0] + 1
    assert stage.failures(service, reason) == before[1] + 1
    stage.check_served()
    stage.check_clean()


def test_broken_answer_to_http_1_0(stage):
    """The client gets what there is, until the close."""
    if stage.is_http2:
        pytest.skip("no HTTP/1.0 there")
    path = stage.path("back")
    stage.service.script = sends(CHUNKED + b"5\r\nhello\r\n")
    with stage.gateway.connect() as connection:
        connection.send(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        assert connection.read_to_end().endswith(b"\r\n\r\nhello")
    assert stage.gateway.log_line(path)["reason"] == "upstream-incomplete"
    stage.check_clean()


def test_refuses(stage):
    path = stage.path("gone")
    failures = stage.failures("gone", "upstream-refused")
    answer = stage.gateway.get(path)
    assert answer.status == 502
    assert answer.header("Proxy-Status") == "weir; error=connection_refused"
    line = stage.gateway.log_line(path)
    assert line["reason"] == "upstream-refused"
    assert stage.failures("gone", "upstream-refused") == failures + 1
    stage.check_served()
    stage.check_clean()


def test_does_not_accept(stage):
    path = stage.path("full")
    answer = stage.gateway.get(path)
    assert answer.status == 504
    assert stage.gateway.log_line(path)["reason"] == "upstream-connect-timeout"
    stage.check_served()
    stage.check_clean()


def test_no_connection_is_free(stage):
    """`connections: 1, queue: 0`: a second request at the same time is turned away."""
    go_on = threading.Event()

    def script(peer):
        peer.read_request()
        go_on.wait(10)
        peer.answer(b"first")
        hear_the_end(peer)

    stage.service.script = script
    path = stage.path("tight")
    with stage.gateway.connect() as first:
        first.send_request("GET", "/tight/first")
        wait_for(lambda: stage.gateway.in_flight() == 1)
        answer = stage.gateway.get(path)
        go_on.set()
        assert answer.status == 503
        assert first.read_answer().body == b"first"
    assert stage.gateway.log_line(path)["reason"] == "service-busy"
    stage.check_clean()


# --- kept connections

def number_of_requests(peer):
    return len([request for request in peer.upstream.requests if request.peer is peer])


def test_two_answers(stage):
    """What follows an answer is nobody's: it must not become the next request's answer."""
    def script(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
                      b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")

    stage.service.script = script
    with stage.gateway.connect() as connection:
        for _ in range(5):
            assert connection.request("GET", stage.path("kept")).body == b"first"
    stage.check_clean()


def test_a_second_answer_a_little_later(stage):
    gone = []

    def script(peer):
        peer.read_request()
        peer.answer(b"first")
        peer.upstream.requests.append("answered")
        peer.answer(b"other")
        gone.append(hear_the_end(peer))

    stage.service.script = script
    stage.service.requests.clear()
    assert stage.gateway.get(stage.path("kept")).body == b"first"
    wait_for(lambda: gone)
    assert gone == [True]
    stage.check_served("kept")
    stage.check_clean()


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloworld",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nworld",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\r\n",
], ids=["length", "chunked", "an empty line"])
def test_a_long_answer(stage, head):
    """Too long an answer: its connection is not used again."""
    stage.service.script = sends(head, then="wait")
    with stage.gateway.connect() as connection:
        for _ in range(3):
            assert connection.request("GET", stage.path("kept")).body == b"hello"
    stage.check_served("kept")
    stage.check_clean()


@pytest.mark.parametrize("method, head", [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\nhello"),
], ids=["HEAD", "304", "204"])
def test_a_body_where_there_is_none(stage, method, head):
    stage.service.script = sends(head, then="wait")
    with stage.gateway.connect() as connection:
        for _ in range(3):
            answer = connection.request(method, stage.path("kept"))
            assert answer.status in (200, 204, 304) and answer.body == b""
        assert not connection.buffer
    stage.check_served("kept")
    stage.check_clean()


def test_closes_while_idle(stage):
    """The gateway hears it and opens another connection, without a try that fails."""
    def script(peer):
        peer.upstream.requests.append(peer.read_request())
        peer.answer(b"once")

    stage.service.script = script
    before = stage.failures("kept", "upstream-closed")
    with stage.gateway.connect() as connection:
        for _ in range(10):
            assert connection.request("GET", stage.path("kept")).body == b"once"
            wait_for(lambda: stage.gateway.sockets() <= stage.sockets + 1)
    assert stage.failures("kept", "upstream-closed") == before
    stage.check_clean()


def closes_on_the_second(how):
    """Answers a connection's first request and ends it when the second has come; a new connection is served."""
    served = []

    def script(peer):
        if served:
            Upstream.serve(peer)
            return
        served.append(True)
        peer.upstream.requests.append(peer.read_request())
        peer.answer(b"first")
        peer.upstream.requests.append(peer.read_request())
        how(peer)
    return script


@pytest.mark.parametrize("how", ["close", "reset"])
def test_closes_as_the_next_request_comes(stage, how):
    """It may never have seen the request: what is safe to repeat is repeated, once."""
    stage.service.script = closes_on_the_second(lambda peer: getattr(peer, how)())
    retries = stage.gateway.metric("weir_upstream_retries_total", service="kept")
    with stage.gateway.connect() as connection:
        assert connection.request("GET", stage.path("kept")).body == b"first"
        path = stage.path("kept")
        assert connection.request("GET", path).body == f"GET {path}".encode()
    assert stage.gateway.metric("weir_upstream_retries_total", service="kept") == retries + 1
    assert stage.gateway.log_line(path)["upstream.tries"] == 2
    stage.check_clean()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_post_that_may_have_been_seen_is_not_repeated(stage, how):
    stage.service.requests.clear()
    stage.service.script = closes_on_the_second(lambda peer: getattr(peer, how)())
    with stage.gateway.connect() as connection:
        assert connection.request("POST", stage.path("kept"), body=b"one").body == b"first"
        path = stage.path("kept")
        assert connection.request("POST", path, body=b"two").status == 502
    assert stage.gateway.log_line(path)["reason"] == "upstream-closed"
    assert [request.body for request in stage.service.requests] == [b"one", b"two"]
    stage.check_clean()


def test_nothing_is_repeated_once_an_answer_has_begun(stage):
    stage.service.script = closes_on_the_second(lambda peer: peer.send(b"HTTP/1.1 200"))
    stage.service.requests.clear()
    with stage.gateway.connect() as connection:
        assert connection.request("GET", stage.path("kept")).body == b"first"
        assert connection.request("GET", stage.path("kept")).status == 502
    assert len(stage.service.requests) == 2
    stage.check_clean()


def test_closes_again_and_again(stage):
    """One repetition, not more."""
    count = []

    def script(peer):
        if not count:
            count.append(1)
            peer.read_request()
            peer.answer(b"first")
        peer.read_request()
        count.append(1)

    stage.service.script = script
    with stage.gateway.connect() as connection:
        assert connection.request("GET", stage.path("kept")).body == b"first"
        assert connection.request("GET", stage.path("kept")).status == 502
    assert len(count) == 3
    stage.check_clean()


def test_the_service_takes_nothing(stage):
    """A service that reads no more of a large body: the gateway gives up, and says why."""
    def script(peer):
        peer.read_head()
        peer.socket.settimeout(10)
        done.wait(10)

    done = threading.Event()
    stage.service.script = script
    path = stage.path(stage.service_for("upstream-write-timeout"))
    with stage.gateway.connect() as connection:
        if stage.is_http2:
            answer = connection.upload_until_answered(path, 100000000)
        else:
            connection.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n".encode())
            sender = threading.Thread(target=send_until_closed, args=(connection,), daemon=True)
            sender.start()
            answer = connection.read_answer()
        assert answer.status == 504
    done.set()
    if not stage.is_http2:
        sender.join(10)
    assert stage.gateway.log_line(path)["reason"] == "upstream-write-timeout"
    stage.check_served()
    stage.check_clean()


def send_until_closed(connection):
    data = os.urandom(65536)
    try:
        while True:
            connection.send(data)
    except OSError:
        pass
