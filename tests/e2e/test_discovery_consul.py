"""Consul, played by a server made from its API's documentation: /v1/health/service with blocking queries."""

import re
import ssl

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for
from registry_server import RegistryServer


class Consul(RegistryServer):
    def __init__(self, **more):
        self.index, self.services, self.token, self.waiting = 10, {}, None, 0
        super().__init__(**more)

    def put(self, service, *instances):
        with self.changed:
            self.index += 1
            self.services[service] = instances
            self.changed.notify_all()

    def restart(self):
        """A cluster restored from nothing: its indexes begin anew."""
        self.index = 3
        self.start()

    def answer(self, question):
        assert question.parts[:3] == ["v1", "health", "service"], question.parts
        if self.token and question.headers.get("X-Consul-Token") != self.token:
            return question.reply(403, b"Permission denied: token with AccessorID lacks permission\n")
        index = int(question.query.get("index", ["0"])[0])
        if index:
            found = re.fullmatch(r"(\d+)([ms])", question.query["wait"][0])
            self.waiting += 1
            self.wait(lambda: self.index > index or self.index < index, int(found[1]) * {"m": 60, "s": 1}[found[2]])
            self.waiting -= 1
        if self.is_stopping:
            return None
        tags = question.query.get("tag", [])
        rows = [row for row in self.services.get(question.parts[3], ())
                if all(tag in row["Service"]["Tags"] for tag in tags)]
        return question.reply(200, rows, [("X-Consul-Index", self.index)])


def instance(service, status="passing", tags=(), address=True, weights=(1, 1), meta=None, locality=None):
    return {
        "Node": {"ID": "n1", "Node": "n1", "Address": "127.0.0.1", "Datacenter": "dc1"},
        "Service": {"ID": f"i{service.port}", "Service": "user", "Tags": list(tags), "Meta": meta or {},
                    "Address": "127.0.0.1" if address else "", "Port": service.port,
                    "Weights": {"Passing": weights[0], "Warning": weights[1]}, "Locality": locality},
        "Checks": [{"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": "passing"},
                   {"CheckID": "http", "Name": "HTTP on /health", "Status": status}],
    }


@pytest.fixture
def consul():
    with Consul() as server:
        yield server


def at(consul, more=""):
    return f'{{at: consul://user, server: "{consul.url}"{more}}}'


def test_instances_come_and_go(start, serve, consul):
    one, two = named(serve, "one"), named(serve, "two")
    consul.put("user", instance(one, weights=(3, 1), meta={"zone": "a"}), instance(two, address=False))
    gateway = start(config(at(consul)))
    wait_for_endpoints(gateway, one.at, two.at)
    assert endpoints(gateway)[one.at]["weight"] == 3
    assert endpoints(gateway)[one.at]["zone"] == "a"
    assert answers(gateway) == {"one": 15, "two": 5}
    consul.put("user", instance(two))
    wait_for_endpoints(gateway, two.at)
    assert answers(gateway) == {"two": 20}
    assert two.connections <= 2, "what stays keeps its connections"
    wait_for(lambda: consul.waiting == 1)
    assert len(consul.requests) <= 4, "questions wait for a change"
    assert gateway.metric("weir_discovery_up", source="consul://user") == 1


def test_health(start, serve, consul):
    one, two = named(serve, "one"), named(serve, "two")
    consul.put("user", instance(one, "critical"), instance(two))
    gateway = start(config(at(consul)[:-1] + ", slow-start: 0s}"))
    wait_for_endpoints(gateway, one.at, two.at)
    assert answers(gateway) == {"two": 20}
    assert "critical in Consul: HTTP on /health" in endpoints(gateway)[one.at]["events"][0]["what"]
    consul.put("user", instance(one, "warning", weights=(9, 1)), instance(two))
    wait_for(lambda: endpoints(gateway)[one.at]["state"] == "up")
    assert answers(gateway) == {"one": 10, "two": 10}
    consul.put("user", instance(one, "critical"), instance(two, "critical"))
    wait_for(lambda: source(gateway)["state"] == "empty")
    assert set(answers(gateway)) == {"one", "two"}, "that nobody is well is a mistake more often than not"


def test_warnings_may_count(start, serve, consul):
    one, two = named(serve, "one"), named(serve, "two")
    consul.put("user", instance(one, "warning"), instance(two))
    gateway = start(config(at(consul, ", warnings: false")))
    wait_for_endpoints(gateway, one.at, two.at)
    assert answers(gateway) == {"two": 20}


