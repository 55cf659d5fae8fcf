"""Knowing who is well: active checks of every kind, as clients and operators see them."""

import ssl
import stat
import threading

import pytest
from certificates import authority
from gateway import run_weir, wait_for
from upstream import Upstream


def config(services, routes="/**: back", more=""):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        {more}
        services: {{{services}}}
        routes: {{{routes}}}
        """


def endpoints(gateway, service="back"):
    [found] = [one for one in gateway.status()["services"] if one["name"] == service]
    return {one["address"]: one for one in found["endpoints"]}


def state(gateway, at, service="back"):
    return endpoints(gateway, service)[at]["state"]


def events(gateway, at, service="back"):
    return [event["what"] for event in endpoints(gateway, service)[at]["events"]]


def context(certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate.cert, certificate.key)
    return made


class Well(Upstream):
    """A service whose /healthz says what `health` is: status, fields, body."""

    def __init__(self, **more):
        self.health = (200, (), b"ok")
        super().__init__(Well.answer, **more)

    @staticmethod
    def answer(peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            if request.target.startswith("/healthz"):
                status, fields, body = peer.upstream.health
                peer.answer(body, status=status, headers=fields)
            else:
                peer.answer(peer.upstream.at.encode())

    def asked(self):
        return [one for one in self.requests if not one.target.startswith("/healthz")]


@pytest.fixture
def well():
    with Well() as one, Well() as other:
        yield one, other


@pytest.mark.parametrize("health,good,bad,says", [
    ("GET /healthz every 30ms expect 200|204", (204, (), b""), (201, (), b""), "down: 3 × status 201"),
    ("GET /healthz every 30ms body fine", (200, (), b"all fine"), (200, (), b"all bad"), "down: 3 × another body"),
    ("{path: /healthz, every: 30ms, body: '/\"db\": *\"up\"/'}", (200, (), b'{"db":  "up"}'), (200, (), b'{"db": "no"}'),
     "down: 3 × another body"),
    ("{path: /healthz, every: 30ms, headers: {X-Ready: \"1\"}}", (200, (("X-Ready", "1"),), b""), (200, (), b""),
     "down: 3 × no field X-Ready"),
    ("{path: /healthz, every: 30ms, rise: 1, fall: 1}", (200, (), b""), (500, (), b""), "down: 1 × status 500"),
])
def test_what_is_a_good_answer(start, well, health, good, bad, says):
    one, other = well
    one.health = other.health = good
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], health: {health}}}'))
    wait_for(lambda: gateway.metric("weir_endpoint_checks_total", endpoint=one.at, result="good") >= 3)
    assert state(gateway, one.at) == "up"
    one.health = bad
    wait_for(lambda: state(gateway, one.at) == "down")
    assert says in events(gateway, one.at)
    assert {gateway.get("/x").body.decode() for _ in range(6)} == {other.at}
    one.health = good
    wait_for(lambda: state(gateway, one.at) == "up")
    wait_for(lambda: gateway.get("/x").body.decode() == one.at)
    assert gateway.metric("weir_endpoint_checks_total", endpoint=one.at, result="bad") >= 1


def test_handshakes_without_more(start):
    """A check by tls is good once the handshake is, whatever the service says then."""
    bad = authority().expired()
    silent = lambda peer: peer.socket.recv(1)  # noqa: E731
    with Upstream(silent, tls=context(authority().sign())) as one, Upstream(silent, tls=context(bad)) as other:
        gateway = start(config(f'back: {{at: ["https://{one.at}", "https://{other.at}"], health: tls every 30ms, '
                               f'tls: {{ca: "{authority().cert}"}}}}'))
        wait_for(lambda: state(gateway, other.at) == "down")
        assert any("certificate has expired" in event for event in events(gateway, other.at))
        assert state(gateway, one.at) == "up"


@pytest.mark.parametrize("check", ["GET /healthz", "tls"])
def test_checks_resume_sessions(start, check):
    secure = context(authority().sign())
    resumed = []

    def script(peer):
        resumed.append(peer.socket.session_reused)
        if check != "tls":
            peer.read_request()
            peer.answer(b"ok")
        peer.socket.recv(1)

    with Upstream(script, tls=secure) as one:
        start(config(f'back: {{at: "https://{one.at}", health: {check} every 30ms, tls: {{ca: "{authority().cert}"}}}}'))
        wait_for(lambda: resumed.count(True) >= 4)
        assert not resumed[0]


def script_file(path, lines):
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_commands(start, well, tmp_path):
    """One command for all endpoints, which looks for the one it is asked about."""
    one, other = well
    (tmp_path / one.at).write_text("")
    (tmp_path / other.at).write_text("")
    check = script_file(tmp_path / "check.sh", f'test -e "{tmp_path}/$WEIR_ENDPOINT" || {{ echo "no $WEIR_PORT"; exit 7; }}')
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], health: command {check} every 50ms}}'))
    wait_for(lambda: gateway.metric("weir_endpoint_checks_total", endpoint=other.at, result="good") >= 2)
    (tmp_path / one.at).unlink()
    wait_for(lambda: state(gateway, one.at) == "down")
    assert f"down: 3 × exit code 7: no {one.port}" in events(gateway, one.at)
    assert {gateway.get("/x").body.decode() for _ in range(6)} == {other.at}
    (tmp_path / one.at).write_text("")
    wait_for(lambda: state(gateway, one.at) == "up")


def test_commands_run_a_few_at_a_time(start, tmp_path):
    """Twelve endpoints, and no more than eight commands at once; nothing is left behind."""
    check = script_file(tmp_path / "check.sh", f"echo $$ > {tmp_path}/run.$$; sleep 0.1; rm {tmp_path}/run.$$")
    at = ", ".join(f'"127.0.0.1:{port}"' for port in range(1, 13))
    gateway = start(config(f"back: {{at: [{at}], health: command {check} every 20ms}}"))
    most = 0

    def look():
        nonlocal most
        most = max(most, len(list(tmp_path.glob("run.*"))))
        return gateway.metric("weir_endpoint_checks_total", endpoint="127.0.0.1:12", result="good") >= 2

    wait_for(look, 30)
    assert 2 <= most <= 8
    assert gateway.get("/x").status == 502
    assert gateway.stop() == 0


def test_idle_services_are_asked_less_often(start, well):
    one, other = well
    gateway = start(config(f'back: {{at: "{one.at}", health: {{path: /healthz, every: 20ms, idle: 400ms}}}}, '
                           f'busy: {{at: "{other.at}", health: {{path: /healthz, every: 20ms, idle: 400ms}}}}', "/**: busy"))
    stop = threading.Event()

    def ask():
        while not stop.wait(0.05):
            gateway.get("/x")

    asker = threading.Thread(target=ask)
    asker.start()
    wait_for(lambda: len([r for r in other.requests if r.target == "/healthz"]) > 100, 30)
    stop.set()
    asker.join()
    assert len(one.requests) < 60


def test_history_in_words(start, well):
    one, other = well
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"], health: GET /healthz every 30ms}}'))
    wait_for(lambda: one.requests)
    one.close()
    wait_for(lambda: state(gateway, one.at) == "down")
    code, out, error = run_weir("status", "--control", gateway.control)
    assert code == 0, error
    [line] = [line for line in out.splitlines() if one.at in line]
    time = endpoints(gateway)[one.at]["since"][11:19]
    assert f"down since {time}: 3 × connection refused" in line
    [line] = [line for line in out.splitlines() if other.at in line]
    assert "since" not in line


def test_a_reload_changes_the_check_and_keeps_the_verdict(start, well):
    one, other = well
    one.health = (500, (), b"")
    text = config(f'back: {{at: ["{one.at}", "{other.at}"], health: GET /healthz every 30ms}}')
    gateway = start(text, "--no-watch")
    wait_for(lambda: state(gateway, one.at) == "down")
    assert gateway.reload(text.replace("every 30ms", "every 40ms body fine"))[0] == 200
    assert state(gateway, one.at) == "down"
    wait_for(lambda: "down: 3 × another body" in events(gateway, other.at))


def test_what_is_refused(tmp_path):
    for health, says in [("command bin/check", "a check looks so"), ("tls every 5s", "asked by TLS"),
                         ("GET /healthz expect 99", "neither a status"), ("{path: /h, body: /(/}", "malformed")]:
        path = tmp_path / "weir.yaml"
        path.write_text(config(f'back: {{at: "127.0.0.1:1", health: {health}}}'))
        code, _, error = run_weir("check", path)
        assert code == 3 and says in error, error


def told(gateway, *words):
    return run_weir(*words, "--control", gateway.control)


def test_drain_and_maintenance(start, well):
    one, other = well
    text = config(f'back: {{at: ["{one.at}", "{other.at}"], health: GET /healthz every 30ms}}')
    gateway = start(text, "--no-watch")
    assert told(gateway, "drain", "back", one.at)[0] == 0
    assert state(gateway, one.at) == "drained"
    assert {gateway.get("/x").body.decode() for _ in range(6)} == {other.at}
    assert "drained since" in told(gateway, "status")[1]
    checks = len(one.requests)
    wait_for(lambda: len(one.requests) > checks + 2)  # it is still checked
    assert gateway.reload(text + "# anew\n")[0] == 200
    assert state(gateway, one.at) == "drained"
    assert told(gateway, "maintenance", "back", one.at)[0] == 0
    assert state(gateway, one.at) == "maintenance"
    checks = len(one.requests)
    before = len(other.requests)
    wait_for(lambda: len(other.requests) > before + 5)
    assert len(one.requests) <= checks + 1
    code, out, _ = told(gateway, "ready", "back", one.at, "--json")
    assert code == 0 and '"ready"' in out
    wait_for(lambda: gateway.get("/x").body.decode() == one.at)


def test_requests_under_way_end_as_they_will(start, serve):
    began, release = threading.Event(), threading.Event()

    def script(peer):
        peer.read_request()
        began.set()
        assert release.wait(30)
        peer.answer(b"late")

    with Well() as other:
        slow = serve(script)
        gateway = start(config(f'back: {{at: ["{slow.at}", "{other.at}"]}}'))
        answers, askers = [], []

        def ask():
            """Once more, until the slow one's turn has come at some worker."""
            askers.append(threading.Thread(target=lambda: answers.append(gateway.get("/x").body)))
            askers[-1].start()
            return began.wait(0.2)
        wait_for(ask, what="a request at the slow endpoint")
        assert told(gateway, "drain", "back", slow.at)[0] == 0
        release.set()
        [asker.join() for asker in askers]
        assert b"late" in answers


