"""What `weir status` and `weir explain` say of listeners and services: nothing that is written stays unseen, no secret is shown."""

import json
import re

import pytest
from gateway import run_weir, wait_for
from https import pair

EVERYTHING = """
version: 1
listen: "127.0.0.1:0"
services:
  back:
    at: {{address: "{at}", labels: {{v: v1}}}}
    balance: maglev header.x-user
    sticky: {{cookie: at, secret: very-secret}}
    subset: {{label: v, by: header.x-v}}
    slow-start: 3s
    zone: {{own: eu/a}}
    spill: 70%
    timeout: {{first-byte: 3s}}
    retry: 1 if connect-error
    connections: {{max: 77, idle: 5}}
    health: {{method: GET, path: /ok, every: 1h, headers: {{Authorization: hidden-token}}}}
    agent: GET /load every 1h
    load-reports: true
    outlier: {{failures: 0}}
    breaker: open 10s if 50% of 20 fail
    fallback: spare
    concurrency: {{max: 9, endpoint: 8}}
    queue: 12 for 2s
    shed: 90%
    panic: 10%
    mirror: spare
    host: ${{UPSTREAM_HOST}}
  spare: {{at: "h2c://{at}", http2: {{streams: 50}}}}
routes: {{/**: back, /spare/**: spare}}
"""
OPENS = "breaker: open 1h if 2 in a row fail, outlier: {failures: 0}"


def test_whatever_is_written_is_shown(start, serve):
    gateway = start(EVERYTHING.format(at=serve().at), environment={"UPSTREAM_HOST": "host-of-the-environment"})
    [back, spare] = gateway.status()["services"]
    assert list(back["settings"]) == [name for name in re.findall(r"^    ([\w-]+):", EVERYTHING, re.M) if name != "at"]
    assert back["settings"]["health"] == "{method: GET, path: /ok, every: 1h, headers: …}"
    assert back["settings"]["queue"] == "12 for 2s" and back["settings"]["host"] == "…"
    assert back["limits"] == {"connections": 77, "requests": 9, "endpoint_requests": 8, "queue": 12, "queue_seconds": 2}
    assert spare["limits"] == {"connections": 1024, "streams": 50, "queue": 1024, "queue_seconds": 5}
    code, said, error = run_weir("status", "--control", gateway.control)
    assert code == 0 and "breaker: open 10s if 50% of 20 fail; fallback: spare; concurrency: {max: 9, endpoint: 8}" in said
    secrets = ("very-secret", "hidden-token", "host-of-the-environment")
    assert not [one for one in secrets if one in said + json.dumps(gateway.status())]


def test_a_service_is_explained(tmp_path, serve):
    path = tmp_path / "weir.yaml"
    path.write_text(EVERYTHING.format(at=serve().at).replace("${UPSTREAM_HOST}", "x.example"))
    code, said, error = run_weir("explain", "GET /", path)
    assert code == 0, error
    [settings] = [line for line in said.splitlines() if line.startswith("settings:")]
    assert "retry: 1 if connect-error" in settings and "sticky: {cookie: at, secret: …}" in settings
    assert "limits:   77 connections an endpoint, 9 requests, 8 of each endpoint; 12 wait, 2s at most" in said
    assert "limits:   1024 connections an endpoint of 50 streams; 1024 wait, 5s at most" in run_weir("explain", "GET /spare/x", path)[1]
    one = json.loads(run_weir("explain", "GET /", path, "--json")[1])
    assert "queue: 12 for 2s" in one["settings"] and one["limits"].startswith("77 connections")


