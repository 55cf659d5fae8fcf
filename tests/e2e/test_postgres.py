"""PostgreSQL as what gateways share: through the module weir-postgres, against real servers."""

import concurrent.futures
import os
import signal
import subprocess
from pathlib import Path

import pytest
from authority import Authority
from gateway import WEIR, replace_file, run_weir, wait_for
from idempotency_desk import Desk, check_left_unknown, check_retries_at_once, counted, is_order, post, reason
from postgres_server import POSTGRES, PostgresServer

pytestmark = pytest.mark.skipif(not POSTGRES, reason="PostgreSQL is not installed")
PATIENT = "timeout: 60s, connect-timeout: 60s"  # how busy the machine is must not count
HASTY = "timeout: 200ms, connect-timeout: 1s"


@pytest.fixture
def postgres(free_port):
    with PostgresServer(free_port()) as server:
        yield server


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.gate.set()


def is_up(gateway):
    return gateway.status()["postgres"]["state"] == "up"


def is_down(gateway):
    return gateway.status()["postgres"]["state"] == "down"


@pytest.fixture
def shops(start, serve, desk, postgres):
    """shops(policy): two gateways before the desk, which share a server, and begin on it at once."""
    def run(policy="POST", settings=PATIENT, count=2, user="weir", up=True):
        back = serve(desk.serve)
        gateways = [start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 2
            postgres: {{at: "postgres://{user}@127.0.0.1:{postgres.port}/weir", {settings}}}
            services: {{order: "{back.at}"}}
            routes: {{/**: {{to: order, idempotent: {policy}}}}}
            """) for _ in range(count)]
        for gateway in gateways:
            wait_for(lambda one=gateway: is_up(one) if up else is_down(one), 60, "postgres")
        return gateways
    return run


# --- what it is for


def test_retries_at_all_gateways_at_once_are_one_execution(shops, desk):
    check_retries_at_once(shops(), desk)


def test_what_one_gateway_left_unknown_is_unknown_to_all(shops, desk):
    check_left_unknown(*shops("{lease: 1s, store: postgres}"), desk)


def test_results_are_kept_as_long_as_said_and_then_swept(shops, desk, postgres):
    first, second = shops("{keep: 1s}")
    is_order(post(first), 1, False)
    assert postgres.ask("select count(*) from weir_store where ends between now() and now() + interval '1 second'") in "01"
    wait_for(lambda: first.metric("weir_postgres_swept_total") + second.metric("weir_postgres_swept_total") >= 1, 60, "the sweep")
    is_order(post(second), 2, False)


def test_what_has_ended_and_was_not_swept_is_as_if_it_had_never_been(shops, desk, postgres):
    gateway, = shops("{keep: 1h}", count=1)
    is_order(post(gateway), 1, False)
    is_order(post(gateway), 1, True)
    postgres.ask("update weir_store set ends = now() - interval '1 second'")
    is_order(post(gateway), 2, False)
    is_order(post(gateway), 2, True)


def test_limits_are_shared_by_it(start, serve, postgres):
    back = serve(lambda peer: [peer.answer(b"ok") for _ in iter(peer.read_request, None)])
    gateways = [start(f"""
        version: 1
        listen: "127.0.0.1:0"
        postgres: {{at: "postgres://127.0.0.1:{postgres.port}/weir", {PATIENT}}}
        services: {{back: "{back.at}"}}
        limits: {{api: {{rate: 5/h, shared: true, burst: 5, algorithm: token-bucket}}}}
        routes: {{/**: {{to: back, use: [limits.api]}}}}
        """) for _ in range(2)]
    for gateway in gateways:
        wait_for(lambda one=gateway: is_up(one), 60, "postgres")
    statuses = [gateways[i % 2].get("/").status for i in range(8)]
    assert statuses == [200] * 5 + [429] * 3


# --- when it does not answer


@pytest.mark.parametrize("policy, status", [("refuse", 503), ("local", 201), ("pass", 201)])
def test_without_a_server(shops, desk, postgres, policy, status):
    gateway, = shops(f"{{if-unavailable: {policy}}}", HASTY, count=1)
    postgres.stop()
    wait_for(lambda: is_down(gateway), 60, "postgres to be gone")
    answers = [post(gateway) for _ in range(2)]
    assert [answer.status for answer in answers] == [status] * 2
    assert len(desk.orders) == {"refuse": 0, "local": 1, "pass": 2}[policy]
    assert counted(gateway, "unavailable") == 2
    assert gateway.metric("weir_postgres_questions_total", result="unavailable") >= 2
    if policy == "refuse":
        assert reason(answers[0]) == "store-unavailable"


def test_it_is_found_again_when_it_is_back(shops, desk, postgres):
    gateway, = shops(settings=HASTY, count=1)
    is_order(post(gateway), 1, False)
    postgres.stop()
    wait_for(lambda: "/weir cannot be asked: " in gateway.stderr, 60, "the operator to be told")
    assert is_down(gateway)
    postgres.start()
    wait_for(lambda: is_up(gateway), 60, "postgres to be back")
    is_order(post(gateway), 1, True)
    wait_for(lambda: "/weir can be asked again" in gateway.stderr, 60, "the operator to be told")


def test_one_that_stands_still_makes_nobody_wait_for_long(shops, desk, postgres):
    gateway, = shops(settings=HASTY, count=1)
    with postgres.paused():
        assert reason(post(gateway)) == "store-unavailable"
        wait_for(lambda: is_down(gateway), 60, "postgres to be given up")
        assert reason(post(gateway)) == "store-unavailable"
        assert desk.orders == []
    wait_for(lambda: is_up(gateway), 60, "postgres to be back")
    assert wait_for(lambda: (answer := post(gateway, "k2")).status == 201 and answer, 60, "an order")


def test_a_server_that_is_killed_midway_makes_nothing_twice(shops, desk, postgres):
    gateway, = shops("{timeout: 300ms, lease: 60s}", HASTY, count=1)
    desk.gate.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, gateway)
        desk.wait_for_orders(1)
        postgres.stop(signal.SIGKILL)
        wait_for(lambda: is_down(gateway), 60, "postgres to be gone")
        desk.gate.set()
        answer = first.result()
    assert (answer.status, answer.header("Idempotency-Expires")) == (201, None)
    assert counted(gateway, "not-kept") == 1
    assert reason(post(gateway)) == "store-unavailable"
    postgres.start()
    wait_for(lambda: is_up(gateway), 60, "postgres to be back")
    assert reason(post(gateway)) in ("still-running", "outcome-unknown")
    assert len(desk.orders) == 1


# --- the module


def test_without_the_module_the_configuration_is_refused(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text('version: 1\nlisten: ":8080"\npostgres: 10.0.0.6\nroutes: {/: {respond: hello}}\n')
    done = subprocess.run([WEIR, "check", path], env={**os.environ, "WEIR_MODULES": str(tmp_path)}, capture_output=True, text=True, timeout=100)
    assert done.returncode == 3
    assert f"{path}:3:" in done.stderr and "postgres: the module weir-postgres is not installed" in done.stderr
    assert run_weir("check", path)[0] == 0
    assert run_weir("version")[1].splitlines()[1].startswith("module postgres, with libpq ")


def test_it_is_loaded_only_where_it_is_needed(start, shops, postgres):
    plain = start('version: 1\nlisten: "127.0.0.1:0"\nroutes: {/: {respond: hello}}\n')
    assert plain.status()["modules"] == [] and "libpq" not in Path(f"/proc/{plain.process.pid}/maps").read_text()
    gateway, = shops(count=1)
    module, = gateway.status()["modules"]
    assert module["name"] == "postgres" and module["library"].startswith("libpq ")
    code, out, _ = run_weir("status", "--control", gateway.control)
    assert code == 0 and f"  postgres 127.0.0.1:{postgres.port}/weir: up, connections: " in out and "  module postgres, with libpq " in out


# --- what it says


def trouble(gateway):
    return gateway.status()["postgres"]["trouble"]


def test_a_wrong_password_is_said(start, free_port, tmp_path):
    with PostgresServer(free_port(), auth="scram-sha-256", password="open sesame") as server:
        wrong, right = tmp_path / "wrong", tmp_path / "right"
        wrong.write_text("open barley\n")
        right.write_text("open sesame\n")
        gateways = [start(f"""
            version: 1
            listen: "127.0.0.1:0"
            postgres: {{at: "postgres://127.0.0.1:{server.port}", password: {{file: {secret}}}, {PATIENT}}}
            routes: {{/: {{respond: hello}}}}
            """) for secret in (wrong, right)]
        wait_for(lambda: is_down(gateways[0]), 60, "the refusal")
        assert "password authentication failed" in trouble(gateways[0])
        assert "barley" not in str(gateways[0].status()) + gateways[0].stderr
        assert gateways[0].metric("weir_postgres_connects_total", result="failed") >= 1
        wait_for(lambda: is_up(gateways[1]), 60, "a connection")
        assert trouble(gateways[1]) is None
        replace_file(wrong, "open sesame\n")  # nobody reloads
        wait_for(lambda: is_up(gateways[0]), 60, "a connection with the new password")


def test_tls_is_spoken_as_libpq_does(start, free_port, authority, tmp_path):
    """With the server's name resolved by the gateway."""
    other = tmp_path / "other"
    other.mkdir()
    stranger, issued = Authority(other), authority.issue("localhost")
    with PostgresServer(free_port(), "ssl=on", "ssl_cert_file=../server.pem", "ssl_key_file=../server.key",
                        files={"server.pem": issued.cert, "server.key": issued.key}) as server:
        gateways = [start(f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 1
            postgres: {{at: "postgres://{name}:{server.port}/weir?sslmode=verify-full", sslrootcert: {known.file}, {PATIENT}}}
            routes: {{/: {{respond: hello}}}}
            """) for name, known in (("localhost", authority), ("127.0.0.1", authority), ("localhost", stranger))]
        wait_for(lambda: is_up(gateways[0]), 60, "a connection")
        assert server.ask("select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'weir'") == "t"
        for gateway, words in zip(gateways[1:], ("does not match host name", "certificate verify failed")):
            wait_for(lambda one=gateway: is_down(one), 60, "the refusal")
            assert words in trouble(gateway)


def test_one_that_only_reads_is_none(shops, desk, postgres):
    postgres.ask("create role reader login; alter role reader set default_transaction_read_only = on")
    gateway, = shops(count=1, user="reader", up=False)
    assert "read-only" in trouble(gateway)
    assert reason(post(gateway)) == "store-unavailable"


def test_one_that_becomes_read_only_is_given_up(shops, desk, postgres):
    gateway, = shops(count=1)
    is_order(post(gateway), 1, False)
    postgres.ask("alter system set default_transaction_read_only = on")
    postgres.ask("select pg_reload_conf()")
    wait_for(lambda: post(gateway, "k2").status == 503 and is_down(gateway), 60, "the server to be given up")
    assert "read-only" in trouble(gateway)
    assert len(desk.orders) <= 2


def test_statements_that_take_too_long_are_ended_by_the_server(shops, desk, postgres):
    gateway, = shops("{timeout: 60s}", "timeout: 300ms, connect-timeout: 60s", count=1)
    postgres.ask("create function wait() returns trigger language plpgsql as $$ begin perform pg_sleep(100); return new; end $$")
    postgres.ask("create trigger wait before insert on weir_store for each row execute function wait()")
    assert reason(post(gateway)) == "store-unavailable"
    wait_for(lambda: postgres.ask("select count(*) from pg_stat_activity where application_name = 'weir' and state = 'active'") == "0", 60,
             "the statement to be ended")
    postgres.ask("drop trigger wait on weir_store")
    wait_for(lambda: post(gateway, "k2").status == 201, 60, "an order")


def test_a_table_that_is_dropped_is_made_again(shops, desk, postgres):
    gateway, = shops(count=1)
    is_order(post(gateway), 1, False)
    postgres.ask("drop table weir_store")
    wait_for(lambda: post(gateway, "k2").status == 201, 60, "the table to be there again")


def test_a_reload_keeps_the_connections(shops, postgres):
    gateway, = shops(count=1)
    wait_for(lambda: gateway.metric("weir_postgres_connects_total", result="ok") == 4, 60, "all connections")
    config = gateway.config_path.read_text()
    gateway.reload(config.replace("idempotent: POST", "idempotent: PUT"))
    assert is_up(gateway) and gateway.metric("weir_postgres_connects_total", result="ok") == 4
    gateway.reload(config.replace("timeout: 60s", "timeout: 59s", 1))
    wait_for(lambda: gateway.metric("weir_postgres_connects_total", result="ok") == 8, 60, "new connections")
    wait_for(lambda: postgres.connections() == 4, 60, "the old ones to end")
