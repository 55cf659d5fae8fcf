"""Clients that go away, by closing and by a reset, at each point of an exchange. Nothing leaks, the log says
client-closed, the service is spared, and the next request is served."""

import threading
import time

import pytest
from faults import Stage, hear_the_end, wait_for


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    stage = Stage(tmp_path_factory.mktemp("faults"))
    yield stage
    stage.close()


WAYS = ["close", "reset"]


def leave(connection, how):
    getattr(connection, how)()


class Waiting:
    """A script that reads one request and then waits for the gateway's end; says what it saw."""

    def __init__(self):
        self.has_request, self.has_ended = threading.Event(), threading.Event()

    def __call__(self, peer):
        peer.read_request()
        self.has_request.set()
        if hear_the_end(peer, 10):
            self.has_ended.set()


@pytest.mark.parametrize("how", WAYS)
def test_before_the_first_byte(stage, how):
    """Not worth a line."""
    lines = stage.gateway.status()["access_log"]["lines"]
    for _ in range(20):
        leave(stage.gateway.connect(), how)
    stage.check_clean()
    assert stage.gateway.status()["access_log"]["lines"] == lines


@pytest.mark.parametrize("how", WAYS)
def test_between_requests(stage, how):
    lines = stage.gateway.status()["access_log"]["lines"]
    for _ in range(20):
        connection = stage.gateway.connect()
        assert connection.request("GET", "/back/only").status == 200
        leave(connection, how)
    stage.check_clean()
    assert stage.gateway.status()["access_log"]["lines"] == lines + 20


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("part", ["G", "GET /back/{} HTTP/1.1\r\nHos", "GET /back/{} HTTP/1.1\r\nHost: x\r\n"])
def test_within_the_head(stage, how, part):
    before = stage.reasons("client-closed")
    lines = stage.gateway.status()["access_log"]["lines"]
    connection = stage.gateway.connect()
    connection.send(part.format("head").encode())
    wait_for(lambda: stage.gateway.metric("weir_worker_fibers") > 0)  # it has been heard
    leave(connection, how)
    wait_for(lambda: stage.reasons("client-closed") == before + 1)
    stage.check_served()
    stage.check_clean()
    lines = stage.gateway.log_lines(lines + 2)[lines:]
    assert [line["http.response.status_code"] for line in lines] == [499, 200]


def head_of(path, length):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def chunked_head_of(path):
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 10, 300000])
def test_within_the_body(stage, how, form, size):
    """The service sees a request that breaks off: it must not take it for a whole one."""
    ended, whole = [], []

    def script(peer):
        try:
            whole.append(peer.read_request())
        except (EOFError, OSError):
            ended.append(True)

    stage.service.script = script
    path = stage.path("back")
    connection = stage.gateway.connect()
    if form == "length":
        connection.send(head_of(path, 1000000) + b"x" * size)
    else:
        connection.send(chunked_head_of(path) + b"%x\r\n" % 1000000 + b"x" * size)
    wait_for(lambda: stage.gateway.in_flight() == 1)
    leave(connection, how)
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (499, "client-closed")
    wait_for(lambda: ended)
    assert not whole
    stage.check_served()
    stage.check_clean()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_reset_while_waiting(stage, method):
    """The service's work is given up at once, long before its own time is over."""
    script = stage.service.script = Waiting()
    path = stage.path("back")
    connection = stage.gateway.connect()
    connection.send_request(method, path, body=b"x" * 5000 if method == "POST" else b"")
    assert script.has_request.wait(10)
    assert stage.gateway.in_flight() == 1
    connection.reset()
    assert script.has_ended.wait(5)
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (499, "client-closed")
    assert line["duration"] < 8
    assert stage.failures("back", "client-closed") == 0
    stage.check_served()
    stage.check_clean()


def test_reset_right_after_the_request(stage):
    """The reset may be known before the request is even read."""
    for _ in range(30):
        stage.service.script = Waiting()
        connection = stage.gateway.connect()
        connection.send_request("GET", "/back/at-once")
        connection.reset()
    stage.gateway.settle(stage.sockets)
    stage.check_served()
    stage.check_clean()


def test_reset_while_a_large_body_goes_up(stage):
    """The service reads nothing: the gateway waits for it, not for the client, and still hears the client go."""
    hold, held = threading.Event(), threading.Event()

    def script(peer):
        peer.read_head()
        held.set()
        hold.wait(10)

    stage.service.script = script
    path = stage.path("back")
    connection = stage.gateway.connect(timeout=1.0)
    connection.send(head_of(path, 1 << 30))
    assert held.wait(10)
    data = b"x" * 65536
    try:
        while True:
            connection.send(data)
    except TimeoutError:
        pass
    connection.reset()
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (499, "client-closed")
    hold.set()
    stage.check_served()
    stage.check_clean()