@pytest.mark.parametrize("per,endpoint", [("", "up"), (" per endpoint", "breaker open")])
def test_a_breaker_is_shown_as_it_is(start, serve, per, endpoint):
    def broken(peer):
        while True:
            peer.read_request()
            peer.answer(b"no", status=500)
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 1
        services: {{back: {{at: "{serve(broken).at}", {OPENS.replace(" fail", " fail" + per, 1)}}}}}
        routes: {{/**: back}}
        """)
    explain = ["explain", "GET /", gateway.config_path, "--control", gateway.control]
    assert "breaker open" not in run_weir(*explain)[1] + run_weir("status", "--control", gateway.control)[1]
    for _ in range(2):
        gateway.get("/")
    for said in (run_weir(*explain)[1], run_weir("status", "--control", gateway.control)[1]):
        assert "breaker open for 3" in said or (per and "breaker open" in said), said
    answer = json.loads(run_weir(*explain, "--json")[1])
    assert answer["endpoints"][0]["state"] == endpoint
    assert per or answer["now"].startswith("breaker open for ")


def test_who_waits_is_shown(start, serve):
    back = serve(lambda peer: peer.read_request() and peer.socket.recv(1))
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services: {{back: {{at: "{back.at}", concurrency: 1, queue: 9 for 1m}}}}
        routes: {{/**: back}}
        """)
    with gateway.connect() as one, gateway.connect() as other:
        for connection in (one, other):
            connection.send_request("GET", "/")
        wait_for(lambda: gateway.status()["services"][0]["waiting"] == 1)
        assert "    1 wait\n" in run_weir("status", "--control", gateway.control)[1]
        assert "now:      1 wait\n" in run_weir("explain", "GET /", gateway.config_path, "--control", gateway.control)[1]
        one.reset()
        other.reset()


def test_a_forward_proxy_is_shown(start):
    gateway = start("""
        version: 1
        listen:
          http:
            - {address: "127.0.0.1:0", forward-proxy: ["*.shop.example", "10.0.0.0/8:*"]}
            - {address: "127.0.0.2:0", forward-proxy: "*.shop.example"}
        routes: {/**: {respond: hello}}
        """)
    listener, _ = gateway.status()["listeners"]
    assert listener["forward_proxy"] == ["*.shop.example", "10.0.0.0/8:*"]
    assert ", takes clients to *.shop.example, 10.0.0.0/8:*\n" in run_weir("status", "--control", gateway.control)[1]
    assert "proxy:    takes clients to *.shop.example, 10.0.0.0/8:*\n" in run_weir("explain", "GET /", gateway.config_path)[1]
    by_name, by_address, never = "allowed, to public", "allowed if it leads", "denied"
    for target, words in [("api.shop.example:443", (by_name, by_name)), ("api.shop.example:80", (by_address, never)),
                          ("other.example:443", (by_address, never))]:
        code, said, _ = run_weir("explain", f"CONNECT {target}", gateway.config_path)
        found = [line for line in said.splitlines() if line.startswith("tunnel:")]
        assert code == 0 and len(found) == 2, said
        assert all(f"tunnel:   {target}, {word}" in line for word, line in zip(words, found, strict=True)), said
    assert run_weir("explain", "CONNECT nowhere", gateway.config_path)[0] == 1


def test_no_proxy_takes_a_tunnel(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text('version: 1\nlisten: ":0"\nroutes: {/**: {respond: hello}}\n')
    code, _, error = run_weir("explain", "CONNECT a.example:443", path)
    assert code == 1 and "no listener is a forward proxy" in error


def test_a_certificate_is_shown(secure, authority):
    certificates = [pair(authority.issue("shop.example", "*.shop.example")), pair(authority.issue("other.example"))]
    gateway = secure(f"[{', '.join(certificates)}]")
    for host, name, rest in [("other.example", "other.example", ""), ("a.shop.example", "shop.example", ""),
                             ("nobody.example", "shop.example", ", the first, since none has that name")]:
        said = run_weir("explain", f"GET https://{host}/", gateway.config_path)[1]
        [line] = [line for line in said.splitlines() if line.startswith("tls:")]
        assert name in line.split(",")[0] and line.endswith(rest) and ", until 20" in line
        one = json.loads(run_weir("explain", f"GET https://{host}/", gateway.config_path, "--json")[1])
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", one["tls"]["until"])
        assert name in one["tls"]["certificate"] and one["tls"]["has_the_name"] == (not rest)
    assert "tls:" not in run_weir("explain", "GET http://shop.example/", gateway.config_path)[1]
