"""Where the Redis master is, as Sentinels say, who may want to know who asks."""

import contextlib

import pytest
from gateway import replace_file, wait_for
from redis_limits import alone, ask, commands, config, wait_until
from redis_server import RedisServer, Sentinel


@pytest.fixture
def watched(redis, tmp_path, free_port):
    """A master, a replica of it, and three Sentinels that know them: (servers by port, Sentinels)."""
    master = redis()
    replica = redis("--replicaof", "127.0.0.1", master.port, "--repl-diskless-sync-delay", "0")
    with contextlib.ExitStack() as stack:
        sentinels = [stack.enter_context(Sentinel(tmp_path, free_port(), master.port)) for _ in range(3)]
        for sentinel in sentinels:
            wait_for(lambda sentinel=sentinel: sentinel.sees(replicas=1, others=2), 100, "Sentinels to find each other")
        yield {master.port: master, replica.port: replica}, sentinels


def by_sentinels(ports, master="shop"):
    return (f"{{sentinels: [{', '.join(f'127.0.0.1:{port}' for port in ports)}], master: {master}, timeout: 20ms, "
            "connect-timeout: 500ms}")


@pytest.mark.parametrize("end", ["killed", "paused"])
def test_sentinels_fail_over_while_requests_come(start, watched, free_port, end):
    servers, sentinels = watched
    # The first of those that are asked is not there.
    ports = [free_port(), *(sentinel.port for sentinel in sentinels)]
    gateway = start(config(by_sentinels(ports), "{rate: 60/h, burst: 100000, per: header.x-user}"))
    wait_until(gateway, "up")
    old = sentinels[0].master()
    assert gateway.status()["redis"]["server"] == f"127.0.0.1:{old}"
    assert gateway.status()["redis"]["at"] == "master shop"
    new = next(port for port in servers if port != old)

    def is_with_the_new_one():
        assert ask(gateway) == 200  # all the while
        now = gateway.status()["redis"]
        return now["state"] == "up" and now["server"] == f"127.0.0.1:{new}"

    with contextlib.ExitStack() as stack:
        if end == "killed":
            servers[old].kill()
        else:
            stack.enter_context(servers[old].paused())
        wait_for(is_with_the_new_one, 100, "a failover")
        before = commands(gateway, "ok")
        wait_for(lambda: ask(gateway, "bob") == 200 and commands(gateway, "ok") > before, 60, "an answer by Redis")
        assert "weir:limits.plan:bob" in servers[new].keys()


def test_a_master_that_sentinels_do_not_know(start, watched):
    _, sentinels = watched
    gateway = start(config(by_sentinels([sentinel.port for sentinel in sentinels], "store")))
    wait_until(gateway, "down")
    assert gateway.status()["redis"]["trouble"] == "no Sentinel knows a master of that name"


# --- Sentinels that do not answer anybody

SECRETS = {"SENTINEL_PASSWORD": "s3ntinel-word", "REDIS_PASSWORD": "m4ster-word"}
MASTER = ["--requirepass", "m4ster-word"]
ADMITTED = ["-a", "m4ster-word", "--no-auth-warning"]


@pytest.fixture
def guarded(redis, tmp_path, free_port):
    """guarded(*lines): a master with a password, and the Sentinel that knows it and has these lines in its file."""
    with contextlib.ExitStack() as stack:
        def run(*lines, port=None, **more):
            master = redis(*MASTER, cli=ADMITTED)
            lines = ["sentinel auth-pass shop m4ster-word", *lines]
            return master, stack.enter_context(Sentinel(tmp_path, free_port() if port is None else port, master.port, lines, **more))

        yield run


def by_sentinel(port, sentinel, more=""):
    return (f"{{sentinels: [localhost:{port}], master: shop, timeout: 60s, connect-timeout: 60s, password: \"${{REDIS_PASSWORD}}\", "
            f"sentinel: {{{sentinel}}}{more}}}")


