"""The admin server: metrics that Prometheus takes, health, status, and who may do what."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from gateway import WEIR, wait_for
from http_client import Connection
from prometheus_client.parser import text_string_to_metric_families

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    admin: "127.0.0.1:{port}"
    workers: 2
    limits: {{few: {{rate: 1000/s}}}}
    services: {{back: "{at}", 'a"b\\c': "{at}"}}
    routes: {{'/a/{{id}}': {{to: back, use: [limits.few]}}, /c: {{respond: "c"}}, /d: 'a"b\\c'}}
    """


@pytest.fixture
def gate(start, serve, free_port):
    port = free_port()
    gateway = start(CONFIG.format(port=port, at=serve().at), "--no-watch")
    gateway.admin_port = port
    return gateway


def ask(gateway, method, path, headers=None):
    with Connection(("127.0.0.1", gateway.admin_port)) as connection:
        return connection.request(method, path, headers)


def series(gateway):
    """Every series once, after a strict reading."""
    answer = ask(gateway, "GET", "/metrics")
    assert answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    text = answer.body.decode("utf-8")
    assert text.endswith("\n")
    found, families = {}, set()
    for family in text_string_to_metric_families(text):
        assert family.name not in families, f"{family.name} comes twice"
        families.add(family.name)
        assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"{key} comes twice"
            found[key] = sample.value
            assert sample.value == sample.value and (family.type == "gauge" or sample.value >= 0)
    for line in text.splitlines():
        assert line == line.strip() and line, "a blank line or one with blanks around it"
    return found


def test_metrics_are_valid(gate):
    gate.get("/c")
    gate.get("/nowhere")
    gate.log_lines(2)  # what is logged has been counted
    found = series(gate)
    names = {name for name, _ in found}
    for name in ["weir_http_requests_total", "weir_http_request_duration_seconds_bucket",
                 "weir_upstream_request_duration_seconds_count", "weir_endpoint_healthy", "weir_limit_decisions_total",
                 "weir_config_last_reload_success", "weir_build_info", "process_open_fds"]:
        assert name in names or name.startswith("weir_upstream"), name
    for name in {name[:-len("_bucket")] for name in names if name.endswith("_bucket")}:
        check_histogram(found, name)


def check_histogram(found, name):
    groups = {}
    for (sample, labels), value in found.items():
        if sample == name + "_bucket":
            rest = tuple(label for label in labels if label[0] != "le")
            groups.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in groups.items():
        buckets.sort()
        assert buckets[-1][0] == float("inf")
        assert [value for _, value in buckets] == sorted(value for _, value in buckets), (name, rest)
        assert buckets[-1][1] == found[name + "_count", rest] and (name + "_sum", rest) in found


def test_labels_come_from_the_configuration(gate):
    gate.get("/c")
    gate.request("BREW", "/c")
    gate.get("/nowhere/0")
    wait_for(lambda: any(dict(labels).get("method") == "_OTHER" for _, labels in series(gate)), what="the method _OTHER")
    before = set(series(gate))
    for number in range(30):
        gate.request(f"BREW{number}", f"/random/{number}", {"Host": f"host{number}.example", "X-Forwarded-For": f"10.0.0.{number}"})
        gate.get(f"/random/{number}?q={number}")
    assert set(series(gate)) - before == set() or len(set(series(gate)) - before) <= 40
    fresh = {value for _, labels in set(series(gate)) for _, value in labels}
    assert not [value for value in fresh if "random" in value or "BREW" in value or "host1" in value]


def test_hostile_names_are_escaped(gate):
    gate.get("/d")
    wait_for(lambda: ("service", 'a"b\\c') in {label for _, labels in series(gate) for label in labels}, what="the service")


def test_health(gate):
    assert ask(gate, "GET", "/livez").status == 200
    answer = ask(gate, "GET", "/readyz")
    assert (answer.status, answer.body) == (200, b"ready\n")
    assert ask(gate, "HEAD", "/readyz").status == 200


def test_status(gate):
    gate.get("/c")
    status = json.loads(ask(gate, "GET", "/v1/status").body)
    assert status["pid"] == gate.process.pid and status["state"] == "serving" and status["workers"] == 2
    assert status["config"]["generation"] == 1 and status["config"]["routes"] == 3
    service = status["services"][0]
    assert service["name"] == "back" and service["endpoints"][0]["in_flight"] == 0


