"""Layer 4 between programs that others wrote: PostgreSQL, Redis, and QUIC by ngtcp2."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from gateway import wait_for
from https import pair
from l4_peers import port_of
from postgres_server import POSTGRES, PostgresServer


def run(*command, input=None, **options):
    done = subprocess.run(list(map(str, command)), input=input, capture_output=True, text=True, timeout=100, **options)
    assert done.returncode == 0, done
    return done.stdout


@contextlib.contextmanager
def running(*command, **options):
    """A program that is ended when it is no longer needed."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def answers(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, timeout=20).returncode == 0


# --- PostgreSQL


@pytest.fixture
def postgres(free_port):
    """The port of a PostgreSQL server."""
    with PostgresServer(free_port()) as server:
        yield server.port


TCP = """
    version: 1
    listen: {{tcp: {{"127.0.0.1:0": {{to: back{options}}}}}}}
    workers: 2
    {tls}
    services: {{back: {{at: "127.0.0.1:{port}", health: tcp every 100ms}}}}
    """


def tcp(port, options="", tls=""):
    return TCP.format(port=port, options=options, tls=tls)


@pytest.mark.skipif(not POSTGRES, reason="PostgreSQL is not installed")
def test_postgresql(start, postgres):
    gateway = start(tcp(postgres))

    def psql(*arguments, input=None):
        return run("psql", "-X", "-q", "-t", "-A", "-h", "127.0.0.1", "-p", port_of(gateway), "-U", "weir", "-d", "postgres",
                   *arguments, input=input)

    assert psql("-c", "select 6 * 7").strip() == "42"
    rows = "".join(f"{i}\t{'x' * (i % 500)}\n" for i in range(20000))
    psql("-c", "create table t(i int, s text)")
    psql("-c", "copy t from stdin", input=rows)
    assert psql("-c", "copy (select * from t order by i) to stdout") == rows
    run(POSTGRES[0] + "/pgbench", "-i", "-q", "-h", "127.0.0.1", "-p", port_of(gateway), "-U", "weir", "postgres")
    said = run(POSTGRES[0] + "/pgbench", "-c", "8", "-t", "50", "-h", "127.0.0.1", "-p", port_of(gateway), "-U", "weir", "postgres")
    assert "number of transactions actually processed: 400/400" in said, said
    assert all("reason" not in line for line in gateway.log_lines(12))


# --- Redis


@pytest.fixture
def redis(tmp_path, free_port):
    port = free_port()
    with running("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path, cwd=tmp_path):
        wait_for(lambda: answers("redis-cli", "-p", port, "ping"), 20, "Redis")
        yield port


@pytest.mark.skipif(not shutil.which("redis-server"), reason="Redis is not installed")
def test_redis(start, redis):
    gateway = start(tcp(redis))
    cli = ["redis-cli", "-p", port_of(gateway)]
    assert run(*cli, "set", "key", "value").strip() == "OK"
    assert run(*cli, "get", "key").strip() == "value"
    large = "x" * (8 << 20)
    assert run(*cli, "-x", "set", "large", input=large).strip() == "OK"
    assert run(*cli, "get", "large").strip() == large
    said = run("redis-benchmark", "-p", port_of(gateway), "-c", "20", "-n", "20000", "-P", "16", "-t", "set,get,lrange_100", "--csv")
    assert said.count("\n") >= 4 and "rror" not in said, said


@pytest.mark.skipif(not shutil.which("redis-server"), reason="Redis is not installed")
def test_redis_behind_tls(start, redis, authority):
    """The clients speak TLS, and Redis does not know."""
    gateway = start(tcp(redis, ", tls: true", "tls: " + pair(authority.issue("localhost", "127.0.0.1"))))
    cli = ["redis-cli", "--tls", "--cacert", authority.file, "--sni", "localhost", "-p", port_of(gateway)]
    large = "y" * (8 << 20)
    assert run(*cli, "-x", "set", "large", input=large).strip() == "OK"
    assert run(*cli, "get", "large").strip() == large
    lines = "".join(f"SET key{i} {i}\r\n" for i in range(5000))
    assert "errors: 0, replies: 5000" in run(*cli, "--pipe", input=lines)


# --- QUIC


QUIC = """
    version: 1
    listen: {{udp: {{"127.0.0.1:0": {{to: web, quic: true}}}}}}
    workers: 2
    services: {{web: [{at}]}}
    """


def hears_datagrams(port):
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


@pytest.fixture
def web(tmp_path, authority, free_port):
    """Two servers of HTTP/3, whose pages say which of them answered."""
    issued = authority.issue("localhost")
    with contextlib.ExitStack() as stack:
        ports = []
        for name in ["one", "two"]:
            folder = tmp_path / name
            folder.mkdir()
            (folder / "name").write_text(name)
            (folder / "large").write_bytes(os.urandom(1) * (10 << 20))
            ports.append(free_port())
            stack.enter_context(running(shutil.which("gtlsserver") or "/usr/sbin/gtlsserver", "-q", "-d", folder, "127.0.0.1", ports[-1],
                                        issued.key, issued.cert, cwd=folder))
        wait_for(lambda: all(hears_datagrams(port) for port in ports), what="the servers")
        yield ports, tmp_path


def fetch(gateway, folder, *names, options=()):
    """What HTTP/3 brings through the gateway."""
    folder.mkdir(exist_ok=True)
    port = port_of(gateway)
    run("gtlsclient", "-q", "--exit-on-all-streams-close", "--timeout=30s", f"--download={folder}", *options, "127.0.0.1", port,
        *[f"https://localhost:{port}/{name}" for name in names])
    return [(folder / name).read_bytes() for name in names]


def check_files(folder, name, large):
    expected = (folder / name.decode() / "large").read_bytes()
    assert hashlib.sha256(large).digest() == hashlib.sha256(expected).digest()


@pytest.mark.skipif(not shutil.which("gtlsclient"), reason="ngtcp2 is not installed")
def test_quic(start, web):
    """A connection stays with its server, also when it changes its keys."""
    ports, folder = web
    gateway = start(QUIC.format(at=", ".join(f'"127.0.0.1:{port}"' for port in ports)))
    names = set()
    for i in range(4):
        name, large = fetch(gateway, folder / f"got{i}", "name", "large", options=["--key-update=10ms"] if i % 2 else [])
        check_files(folder, name, large)
        names.add(name)
    assert names == {b"one", b"two"}


@pytest.mark.skipif(not shutil.which("gtlsclient"), reason="ngtcp2 is not installed")
def test_quic_moves(start, web):
    """A client that takes another port on purpose also takes a connection id that only its server knows: so there is one."""
    ports, folder = web
    gateway = start(QUIC.format(at=f'"127.0.0.1:{ports[0]}"'))
    for i in range(3):
        check_files(folder, *fetch(gateway, folder / f"got{i}", "name", "large", options=["--change-local-addr=20ms"]))
    wait_for(lambda: gateway.metric("weir_udp_open_sessions") >= 6, what="two sessions each")
