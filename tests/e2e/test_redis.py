"""Limits that gateways count together in Redis, and what they do while it is slow or gone."""

import concurrent.futures
import contextlib

import pytest
from gateway import replace_file, wait_for
from redis_limits import PATIENT, alone, ask, commands, config, wait_until
from redis_server import Cable, OddRedis, RedisServer



# --- together

def test_gateways_count_together_to_the_request(start, redis):
    server = redis()
    gateways = [start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}', "{rate: 20/h, per: header.x-user}"))
                for _ in range(2)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: ask(gateways[i % 2]), range(60)))
    assert sorted(set(answers)) == [200, 429]
    assert answers.count(200) == 20
    assert ask(gateways[0], "bob") == 200
    assert sum(commands(gateway, "ok") for gateway in gateways) == 61
    assert sum(alone(gateway) for gateway in gateways) == 0
    assert sorted(server.keys()) == ["weir:limits.plan:ann", "weir:limits.plan:bob"]


def test_answers_say_what_all_have_left(start, redis):
    server = redis()
    gateways = [start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}', "{rate: 5/h, per: header.x-user}"))
                for _ in range(2)]
    left = [gateways[i % 2].get("/", {"X-User": "ann"}).header("RateLimit") for i in range(5)]
    assert [text.split(";")[1] for text in left] == ["r=4", "r=3", "r=2", "r=1", "r=0"]
    answer = gateways[0].get("/", {"X-User": "ann"})
    assert answer.status == 429
    assert 600 <= int(answer.header("Retry-After")) <= 900
    assert 0 < int(server.ask("PTTL", "weir:limits.plan:ann")) <= 3600 * 1000 + 1


def test_a_limit_that_is_not_shared_is_each_gateways_own(start, redis):
    server = redis()
    gateways = [start(config(f'"127.0.0.1:{server.port}"', "{rate: 3/h, shared: false}")) for _ in range(2)]
    answers = [ask(gateway) for gateway in gateways for _ in range(4)]
    assert answers == [200, 200, 200, 429] * 2
    assert server.keys() == []


def test_a_long_key_is_kept_as_its_digest(start, redis):
    server = redis()
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}', "{rate: 1/h, per: header.x-user}"))
    users = ["a" * 2000, "a" * 2001]
    assert [ask(gateway, user) for user in users * 2] == [200, 200, 429, 429]
    assert [len(key) for key in server.keys()] == [len("weir:limits.plan#") + 64] * 2


def test_a_server_that_forgets_its_scripts_is_told_them_again(start, redis):
    server = redis()
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}'))
    assert ask(gateway) == 200
    server.ask("SCRIPT", "FLUSH")
    assert [ask(gateway) for _ in range(10)] == [200] * 9 + [429]
    assert alone(gateway) == 0


# --- ways to reach it

ADMITTED = ["-a", "s3cret-word", "--no-auth-warning"]


def reaches(start, server, text, database=0):
    gateway = start(config(f"{{{text}, {PATIENT}}}"), environment={"REDIS_PASSWORD": "s3cret-word"})
    assert ask(gateway) == 200
    assert alone(gateway) == 0
    assert server.keys(database) == ["weir:limits.plan:ann"]
    everything = gateway.stderr + gateway.metrics() + str(gateway.status())
    assert "s3cret-word" not in everything
    return gateway


def test_a_password_and_a_database(start, redis, tmp_path):
    server = redis("--requirepass", "s3cret-word", cli=ADMITTED)
    reaches(start, server, f'at: "redis://:s3cret-word@127.0.0.1:{server.port}/2"', database=2)
    server.ask("FLUSHALL")
    (tmp_path / "password").write_text("s3cret-word\n")
    reaches(start, server, f'at: "127.0.0.1:{server.port}", password: {{file: {tmp_path}/password}}')


def test_a_password_whose_file_changes(start, redis, tmp_path):
    """Nobody reloads."""
    server = redis("--requirepass", "s3cret-word", cli=ADMITTED)
    replace_file(tmp_path / "password", "wr0ng-word")
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", password: {{file: {tmp_path}/password}}, {PATIENT}}}'))
    wait_until(gateway, "down")
    replace_file(tmp_path / "password", "s3cret-word\n")
    wait_until(gateway, "up")
    assert ask(gateway) == 200
    assert server.keys() == ["weir:limits.plan:ann"]
    everything = gateway.stderr + gateway.metrics() + str(gateway.status())
    assert not [word for word in ("wr0ng-word", "s3cret-word") if word in everything]


