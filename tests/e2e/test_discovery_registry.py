"""Instances that register themselves at the control API, and clients that watch them."""

import json
import threading

import http_client
import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for


def ask(gateway, method, path, body=None, headers=None, at=None):
    """By the control socket, or at a TCP address: (status, JSON)."""
    with http_client.Connection(at or gateway.control, 30.0) as connection:
        answer = connection.request(method, path, headers or {}, json.dumps(body).encode() if body is not None else b"")
    return answer.status, json.loads(answer.body) if answer.body else None


def put(gateway, id, body=None, **more):
    return ask(gateway, "PUT", f"/v1/services/user/instances/{id}", body, **more)


def listed(gateway):
    return {one["id"]: one for one in ask(gateway, "GET", "/v1/services/user")[1]["instances"]}


@pytest.fixture
def gateway(start):
    return start(config("registry://user"))


def test_instances_come_and_go(gateway, serve):
    one, two = named(serve, "one"), named(serve, "two")
    assert put(gateway, "a", {"address": one.at})[0] == 201
    assert put(gateway, "b%3A1", {"address": two.at, "weight": 3, "labels": {"v": "2"}})[0] == 201
    wait_for_endpoints(gateway, one.at, two.at)
    assert answers(gateway) == {"one": 5, "two": 15}
    assert listed(gateway)["b:1"]["labels"] == {"v": "2"} and listed(gateway)["a"]["lease_seconds"] == 30
    assert put(gateway, "a", {"address": one.at, "state": "drain"})[0] == 200
    wait_for(lambda: endpoints(gateway)[one.at]["state"] == "down")
    assert answers(gateway) == {"two": 20}
    assert ask(gateway, "DELETE", "/v1/services/user/instances/a")[0] == 204
    assert ask(gateway, "DELETE", "/v1/services/user/instances/a")[0] == 404
    wait_for_endpoints(gateway, two.at)
    assert two.connections <= 1, "what stays keeps its connections"


def test_leases(gateway, serve):
    one, two = named(serve, "one"), named(serve, "two")
    put(gateway, "a", {"address": one.at, "lease": "3s"})
    put(gateway, "b", {"address": two.at, "lease": "3s"})
    wait_for_endpoints(gateway, one.at, two.at)
    index = ask(gateway, "GET", "/v1/services/user")[1]["index"]
    stop = threading.Event()

    def beat():
        while not stop.wait(0.2):
            assert put(gateway, "b")[0] == 200
    heart = threading.Thread(target=beat)
    heart.start()
    wait_for_endpoints(gateway, two.at)
    assert set(listed(gateway)) == {"b"}
    assert ask(gateway, "GET", "/v1/services/user")[1]["index"] == index + 1, "renewals are no changes"
    stop.set()
    heart.join()
    wait_for(lambda: not listed(gateway))
    wait_for(lambda: source(gateway)["state"] == "empty")
    assert answers(gateway) == {"two": 20}, "the last one stays for a while"
    assert put(gateway, "b")[0] == 404


def test_reload_keeps_them(gateway, serve):
    one = named(serve, "one")
    put(gateway, "a", {"address": one.at})
    wait_for_endpoints(gateway, one.at)
    status, _ = gateway.reload(config("{at: registry://user, grace: 1s}"))
    assert status == 200
    wait_for_endpoints(gateway, one.at)
    assert answers(gateway) == {"one": 20} and set(listed(gateway)) == {"a"}


def test_watching(gateway):
    status, now = ask(gateway, "GET", "/v1/services/user?watch&index=0")
    assert status == 200 and now["instances"] == []
    results = []

    def watch():
        results.append(ask(gateway, "GET", f"/v1/services/user?watch&index={now['index']}&wait=20s"))
    watcher = threading.Thread(target=watch)
    watcher.start()
    put(gateway, "a", {"address": "127.0.0.1:7"})
    watcher.join(30)
    assert results[0][0] == 200 and results[0][1]["instances"][0]["address"] == "127.0.0.1:7"
    assert results[0][1]["index"] == now["index"] + 1
    status, same = ask(gateway, "GET", f"/v1/services/user?watch&index={results[0][1]['index']}&wait=50ms")
    assert status == 200 and same == results[0][1], "nothing happened"


