"""Names and SRV records, by dnsmasq."""

import contextlib
import socket
import subprocess

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for


class Dns:
    """dnsmasq with records of the test's; `change` starts it anew with others."""

    def __init__(self, folder, port):
        self.at, self.port, self.process = f"127.0.0.1:{port}", port, None
        self.folder = folder

    def change(self, *records):
        self.stop()
        self.process = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", f"--port={self.port}", "--listen-address=127.0.0.1", "--bind-interfaces",
             "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--local-ttl=1", "--pid-file", "--user=root",
             "--local=/test/", *(f"--{record}" for record in records)],
            stdout=subprocess.DEVNULL, stderr=open(self.folder / "dnsmasq", "ab"))
        wait_for(self._answers, what="dnsmasq")

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "dnsmasq").read_text()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, contextlib.suppress(OSError):
            s.settimeout(0.2)
            s.connect(("127.0.0.1", self.port))
            s.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4none\4test\0\0\1\0\1")
            return s.recv(512)
        return None

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None


@pytest.fixture
def dns(tmp_path, free_port):
    server = Dns(tmp_path, free_port())
    yield server
    server.stop()


def srv(service, priority=0, weight=1, target="one.test"):
    return f"srv-host=cart.test,{target},{service.port},{priority},{weight}"


ONE = "host-record=one.test,127.0.0.1"


def test_srv_records(start, serve, dns):
    one, two, backup = named(serve, "one"), named(serve, "two"), named(serve, "backup")
    dns.change(ONE, srv(one, 5, 30), srv(two, 5, 10), srv(backup, 9))
    gateway = start(config("dns+srv://cart.test", f'discovery: {{dns+srv: {{resolver: "{dns.at}"}}}}'))
    wait_for_endpoints(gateway, one.at, two.at, backup.at)
    assert {at: (e["weight"], e.get("tier", 0)) for at, e in endpoints(gateway).items()} == {
        one.at: (30, 0), two.at: (10, 0), backup.at: (1, 1)}
    assert answers(gateway, 40) == {"one": 30, "two": 10}
    assert gateway.metric("weir_discovery_up", source="dns+srv://cart.test") == 1
    assert gateway.metric("weir_discovery_endpoints", source="dns+srv://cart.test") == 3
    dns.change(ONE, srv(two, 5, 10), srv(backup, 9))
    wait_for_endpoints(gateway, two.at, backup.at)
    assert answers(gateway) == {"two": 20}
    assert two.connections <= 2, "what stays keeps its connections"


def test_the_server_dies_and_comes_back(start, serve, dns):
    one, two = named(serve, "one"), named(serve, "two")
    dns.change(ONE, srv(one))
    gateway = start(config(f'{{at: dns+srv://cart.test, resolver: "{dns.at}"}}'))
    wait_for_endpoints(gateway, one.at)
    assert answers(gateway) == {"one": 20}
    dns.stop()
    wait_for(lambda: source(gateway)["state"] == "down", 20)
    assert gateway.metric("weir_discovery_up") == 0
    assert answers(gateway) == {"one": 20}
    assert gateway.stderr.count("its last endpoints stay") == 1
    code, out, _ = run_weir("status", "--control", gateway.control)
    assert code == 0 and "found by dns+srv://cart.test: down, 1 endpoint" in out
    dns.change(ONE, srv(two))
    wait_for_endpoints(gateway, two.at, timeout=40)
    assert answers(gateway) == {"two": 20}
    assert source(gateway)["state"] == "up"
    assert gateway.stderr.count("source dns+srv://cart.test: back after") == 1


def test_targets_that_have_to_be_asked_for(start, serve, dns):
    one = named(serve, "one")
    dns.change(ONE, "host-record=gone.test,,::1", srv(one), srv(one, 7, target="nowhere.test"))
    gateway = start(config(f'{{at: dns+srv://cart.test, resolver: "{dns.at}"}}'))
    wait_for_endpoints(gateway, one.at)


def test_no_records_any_more(start, serve, dns):
    """A name that goes is as good as a server that goes."""
    one = named(serve, "one")
    dns.change(ONE, srv(one))
    gateway = start(config(f'{{at: dns+srv://cart.test, resolver: "{dns.at}"}}'))
    wait_for_endpoints(gateway, one.at)
    dns.change(ONE)
    wait_for(lambda: source(gateway)["state"] == "down", 20)
    assert answers(gateway) == {"one": 20}
    assert source(gateway)["trouble"] == "the name does not exist"


def test_names(start, serve, dns):
    one = named(serve, "one")
    dns.change("host-record=user.test,127.0.0.1")
    gateway = start(config(f'[user.test:{one.port}]', f'discovery: {{dns: {{resolver: "{dns.at}"}}}}'))
    assert answers(gateway) == {"one": 20}, "the first requests wait for the answer"
    assert source(gateway)["source"] == f"user.test:{one.port}"


def test_nothing_known_yet(start, dns):
    dns.change(ONE)
    gateway = start(config(f'{{at: dns+srv://cart.test, resolver: "{dns.at}"}}'))
    wait_for(lambda: source(gateway)["state"] == "down", 20)
    answer = gateway.get("/")
    assert answer.status == 502 and b"upstream-dns" in answer.body


@pytest.mark.parametrize("service,complaint", [
    ("dns+srv://cart.test:80", "SRV records say the port"),
    ("{at: dns+srv://cart.test, resolver: here}", '"here" is not the address of a DNS server'),
    ("{at: dns+srv://cart.test, resolve: here}", 'did you mean "resolver"?'),
    ("{at: 127.0.0.1:80, resolver: 127.0.0.1}", "is an option of sources, and the service has none"),
    ("dns://cart.test", "a name needs its port"),
])
def test_bad_input(tmp_path, service, complaint):
    path = tmp_path / "weir.yaml"
    path.write_text(f"version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {service}\nroutes: {{/**: back}}\n")
    code, _, err = run_weir("check", path)
    assert code == 3 and complaint in err, err
