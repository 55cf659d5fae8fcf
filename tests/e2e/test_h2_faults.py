"""Services that misbehave in HTTP/2. Each fault ends with the right status, reason and metric, with nothing leaked, and the
next request is served."""

import http_client
import pytest
from faults import CONFIG, Stage, hear_the_end, wait_for
from h2_upstream import H2Peer, script, serve


@pytest.fixture(scope="module", params=["HTTP/1.1", "HTTP/2"])
def stage(request, tmp_path_factory):
    config = CONFIG.replace('"{at}"', '"h2c://{at}"')
    stage = Stage(tmp_path_factory.mktemp("faults"), config, serve, http2=request.param == "HTTP/2")
    yield stage
    stage.close()


def after_request(run):
    """Lets `run(speaker, stream)` answer the first request; then waits for the gateway to close, or closes."""
    def act(speaker):
        request = speaker.request()
        if run(speaker, request.stream) != "close":
            speaker.linger()
    return script(act)


def head(*fields, status="200", end=False):
    return lambda speaker, stream: speaker.headers(stream, [(":status", status), *fields], end)


def raw_head(block, flags=4):
    """A header block as it is: HPACK literals without indexing, new names."""
    def run(speaker, stream):
        encoded = b"".join(bytes([0, len(name)]) + name + bytes([len(value)]) + value for name, value in block)
        speaker.send_raw(1, flags, stream, encoded)
    return run


def reset(code):
    def run(speaker, stream):
        speaker.send_raw(3, 0, stream, code.to_bytes(4, "big"))
    return run


def then_close(run):
    def both(speaker, stream):
        run(speaker, stream)
        return "close"
    return both


OK = (b":status", b"200")


def says_nothing(peer):
    hear_the_end(peer, 10)


def greets_and_is_silent(peer):
    H2Peer(peer)
    hear_the_end(peer, 10)


def sends(data):
    def run(peer):
        peer.socket.recv(65536)
        peer.send(data)
        hear_the_end(peer, 10)
    return run


