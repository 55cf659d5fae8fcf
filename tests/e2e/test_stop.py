"""Stopping: what was accepted is answered, and it does not take longer than that."""

import contextlib
import http.client
import os
import signal
import socket
import threading
import time

import pytest
from gateway import suspend, wait_for
from h2_client import ACK, SETTINGS, Raw, frame
from http_client import Closed, Connection

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    drain: {drain}
    services: {{back: "{at}"}}
    routes: {{/fast: {{respond: "fast"}}, /**: back}}
    """


class Slow:
    """A service whose answers wait until they are released."""

    def __init__(self, serve):
        self.came, self.go = threading.Event(), threading.Event()
        self.service = serve(self.script)
        self.at = self.service.at

    def script(self, peer):
        while True:
            peer.read_request()
            self.came.set()
            self.go.wait(60)
            peer.answer(b"slow")


@pytest.fixture
def slow(serve):
    service = Slow(serve)
    yield service
    service.go.set()


def stop_in_background(gateway):
    result = {}

    def stop():
        began = time.monotonic()
        result["code"] = gateway.stop()
        result["time"] = time.monotonic() - began

    thread = threading.Thread(target=stop)
    thread.start()
    return thread, result


def test_idle_stops_at_once(start):
    gateway = start(CONFIG.format(drain="30s", at="127.0.0.1:1"))
    kept = [gateway.connect() for _ in range(20)]
    for connection in kept:
        assert connection.request("GET", "/fast").body == b"fast"
    assert gateway.stop(20) == 0
    for connection in kept:
        assert connection.is_closed()
        connection.close()


def test_requests_under_way_end(start, slow):
    gateway = start(CONFIG.format(drain="30s", at=slow.at).replace("workers: 2", "workers: 1"))
    idle = gateway.connect()
    assert idle.request("GET", "/fast").status == 200
    busy = [gateway.connect() for _ in range(5)]
    for connection in busy:
        connection.send_request("GET", "/slow")
    wait_for(lambda: gateway.status()["services"][0]["endpoints"][0]["in_flight"] == 5, what="five in flight")
    thread, result = stop_in_background(gateway)
    assert idle.is_closed()
    idle.close()
    wait_for(lambda: not accepts(gateway.address), what="no listener")
    assert gateway.process.poll() is None
    slow.go.set()
    for connection in busy:
        answer = connection.read_answer()
        assert (answer.status, answer.body) == (200, b"slow")
        assert answer.header("Connection").lower() == "close"
        assert connection.is_closed()
        connection.close()
    thread.join(10)
    assert result["code"] == 0
    assert len(gateway.log_lines(6)) >= 6


def test_a_request_that_is_arriving_is_served(start):
    gateway = start(CONFIG.format(drain="30s", at="127.0.0.1:1"))
    with gateway.connect() as connection:
        connection.send(b"GET /fast HTTP/1.1\r\nHo")
        wait_for(lambda: gateway.metric("weir_worker_fibers") >= 1, what="a fiber for the request")
        thread, result = stop_in_background(gateway)
        wait_for(lambda: not accepts(gateway.address), what="no listener")
        connection.send(b"st: a\r\n\r\n")
        assert connection.read_answer().body == b"fast"
    thread.join(10)
    assert result["code"] == 0


def accepts(address):
    try:
        Connection(address).close()
        return True
    except ConnectionError:
        return False


def test_connections_in_the_accept_queue_are_served(start):
    for _ in range(5):
        gateway = start(CONFIG.format(drain="30s", at="127.0.0.1:1"))
        suspend(gateway.process)  # so that none of them is accepted yet
        waiting = [gateway.connect() for _ in range(50)]
        for connection in waiting[:40]:
            connection.send_request("GET", "/fast")
        gateway.process.send_signal(signal.SIGTERM)
        gateway.signal(signal.SIGCONT)
        for connection in waiting[40:]:
            connection.send_request("GET", "/fast")
        for connection in waiting:
            assert connection.read_answer().body == b"fast"
            connection.close()
        assert gateway.process.wait(10) == 0


def test_stop_under_load_loses_nothing(start):
    """Each request that began on a connection which had not been closed is answered, or its connection is closed
    before a byte of an answer: what clients may send again."""
    for _ in range(3):
        gateway = start(CONFIG.format(drain="30s", at="127.0.0.1:1"))
        failures, done, ends = [], [], threading.Event()

        def call():
            while not ends.is_set():
                try:
                    connection = gateway.connect()
                except ConnectionError:
                    return
                used = 0
                try:
                    while True:
                        answer = connection.request("GET", "/fast")
                        used += 1
                        if answer.body != b"fast":
                            failures.append(repr(answer))
                        if (answer.header("Connection") or "").lower() == "close":
                            break
                except (Closed, ConnectionError) as error:
                    if used == 0 or connection.buffer:
                        failures.append(f"after {used}: {error!r}")
                finally:
                    connection.close()
                    done.append(used)

        threads = [threading.Thread(target=call) for _ in range(4)]
        [thread.start() for thread in threads]
        wait_for(lambda: gateway.metric("weir_http_requests_total") > 200, 20, "some load")
        assert gateway.stop() == 0
        ends.set()
        [thread.join(10) for thread in threads]
        assert failures == []
        assert sum(done) > 100


def test_what_is_too_slow_is_cut(start, slow):
    gateway = start(CONFIG.format(drain="300ms", at=slow.at))
    with gateway.connect() as connection:
        connection.send_request("GET", "/slow")
        assert slow.came.wait(10)
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began > 0.2
        with pytest.raises(Closed):
            assert connection.read_answer().status == 503
            raise Closed("answered with 503")


def test_second_signal_ends_at_once(start, slow):
    gateway = start(CONFIG.format(drain="30s", at=slow.at), check=False)
    with gateway.connect() as connection:
        connection.send_request("GET", "/slow")
        assert slow.came.wait(10)
        gateway.signal(signal.SIGTERM)
        wait_for(lambda: not accepts(gateway.address), what="no listener")
        assert gateway.process.poll() is None
        gateway.signal(signal.SIGINT)
        assert gateway.process.wait(20) == 1


def admin_get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_readiness_goes_first(start, slow, free_port):
    port = free_port()
    gateway = start(CONFIG.format(drain="30s", at=slow.at).rstrip(" ") + f'    admin: "127.0.0.1:{port}"\n')
    assert admin_get(port, "/readyz")[0] == 200
    with gateway.connect() as connection:
        connection.send_request("GET", "/slow")
        assert slow.came.wait(10)
        thread, result = stop_in_background(gateway)
        wait_for(lambda: admin_get(port, "/readyz")[0] == 503, what="not ready")
        assert admin_get(port, "/livez")[0] == 200
        assert gateway.status()["state"] == "draining"
        assert gateway.reload()[0] in (422, 503)
        slow.go.set()
        assert connection.read_answer().body == b"slow"
    thread.join(10)
    assert result["code"] == 0


@pytest.mark.parametrize("page", ["/readyz", "/metrics", "/v1/status", "/v1/config"])
def test_an_admin_connection_that_asks_at_the_end(start, page):
    """The admin server answers a moment longer than the workers do: it must not look at what is gone."""
    gateway = start(CONFIG.format(drain="30s", at="127.0.0.1:1"))
    with Connection(gateway.control) as connection:
        wait_for(lambda: gateway.metric("process_open_fds") > 0)
        gateway.signal(signal.SIGTERM)
        wait_for(lambda: not os.path.exists(gateway.control), what="the admin server's end")
        gateway.signal(signal.SIGUSR1)
        gateway.signal(signal.SIGHUP)
        try:
            answer = connection.request("GET", page)
            assert answer.status in (200, 503)
        except (Closed, ConnectionError):
            pass
    assert gateway.process.wait(10) == 0


def test_stop_while_reloads_wait(start):
    routes = "".join(f"      /r{number}/{{{{id}}}}: back\n" for number in range(2000))
    config = (CONFIG.rstrip(" ").replace("routes: {{/fast: {{respond: \"fast\"}}, /**: back}}", "routes:\n      /**: back") +
              routes).format(drain="1s", at="127.0.0.1:1")
    gateway = start(config, "--no-watch")
    callers = [Connection(gateway.control) for _ in range(6)]
    for caller in callers:
        caller.send_request("POST", "/v1/reload")
    for _ in range(3):
        gateway.signal(signal.SIGHUP)
    assert gateway.stop(30) == 0
    for caller in callers:
        caller.close()


def test_unix_paths_are_removed(start, tmp_path):
    path = tmp_path / "listen.sock"
    gateway = start(f"""
        version: 1
        listen: ["127.0.0.1:0", "unix:{path}"]
        routes: {{/**: {{respond: "a"}}}}
        """)
    with Connection(str(path)) as connection:
        assert connection.request("GET", "/").status == 200
    assert gateway.stop() == 0
    assert not path.exists() and not os.path.exists(gateway.control)


def test_a_path_left_behind_is_taken_over(start, tmp_path):
    path = tmp_path / "listen.sock"
    config = f"""
        version: 1
        listen: ["127.0.0.1:0", "unix:{path}"]
        routes: {{/**: {{respond: "a"}}}}
        """
    first = start(config, check=False)
    first.process.kill()
    first.process.wait()
    assert path.exists()
    start(config)
    with Connection(str(path)) as connection:
        assert connection.request("GET", "/").status == 200


@pytest.mark.parametrize("attempt", range(20))
def test_clients_that_leave_at_that_moment(start, attempt):
    """A connection that has just woken is not woken once more."""
    gateway = start(CONFIG.format(drain="5s", at="127.0.0.1:1").replace(
        '"127.0.0.1:0"', '{http: {address: "127.0.0.1:0", http2: true}}').replace("workers: 2", "workers: 1"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw(gateway.address)) for _ in range(40)]
        for client in clients:
            client.until(SETTINGS)
            client.send(frame(SETTINGS, ACK, 0))
        time.sleep(0.05)  # until they are idle
        gateway.signal(signal.SIGTERM)
        moment = time.monotonic() + attempt * 25e-6
        while time.monotonic() < moment:
            pass
        for client in clients:
            client.socket.shutdown(socket.SHUT_RDWR)
        assert gateway.process.wait(20) == 0