@pytest.mark.parametrize("version", [2, 3])
def test_a_user_who_may_do_little(start, redis, version):
    older = ["--rename-command", "HELLO", ""] if version == 2 else []
    may = "+evalsha +eval +get +set +time +ping +select +hello"
    server = redis(*older, "--user", "weir", "on", ">s3cret-word", "~weir:*", *may.split())
    gateway = reaches(start, server, f'at: "127.0.0.1:{server.port}", user: weir, password: "${{REDIS_PASSWORD}}"')
    found = [line for line in server.ask("CLIENT", "LIST").split("\n") if "user=weir" in line]
    assert len(found) == gateway.status()["workers"]
    assert all(f"resp={version}" in line for line in found)


def test_a_wrong_password_is_said_to_be_one(start, redis):
    server = redis("--requirepass", "s3cret-word", cli=ADMITTED)
    gateway = start(config(f'"redis://:wr0ng-word@127.0.0.1:{server.port}"'))
    wait_until(gateway, "down")
    wait_for(lambda: "cannot be asked: WRONGPASS" in gateway.stderr, 60, "the complaint")
    assert gateway.status()["redis"]["trouble"].startswith("WRONGPASS")
    assert ask(gateway) == 200
    assert "wr0ng-word" not in gateway.stderr


def test_a_missing_password_is_said_to_be_missing(start, redis):
    server = redis("--requirepass", "s3cret-word", cli=ADMITTED)
    gateway = start(config(f'"127.0.0.1:{server.port}"'))
    wait_until(gateway, "down")
    assert gateway.status()["redis"]["trouble"].startswith("NOAUTH")


def test_tls_and_a_name(start, redis, authority, free_port, tmp_path):
    issued = authority.issue("localhost")
    port = free_port()
    server = redis("--tls-port", port, "--tls-cert-file", issued.cert, "--tls-key-file", issued.key,
                   "--tls-ca-cert-file", authority.file, "--tls-auth-clients", "no", port=0, tls_port=port,
                   cli=("--tls", "--cacert", authority.file, "-h", "localhost"))
    reaches(start, server, f'at: "rediss://localhost:{port}", tls: {{ca: {authority.file}}}')
    gateway = start(config(f'"rediss://localhost:{port}"'))
    wait_until(gateway, "down")
    assert "certificate" in gateway.status()["redis"]["trouble"]


def test_a_unix_socket(start, redis, tmp_path):
    server = redis("--unixsocket", tmp_path / "redis.sock")
    reaches(start, server, f'at: "unix:{tmp_path}/redis.sock"')


# --- when it is gone

def test_a_server_that_is_killed_and_comes_back(start, redis):
    server = redis()
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", timeout: 60s}}'))
    wait_until(gateway, "up")
    assert ask(gateway) == 200
    server.kill()
    wait_until(gateway, "down")
    before = commands(gateway, "timeout")
    assert [ask(gateway) for _ in range(5)] == [200] * 5
    assert alone(gateway) == 5
    assert commands(gateway, "unavailable") == 5
    assert commands(gateway, "timeout") == before
    wait_for(lambda: f"redis 127.0.0.1:{server.port} cannot be asked" in gateway.stderr, 60, "the notice")
    server.start()
    wait_until(gateway, "up")
    assert ask(gateway) == 200
    assert server.keys() == ["weir:limits.plan:ann"]
    assert alone(gateway) == 5
    wait_for(lambda: f"redis 127.0.0.1:{server.port} can be asked again" in gateway.stderr, 60, "the notice")


def test_a_server_that_is_not_there_at_the_start(start, redis, free_port):
    port = free_port()
    gateway = start(config(f'{{at: "127.0.0.1:{port}", {PATIENT}}}'))
    wait_until(gateway, "down")
    assert ask(gateway) == 200
    assert alone(gateway) == 1
    server = redis(port=port)
    wait_until(gateway, "up")
    assert ask(gateway) == 200
    assert server.keys() == ["weir:limits.plan:ann"]


def test_a_paused_server_holds_nobody_up(start, redis):
    server = redis()
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", timeout: 20ms, connect-timeout: 300ms}}',
                           "{rate: 1000/h, per: header.x-user}", "workers: 1"))
    wait_until(gateway, "up")
    with server.paused():
        assert [ask(gateway) for _ in range(50)] == [200] * 50
        assert alone(gateway) == 50
        # Whoever came first has waited, those after it were told at once.
        assert commands(gateway, "timeout") <= 10
        wait_until(gateway, "down")
    wait_until(gateway, "up")
    before = commands(gateway, "ok")
    wait_for(lambda: ask(gateway) == 200 and commands(gateway, "ok") > before, 60, "an answer by Redis")


def test_a_network_that_swallows_all(start, redis):
    server = redis()
    with Cable(server.port) as cable:
        gateway = start(config(f'{{at: "127.0.0.1:{cable.port}", connect-timeout: 300ms}}'))
        wait_until(gateway, "up")
        cable.is_cut.set()
        wait_until(gateway, "down")  # nobody had to ask
        assert ask(gateway) == 200
        assert alone(gateway) == 1
        cable.is_cut.clear()
        wait_until(gateway, "up")


