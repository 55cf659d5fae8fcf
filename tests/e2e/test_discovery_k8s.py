"""Kubernetes' EndpointSlices, played by a server made from the API's documentation: list in pages, watch with
bookmarks, 410 Gone."""

import json
import ssl

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for
from registry_server import RegistryServer

PATH = ["apis", "discovery.k8s.io", "v1", "namespaces", "shop", "endpointslices"]


class Kubernetes(RegistryServer):
    def __init__(self, **more):
        self.version, self.slices, self.events, self.token = 100, {}, [], None
        self.oldest = 0  # versions before it are not known any more
        self.watches, self.page = 0, 500
        super().__init__(**more)

    def put(self, name, *endpoints, ports=None):
        with self.changed:
            self.version += 1
            kind = "MODIFIED" if name in self.slices else "ADDED"
            self.slices[name] = {
                "metadata": {"name": name, "namespace": "shop", "resourceVersion": str(self.version),
                             "labels": {"kubernetes.io/service-name": "user"}},
                "addressType": "IPv4", "endpoints": list(endpoints), "ports": ports}
            self.events.append((self.version, kind, self.slices[name]))
            self.changed.notify_all()

    def delete(self, name):
        with self.changed:
            self.version += 1
            gone = self.slices.pop(name)
            gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
            self.events.append((self.version, "DELETED", gone))
            self.changed.notify_all()

    def forget(self):
        """etcd's compaction: who asks for what came before has to list anew."""
        with self.changed:
            self.version += 1
            self.oldest, self.events = self.version, []

    def answer(self, question):
        assert question.parts == PATH, question.parts
        assert question.query["labelSelector"] == ["kubernetes.io/service-name=user"]
        if self.token and question.headers.get("Authorization") != f"Bearer {self.token}":
            return question.reply(401, {"kind": "Status", "code": 401, "reason": "Unauthorized"})
        if "watch" in question.query:
            return self.watch(question)
        names = sorted(self.slices)
        begin = int(question.query.get("continue", ["0"])[0])
        end = begin + min(self.page, int(question.query["limit"][0]))
        more = {"continue": str(end), "remainingItemCount": len(names) - end} if end < len(names) else {}
        return question.reply(200, {"kind": "EndpointSliceList", "metadata": {"resourceVersion": str(self.version), **more},
                                    "items": [self.slices[name] for name in names[begin:end]]})

    def watch(self, question):
        seen = int(question.query["resourceVersion"][0])
        assert question.query["allowWatchBookmarks"] == ["true"]
        if seen < self.oldest:
            question.begin_stream()
            question.stream(json.dumps({"type": "ERROR", "object": {
                "kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}}).encode() + b"\n")
            return question.end_stream()
        self.watches += 1
        question.begin_stream()
        try:
            while not self.is_stopping:
                for version, kind, one in [event for event in self.events if event[0] > seen]:
                    line = json.dumps({"type": kind, "object": one}).encode() + b"\n"
                    question.stream(line[:20])  # changes may come in pieces
                    question.stream(line[20:])
                    seen = version
                question.stream(json.dumps({"type": "BOOKMARK", "object": {
                    "kind": "EndpointSlice", "metadata": {"resourceVersion": str(max(seen, self.version))}}}).encode() + b"\n")
                self.wait(lambda: any(event[0] > seen for event in self.events), 1)
        finally:
            self.watches -= 1
        return None


def ready(service, ready=True, terminating=False, zone=None):
    conditions = {"ready": ready, "serving": ready or terminating, "terminating": terminating}
    return {"addresses": [service.host], "conditions": conditions, "nodeName": "node-1", "zone": zone}


def port(service, name="http"):
    return [{"name": name, "port": service.port, "protocol": "TCP"}]


@pytest.fixture
def kubernetes():
    with Kubernetes() as server:
        yield server


def at(kubernetes, more=""):
    return f'{{at: "k8s://shop/user", server: "{kubernetes.url}"{more}}}'


def test_slices_come_and_go(start, serve, kubernetes):
    one, two = named(serve, "one"), named(serve, "two")
    kubernetes.put("user-1", ready(one, zone="eu-a"), ports=port(one))
    gateway = start(config(at(kubernetes)))
    wait_for_endpoints(gateway, one.at)
    assert endpoints(gateway)[one.at]["zone"] == "eu-a"
    kubernetes.put("user-2", ready(two), ports=port(two))
    wait_for_endpoints(gateway, one.at, two.at)
    assert answers(gateway) == {"one": 10, "two": 10}
    kubernetes.put("user-1", ready(one, ready=False, terminating=True), ports=port(one))
    wait_for(lambda: endpoints(gateway)[one.at]["state"] == "down")
    assert "terminating in Kubernetes" in endpoints(gateway)[one.at]["events"][0]["what"]
    assert answers(gateway) == {"two": 20}
    kubernetes.delete("user-1")
    wait_for_endpoints(gateway, two.at)
    assert two.connections <= 1, "what stays keeps its connections"
    assert sum("watch" not in path for _, path, _, _ in kubernetes.requests) == 1, "all is listed once"


def test_pages(start, kubernetes):
    kubernetes.page = 2
    for i in range(5):
        kubernetes.put(f"user-{i}", {"addresses": [f"127.0.1.{i}"]}, ports=[{"name": "", "port": 9}])
    gateway = start(config(at(kubernetes)))
    wait_for_endpoints(gateway, *(f"127.0.1.{i}:9" for i in range(5)))


@pytest.mark.parametrize("wanted", ["http", "second"])
def test_ports(start, serve, kubernetes, wanted):
    one = named(serve, "one")
    other = [{"name": "metrics", "port": 9}]
    kubernetes.put("user-1", ready(one), ports=other + port(one, wanted))
    gateway = start(config(at(kubernetes, f", port: {wanted if wanted == 'http' else one.port}")))
    wait_for_endpoints(gateway, one.at)


def test_a_watch_that_cannot_go_on(start, serve, kubernetes):
    one, two = named(serve, "one"), named(serve, "two")
    kubernetes.put("user-1", ready(one), ports=port(one))
    gateway = start(config(at(kubernetes)))
    wait_for_endpoints(gateway, one.at)
    wait_for(lambda: kubernetes.watches == 1)
    kubernetes.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    assert answers(gateway) == {"one": 20}
    kubernetes.put("user-1", ready(two), ports=port(two))
    kubernetes.forget()
    kubernetes.start()
    wait_for_endpoints(gateway, two.at, timeout=40)
    assert gateway.stderr.count("its last endpoints stay") == 1
    assert gateway.stderr.count(": back after") == 1


def test_410_within_a_watch(start, serve, kubernetes):
    one, two = named(serve, "one"), named(serve, "two")
    kubernetes.put("user-1", ready(one), ports=port(one))
    gateway = start(config(at(kubernetes)))
    wait_for_endpoints(gateway, one.at)

    def gone(question):
        kubernetes.watch = Kubernetes.watch.__get__(kubernetes)
        kubernetes.put("user-1", ready(two), ports=port(two))
        question.begin_stream()
        question.stream(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}\n')
        question.end_stream()
    kubernetes.watch = gone
    kubernetes.cut()
    wait_for_endpoints(gateway, two.at, timeout=20)


def test_in_a_pod(start, serve, authority, tmp_path):
    one = named(serve, "one")
    issued = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    token = tmp_path / "token"
    token.write_text("old\n")
    with Kubernetes(tls=context) as kubernetes:
        kubernetes.token = "new"
        kubernetes.put("user-1", ready(one), ports=port(one))
        gateway = start(
            config(f'{{at: "k8s://shop/user", ca: "{authority.file}", token-file: "{token}"}}'),
            environment={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(kubernetes.port)})
        wait_for(lambda: source(gateway)["state"] == "down")
        assert "answers 401" in source(gateway)["trouble"]
        token.write_text("new\n")  # renewed by the kubelet
        wait_for_endpoints(gateway, one.at)


@pytest.mark.parametrize("line", [b"{}\n", b"nonsense\n", b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": "7"}}}\n'])
def test_odd_changes(start, serve, kubernetes, line):
    one = named(serve, "one")
    kubernetes.put("user-1", ready(one), ports=port(one))
    gateway = start(config(at(kubernetes)))
    wait_for_endpoints(gateway, one.at)

    def odd(question):
        question.begin_stream()
        question.stream(line)
        question.end_stream()
    kubernetes.watch = odd
    kubernetes.cut()
    wait_for(lambda: source(gateway)["state"] == "down", 20)
    assert answers(gateway) == {"one": 20}


@pytest.mark.parametrize("service,complaint", [
    ("k8s://user", "is written NAMESPACE/SERVICE"), ("k8s://shop/user/x", "is written NAMESPACE/SERVICE"),
    ("k8s://shop/user", "this is no pod of Kubernetes"),
])
def test_bad_input(tmp_path, service, complaint):
    path = tmp_path / "weir.yaml"
    path.write_text(f"version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {service}\nroutes: {{/**: back}}\n")
    code, _, err = run_weir("check", path)
    assert code == 3 and complaint in err, err