def test_reset_while_waiting_for_a_connection(stage):
    """A request that waits in front of a busy service leaves its queue."""
    script = stage.service.script = Waiting()
    first = stage.gateway.connect()
    first.send_request("GET", "/one/first")
    assert script.has_request.wait(10)
    path = stage.path("one")
    second = stage.gateway.connect()
    second.send_request("GET", path)
    wait_for(lambda: stage.gateway.metric("weir_service_waiting", service="one") == 1)
    second.reset()
    assert stage.gateway.log_line(path)["reason"] == "client-closed"
    assert stage.gateway.metric("weir_service_waiting", service="one") == 0
    assert stage.gateway.in_flight() == 1
    first.reset()
    assert script.has_ended.wait(5)
    stage.check_served()
    stage.check_clean()


def test_close_while_waiting(stage):
    """An end of the client's sending is no end of its reading: the service's answer is awaited, and thrown away."""
    has_request, go_on = threading.Event(), threading.Event()

    def script(peer):
        peer.read_request()
        has_request.set()
        go_on.wait(10)
        peer.answer(b"x" * 5000000)

    stage.service.script = script
    path = stage.path("back")
    connection = stage.gateway.connect()
    connection.send_request("GET", path)
    assert has_request.wait(10)
    connection.close()
    go_on.set()
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (200, "client-closed")
    stage.check_served()
    stage.check_clean()


def test_half_close_while_waiting(stage):
    has_request, go_on = threading.Event(), threading.Event()

    def script(peer):
        peer.read_request()
        has_request.set()
        go_on.wait(10)
        peer.answer(b"x" * 500000)

    stage.service.script = script
    path = stage.path("back")
    with stage.gateway.connect() as connection:
        connection.send_request("GET", path)
        connection.shut_write()
        assert has_request.wait(10)
        time.sleep(0.1)
        go_on.set()
        assert connection.read_answer().body == b"x" * 500000
        assert connection.is_closed()
    assert "reason" not in stage.gateway.log_line(path)
    stage.check_clean()


def endless(coding, seen):
    """A script that answers without end, and notes when the gateway has had enough."""
    def script(peer):
        peer.read_request()
        data = b"x" * 65536
        if coding == "chunked":
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            data = b"10000\r\n" + data + b"\r\n"
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        try:
            while True:
                peer.send(data)
        except OSError:
            seen.set()
    return script


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_within_the_answer(stage, how, coding):
    seen = threading.Event()
    stage.service.script = endless(coding, seen)
    path = stage.path("back")
    connection = stage.gateway.connect()
    connection.send_request("GET", path)
    while len(connection.buffer) < 100000:
        connection._more()
    leave(connection, how)
    assert seen.wait(10)
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (200, "client-closed")
    assert line["http.response.body.size"] >= 90000
    stage.check_served()
    stage.check_clean()


def test_reset_while_the_answer_pauses(stage):
    """The gateway waits for the service's next bytes, and hears that nobody wants them."""
    ended = threading.Event()

    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        if hear_the_end(peer, 10):
            ended.set()

    stage.service.script = script
    path = stage.path("back")
    connection = stage.gateway.connect()
    connection.send_request("GET", path)
    while b"hello" not in connection.buffer:
        connection._more()
    connection.reset()
    assert ended.wait(5)
    line = stage.gateway.log_line(path)
    assert (line["http.response.status_code"], line["reason"]) == (200, "client-closed")
    stage.check_served()
    stage.check_clean()


def test_reads_nothing(stage):
    """A client that reads nothing holds its service no longer than `body-timeout`."""
    seen = threading.Event()
    stage.service.script = endless("length", seen)
    path = stage.path("back")
    with stage.gateway.connect() as connection:
        connection.send_request("GET", path)
        line = stage.gateway.log_line(path)
        assert seen.wait(10)
    assert line["reason"] == "client-closed"
    stage.check_served()
    stage.check_clean()


def test_many_resets_under_way(stage):
    """A hundred at a time, whatever they were doing."""
    stage.service.script = Waiting()
    connections = [stage.gateway.connect() for _ in range(100)]
    for number, connection in enumerate(connections):
        if number % 2:
            connection.send_request("GET", "/back/many")
        else:
            connection.send(head_of("/back/many", 100) + b"x" * 50)
    wait_for(lambda: stage.gateway.in_flight() == 100)
    for connection in connections:
        connection.reset()
    stage.gateway.settle(stage.sockets)
    stage.check_served()
    stage.check_clean()