def finds(start, master, text):
    """That a gateway finds the master, and says nothing secret."""
    gateway = start(config(text), environment=SECRETS)
    wait_until(gateway, "up")
    assert gateway.status()["redis"]["server"] == f"127.0.0.1:{master.port}"
    assert ask(gateway) == 200
    assert alone(gateway) == 0
    assert master.keys() == ["weir:limits.plan:ann"]
    everything = gateway.stderr + gateway.metrics() + str(gateway.status())
    assert not [word for word in SECRETS.values() if word in everything]
    return gateway


def test_a_password_of_sentinels(start, guarded, tmp_path):
    master, sentinel = guarded("requirepass s3ntinel-word", cli=["-a", "s3ntinel-word", "--no-auth-warning"])
    finds(start, master, by_sentinel(sentinel.port, 'password: "${SENTINEL_PASSWORD}"'))
    master.ask("FLUSHALL")
    (tmp_path / "password").write_text("s3ntinel-word\n")
    gateway = finds(start, master, by_sentinel(sentinel.port, f"password: {{file: {tmp_path}/password}}"))
    replace_file(tmp_path / "password", "wr0ng-word\n")  # read again, and shown to the Sentinel by new connections
    wait_until(gateway, "down")
    assert gateway.status()["redis"]["trouble"].startswith("WRONGPASS")


def test_a_user_of_sentinels_who_may_ask_for_the_master_alone(start, guarded):
    master, sentinel = guarded("user weir on >s3ntinel-word -@all +auth +sentinel|get-master-addr-by-name")
    finds(start, master, by_sentinel(sentinel.port, 'user: weir, password: "${SENTINEL_PASSWORD}"'))


@pytest.mark.parametrize("text, trouble", [("", "NOAUTH"), ("password: wr0ng-word", "WRONGPASS"), ("user: who, password: wr0ng-word", "WRONGPASS")])
def test_what_sentinels_say_against_us_is_shown(start, guarded, text, trouble):
    _, sentinel = guarded("requirepass s3ntinel-word", cli=["-a", "s3ntinel-word", "--no-auth-warning"])
    gateway = start(config(by_sentinel(sentinel.port, text)), environment=SECRETS)
    wait_until(gateway, "down")
    assert gateway.status()["redis"]["trouble"].startswith(trouble)
    assert ask(gateway) == 200
    assert alone(gateway) == 1
    assert "wr0ng-word" not in gateway.stderr + str(gateway.status())
    text = 'password: "${SENTINEL_PASSWORD}"'
    assert gateway.reload(config(by_sentinel(sentinel.port, text)))[0] == 200
    wait_until(gateway, "up")


def test_sentinels_over_tls_and_a_master_in_clear(start, guarded, authority, free_port):
    issued = authority.issue("localhost")
    port = free_port()
    lines = [f"tls-port {port}", f"tls-cert-file {issued.cert}", f"tls-key-file {issued.key}", f"tls-ca-cert-file {authority.file}",
             "tls-auth-clients no"]
    master, _ = guarded(*lines, port=0, tls_port=port, cli=("--tls", "--cacert", authority.file, "-h", "localhost"))
    finds(start, master, by_sentinel(port, f"tls: {{ca: {authority.file}}}"))
    gateway = start(config(by_sentinel(port, "tls: {}")), environment=SECRETS)
    wait_until(gateway, "down")
    assert "certificate" in gateway.status()["redis"]["trouble"]


def test_a_master_over_tls_and_sentinels_in_clear(start, redis, authority, free_port, tmp_path):
    issued = authority.issue("localhost", "127.0.0.1")
    port = free_port()
    tls = ["--tls-cert-file", issued.cert, "--tls-key-file", issued.key, "--tls-ca-cert-file", authority.file, "--tls-auth-clients", "no"]
    master = redis("--tls-port", port, *tls, *MASTER, port=0, tls_port=port, cli=["--tls", "--cacert", authority.file, *ADMITTED])
    lines = ["sentinel auth-pass shop m4ster-word", "tls-replication yes", f"tls-cert-file {issued.cert}", f"tls-key-file {issued.key}",
             f"tls-ca-cert-file {authority.file}"]
    with Sentinel(tmp_path, free_port(), port, lines) as sentinel:
        master.port = port
        finds(start, master, by_sentinel(sentinel.port, "clear: true", f", tls: {{ca: {authority.file}}}"))
