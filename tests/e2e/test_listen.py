"""Where Weir listens: every kind of address, sockets that a service manager passes, and what it tells the manager."""

import os
import signal
import socket
import time

import pytest
from gateway import has_ipv6, run_weir, wait_for
from http_client import Connection

CONFIG = """
    version: 1
    listen: [{}]
    workers: 2
    routes: {{/**: {{respond: "${{client.ip}}"}}}}
    """


def config(*addresses):
    return CONFIG.format(", ".join(f'"{address}"' for address in addresses))


def ask(address):
    with Connection(address) as connection:
        answer = connection.request("GET", "/")
        assert answer.status == 200
        return answer.body.decode()


def test_several_addresses(start, tmp_path):
    path, abstract = tmp_path / "a.sock", f"weir-test-{os.getpid()}-{time.monotonic_ns()}"
    gateway = start(config("127.0.0.1:0", "127.0.0.2:0", f"unix:{path}", f"unix:@{abstract}"))
    ports = [address.rsplit(":", 1) for address in gateway.addresses[:2]]
    assert ports[0][0] == "127.0.0.1" and ports[1][0] == "127.0.0.2"
    for host, port in ports:
        assert int(port) > 0 and ask((host, int(port))) == "127.0.0.1"
    ask(str(path))
    ask("\0" + abstract)
    listeners = gateway.status()["listeners"]
    assert [one["name"] for one in listeners] == ["127.0.0.1:0", "127.0.0.2:0", f"unix:{path}", f"unix:@{abstract}"]
    assert {line["listener"] for line in gateway.log_lines(4)} == {one["name"] for one in listeners}


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6(start):
    gateway = start(config("[::1]:0"))
    assert ask(("::1", gateway.address[1])) == "::1"
    with pytest.raises(ConnectionRefusedError):
        Connection(("127.0.0.1", gateway.address[1]))


def test_every_address(start):
    gateway = start(config(":0"))
    port = int(gateway.addresses[0].rsplit(":", 1)[1])
    assert ask(("127.0.0.1", port)) == "127.0.0.1"
    if has_ipv6():
        assert ask(("::1", port)) == "::1"


def test_two_gateways_cannot_share_an_address(start, tmp_path):
    gateway = start(config("127.0.0.1:0"))
    file = tmp_path / "second.yaml"
    file.write_text('version: 1\nlisten: "127.0.0.1:%d"\nroutes: {/: {respond: a}}\n' % gateway.address[1])
    code, _, error = run_weir("run", file, "--control", tmp_path / "second.sock")
    assert code == 1 and "second.yaml:2:" in error and "in use" in error
    file.write_text('version: 1\nlisten: "127.0.0.1:0"\nadmin: "127.0.0.1:%d"\nroutes: {/: {respond: a}}\n' % gateway.address[1])
    code, _, error = run_weir("run", file, "--control", tmp_path / "second.sock")
    assert code == 1 and "second.yaml:3:" in error and "in use" in error


def test_a_file_is_not_taken_for_a_socket_left_behind(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / "weir.yaml").write_text(
        f'version: 1\nlisten: "unix:{tmp_path}/precious"\nroutes: {{/: {{respond: a}}}}\n')
    code, _, error = run_weir("run", tmp_path / "weir.yaml", "--control", tmp_path / "c.sock")
    assert code == 1 and "weir.yaml:2:" in error
    assert (tmp_path / "precious").read_text() == "text"


def test_a_control_socket_that_another_has(start, tmp_path):
    first = start(config("127.0.0.1:0"))
    second = start(config("127.0.0.1:0"), "--control", first.control)
    assert "another gateway has it" in second.stderr
    ask(second.address)
    assert first.status()["pid"] == first.process.pid


# Stands between a service manager and weir: passes the sockets whose numbers follow, then becomes the command.
LAUNCHER = """
import os, sys
count = int(sys.argv[1])
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(count), str(os.getpid())
for index in range(count):
    os.dup2(int(sys.argv[2 + index]), 3 + index, inheritable=True)
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


def launcher(sockets):
    for one in sockets:
        os.set_inheritable(one.fileno(), True)
    # Numbers well above 3, so that none is overwritten before it is passed on.
    high = [os.dup2(one.fileno(), 100 + index) for index, one in enumerate(sockets)]
    return ["/usr/bin/python3", "-c", LAUNCHER, str(len(high)), *map(str, high)], high


def test_sockets_passed_by_the_service_manager(start, tmp_path):
    path = tmp_path / "passed.sock"
    inet = socket.create_server(("127.0.0.1", 0), backlog=64)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(path))
    unix.listen(64)
    early = Connection(inet.getsockname())  # before weir runs: it waits
    early.send_request("GET", "/")
    wrapper, high = launcher([inet, unix])
    own = f"127.0.0.1:{inet.getsockname()[1]}"
    try:
        gateway = start(config(own, f"unix:{path}", "127.0.0.1:0"), "--no-watch", wrapper=wrapper, pass_fds=high)
    finally:
        for number in high:
            os.close(number)
        inet_address = inet.getsockname()
        inet.close()
        unix.close()
    assert early.read_answer().status == 200
    early.close()
    assert ask(inet_address) and ask(str(path)) is not None
    assert gateway.reload(config("127.0.0.1:0"))[0] == 200
    assert path.exists(), "a path of the service manager was removed"
    assert gateway.reload(config(own, f"unix:{path}"))[0] == 200
    assert ask(inet_address) and ask(str(path)) is not None
    assert gateway.stop() == 0
    assert path.exists()


class Manager:
    """The service manager's end of sd_notify(3)."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(10)

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_manager_is_told(start, tmp_path, kind):
    name = str(tmp_path / "notify") if kind == "path" else f"\0weir-notify-{os.getpid()}"
    manager = Manager(name)
    gateway = start(config("127.0.0.1:0"), "--no-watch", environment={"NOTIFY_SOCKET": name.replace("\0", "@")})
    assert manager.next()["READY"] == "1"
    for reload in [lambda: gateway.signal(signal.SIGHUP), lambda: gateway.reload()]:
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        reload()
        message = manager.next()
        assert message["RELOADING"] == "1"
        assert before <= int(message["MONOTONIC_USEC"]) / 1e6 + 1e-3 <= time.clock_gettime(time.CLOCK_MONOTONIC) + 1e-3
        assert manager.next()["READY"] == "1"
    assert gateway.reload("version: nonsense")[0] == 422
    assert manager.next()["RELOADING"] == "1"
    assert manager.next()["READY"] == "1"
    assert gateway.stop() == 0
    assert manager.next()["STOPPING"] == "1"
    manager.socket.close()


def test_a_manager_that_is_not_there(start, tmp_path):
    gateway = start(config("127.0.0.1:0"), environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert ask(gateway.address)


def test_clients_are_asked_for_signs_of_life(start):
    """By the kernel, whatever they speak: a stream may be silent, but its client must be there."""
    gateway = start(config("127.0.0.1:0"))
    with Connection(gateway.address) as connection:
        assert connection.request("GET", "/").status == 200
        ours = "0100007F:%04X" % gateway.address[1]
        theirs = "0100007F:%04X" % connection.socket.getsockname()[1]

        def timer():
            with open("/proc/net/tcp") as table:
                return [line.split()[5] for line in table if line.split()[1:3] == [ours, theirs]]
        wait_for(lambda: timer() and timer()[0].startswith("02:"))  # the keep-alive timer runs