# Before there is a head: the client is told which.
NO_ANSWER = {
    "says nothing": (says_nothing, 504, "upstream-timeout"),
    "greets and is silent": (greets_and_is_silent, 504, "upstream-timeout"),
    "closes at once": (lambda peer: peer.close(), 502, "upstream-closed"),
    "closes within the request": (lambda peer: peer.socket.recv(1), 502, "upstream-closed"),
    "closes before the head": (after_request(lambda speaker, stream: "close"), 502, "upstream-closed"),
    "resets the connection": (lambda peer: (peer.socket.recv(65536), peer.reset()), 502, "upstream-closed"),
    "speaks HTTP/1.1": (sends(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), 502, "upstream-protocol"),
    "sends noise": (sends(bytes(range(256)) * 400), 502, "upstream-protocol"),
    "sends zeros": (sends(bytes(100000)), 502, "upstream-protocol"),
    "gives the request up": (after_request(reset(2)), 502, "upstream-reset"),
    "cancels the request": (after_request(reset(8)), 502, "upstream-reset"),
    "refuses the request": (after_request(reset(7)), 502, "upstream-reset"),
    "closes after 103": (after_request(then_close(head(status="103"))), 502, "upstream-closed"),
    "stops after 103": (after_request(head(status="103")), 504, "upstream-timeout"),
    "unasked 101": (after_request(head(status="101")), 502, "upstream-protocol"),
    "no status": (after_request(raw_head([(b"x-a", b"b")])), 502, "upstream-protocol"),
    "two statuses": (after_request(raw_head([OK, OK])), 502, "upstream-protocol"),
    "a late status": (after_request(raw_head([(b"x-a", b"b"), OK])), 502, "upstream-protocol"),
    "a status of two digits": (after_request(raw_head([(b":status", b"20")])), 502, "upstream-protocol"),
    "a status of four digits": (after_request(raw_head([(b":status", b"2000")])), 502, "upstream-protocol"),
    "status 099": (after_request(raw_head([(b":status", b"099")])), 502, "upstream-protocol"),
    "a status of letters": (after_request(raw_head([(b":status", b"abc")])), 502, "upstream-protocol"),
    "a request's pseudo-field": (after_request(raw_head([OK, (b":path", b"/")])), 502, "upstream-protocol"),
    "an unknown pseudo-field": (after_request(raw_head([OK, (b":x", b"/")])), 502, "upstream-protocol"),
    "capitals in a name": (after_request(raw_head([OK, (b"X-A", b"b")])), 502, "upstream-protocol"),
    "an empty name": (after_request(raw_head([OK, (b"", b"b")])), 502, "upstream-protocol"),
    "a colon in a name": (after_request(raw_head([OK, (b"x:a", b"b")])), 502, "upstream-protocol"),
    "a line break in a name": (after_request(raw_head([OK, (b"x\r\ny", b"b")])), 502, "upstream-protocol"),
    "a line break in a value": (after_request(raw_head([OK, (b"x-a", b"b\r\nx-c: d")])), 502, "upstream-protocol"),
    "a bare CR in a value": (after_request(raw_head([OK, (b"x-a", b"b\rc")])), 502, "upstream-protocol"),
    "NUL in a value": (after_request(raw_head([OK, (b"x-a", b"b\0c")])), 502, "upstream-protocol"),
    "Connection": (after_request(raw_head([OK, (b"connection", b"close")])), 502, "upstream-protocol"),
    "Transfer-Encoding": (after_request(raw_head([OK, (b"transfer-encoding", b"chunked")])), 502, "upstream-protocol"),
    "Upgrade": (after_request(raw_head([OK, (b"upgrade", b"h2c")])), 502, "upstream-protocol"),
    "two lengths": (after_request(raw_head([OK, (b"content-length", b"5"), (b"content-length", b"6")])),
                    502, "upstream-protocol"),
    "a negative length": (after_request(raw_head([OK, (b"content-length", b"-5")])), 502, "upstream-protocol"),
    "a length and no body": (after_request(head(("content-length", "5"), end=True)), 502, "upstream-protocol"),
    "a large head": (after_request(head(*[("x-%d" % i, "x" * 1000) for i in range(60)])), 502, "upstream-head-too-large"),
    "many fields": (after_request(head(*[("x-%d" % i, "y") for i in range(500)])), 502, "upstream-head-too-large"),
    "a body without a head": (after_request(lambda speaker, stream: speaker.send_raw(0, 1, stream, b"hello")),
                              502, "upstream-protocol"),
    "bad HPACK": (after_request(lambda speaker, stream: speaker.send_raw(1, 4, stream, b"\xff\xff\xff\xff\xff")),
                  502, "upstream-protocol"),
    "a stream that nobody began": (after_request(lambda speaker, stream: speaker.send_raw(0, 0, 99, b"hello")),
                                   502, "upstream-protocol"),
    "a push": (after_request(lambda speaker, stream: speaker.send_raw(5, 4, stream, b"\0\0\0\2\x82\x87\x84")),
               502, "upstream-protocol"),
    "a window that is too large": (after_request(lambda speaker, stream: [
        speaker.send_raw(8, 0, 0, b"\x7f\xff\xff\xff") for _ in range(2)] and None), 502, "upstream-protocol"),
}


@pytest.mark.parametrize("name", NO_ANSWER)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_answer(stage, name, method):
    run, status, reason = NO_ANSWER[name]
    service = stage.service_for(reason)
    path = stage.path(service)
    before = stage.reasons(reason), stage.failures(service, reason)
    stage.service.script = run
    with stage.gateway.connect() as connection:
        answer = connection.request(method, path, body=b"x" * 1000 if method == "POST" else b"")
        assert answer.status == status, stage.gateway.log_line(path)
        assert answer.header("Content-Type") == "application/problem+json"
        assert "error=" in answer.header("Proxy-Status")
        stage.service.script = serve
        stage.service.close_peers()
        assert connection.request("GET", "/back/next").body == b"GET /back/next"
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (status, reason)
    assert stage.reasons(reason) == before[0] + 1
    assert stage.failures(service, reason) == before[1] + 1
    stage.check_clean()


def parts(*steps):
    """Steps are: a head's fields, bytes of a body, or what to do."""
    def run(speaker, stream):
        for step in steps:
            if isinstance(step, bytes):
                speaker.send_raw(0, 0, stream, step)
            elif isinstance(step, list):
                speaker.headers(stream, [(":status", "200"), *step])
            elif step(speaker, stream) == "close":
                return "close"
    return run