def test_tags_and_settings(start, serve, consul):
    one, two = named(serve, "one"), named(serve, "two")
    consul.put("user", instance(one, tags=["v1", "version=1"]), instance(two, tags=["v2", "v 1"]))
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        discovery: {{consul: {{server: "{consul.url}", datacenter: eu}}}}
        services:
          v1: {{at: consul://user, tag: v1}}
          v2: {{at: [{{address: consul://user, tag: [v2, "v 1"], namespace: shop}}]}}
        routes: {{/v1/**: v1, /v2/**: v2}}
        """)
    wait_for(lambda: all(service["endpoints"] for service in gateway.status()["services"]))
    assert gateway.get("/v1/").body == b"one" and gateway.get("/v2/").body == b"two"
    assert gateway.metric("weir_discovery_endpoints", source="consul://user v1") == 1
    asked = [path for _, path, _, _ in consul.requests]
    assert any("dc=eu&tag=v1" in path for path in asked)
    assert any("dc=eu&ns=shop&tag=v2&tag=v%201" in path for path in asked)


@pytest.mark.parametrize("by", ["token", "file"])
def test_token(start, serve, consul, tmp_path, by):
    one = named(serve, "one")
    consul.put("user", instance(one))
    consul.token = "secret"
    path = tmp_path / "token"
    path.write_text("wrong\n" if by == "file" else "")
    how = "token: secret" if by == "token" else f'token-file: "{path}"'
    gateway = start(config(at(consul, f", {how}")))
    if by == "file":
        wait_for(lambda: source(gateway)["state"] == "down")
        assert "answers 403: Permission denied" in source(gateway)["trouble"]
        path.write_text("secret\n")
    wait_for_endpoints(gateway, one.at)


def test_tls(start, serve, authority):
    one = named(serve, "one")
    issued = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    with Consul(tls=context) as consul:
        consul.put("user", instance(one))
        gateway = start(config(at(consul, f', ca: "{authority.file}"')))
        wait_for_endpoints(gateway, one.at)
        strict = start(config(at(consul)))
        wait_for(lambda: source(strict)["state"] == "down")
        assert "certificate" in source(strict)["trouble"]


def test_consul_dies_and_comes_back(start, serve, consul):
    one, two = named(serve, "one"), named(serve, "two")
    consul.put("user", instance(one))
    gateway = start(config(at(consul)))
    wait_for_endpoints(gateway, one.at)
    consul.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    assert gateway.metric("weir_discovery_up") == 0
    assert answers(gateway) == {"one": 20}
    status, _ = gateway.reload(config(f'{{at: consul://user, server: "{consul.url}", timeout: 3s}}'))
    assert status == 200 and answers(gateway) == {"one": 20}, "a reload keeps what is known"
    consul.services = {"user": (instance(one), instance(two))}
    consul.restart()
    wait_for_endpoints(gateway, one.at, two.at, timeout=40)
    assert set(answers(gateway)) == {"one", "two"}
    assert gateway.stderr.count("its last endpoints stay") == 1
    assert gateway.stderr.count("source consul://user: back after") == 1
    assert one.connections <= 2


def test_an_index_that_goes_back(start, serve, consul):
    one, two = named(serve, "one"), named(serve, "two")
    consul.put("user", instance(one))
    gateway = start(config(at(consul)))
    wait_for_endpoints(gateway, one.at)
    consul.index = 1
    consul.put("user", instance(two))
    wait_for_endpoints(gateway, two.at)
    consul.put("user", instance(one), instance(two))
    wait_for_endpoints(gateway, one.at, two.at)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[{}]", b'[{"Service": {"Port": "x"}}]', b"<html>", b"[" * 4000])
def test_odd_answers(start, serve, consul, answer):
    one = named(serve, "one")
    consul.put("user", instance(one))
    gateway = start(config(at(consul)))
    wait_for_endpoints(gateway, one.at)
    consul.answer = lambda question: question.reply(200, answer, [("X-Consul-Index", 99)])
    consul.cut()
    wait_for(lambda: "its answer" in source(gateway).get("trouble", "") or
             "has no port" in source(gateway).get("trouble", ""), 20)
    assert answers(gateway) == {"one": 20}


@pytest.mark.parametrize("service,complaint", [
    ("{at: consul://user, server: consul:8500}", "it begins with http://"),
    ("{at: consul://user, server: \"http://h/?x\"}", "has no query"),
    ("{at: consul://user, ca: nowhere.pem, server: \"https://h\"}", "nowhere.pem"),
    ("{at: consul://user/x}", "has no slash"),
    ("{at: consul://user, token: \"a b\"}", "no blanks"),
    ("{at: consul://user, tags: x}", 'did you mean "tag"?'),
])
def test_bad_input(tmp_path, service, complaint):
    path = tmp_path / "weir.yaml"
    path.write_text(f"version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {service}\nroutes: {{/**: back}}\n")
    code, _, err = run_weir("check", path)
    assert code == 3 and complaint in err, err