def test_a_replica_is_no_server_to_write_to(start, redis, free_port):
    server = redis("--replicaof", "127.0.0.1", free_port(), "--replica-serve-stale-data", "yes")
    gateway = start(config(f'"127.0.0.1:{server.port}"'))
    wait_until(gateway, "down")
    wait_for(lambda: "cannot be asked: it is a replica" in gateway.stderr, 60, "the notice")
    server.ask("REPLICAOF", "NO", "ONE")
    wait_until(gateway, "up")


def test_a_server_that_becomes_a_replica(start, redis, free_port):
    server = redis()
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}', more="workers: 1"))
    wait_until(gateway, "up")
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")  # it refuses, but goes on being asked
    assert ask(gateway) == 200
    assert alone(gateway) == 1
    assert commands(gateway, "error") == 1
    server.ask("REPLICAOF", "127.0.0.1", free_port())
    assert ask(gateway) == 200
    wait_until(gateway, "down")


@pytest.mark.parametrize("word, statuses", [("local", [200] * 5 + [429] * 3), ("pass", [200] * 8), ("refuse", [503] * 8)])
def test_what_is_done_without_it(start, free_port, word, statuses):
    limit = f"{{rate: 10/h, per: header.x-user, if-unavailable: {word}}}"
    gateway = start(config(f'{{at: "127.0.0.1:{free_port()}", gateways: 2}}', limit))
    wait_until(gateway, "down")
    assert [ask(gateway) for _ in statuses] == statuses
    assert alone(gateway) == len(statuses)
    if word == "refuse":
        assert gateway.log_lines(1)[0]["reason"] == "store-unavailable"


# --- odd answers

PASSES = b"*5\r\n:1\r\n:9\r\n:1\r\n:0\r\n:7\r\n"  # of a limit: yes, how many more, nanoseconds until then, no delay, when


@pytest.mark.parametrize("answer", [PASSES, b">2\r\n+invalidate\r\n_\r\n" + PASSES])
def test_an_answer_in_pieces_and_one_behind_what_nobody_asked_for(start, answer):
    with OddRedis(answer) as server:
        gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}, gateways: 1}}', "{rate: 9/h}", "workers: 1"))
        answers = [gateway.get("/") for _ in range(3)]
        assert [one.header("RateLimit").split(";")[1] for one in answers] == ["r=9"] * 3
        assert commands(gateway, "ok") == 3
        assert gateway.metric("weir_redis_connects_total", result="ok") == 1


@pytest.mark.parametrize("answer", [b"*1\r\n:1\r\n", b"*2\r\n:1\r\n+x\r\n", b"+OK\r\n", b"$-1\r\n", b"-ERR no\r\n", b"_\r\n"])
def test_an_answer_that_does_not_fit_harms_its_own_command_alone(start, answer):
    with OddRedis(answer) as server:
        gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}, gateways: 1}}', more="workers: 1"))
        assert [ask(gateway) for _ in range(3)] == [200] * 3
        assert commands(gateway, "error") == 3
        assert alone(gateway) == 3
        assert gateway.metric("weir_redis_connects_total", result="ok") == 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", PASSES + b":7\r\n", b"$99999999\r\n", b"|1\r\n"])
def test_who_does_not_speak_redis_is_left(start, answer):
    with OddRedis(answer) as server:
        gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}, gateways: 1}}', more="workers: 1"))
        assert ask(gateway) == 200
        wait_for(lambda: gateway.metric("weir_redis_connects_total", result="ok") == 2, 60, "another connection")


# --- reloads

def test_a_reload_keeps_connections_unless_their_settings_change(start, redis):
    server = redis()
    gateway = start(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}'))
    wait_until(gateway, "up")
    wait_for(lambda: server.connections() == 2, 60, "a connection for each worker")
    connects = gateway.metric("weir_redis_connects_total", result="ok")
    gateway.reload(config(f'{{at: "127.0.0.1:{server.port}", {PATIENT}}}', "{rate: 7/h, per: header.x-user}"))
    assert ask(gateway) == 200
    assert gateway.metric("weir_redis_connects_total", result="ok") == connects
    gateway.reload(config(f'{{at: "127.0.0.1:{server.port}", database: 1, {PATIENT}}}'))
    assert ask(gateway) == 200
    assert server.keys(1) == ["weir:limits.plan:ann"]
    wait_for(lambda: server.connections() == 2, 60, "the old connections to end")
    gateway.reload("""
        version: 1
        listen: "127.0.0.1:0"
        routes: {/**: {respond: "ok"}}
        """)
    assert gateway.status()["redis"] is None
    wait_for(lambda: server.connections() == 0, 60, "the connections to end")