LENGTH = [("content-length", "10")]


def end_stream(speaker, stream):
    speaker.send_raw(0, 1, stream)


def close(speaker, stream):
    return "close"


# Faults after the head: all that can be done is to break the answer off, visibly.
BROKEN = {
    "closes after the head": (parts(LENGTH, close), "upstream-incomplete"),
    "stops after the head": (parts(LENGTH), "upstream-body-timeout"),
    "resets after the head": (parts(LENGTH, reset(2)), "upstream-incomplete"),
    "too short": (parts(LENGTH, b"hello", end_stream), "upstream-protocol"),
    "too short, and closes": (parts(LENGTH, b"hello", close), "upstream-incomplete"),
    "too short, and waits": (parts(LENGTH, b"hello"), "upstream-body-timeout"),
    "too long": (parts(LENGTH, b"hello hello hello"), "upstream-protocol"),
    "resets within the body": (parts([], b"hello", reset(2)), "upstream-incomplete"),
    "ends without an end": (parts([], b"hello", reset(0)), "upstream-incomplete"),
    "closes within the body": (parts([], b"hello", close), "upstream-incomplete"),
    "stops within the body": (parts([], b"hello"), "upstream-body-timeout"),
    "noise within the body": (parts([], b"hello", lambda speaker, stream: speaker.socket.sendall(b"\xff" * 99)),
                              "upstream-protocol"),
    "trailers that do not end it": (parts([], b"hello", raw_head([(b"x-a", b"b")])), "upstream-protocol"),
    "bad trailers": (parts([], b"hello", raw_head([(b"x-a", b"b\r\nc: d")], flags=5)), "upstream-protocol"),
    "a status in the trailers": (parts([], b"hello", raw_head([OK], flags=5)), "upstream-protocol"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_answer(stage, name):
    run, reason = BROKEN[name]
    service = stage.service_for(reason)
    path = stage.path(service)
    before = stage.reasons(reason), stage.failures(service, reason)
    stage.service.script = after_request(run)
    with stage.gateway.connect() as connection:
        connection.send_request("GET", path)
        with pytest.raises(http_client.Closed):
            answer = connection.read_answer()
            pytest.fail(f"whole: {answer} {answer.body}")
    assert stage.gateway.log_line(path)["reason"] == reason
    assert stage.reasons(reason) == before[0] + 1
    assert stage.failures(service, reason) == before[1] + 1
    stage.check_served()
    stage.check_clean()


def test_an_early_answer_to_an_upload(stage):
    """The service has heard enough: its answer goes to the client, and the upload stops."""
    def run(speaker):
        request = speaker.begin()
        speaker.grants = False
        speaker.answer(request, b"enough", status=413)
        speaker.send_raw(3, 0, request.stream, bytes(4))
        speaker.linger()
    stage.service.script = script(run)
    with stage.gateway.connect() as connection:
        connection.send_request("POST", "/back/x", {"Content-Length": "10000000"}, bytes(100000))
        answer = connection.read_answer()
    assert (answer.status, answer.body) == (413, b"enough")
    stage.check_served()
    stage.check_clean()


def test_a_client_that_stops_within_its_upload(stage):
    resets = []

    def run(speaker):
        request = speaker.begin()
        speaker.until(lambda: request.reset is not None)
        resets.append(request.reset)
        speaker.linger()
    path = stage.path("back")
    stage.service.script = script(run)
    with stage.gateway.connect() as connection:
        connection.send_request("POST", path, {"Content-Length": "1000000"}, bytes(100000))
        assert connection.read_answer().status == 408
    assert stage.gateway.log_line(path)["reason"] == "request-timeout"
    assert wait_for(lambda: resets) == [8]
    stage.check_served()
    stage.check_clean()


def test_interim_answers_without_end(stage):
    def run(speaker, stream):
        for _ in range(1000):
            speaker.send_raw(1, 4, stream, b"\x08\x03103")
    path = stage.path("back")
    stage.service.script = after_request(run)
    assert stage.gateway.get(path).status == 502
    assert stage.gateway.log_line(path)["reason"] == "upstream-protocol"
    stage.check_served()
    stage.check_clean()
