"""Docker, played by a server made from the Engine API's documentation, on a unix socket."""

import json

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for
from registry_server import RegistryServer


class Docker(RegistryServer):
    def __init__(self, **more):
        self.containers, self.events = {}, []
        super().__init__(**more)

    def tell(self, action, name):
        with self.changed:
            self.events.append({"Type": "container", "Action": action, "Actor": {"ID": name}})
            self.changed.notify_all()

    def run(self, name, service, status="Up 2 minutes", state="running", labels=None, networks=None, ports=()):
        self.containers[name] = {
            "Id": name, "Names": [f"/{name}"], "State": state, "Status": status,
            "Labels": {"weir.service": "user", "weir.port": str(service.port), **(labels or {})}, "Ports": list(ports),
            "NetworkSettings": {"Networks": networks or {"bridge": {"IPAddress": service.host}}}}
        self.tell("start", name)

    def remove(self, name):
        del self.containers[name]
        self.tell("die", name)

    def answer(self, question):
        filters = json.loads(question.query["filters"][0])
        assert filters["label"] == ["weir.service=user"]
        if question.parts == ["containers", "json"]:
            return question.reply(200, list(self.containers.values()))
        assert question.parts == ["events"] and filters["type"] == ["container"]
        seen = len(self.events)
        question.begin_stream()
        while not self.is_stopping:
            if self.wait(lambda: len(self.events) > seen, 30):
                question.stream(json.dumps(self.events[seen]).encode() + b"\n")
                seen += 1
        return None


@pytest.fixture
def docker(tmp_path):
    with Docker(path=tmp_path / "docker.sock") as server:
        yield server


def at(docker, more=""):
    return f'{{at: "docker://user", server: "{docker.url}"{more}}}'


def test_containers_come_and_go(start, serve, docker):
    one, two = named(serve, "one"), named(serve, "two")
    docker.run("one", one, labels={"weir.weight": "3", "weir.zone": "a"})
    gateway = start(config(at(docker, ", slow-start: 0s")))
    wait_for_endpoints(gateway, one.at)
    assert endpoints(gateway)[one.at]["zone"] == "a"
    docker.run("two", two, status="Up 1 second (health: starting)")
    wait_for_endpoints(gateway, one.at, two.at)
    assert answers(gateway) == {"one": 20}
    docker.containers["two"]["Status"] = "Up 5 seconds (healthy)"
    docker.tell("health_status: healthy", "two")
    wait_for(lambda: endpoints(gateway)[two.at]["state"] == "up")
    assert answers(gateway) == {"one": 15, "two": 5}
    asked = len(docker.requests)
    docker.tell("exec_start: sh", "two")
    docker.remove("one")
    wait_for_endpoints(gateway, two.at)
    assert len(docker.requests) == asked + 1, "a command in a container is no news"
    assert answers(gateway) == {"two": 20}


def test_networks_and_ports(start, serve, docker):
    one, two = named(serve, "one"), named(serve, "two")
    port = [{"PrivatePort": one.port, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"}]
    docker.run("one", one, labels={"weir.port": ""}, ports=port, networks={
        "other": {"IPAddress": "127.9.9.9"}, "shop": {"IPAddress": one.host}})
    docker.run("two", two)  # not on that network
    docker.run("many", two, labels={"weir.port": ""}, networks={"shop": {"IPAddress": "127.9.9.8"}}, ports=[
        {"PrivatePort": 1, "Type": "tcp"}, {"PrivatePort": 2, "Type": "tcp"}])  # which of them?
    gateway = start(config(at(docker, ", network: shop")))
    wait_for_endpoints(gateway, one.at)


def test_docker_dies_and_comes_back(start, serve, docker):
    one, two = named(serve, "one"), named(serve, "two")
    docker.run("one", one)
    gateway = start(config(at(docker)))
    wait_for_endpoints(gateway, one.at)
    docker.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    assert answers(gateway) == {"one": 20}
    docker.run("two", two)
    docker.start()
    wait_for_endpoints(gateway, one.at, two.at, timeout=40)
    assert gateway.stderr.count("its last endpoints stay") == 1
    assert gateway.stderr.count(": back after") == 1


@pytest.mark.parametrize("answer", [b"{}", b"x"])
def test_odd_answers(start, serve, docker, answer):
    one = named(serve, "one")
    docker.run("one", one)
    gateway = start(config(at(docker)))
    wait_for_endpoints(gateway, one.at)
    docker.answer = lambda question: question.reply(200, answer + b"\n")
    docker.cut()
    wait_for(lambda: "trouble" in source(gateway), 20)
    assert answers(gateway) == {"one": 20}


def test_bad_input(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text('version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {at: docker://x, server: /run/docker}\nroutes: {/**: back}\n')
    code, _, err = run_weir("check", path)
    assert code == 3 and '"/run/docker" is no server' in err
