"""Nodes of a real ZooKeeper, one server for the whole file (Java takes its time), made and changed by another client."""

import contextlib
import itertools
import json
import signal
import socket
import subprocess

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import pick_port, run_weir, wait_for
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.security import CREATOR_ALL_ACL

SETTINGS = """
tickTime=100
maxSessionTimeout=60000
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=cons,srvr
"""


class ZooKeeper:
    def __init__(self, folder, port):
        self.folder, self.at, self.address = folder, f"127.0.0.1:{port}", ("127.0.0.1", port)
        (folder / "zoo.cfg").write_text(SETTINGS.format(folder=folder, port=port))
        self.process = self.client = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "/usr/share/java/zookeeper.jar",
                 "org.apache.zookeeper.server.ZooKeeperServerMain", str(self.folder / "zoo.cfg")], stdout=log, stderr=log)
        wait_for(self._serves, 60, "zookeeper")
        self.client = KazooClient(self.at, timeout=60)
        self.client.start(60)

    def _serves(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self.word("srvr").startswith("Zookeeper version")

    def word(self, word):
        """What the server answers to one of its four-letter words."""
        with contextlib.suppress(OSError), socket.create_connection(self.address, 10) as connection:
            connection.sendall(word.encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return ""

    def sessions(self):
        """How many clients have one, apart from the test's own."""
        return self.word("cons").count("sid=") - 1

    def kill(self):
        if self.process:
            self.client.stop()
            self.client.close()
            self.process.kill()
            self.process.wait()
        self.process = None

    def put(self, path, data=""):
        data = (data if isinstance(data, str) else json.dumps(data)).encode()
        if self.client.exists(path):
            self.client.set(path, data)
        else:
            self.client.create(path, data, makepath=True)

    def delete(self, path):
        self.client.delete(path, recursive=True)


@pytest.fixture(scope="module")
def make_zookeeper(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        def make():
            server = ZooKeeper(tmp_path_factory.mktemp("zookeeper"), pick_port(stack))
            stack.callback(server.kill)
            server.start()
            return server
        yield make


@pytest.fixture(scope="module")
def shared(make_zookeeper):
    return make_zookeeper()


counter = itertools.count()


@pytest.fixture
def zk(shared):
    """The server, with a node of the test's own at `zk.path`."""
    shared.path = f"/test{next(counter)}/user"
    shared.put(shared.path)
    yield shared
    if shared.process is None:
        shared.start()


def at(zk, more="", server=None):
    return f'{{at: "zookeeper://{zk.path}", server: "{server or zk.at}"{more}}}'


def test_nodes_come_and_go(start, serve, zk):
    one, two, three = (named(serve, name) for name in ("one", "two", "three"))
    zk.put(f"{zk.path}/one", one.at)
    zk.put(f"{zk.path}s/other", "127.0.0.1:9")
    gateway = start(config(at(zk)))
    wait_for_endpoints(gateway, one.at)
    zk.put(f"{zk.path}/two", {"address": two.at, "weight": 3, "zone": "a"})
    wait_for_endpoints(gateway, one.at, two.at)
    assert endpoints(gateway)[two.at]["weight"] == 3 and endpoints(gateway)[two.at]["zone"] == "a"
    assert answers(gateway) == {"one": 5, "two": 15}
    zk.put(f"{zk.path}/two", {"address": three.at})
    wait_for_endpoints(gateway, one.at, three.at)
    zk.put(f"{zk.path}/{two.at}")
    wait_for_endpoints(gateway, one.at, two.at, three.at)
    zk.delete(f"{zk.path}/one")
    zk.delete(f"{zk.path}/{two.at}")
    wait_for_endpoints(gateway, three.at)
    assert answers(gateway) == {"three": 20}
    assert three.connections <= 1, "what stays keeps its connections"
    assert gateway.metric("weir_discovery_up", source=f"zookeeper://{zk.path}") == 1
    assert f"found by zookeeper://{zk.path}: up, 1 endpoint" in run_weir("status", "--control", gateway.control)[1]


def curator(port, **more):
    return {"name": "user", "id": "x", "address": "127.0.0.1", "port": port, "sslPort": None, "payload": None,
            "registrationTimeUTC": 1500000000000, "serviceType": "DYNAMIC", "uriSpec": None, **more}


def serverset(port, **more):
    return {"serviceEndpoint": {"host": "127.0.0.1", "port": port}, "additionalEndpoints": {}, "status": "ALIVE", **more}


def test_forms(start, zk):
    zk.put(f"{zk.path}/a", curator(1001, sslPort=2001, payload={"metadata": {"zone": "a"}}))
    zk.put(f"{zk.path}/b", curator(1002, enabled=False))
    zk.put(f"{zk.path}/member_0000000003", serverset(1003, additionalEndpoints={"http": {"host": "127.0.0.1", "port": 2003}}))
    zk.put(f"{zk.path}/member_0000000004", serverset(1004, status="STOPPING"))
    zk.put(f"{zk.path}/e", "localhost:1005\n")
    zk.put(f"{zk.path}/[::1]:1006")
    zk.put(f"{zk.path}/g", "nobody.invalid:1007")
    zk.put(f"{zk.path}/h", "{")
    gateway = start(config(at(zk)))
    wait_for(lambda: len(endpoints(gateway)) >= 6)
    found = {one.rsplit(":", 1)[1]: said for one, said in endpoints(gateway).items()}
    assert set(found) == {"1001", "1002", "1003", "1004", "1005", "1006"}
    assert found["1001"]["zone"] == "a" and found["1001"]["state"] == "up"
    assert found["1002"]["state"] == "down" and found["1004"]["state"] == "down"
    assert "g is left out: nobody.invalid has no address" in gateway.stderr
    assert "h is left out: line 1, column 2" in gateway.stderr
    other = start(config(at(zk, ", secure: true, endpoint: http")))
    wait_for(lambda: {one.rsplit(":", 1)[1] for one in endpoints(other)} == {"2001", "2003", "1005", "1006"})
    assert "b is left out: it has no port" in other.stderr
    assert "member_0000000004 is left out: it has no endpoint of that name" in other.stderr


def test_a_node_that_is_not_there(start, zk):
    zk.delete(zk.path)
    gateway = start(config(at(zk, ", grace: 0s")))
    wait_for(lambda: source(gateway)["state"] == "up")
    assert endpoints(gateway) == {} and gateway.get("/").status == 503
    zk.put(f"{zk.path}/one", "127.0.0.1:9")
    wait_for_endpoints(gateway, "127.0.0.1:9")
    zk.delete(zk.path)
    wait_for_endpoints(gateway)
    zk.put(f"{zk.path}/one", "127.0.0.1:7")
    wait_for_endpoints(gateway, "127.0.0.1:7")


def test_a_node_that_comes_again_at_once(start, zk):
    """The new one has no watch of the old one's."""
    zk.put(f"{zk.path}/one", "127.0.0.1:7")
    gateway = start(config(at(zk)))
    wait_for_endpoints(gateway, "127.0.0.1:7")
    for port in (8, 9):
        both = zk.client.transaction()
        both.delete(f"{zk.path}/one")
        both.create(f"{zk.path}/one", f"127.0.0.1:{port}".encode())
        assert not any(isinstance(one, KazooException) for one in both.commit())
        wait_for_endpoints(gateway, f"127.0.0.1:{port}")
    zk.put(f"{zk.path}/one", "127.0.0.1:10")
    wait_for_endpoints(gateway, "127.0.0.1:10")


def test_many_nodes(start, zk):
    """More than are asked for at a time."""
    def put(ports):
        all = zk.client.transaction()
        for port in ports:
            all.create(f"{zk.path}/127.0.0.1:{port}")
        all.commit()
    put(range(1000, 1500))
    gateway = start(config(at(zk)))
    wait_for_endpoints(gateway, *(f"127.0.0.1:{port}" for port in range(1000, 1500)))
    put(range(1500, 1600))
    wait_for_endpoints(gateway, *(f"127.0.0.1:{port}" for port in range(1000, 1600)))


def test_the_server_dies_and_comes_back(start, serve, zk):
    one, two = named(serve, "one"), named(serve, "two")
    zk.put(f"{zk.path}/one", one.at)
    gateway = start(config(at(zk)))
    wait_for_endpoints(gateway, one.at)
    zk.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    assert gateway.metric("weir_discovery_up", source=f"zookeeper://{zk.path}") == 0
    assert answers(gateway) == {"one": 20}
    zk.start()
    zk.put(f"{zk.path}/two", two.at)
    wait_for_endpoints(gateway, one.at, two.at, timeout=60)
    assert set(answers(gateway)) == {"one", "two"}
    assert gateway.stderr.count("its last endpoints stay") == 1 and gateway.stderr.count(": back after") == 1


def test_a_server_that_hangs(start, zk):
    """Its connections stay, and it says nothing."""
    zk.put(f"{zk.path}/one", "127.0.0.1:7")
    gateway = start(config(at(zk, ", session: 6s")))
    wait_for_endpoints(gateway, "127.0.0.1:7")
    zk.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: source(gateway)["state"] == "down", 60)
        assert "it says nothing any more; its last endpoints stay" in gateway.stderr
        assert set(endpoints(gateway)) == {"127.0.0.1:7"}
    finally:
        zk.process.send_signal(signal.SIGCONT)
    wait_for(lambda: source(gateway)["state"] == "up", 60)
    zk.client.retry(zk.put, f"{zk.path}/one", "127.0.0.1:8")
    wait_for_endpoints(gateway, "127.0.0.1:8", timeout=60)


def test_a_session_that_expires(start, zk):
    """While the gateway sleeps, the server forgets its watches, and what they would have told."""
    zk.put(f"{zk.path}/one", "127.0.0.1:7")
    gateway = start(config(at(zk, ", session: 6s")))
    wait_for_endpoints(gateway, "127.0.0.1:7")
    others = zk.sessions() - 1
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: zk.sessions() == others, 60)
        zk.put(f"{zk.path}/one", "127.0.0.1:8")
    finally:
        gateway.process.send_signal(signal.SIGCONT)
    wait_for_endpoints(gateway, "127.0.0.1:8", timeout=60)
    assert gateway.stop() == 0
    wait_for(lambda: zk.sessions() == others, what="the end of the session with the gateway's")


def test_several_servers(start, zk, make_zookeeper, free_port):
    """Two that know different things, so that one sees who is asked, and some that are not there."""
    other = make_zookeeper()
    for server, port in ((zk, 7), (other, 8)):
        server.put(f"{zk.path}/one", f"127.0.0.1:{port}")
    dead = [f"127.0.0.1:{free_port()}" for _ in range(6)]
    gateway = start(config(at(zk, server=",".join([*dead, zk.at, other.at]))))
    wait_for(lambda: endpoints(gateway))
    asked, left, now = (zk, other, "127.0.0.1:8") if "127.0.0.1:7" in endpoints(gateway) else (other, zk, "127.0.0.1:7")
    assert asked.sessions() == left.sessions() + 1
    asked.kill()
    wait_for_endpoints(gateway, now, timeout=60)
    other.kill()


def test_rights_and_a_root(start, zk):
    zk.client.add_auth("digest", "weir:pass:word")
    zk.client.create(f"{zk.path}/secret/user/one", b"127.0.0.1:7", acl=CREATOR_ALL_ACL, makepath=True)
    zk.client.set_acls(f"{zk.path}/secret/user", CREATOR_ALL_ACL)
    rooted = f'{{at: "zookeeper:///secret/user", server: "{zk.at}{zk.path}"%s}}'
    refused = start(config(rooted % ""))
    wait_for(lambda: source(refused)["state"] == "down")
    assert "the node may not be read" in refused.stderr
    gateway = start(config(rooted % ', user: weir, password: "pass:word"'))
    wait_for_endpoints(gateway, "127.0.0.1:7")
    zk.put(f"{zk.path}/secret/user/one", "127.0.0.1:8")
    wait_for_endpoints(gateway, "127.0.0.1:8")


def test_a_stranger_on_the_port(start, zk, serve):
    gateway = start(config(at(zk, server=serve(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")).at)))
    wait_for(lambda: source(gateway)["state"] == "down")
    assert "it does not speak ZooKeeper's protocol" in gateway.stderr
    assert gateway.get("/").status == 503


@pytest.mark.parametrize("service,why", [
    ("zookeeper://services/user", "a node of ZooKeeper is a path: zookeeper:///services/user"),
    ("zookeeper:///services/", "a node of ZooKeeper is a path"),
    ("zookeeper:///a/../b", "a node of ZooKeeper is a path"),
    ('{at: "zookeeper:///a", server: "zk1:2181,zk 2"}', '"zk1:2181,zk 2" is not one server or several'),
    ('{at: "zookeeper:///a", server: "zk1/"}', '"/" is no node of ZooKeeper'),
    ('{at: "zookeeper:///a", session: 1s}', "6s"),
    ('{at: "zookeeper:///a", sesion: 10s}', 'did you mean "session"?'),
])
def test_bad_input(tmp_path, service, why):
    path = tmp_path / "weir.yaml"
    path.write_text(f"version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {service}\nroutes: {{/**: back}}\n")
    code, _, err = run_weir("check", path)
    assert code == 3 and why in err