def test_all_drained_is_no_panic(start, well):
    """What an operator has said is not forgiven, however few are left."""
    one, other = well
    gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}"]}}'))
    for at in (one.at, other.at):
        assert told(gateway, "drain", "back", at)[0] == 0
    answer = gateway.get("/x")
    assert answer.status == 503 and gateway.log_line("/x")["reason"] == "no-endpoint"


def test_what_cannot_be_told(start, well):
    one, _ = well
    gateway = start(config(f'back: {{at: "{one.at}"}}'))
    code, _, error = told(gateway, "drain", "bakc", one.at)
    assert code == 1 and 'no service "bakc"' in error
    code, _, error = told(gateway, "drain", "back", "10.0.0.1:1")
    assert code == 1 and 'no endpoint "10.0.0.1:1"' in error
    code, _, error = told(gateway, "drain", "back")
    assert code == 2 and "needs a service" in error


def test_panic(start, well):
    """One of three is well: all are asked, and it shows."""
    one, other = well
    with Well() as third:
        one.health = other.health = (500, (), b"")
        gateway = start(config(f'back: {{at: ["{one.at}", "{other.at}", "{third.at}"], health: GET /healthz every 30ms}}'))
        wait_for(lambda: gateway.metric("weir_service_panic", service="back") == 1)
        assert {gateway.get("/x").body.decode() for _ in range(9)} == {one.at, other.at, third.at}
        assert state(gateway, one.at) == "down"
        one.health = (200, (), b"")
        wait_for(lambda: gateway.metric("weir_service_panic", service="back") == 0)
        wait_for(lambda: other.at not in {gateway.get("/x").body.decode() for _ in range(6)})


def test_a_failing_endpoint_is_ejected_and_tried_again(start, serve):
    failing = True

    def script(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            peer.answer(b"bad", status=500) if failing else peer.answer(b"good")

    bad = serve(script)
    with Well() as other:
        gateway = start(config(f'back: {{at: ["{bad.at}", "{other.at}"], outlier: {{failures: 3, eject: 1s}}}}'))
        for _ in range(20):
            gateway.get("/x")
        assert len(bad.requests) <= 6
        wait_for(lambda: "back after its ejection, on trial" in events(gateway, bad.at))
        failing = False
        wait_for(lambda: gateway.get("/x").body == b"good")
        assert gateway.metric("weir_endpoint_ejections_total", endpoint=bad.at) >= 1
        assert state(gateway, bad.at) == "up"
