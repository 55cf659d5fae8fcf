"""Eureka, played by a server made from the documentation of its REST operations."""

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for
from registry_server import RegistryServer


class Eureka(RegistryServer):
    def __init__(self, **more):
        self.instances = []
        super().__init__(**more)

    def answer(self, question):
        assert question.parts == ["eureka", "apps", "user"] and question.headers["Accept"] == "application/json"
        if not self.instances:
            return question.reply(404, b"")
        rows = self.instances if len(self.instances) > 1 else self.instances[0]
        return question.reply(200, {"application": {"name": "USER", "instance": rows}})


def instance(service, status="UP", **metadata):
    return {"instanceId": f"host:{service.port}", "hostName": "host.invalid", "ipAddr": service.host, "status": status,
            "port": {"$": service.port, "@enabled": "true"}, "securePort": {"$": 443, "@enabled": "false"},
            "metadata": {"@class": "java.util.Collections$EmptyMap", **metadata}}


@pytest.fixture
def eureka():
    with Eureka() as server:
        yield server


def at(eureka, more=""):
    return f'{{at: "eureka://user", server: "{eureka.url}/eureka/", every: 100ms{more}}}'


def test_instances_come_and_go(start, serve, eureka):
    one, two = named(serve, "one"), named(serve, "two")
    eureka.instances = [instance(one, zone="a")]
    gateway = start(config(at(eureka)))
    wait_for_endpoints(gateway, one.at)
    assert endpoints(gateway)[one.at]["zone"] == "a"
    eureka.instances = [instance(one, "OUT_OF_SERVICE"), instance(two)]
    wait_for_endpoints(gateway, one.at, two.at)
    assert "OUT_OF_SERVICE in Eureka" in endpoints(gateway)[one.at]["events"][0]["what"]
    assert answers(gateway) == {"two": 20}
    eureka.instances = []
    wait_for(lambda: source(gateway)["state"] == "empty")
    assert answers(gateway) == {"two": 20}


def test_eureka_dies_and_comes_back(start, serve, eureka):
    one, two = named(serve, "one"), named(serve, "two")
    eureka.instances = [instance(one)]
    gateway = start(config(at(eureka)))
    wait_for_endpoints(gateway, one.at)
    eureka.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    assert answers(gateway) == {"one": 20}
    eureka.instances = [instance(one), instance(two)]
    eureka.start()
    wait_for_endpoints(gateway, one.at, two.at, timeout=40)
    assert gateway.stderr.count("its last endpoints stay") == 1
    assert gateway.stderr.count(": back after") == 1


@pytest.mark.parametrize("answer", [b"{}", b"<application/>", b'{"application": {"instance": [{"port": 1}]}}'])
def test_odd_answers(start, serve, eureka, answer):
    one = named(serve, "one")
    eureka.instances = [instance(one)]
    gateway = start(config(at(eureka)))
    wait_for_endpoints(gateway, one.at)
    eureka.answer = lambda question: question.reply(200, answer)
    wait_for(lambda: source(gateway)["state"] == "down")
    assert answers(gateway) == {"one": 20}


def test_bad_input(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {at: eureka://x, every: 1ms}\nroutes: {/**: back}\n")
    code, _, err = run_weir("check", path)
    assert code == 3 and "every" in err
