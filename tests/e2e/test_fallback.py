"""What clients get when a service cannot answer."""

import pytest
from gateway import run_weir
from upstream import Upstream


def broken(peer):
    while True:
        peer.read_request()
        peer.answer(b"broken", status=500)


def config(back, spare, fallback, more="outlier: {failures: 0}"):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        services:
          back: {{at: "{back}", {more}, fallback: {fallback}}}
          spare: "{spare}"
        routes: {{/**: back}}
        """


def test_a_fixed_answer_instead_of_an_open_breaker(start, serve):
    back = serve(broken)
    fixed = '{status: 203, body: "[]", headers: {Content-Type: application/json, X-From: here}, on: breaker-open}'
    gateway = start(config(back.at, back.at, fixed, "outlier: {failures: 0}, breaker: open 20s if 3 in a row fail"))
    assert [gateway.get("/a").status for _ in range(3)] == [500] * 3
    answer = gateway.get("/b")
    assert (answer.status, answer.body, answer.header("X-From")) == (203, b"[]", "here")
    assert answer.header("Content-Type") == "application/json" and answer.header("Retry-After") is None
    line = gateway.log_line("/b")
    assert line["reason"] == "breaker-open" and line["error.message"] == "answered by the fallback of back"
    assert gateway.metric("weir_fallbacks_total", service="back", reason="breaker-open") == 1


def test_another_service_when_all_tries_failed(start, serve, free_port):
    spare = serve()
    gateway = start(config(f"127.0.0.1:{free_port()}", spare.at, "spare"))
    assert gateway.get("/a").status == 200
    assert gateway.request("POST", "/b", body=b"not sent twice").status == 502
    assert [request.target for request in spare.requests] == ["/a"]
    line = gateway.log_line("/a")
    assert line["reason"] == "upstream-refused"
    assert gateway.metric("weir_fallbacks_total", service="back", reason="upstream-refused") == 1


def test_a_body_that_nobody_has_seen_goes_to_the_other(start, serve):
    back, spare = serve(broken), serve()
    gateway = start(config(back.at, spare.at, "spare", "outlier: {failures: 0}, breaker: open 20s if 3 in a row fail"))
    for _ in range(3):
        gateway.get("/a")
    assert gateway.request("POST", "/b", body=b"whole").status == 200
    assert spare.requests[-1].body == b"whole"


def test_only_for_what_is_listed(start, serve, free_port):
    back = serve()
    gateway = start(config(f"127.0.0.1:{free_port()}", back.at, "{body: later, on: [busy, no-endpoint]}"))
    assert gateway.get("/a").status == 502


def test_no_endpoint(start, serve):
    back = serve()
    gateway = start(config(back.at, back.at, "{status: 200, body: later, on: no-endpoint}"))
    status = gateway.control_request("POST", "/v1/reload").status
    assert status == 200
    code, out, err = run_weir("drain", "back", back.at, "--control", gateway.control)
    assert code == 0, out + err
    answer = gateway.get("/a")
    assert answer.status == 200 and answer.body == b"later"
    assert gateway.log_line("/a")["reason"] == "no-endpoint"


def test_an_answer_of_the_service_is_its_own(start, serve):
    back = serve(broken)
    gateway = start(config(back.at, back.at, "{body: later}"))
    assert gateway.get("/a").status == 500


@pytest.mark.parametrize("fallback,says", [
    ("nobody", 'there is no service "nobody"'), ("back", "in a circle"), ("{to: spare, body: x}", "either another service"),
    ("{body: x, on: sometimes}", "breaker-open"), ("{headers: {Content-Length: 3}}", "cannot be a field"),
])
def test_errors(tmp_path, fallback, says):
    path = tmp_path / "weir.yaml"
    with Upstream() as back:
        path.write_text(config(back.at, back.at, fallback).replace("\n        ", "\n"))
    code, out, err = run_weir("check", path)
    assert code == 3 and says in out + err
