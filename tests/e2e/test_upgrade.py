"""weir upgrade: another process takes over, and nobody notices."""

import contextlib
import json
import os
import select
import signal
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from gateway import WEIR, run_weir, wait_for
from http_client import Closed, Connection
from l4_peers import TcpService, connect, named, port_of, read_line

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    drain: {drain}
    services: {{back: "{at}"}}
    routes:
      /**: back
      /fast: {{respond: "fast"}}
    """
PLAIN = """
    version: 1
    listen: [{listen}]
    workers: 2
    drain: 20s
    routes: {{/**: {{respond: "{answer}"}}}}
    """


def has_ended(pid):
    """Also of a process that nobody has waited for."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


class Upgraded:
    """A gateway that is upgraded: what serves now is not the process that the test has started."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.pids = [gateway.process.pid]

    @property
    def pid(self):
        return self.pids[-1]

    def upgrade(self, *arguments):
        """(exit code, stderr) of the command."""
        code, _, error = run_weir("upgrade", "--control", self.gateway.control, *arguments)
        if code == 0:
            self.pids.append(self.gateway.status()["pid"])
            assert self.pids[-1] != self.pids[-2]
            assert f"process {self.pids[-1]} serves" in error
        return code, error

    def descriptors(self):
        return sorted(os.listdir(f"/proc/{self.pid}/fd"), key=int)

    def wait_for_the_old(self, timeout=40):
        for pid in self.pids[:-1]:
            wait_for(lambda pid=pid: has_ended(pid), timeout, f"the end of {pid}")
        assert self.gateway.process.wait(timeout) == 0

    def end(self):
        for pid in reversed(self.pids[1:]):
            if not has_ended(pid):
                os.kill(pid, signal.SIGTERM)
        self.gateway.process.send_signal(signal.SIGTERM) if len(self.pids) > 1 else None
        for pid in self.pids[1:]:
            wait_for(lambda pid=pid: has_ended(pid), 40, f"the end of {pid}")


@pytest.fixture
def upgraded():
    with contextlib.ExitStack() as stack:
        def make(gateway):
            one = Upgraded(gateway)
            stack.callback(one.end)
            return one
        yield make


class Clients:
    """Clients that count what fails. Those that keep their connections take an answer that says "close" for what it is."""

    def __init__(self, address, keeping=4, fresh=1):
        self.address, self.failures, self.done, self.moves = address, [], 0, 0
        self.ends, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self._keep, daemon=True) for _ in range(keeping)]
        self.threads += [threading.Thread(target=self._come_anew, daemon=True) for _ in range(fresh)]

    def _ask(self, connection):
        answer = connection.request("GET", "/load")
        if answer.status != 200:
            self.failures.append(repr(answer))
        return (answer.header("Connection") or "").lower() != "close"

    def _run(self, step):
        while not self.ends.is_set():
            try:
                step()
            except (OSError, Closed, EOFError) as error:
                self.failures.append(repr(error))
            with self.lock:
                self.done += 1

    def _keep(self):
        connection = None

        def step():
            nonlocal connection
            connection = connection or Connection(self.address)
            try:
                goes_on = self._ask(connection)
            except Exception:
                connection = None
                raise
            if not goes_on:
                connection.close()
                connection = None
                with self.lock:
                    self.moves += 1
        self._run(step)

    def _come_anew(self):
        def step():
            with Connection(self.address) as connection:
                connection.request("GET", "/load", {"Connection": "close"})
        self._run(step)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join(30)


def test_twenty_upgrades_under_load_lose_nothing(start, serve, upgraded):
    gateway = start(CONFIG.format(drain="10s", at=serve().at), "--no-watch")
    one = upgraded(gateway)
    with Clients(gateway.address) as clients:
        for number in range(1, 21):
            before = clients.done
            assert one.upgrade()[0] == 0
            assert gateway.status()["upgrades"] == number
            wait_for(lambda before=before: clients.done > before + 50, 20, "some requests")
        one.wait_for_the_old()
    assert clients.failures == []
    assert clients.moves >= 20, "no connection has moved"
    assert gateway.status()["predecessor"] is None
    assert len(set(one.pids)) == 21


def test_status_shows_where_it_comes_from(start, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="one"), "--no-watch")
    one = upgraded(gateway)
    assert "upgrade" not in run_weir("status", "--control", gateway.control)[1]
    with gateway.connect() as idle:
        assert idle.request("GET", "/").status == 200
        assert one.upgrade()[0] == 0
        status = gateway.status()
        assert (status["pid"], status["upgrades"], status["predecessor"]) == (one.pid, 1, one.pids[0])
        shown = run_weir("status", "--control", gateway.control)[1]
        assert f"after 1 upgrade; process {one.pids[0]} still drains" in shown
    one.wait_for_the_old()
    wait_for(lambda: gateway.status()["predecessor"] is None, what="no predecessor")
    assert "after 1 upgrade\n" in run_weir("status", "--control", gateway.control)[1]


def test_what_operators_have_said_holds(start, serve, upgraded):
    """Of more endpoints than one message holds."""
    services = [serve(), serve()]
    names = [f"127.0.0.1:{port}" for port in range(20000, 20150)]
    at = ", ".join(f'"{one}"' for one in [services[0].at, services[1].at, *names])
    text = CONFIG.format(drain="10s", at="X").replace('"X"', f"[{at}]")
    one = upgraded(start(text))
    for name in [services[0].at, *names]:
        word = "maintenance" if name == names[-1] else "drain"
        assert run_weir(word, "back", name, "--control", one.gateway.control)[0] == 0
    for _ in range(2):
        assert one.upgrade()[0] == 0
        states = {e["address"]: e["state"] for e in one.gateway.status()["services"][0]["endpoints"]}
        assert states == {services[1].at: "up", names[-1]: "maintenance",
                          **{name: "drained" for name in [services[0].at, *names[:-1]]}}
    assert run_weir("ready", "back", services[0].at, "--control", one.gateway.control)[0] == 0
    assert one.upgrade()[0] == 0
    found = {e["address"]: e["state"] for e in one.gateway.status()["services"][0]["endpoints"]}
    assert found[services[0].at] == "up"


def test_instances_stay_registered(start, serve, upgraded):
    """Of more than one message holds, for as long as their leases said, and at the index that watchers know."""
    service = serve()
    one = upgraded(start(CONFIG.format(drain="2s", at="registry://back")))

    def put(id, **said):
        path = f"/v1/services/back/instances/{id}"
        answer = one.gateway.control_request("PUT", path, json.dumps(said).encode() if said else b"")
        assert answer.status in (200, 201), answer
    for number in range(100):
        put(number, address=f"127.0.0.1:{20000 + number}", labels={"number": str(number), "state": "x" * 40}, state="drain")
    put("short", address="127.0.0.1:9", lease="2s", state="down")
    put("good", address=service.at, weight=2)

    def listed():
        answer = json.loads(one.gateway.control_request("GET", "/v1/services/back").body)
        return answer["index"], {each["id"]: each for each in answer["instances"]}
    index, before = listed()
    for _ in range(2):
        assert one.upgrade()[0] == 0
        wait_for(lambda: len(one.gateway.status()["services"][0]["endpoints"]) >= 101)
        assert one.gateway.get("/").status == 200
        now, after = listed()
        if "short" not in after:  # the machine was slow
            before.pop("short", None)
        assert after == before and now == index + ("short" not in after)
    wait_for(lambda: "short" not in listed()[1], 20, "the end of a lease that began before")
    put("good")
    assert len(listed()[1]) == 101


def test_what_began_before_goes_on_in_the_old_one(start, serve, upgraded):
    release = threading.Event()
    size = 300_000

    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * 1000)
        assert release.wait(60)
        peer.send(b"x" * (size - 1000))

    gateway = start(CONFIG.format(drain="30s", at=serve(script).at), "--no-watch")
    one = upgraded(gateway)
    with gateway.connect() as idle, gateway.connect(timeout=60) as download, gateway.connect() as silent:
        assert idle.request("GET", "/fast").status == 200
        download.send_request("GET", "/download")
        assert download.read_head().status == 200
        assert one.upgrade()[0] == 0
        # Who is idle, or has sent nothing yet, gets one more answer there.
        for connection in idle, silent:
            answer = connection.request("GET", "/fast")
            assert answer.status == 200 and answer.header("Connection") == "close"
            assert connection.is_closed()
        assert gateway.get("/fast").header("Connection") is None
        assert not has_ended(one.pids[0])
        release.set()
        assert len(download._exactly(size)) == size
    one.wait_for_the_old(10)


def test_the_new_one_has_the_new_configuration_and_other_listeners(start, tmp_path, upgraded):
    stays, goes, comes = (tmp_path / name for name in ("stays.sock", "goes.sock", "comes.sock"))
    listen = '"127.0.0.1:0", "unix:{}", "unix:{}"'
    gateway = start(PLAIN.format(listen=listen.format(stays, goes), answer="old"), "--no-watch")
    one = upgraded(gateway)
    gateway.write_config(PLAIN.format(listen=listen.format(comes, stays), answer="new"))
    assert one.upgrade()[0] == 0
    for address in gateway.address, str(stays), str(comes):
        with Connection(address) as connection:
            assert connection.request("GET", "/").body == b"new"
    one.wait_for_the_old()
    assert stays.exists() and comes.exists() and not goes.exists()
    with Connection(str(stays)) as connection:
        assert connection.request("GET", "/").body == b"new"
    os.kill(one.pid, signal.SIGTERM)
    wait_for(lambda: has_ended(one.pid), what="the end")
    assert not stays.exists() and not comes.exists() and not Path(gateway.control).exists()


def test_descriptors_do_not_add_up(start, serve, upgraded):
    gateway = start(CONFIG.format(drain="1s", at=serve().at), "--no-watch")
    one = upgraded(gateway)
    counts = []
    for _ in range(4):
        assert one.upgrade()[0] == 0
        one.wait_for_the_old()
        wait_for(lambda: gateway.status()["predecessor"] is None, what="no predecessor")
        # Connections of the control socket may still be closing.
        wait_for(lambda: not counts or len(one.descriptors()) <= counts[0] + 1, what=f"no more than {counts} and one")
        counts.append(len(one.descriptors()))
    assert counts[0] <= len(os.listdir("/proc/self/fd")) + 40
    links = []
    for number in one.descriptors():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{one.pid}/fd/{number}"))
    assert links.count(os.readlink(f"/proc/{one.pid}/fd/2")) == 1, links


def script(tmp_path, text, name="program"):
    path = tmp_path / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_program_that_is_not_there(start, tmp_path, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="old"), "--no-watch")
    one = upgraded(gateway)
    plain = tmp_path / "plain"
    plain.write_text("no program")
    cases = {str(tmp_path / "nowhere"): "No such file", str(plain): "Permission denied",
             "weir-that-nobody-has": "there is no such program",
             str(script(tmp_path, "#!/bin/sh\necho some words >&2\nexit 7\n")): "ended with exit code 7",
             "/bin/true": "ended with exit code 0",
             str(script(tmp_path, "#!/bin/sh\nkill -9 $$\n", "killed")): "killed by signal 9"}
    for binary, words in cases.items():
        code, error = one.upgrade("--binary", binary)
        assert code == 1 and words in error, error
        assert f"process {one.pid} goes on serving" in error
        assert ("some words" in error) == (words == "ended with exit code 7")
        assert gateway.get("/").body == b"old"
    assert "some words" in gateway.stderr
    assert one.upgrade()[0] == 0, "a failed one is in the way of the next"


def test_a_configuration_that_does_not_start(start, upgraded, free_port):
    config = PLAIN.format(listen='"127.0.0.1:0"', answer="old")
    gateway = start(config, "--no-watch")
    one = upgraded(gateway)
    gateway.write_config(config.replace("respond", "respnd"))
    code, error = one.upgrade()
    assert code == 3 and "weir.yaml:" in error and "respnd" in error, error
    with socket.create_server(("127.0.0.1", 0)) as taken:
        gateway.write_config(PLAIN.format(listen='"127.0.0.1:%d"' % taken.getsockname()[1], answer="new"))
        code, error = one.upgrade()
        assert code == 1 and "the address is in use" in error, error
    assert gateway.get("/").body == b"old"
    gateway.write_config(config)
    assert one.upgrade()[0] == 0


def test_one_that_fails_late_takes_nobody_in(start, serve, upgraded):
    """The listeners are there, what is opened last is not to be had: no client may notice."""
    config = CONFIG.format(drain="10s", at=serve().at)
    gateway = start(config, "--no-watch")
    one = upgraded(gateway)
    with socket.create_server(("127.0.0.1", 0)) as taken, Clients(gateway.address) as clients:
        for _ in range(5):
            gateway.write_config(config.rstrip(" ") + '    admin: "127.0.0.1:%d"\n' % taken.getsockname()[1])
            code, error = one.upgrade()
            assert code == 1 and "the address is in use" in error, error
    assert clients.failures == [] and clients.moves == 0


# Takes over as weir does, up to a point, and dies there.
HALF = """#!/usr/bin/python3
import os, signal, socket, sys
control = sys.argv[sys.argv.index("--control") + 1]
link = socket.socket(socket.AF_UNIX)
link.connect(control)
if {stage} > 0:
    link.sendall(b"POST /v1/hand-over HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    assert link.recv(4096).startswith(b"HTTP/1.1 200")
if {stage} > 1:
    link.sendall(b"\\0\\0\\0\\2\\0go")
    names = b""
    while b"end" not in names:
        data, descriptors, _, _ = socket.recv_fds(link, 4096, 16)
        names += data
        assert data
    assert names.count(b"socket own ") == 2, names
if {stage} > 2:
    link.sendall(b"\\0\\0\\0\\6\\0took 0")
if {stage} > 3:
    link.sendall(b"\\0\\0\\0\\7\\0took 99")
    link.recv(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("stage", range(5))
def test_a_new_one_that_dies_in_the_middle(start, serve, tmp_path, upgraded, stage):
    gateway = start(CONFIG.format(drain="10s", at=serve().at), "--no-watch")
    one = upgraded(gateway)
    with Clients(gateway.address, keeping=2) as clients:
        code, error = one.upgrade("--binary", script(tmp_path, HALF.format(stage=stage)))
        assert code == 1 and "goes on serving" in error, error
        assert ("does not know how to take over" if stage == 4 else "killed by signal 9") in error
        assert one.upgrade()[0] == 0
        one.wait_for_the_old()
    assert clients.failures == []


def slow_weir(tmp_path):
    """weir, once a file is there."""
    go = tmp_path / "go"
    text = f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.02; done\nexec {WEIR} \"$@\"\n"
    return script(tmp_path, text, "slow"), go


def in_background(one, *arguments):
    result = []
    thread = threading.Thread(target=lambda: result.append(one.upgrade(*arguments)))
    thread.start()
    return thread, result


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_two_at_once(start, tmp_path, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="old"), "--no-watch")
    one = upgraded(gateway)
    slow, go = slow_weir(tmp_path)
    thread, result = in_background(one, "--binary", slow)
    wait_for(lambda: children(one.pid), what="a new program")
    code, _, error = run_weir("upgrade", "--control", gateway.control)
    assert code == 1 and "an upgrade is under way already" in error
    assert gateway.get("/").body == b"old"
    go.touch()
    thread.join(30)
    assert result[0][0] == 0
    # The next one is started as this one was.
    assert one.upgrade()[0] == 0
    assert f"exec {WEIR}" in slow.read_text()
    one.wait_for_the_old()


def test_a_stop_calls_it_off(start, tmp_path, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="old"), "--no-watch")
    one = upgraded(gateway)
    slow, _ = slow_weir(tmp_path)
    thread, result = in_background(one, "--binary", slow)
    guardian = int(wait_for(lambda: children(one.pid), what="a guardian")[0])
    new = int(wait_for(lambda: children(guardian), what="a new program")[0])
    assert gateway.stop() == 0
    thread.join(30)
    assert result[0][0] == 1
    assert has_ended(guardian)
    wait_for(lambda: has_ended(new), what="the end of the new one")


def test_whoever_asked_goes_away(start, tmp_path, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="old"), "--no-watch")
    one = upgraded(gateway)
    slow, _ = slow_weir(tmp_path)
    command = subprocess.Popen([WEIR, "upgrade", "--control", gateway.control, "--binary", slow], stderr=subprocess.PIPE)
    wait_for(lambda: children(one.pid), what="a new program")
    command.kill()
    command.communicate()
    wait_for(lambda: not children(one.pid), what="the new program's end")
    assert one.upgrade()[0] == 0


def test_sockets_are_given_to_the_new_one_alone(start, tmp_path, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="old"), "--no-watch")
    one = upgraded(gateway)
    assert stat.S_IMODE(os.stat(gateway.control).st_mode) == 0o600
    answer = gateway.control_request("POST", "/v1/hand-over")
    assert answer.status == 409
    if os.geteuid() != 0:
        return
    slow, go = slow_weir(tmp_path)
    thread, result = in_background(one, "--binary", slow)
    wait_for(lambda: children(one.pid), what="a new program")
    left, right = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            with Connection(gateway.control) as connection:  # opened by root: it is who asks that counts
                pass
            os.chmod(gateway.control, 0o666)
            for folder in Path(gateway.control).parents:
                if folder.stat().st_uid == 0 and folder != Path("/"):
                    os.chmod(folder, folder.stat().st_mode | 0o055)
            os.setgid(65534)
            os.setuid(65534)
            with Connection(gateway.control) as connection:
                right.sendall(str(connection.request("POST", "/v1/hand-over").status).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert left.recv(10) == b"403"
    left.close()
    right.close()
    go.touch()
    thread.join(30)
    assert result[0][0] == 0


LAUNCHER = """
import os, sys
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "2", str(os.getpid())
for index in range(2):
    os.dup2(100 + index, 3 + index, inheritable=True)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_sockets_of_the_service_manager(start, tmp_path, upgraded):
    """They go on from process to process, also what no listener uses at present."""
    path = tmp_path / "managed.sock"
    inet = socket.create_server(("127.0.0.1", 0), backlog=64)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen(64)
    high = [os.dup2(inet.fileno(), 100), os.dup2(unix.fileno(), 101)]
    address = inet.getsockname()
    used, unused = '"127.0.0.1:%d"' % address[1], f'"unix:{path}"'
    try:
        gateway = start(PLAIN.format(listen=used, answer="a"), "--no-watch",
                        wrapper=["/usr/bin/python3", "-c", LAUNCHER], pass_fds=high)
    finally:
        for number in high:
            os.close(number)
        inet.close()
        unix.close()
    one = upgraded(gateway)
    assert one.upgrade()[0] == 0
    one.wait_for_the_old()
    assert one.upgrade()[0] == 0
    one.wait_for_the_old()
    assert gateway.reload(PLAIN.format(listen=f"{used}, {unused}", answer="b"))[0] == 200
    for at in address, str(path):
        with Connection(at) as connection:
            assert connection.request("GET", "/").body == b"b"
    assert one.upgrade()[0] == 0
    one.wait_for_the_old()
    assert path.exists()
    with Connection(str(path)) as connection:
        assert connection.request("GET", "/").body == b"b"


def test_the_service_manager_is_told(start, tmp_path, upgraded):
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(20)
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="a"), "--no-watch",
                    environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    one = upgraded(gateway)
    assert manager.recv(4096) == b"READY=1"
    assert one.upgrade()[0] == 0
    # systemd must see the new one as its child when the old one is gone, and told by whom it knows.
    assert manager.recv(4096) == b"MAINPID=%d" % one.pid
    assert manager.recv(4096) == b"READY=1"
    one.wait_for_the_old()
    os.kill(one.pid, signal.SIGTERM)
    assert manager.recv(4096) == b"STOPPING=1"
    manager.close()


def test_the_command_line_of_the_old_one(start, tmp_path, upgraded):
    """Given binaries stay: the next upgrade starts the same path, whatever is there then."""
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="a"), "--no-watch")
    one = upgraded(gateway)
    current = tmp_path / "current"
    current.symlink_to(WEIR)
    assert one.upgrade("--binary", current)[0] == 0
    line = Path(f"/proc/{one.pid}/cmdline").read_bytes().split(b"\0")
    assert line[:2] == [str(current).encode(), b"run"] and line[-2] == b"--no-watch"
    assert b"WEIR_UPGRADE" not in Path(f"/proc/{one.pid}/environ").read_bytes() or one.upgrade()[0] == 0
    current.unlink()
    code, error = one.upgrade()
    assert code == 1 and "No such file" in error


def test_sessions_of_tls_go_on(start, tmp_path, upgraded):
    """A ticket from the old process is good for the new one, and for the one after it."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", tmp_path / "a.key", "-out", tmp_path / "a.pem", "-subj", "/CN=a", "-addext",
                    "subjectAltName=DNS:a.example"], check=True, capture_output=True)
    gateway = start(f"""
        version: 1
        listen: {{https: "127.0.0.1:0"}}
        tls: {{cert: {tmp_path}/a.pem, key: {tmp_path}/a.key}}
        drain: 2s
        routes: {{/**: {{respond: "fine"}}}}
        """, "--no-watch")
    one = upgraded(gateway)

    def resumes(context, session):
        with socket.create_connection(gateway.address, 10) as plain, \
                context.wrap_socket(plain, server_hostname="a.example", session=session) as secure:
            return secure.session_reused, secure.session

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the session is there with the handshake
    was_resumed, session = resumes(context, None)
    assert not was_resumed
    for _ in range(2):
        assert one.upgrade()[0] == 0
        one.wait_for_the_old()
        assert resumes(context, session)[0]


def test_nothing_runs_there(tmp_path):
    code, _, error = run_weir("upgrade", "--control", tmp_path / "nobody.sock")
    assert code == 1 and "no gateway answers" in error


def test_json(start, upgraded):
    gateway = start(PLAIN.format(listen='"127.0.0.1:0"', answer="a"), "--no-watch")
    one = upgraded(gateway)
    code, out, _ = run_weir("upgrade", "--control", gateway.control, "--json", "--binary", "/bin/false")
    answer = json.loads(out)
    assert code == 1 and answer["ok"] is False and answer["exit_code"] == 1 and answer["pid"] == one.pid
    code, out, _ = run_weir("upgrade", "--control", gateway.control, "--json")
    answer = json.loads(out)
    one.pids.append(answer["pid"])
    assert code == 0 and answer["ok"] is True and gateway.status()["pid"] == one.pid


def test_layer_4_goes_over(start, upgraded):
    """A TCP connection ends with its old process, in peace; new ones and datagrams find the new one at the same ports."""
    with TcpService(named("db")) as back, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind(("127.0.0.1", 0))
        echo.settimeout(30)
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": db}}, udp: {{"127.0.0.1:0": echo}}}}
            workers: 2
            drain: 30s
            services: {{db: "{back.at}", echo: "127.0.0.1:{echo.getsockname()[1]}"}}
            """, "--no-watch")
        one = upgraded(gateway)

        def sees_datagrams():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"x", ("127.0.0.1", port_of(gateway, 1)))
                return echo.recv(10) == b"x"
        with connect(gateway) as kept:
            assert read_line(kept) == "db"
            assert sees_datagrams()
            assert one.upgrade()[0] == 0
            with connect(gateway) as fresh:
                assert read_line(fresh) == "db"
            assert all(sees_datagrams() for _ in range(5))
            kept.sendall(b"still here")
            assert kept.recv(100) == b"still here"
        one.wait_for_the_old()
        assert sees_datagrams()
