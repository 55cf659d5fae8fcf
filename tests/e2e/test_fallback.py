"""What clients get when a service cannot answer."""

import h2_client
import pytest
from gateway import run_weir, wait_for
from http_client import Connection
from upstream import Upstream


def broken(peer):
    while True:
        peer.read_request()
        peer.answer(b"broken", status=500)


def config(back, spare, fallback, more="outlier: {failures: 0}", listen='"127.0.0.1:0"'):
    return f"""
        version: 1
        listen: {listen}
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
    assert gateway.request("POST", "/b", body=b"seen by nobody").status == 200
    assert [request.body for request in spare.requests] == [b"", b"seen by nobody"]
    line = gateway.log_line("/a")
    assert line["reason"] == "upstream-refused"
    assert gateway.metric("weir_fallbacks_total", service="back", reason="upstream-refused") == 2


def resets(peer):
    request = peer.read_head()
    if request.header("X-All"):
        peer.read_body(request)
    peer.reset()


KEEPING = "outlier: {failures: 0}, retry: {times: 0, keep: 100KiB}"
KEY = {"Idempotency-Key": '"k"'}


@pytest.mark.parametrize("connect", [Connection, h2_client.Connection], ids=["http1", "http2"])
@pytest.mark.parametrize("size,all_read", [(1000, ""), (1000, "1"), (80000, "1")])
def test_a_body_that_was_kept_goes_to_the_other(start, serve, connect, size, all_read):
    """Whatever the first service has seen of it."""
    back, spare = serve(resets), serve()
    gateway = start(config(back.at, spare.at, "spare", KEEPING, '{http: {address: "127.0.0.1:0", http2: true}}'))
    body = b"".join(b"%07d\n" % i for i in range(size // 8))
    with connect(gateway.address) as client:
        client.send_request("PUT", "/a", {"Content-Length": str(len(body)), "X-All": all_read})
        back_has_it = lambda: back.connections == 1  # noqa: E731
        wait_for(back_has_it)
        send_all(client, body)
        assert client.read_answer().status == 200
    [request] = spare.requests
    assert request.body == body


def send_all(client, body):
    if isinstance(client, h2_client.Connection):
        client.send_body(client.newest, body)
    else:
        client.send(body)


def test_a_body_that_was_too_large_to_be_kept_does_not(start, serve):
    back, spare = serve(resets), serve()
    gateway = start(config(back.at, spare.at, "spare", KEEPING))
    with gateway.connect() as client:
        client.send_request("PUT", "/a", {"Content-Length": "200000", "X-All": "1"})
        client.send(bytes(200000))
        assert client.read_answer().status == 502
    assert not spare.requests


@pytest.mark.parametrize("method,headers,body,status", [
    ("POST", {}, b"x", 502), ("POST", {}, b"", 502), ("POST", KEY, b"x", 200), ("PUT", {}, b"x", 200), ("GET", {}, b"", 200)])
def test_what_may_have_been_done_is_not_done_again(start, serve, method, headers, body, status):
    back, spare = serve(resets), serve()
    gateway = start(config(back.at, spare.at, "spare", "outlier: {failures: 0}, retry: {times: 0, keyed: true}"))
    assert gateway.request(method, "/a", {"X-All": "1", **headers}, body).status == status
    assert [request.body for request in spare.requests] == ([body] if status == 200 else [])


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


@pytest.mark.parametrize("at,reason", [("file:///nowhere.yaml", "upstream-discovery"),
                                       ("consul://back", "upstream-discovery-timeout")])
def test_nobody_knows_where_the_service_is(start, serve, at, reason):
    """The file is not there; Consul takes the question and says nothing."""
    consul = serve(lambda peer: (peer.read_request(), peer.socket.recv(1)))
    gateway = start(config(at, serve().at, "{status: 200, body: later, on: no-endpoint}", "timeout: {connect: 1s}")
                    + f'\n        discovery: {{consul: {{server: "http://{consul.at}"}}}}')
    answer = gateway.get("/a")
    assert answer.status == 200 and answer.body == b"later"
    assert gateway.log_line("/a")["reason"] == reason


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