def test_watching_by_events(gateway):
    with http_client.Connection(gateway.control, 30.0) as connection:
        connection.send(b"GET /v1/services/user?watch HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        seen = b""

        def until(mark):
            nonlocal seen
            while mark not in seen:
                data = connection.socket.recv(65536)
                assert data, seen
                seen += data
        until(b'"instances":[]')
        assert b"text/event-stream" in seen and b"id: 1\n" in seen
        put(gateway, "a", {"address": "127.0.0.1:7"})
        until(b"127.0.0.1:7")
        seen = b""
        until(b":\n\n")
        ask(gateway, "DELETE", "/v1/services/user/instances/a")
        until(b'"instances":[]')


def test_a_watch_outlives_its_source(start):
    gateway = start(config("registry://user"))
    results = []
    watcher = threading.Thread(
        target=lambda: results.append(ask(gateway, "GET", "/v1/services/user?watch&index=1&wait=1s")))
    watcher.start()
    status, _ = gateway.reload(config("127.0.0.1:7"))
    assert status == 200
    watcher.join(30)
    assert results[0][0] in (200, 404)
    assert ask(gateway, "GET", "/v1/services/user")[0] == 404


def test_the_admin_address_needs_a_token(start, serve, free_port):
    one, port = named(serve, "one"), free_port()
    gateway = start(config("registry://user", f"""admin: "127.0.0.1:{port}"
    discovery: {{registry: {{token: s3cret}}}}"""))
    at, body = ("127.0.0.1", port), {"address": one.at}
    assert put(gateway, "a", body, at=at)[0] == 403
    assert put(gateway, "a", body, at=at, headers={"Authorization": "Bearer wrong1"})[0] == 403
    assert put(gateway, "a", body, at=at, headers={"Authorization": "Bearer s3cret"})[0] == 201
    assert ask(gateway, "GET", "/v1/services/user", at=at)[0] == 200
    assert ask(gateway, "DELETE", "/v1/services/user/instances/a", at=at)[0] == 403
    wait_for_endpoints(gateway, one.at)
    without = start(config("registry://user", f'admin: "127.0.0.1:{free_port()}"'))
    assert "registry://user" in without.metrics()


@pytest.mark.parametrize("body,why", [
    ({"weight": 3}, 'needs \\"address\\"'), ({"address": "user:80"}, "this is no address"),
    ({"address": "127.0.0.1:7", "lease": "1ms"}, "lease"), ({"address": "127.0.0.1:7", "x": 1}, "unknown option"),
    ([1], "is a map"),
])
def test_bad_registrations(gateway, body, why):
    status, problem = put(gateway, "a", body)
    assert status == 400 and why.replace("\\", "") in problem["detail"], problem
    assert listed(gateway) == {}


def test_bad_questions(gateway):
    assert ask(gateway, "PUT", "/v1/services/cart/instances/a", {"address": "127.0.0.1:7"})[0] == 404
    assert ask(gateway, "PUT", "/v1/services/user/instances/", {"address": "127.0.0.1:7"})[0] == 400
    assert ask(gateway, "PUT", f"/v1/services/user/instances/{'a' * 129}", {"address": "127.0.0.1:7"})[0] == 400
    assert ask(gateway, "POST", "/v1/services/user")[0] == 405
    assert ask(gateway, "GET", "/v1/services/user/x")[0] == 404
    assert ask(gateway, "GET", "/v1/services/user?watch&index=x")[0] == 400
    assert put(gateway, "a", {"address": "127.0.0.1:7", "labels": {"x": "y" * 20000}})[0] == 413


def test_bad_input(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: registry://a/b\nroutes: {/**: back}\n")
    code, _, err = run_weir("check", path)
    assert code == 3 and "has no slash" in err