def test_tcp_may_look_but_not_steer(gate):
    for method, path in [("POST", "/v1/reload"), ("POST", "/v1/log/reopen"), ("GET", "/v1/config")]:
        assert ask(gate, method, path).status == 403, path
    for headers in [{"Host": "control"}, {"X-Forwarded-For": "unix:"}]:
        assert ask(gate, "POST", "/v1/reload", headers).status == 403
    assert ask(gate, "POST", "/v1/RELOAD").status == 404
    assert ask(gate, "POST", "/v1/./reload").status == 403
    assert ask(gate, "DELETE", "/metrics").status == 405
    assert gate.status()["config"]["generation"] == 1


def test_control_socket_is_for_its_owner(gate):
    mode = os.stat(gate.control).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_config_does_not_show_the_environment(start):
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        routes: {/**: {respond: "${WEIR_TEST_SECRET}"}}
        """, environment={"WEIR_TEST_SECRET": "hush-hush"})
    assert gateway.get("/").body == b"hush-hush"
    for path in ["/v1/config", "/v1/status", "/metrics"]:
        answer = gateway.control_request("GET", path)
        assert answer.status == 200 and b"hush-hush" not in answer.body, path
    assert b"${WEIR_TEST_SECRET}" in gateway.control_request("GET", "/v1/config").body


def test_config_of_many_files(start, tmp_path):
    """All of them, also those that add to what another began."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "0.yaml").write_text("version: 1\nlisten: \"127.0.0.1:0\"\nlog: off\n")
    for i in range(100):
        (folder / f"{i + 1}.yaml").write_text(f"routes: {{/only/{i}: {{respond: r{i}}}}}\n")
    shown = start("", path=folder).control_request("GET", "/v1/config").body.decode()
    assert [shown.count(f"/only/{i}:") for i in range(100)] == [1] * 100
    assert shown.count("version: 1") == 1


@pytest.fixture
def nobody_home(tmp_path):
    """What the program needs to run as a user with neither a runtime folder nor a control socket there yet."""
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    user = 61000 + os.getpid() % 3000
    folder = Path(f"/tmp/weir-{user}")
    environment = {key: value for key, value in os.environ.items() if key not in ("XDG_RUNTIME_DIR", "WEIR_CONTROL")}
    weir = Path(tempfile.mkdtemp(prefix="weir-test-", dir="/tmp"))
    weir.chmod(0o755)
    shutil.copy(WEIR, weir / "weir")
    yield folder, [str(weir / "weir")], {"user": user, "group": user, "env": environment, "cwd": "/"}
    shutil.rmtree(weir)
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", ["another's", "writable", "a link"])
def test_control_folder_that_is_not_ours_alone(nobody_home, tmp_path, kind):
    folder, weir, how = nobody_home
    if kind == "a link":
        target = Path(weir[0]).parent / "target"
        target.mkdir()
        os.chown(target, how["user"], how["user"])
        folder.symlink_to(target)
    else:
        folder.mkdir()
        folder.chmod(0o777 if kind == "writable" else 0o755)
    if kind == "writable":
        os.chown(folder, how["user"], how["user"])
    done = subprocess.run([*weir, "status"], capture_output=True, text=True, timeout=20, **how)
    assert done.returncode == 1 and str(folder) in done.stderr and "nobody else may write" in done.stderr
    assert "--control" in done.stderr


def test_control_folder_is_made(nobody_home):
    folder, weir, how = nobody_home
    config = Path(weir[0]).parent / "weir.yaml"
    config.write_text("version: 1\nlisten: \"127.0.0.1:0\"\nlog: off\nroutes: {/: {respond: hello}}\n")
    with subprocess.Popen([*weir, "run", str(config)], stderr=subprocess.PIPE, text=True, umask=0, **how) as process:
        try:
            assert "serving" in process.stderr.readline()
            assert stat.S_IMODE((folder / "control.sock").stat().st_mode) == 0o600
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert subprocess.run([*weir, "status"], capture_output=True, timeout=20, **how).returncode == 0
        finally:
            process.terminate()
