"""Faults by intent: the policy `fault`."""

import datetime
import json
import time

import pytest
from gateway import run_weir, wait_for
from h2_client import REQUEST, RST_STREAM, Raw
from http_client import Closed


def config(service, fault, more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        services: {{back: "{service.at}"}}
        routes: {{/**: {{to: back, fault: {fault}{more}}}}}
        """


def day(offset):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=offset)).strftime("%Y-%m-%d")


def moment(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_delay_and_a_status(start, serve):
    service = serve()
    gateway = start(config(service, f"{{delay: 150ms, abort: 418, until: {day(2)}}}"))
    began = time.monotonic()
    answer = gateway.get("/a")
    assert answer.status == 418 and time.monotonic() - began > 0.14
    assert service.requests == []
    assert gateway.log_line("/a")["reason"] == "fault-injected"
    assert gateway.metric("weir_faults_injected_total", kind="delay") == 1
    assert gateway.metric("weir_faults_injected_total", kind="abort") == 1


def test_a_delay_alone_lets_the_request_pass(start, serve):
    service = serve()
    gateway = start(config(service, f"{{delay: 100ms, until: {day(2)}}}"))
    began = time.monotonic()
    assert gateway.get("/a").status == 200 and time.monotonic() - began > 0.09
    assert len(service.requests) == 1


def test_the_usual_status_is_a_problem_document(start, serve):
    gateway = start(config(serve(), f"{{abort: 503, until: {day(2)}}}"))
    answer = gateway.get("/a")
    assert answer.status == 503 and json.loads(answer.body)["reason"] == "fault-injected"


def test_a_reset(start, serve):
    service = serve()
    gateway = start(config(service, f"{{abort: reset, until: {day(2)}}}"))
    with gateway.connect() as connection, pytest.raises(Closed):
        connection.request("GET", "/a")
    assert gateway.log_line("/a")["reason"] == "fault-injected"
    with Raw(gateway.address) as raw:
        raw.headers(1, REQUEST)
        kind, _, stream, payload = raw.until(RST_STREAM)
        assert (kind, stream) == (RST_STREAM, 1)
        raw.headers(3, REQUEST)
        assert raw.until(RST_STREAM)[2] == 3  # the connection goes on
    assert service.requests == []


def test_only_some(start, serve):
    service = serve()
    gateway = start(config(service, "{abort: 503, share: 30%%, when: 'header.x-trial == \"1\"', until: %s}" % day(2)))
    with gateway.connect() as connection:
        plain = [connection.request("GET", "/a").status for _ in range(50)]
        trial = [connection.request("GET", "/a", {"X-Trial": "1"}).status for _ in range(300)]
    assert set(plain) == {200}
    assert 50 <= trial.count(503) <= 130 and trial.count(200) + trial.count(503) == 300


def test_it_ends_by_itself(start, serve):
    gateway = start(config(serve(), f"{{abort: 503, until: {moment(5)}}}"))
    assert gateway.get("/a").status == 503
    wait_for(lambda: gateway.get("/a").status == 200)


@pytest.mark.parametrize("until,says", [(day(-2), "the fault expired on"), (day(2), "a fault is on until")])
def test_it_is_never_on_silently(tmp_path, serve, until, says):
    path = tmp_path / "weir.yaml"
    path.write_text(config(serve(), f"{{abort: 503, until: {until}}}").replace("\n        ", "\n"))
    code, out, err = run_weir("check", path)
    assert code == 0 and "warning" in out + err and says in out + err, (out, err)
    code, out, err = run_weir("explain", "GET http://a.example/x", path)
    assert ("expired" if "expired" in says else "100 % of such requests: status 503") in out


@pytest.mark.parametrize("fault,says", [
    ("{abort: 503}", "until"),
    ("{until: 2099-01-01}", "a fault needs"),
    ("{abort: 200, until: 2099-01-01}", "a status from 400 to 599, or by reset"),
    ("{abort: 503, until: tomorrow}", "this is not a date"),
    ("{abort: 503, until: 2099-13-01}", "this is not a date"),
    ("{abort: 503, until: 2099-02-01T10:00}", "this is not a date"),
])
def test_errors(tmp_path, serve, fault, says):
    path = tmp_path / "weir.yaml"
    path.write_text(config(serve(), fault).replace("\n        ", "\n"))
    code, out, err = run_weir("check", path)
    assert code == 3 and says in out + err, (out, err)
