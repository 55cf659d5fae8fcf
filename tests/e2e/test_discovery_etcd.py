"""Keys of a real etcd."""

import base64
import json
import subprocess
import urllib.request

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Etcd:
    def __init__(self, folder, client, peer):
        self.url, self.folder, self.token = f"http://127.0.0.1:{client}", folder, None
        self.command = ["etcd", "--data-dir", str(folder / "data"), "--listen-client-urls", self.url,
                        "--advertise-client-urls", self.url, "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                        "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                        "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--logger=zap", "--log-level=error"]
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=open(self.folder / "etcd", "ab"))
        wait_for(self._answers, 30, "etcd")

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "etcd").read_text()
        try:
            return self.ask("kv/range", key=b64("x"))
        except OSError:
            return None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def ask(self, what, **body):
        request = urllib.request.Request(f"{self.url}/v3/{what}", json.dumps(body).encode())
        if self.token:
            request.add_header("Authorization", self.token)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def put(self, key, value):
        value = value if isinstance(value, str) else json.dumps(value)
        return int(self.ask("kv/put", key=b64(f"/services/user/{key}"), value=b64(value))["header"]["revision"])

    def delete(self, key):
        self.ask("kv/deleterange", key=b64(f"/services/user/{key}"))


@pytest.fixture
def etcd(tmp_path, free_port):
    server = Etcd(tmp_path, free_port(), free_port())
    yield server
    server.kill()


def at(etcd, more=""):
    return f'{{at: "etcd:///services/user/", server: "{etcd.url}"{more}}}'


def test_keys_come_and_go(start, serve, etcd):
    one, two, three = (named(serve, name) for name in ("one", "two", "three"))
    etcd.put("one", one.at)
    etcd.ask("kv/put", key=b64("/services/users"), value=b64("127.0.0.1:9"))  # has not the prefix
    gateway = start(config(at(etcd)))
    wait_for_endpoints(gateway, one.at)
    etcd.put("two", {"address": two.at, "weight": 3, "zone": "a"})
    wait_for_endpoints(gateway, one.at, two.at)
    assert endpoints(gateway)[two.at]["weight"] == 3 and endpoints(gateway)[two.at]["zone"] == "a"
    assert answers(gateway) == {"one": 5, "two": 15}
    etcd.put("two", {"address": three.at})
    wait_for_endpoints(gateway, one.at, three.at)
    etcd.delete("three")
    etcd.delete("one")
    wait_for_endpoints(gateway, three.at)
    assert answers(gateway) == {"three": 20}
    assert three.connections <= 1, "what stays keeps its connections"


def test_a_key_that_makes_no_sense(start, serve, etcd):
    one = named(serve, "one")
    etcd.put("one", one.at)
    etcd.put("bad", "user.internal:80")
    gateway = start(config(at(etcd)))
    wait_for_endpoints(gateway, one.at)
    assert "/services/user/bad is left out: it is no address" in gateway.stderr
    etcd.put("bad", '{"address": "127.0.0.1:9", "x": 1}')
    wait_for(lambda: 'left out: line 1, column 28: unknown option "x"' in gateway.stderr)
    etcd.put("bad", "127.0.0.1:9")
    wait_for_endpoints(gateway, one.at, "127.0.0.1:9")


def test_etcd_dies_and_comes_back(start, serve, etcd):
    one, two = named(serve, "one"), named(serve, "two")
    etcd.put("one", one.at)
    gateway = start(config(at(etcd)))
    wait_for_endpoints(gateway, one.at)
    etcd.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    assert answers(gateway) == {"one": 20}
    etcd.start()
    etcd.put("two", two.at)
    wait_for_endpoints(gateway, one.at, two.at, timeout=40)
    assert set(answers(gateway)) == {"one", "two"}
    assert gateway.stderr.count("its last endpoints stay") == 1
    assert gateway.stderr.count(": back after") == 1


def test_history_that_is_gone(start, serve, etcd):
    """After a while without a connection, what happened meanwhile may have been compacted."""
    one = named(serve, "one")
    etcd.put("one", one.at)
    gateway = start(config(at(etcd)))
    wait_for_endpoints(gateway, one.at)
    etcd.kill()
    wait_for(lambda: source(gateway)["state"] == "down")
    etcd.start()
    etcd.delete("one")
    revision = etcd.put("two", "127.0.0.1:9")
    etcd.ask("kv/compaction", revision=str(revision), physical=True)
    wait_for_endpoints(gateway, "127.0.0.1:9", timeout=40)


def test_logging_in(start, serve, etcd):
    one = named(serve, "one")
    etcd.put("one", one.at)
    etcd.ask("auth/user/add", name="root", password="pass word")
    etcd.ask("auth/role/add", name="root")
    etcd.ask("auth/user/grant", user="root", role="root")
    etcd.ask("auth/enable")
    refused = start(config(at(etcd)))
    wait_for(lambda: source(refused)["state"] == "down")
    gateway = start(config(at(etcd, ', user: root, password: "pass word"')))
    wait_for_endpoints(gateway, one.at)
    etcd.token = etcd.ask("auth/authenticate", name="root", password="pass word")["token"]
    etcd.put("one", "127.0.0.1:9")
    wait_for_endpoints(gateway, "127.0.0.1:9")


def test_bad_input(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text('version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: {at: etcd:///x, server: etcd}\nroutes: {/**: back}\n')
    code, _, err = run_weir("check", path)
    assert code == 3 and '"etcd" is no server' in err
