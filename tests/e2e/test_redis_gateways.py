"""Gateways that count each other in Redis, and share a limit by that count while it is gone."""

import pytest
from gateway import wait_for
from redis_server import RedisServer


@pytest.fixture
def server(tmp_path, free_port):
    with RedisServer(tmp_path, free_port(), "--save", "") as server:
        yield server


def config(server, more="", rate="12/h"):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        redis: {{at: "127.0.0.1:{server.port}", timeout: 5s{more}}}
        limits: {{plan: {{rate: {rate}, per: header.x-user}}}}
        routes: {{/**: {{respond: "ok", use: [limits.plan]}}}}
        """


def count(gateway):
    return gateway.status()["redis"]["gateways"]


def counts_of(gateways):
    return [count(gateway) for gateway in gateways]


def wait_for_counts(gateways, number):
    wait_for(lambda: counts_of(gateways) == [number] * len(gateways), 100, f"{number} gateways to be counted")


def is_down(gateway):
    now = gateway.status()["redis"]
    return now["state"] == "down" and now["connections"] == 0


def passed(gateway, user):
    return [gateway.get("/", {"X-User": user}, timeout=60).status for _ in range(14)].count(200)


def test_gateways_come_and_go(start, server):
    gateways = [start(config(server))]
    wait_for_counts(gateways, 1)
    gateways.append(start(config(server)))
    wait_for_counts(gateways, 2)
    gateways.append(start(config(server), check=False))
    wait_for_counts(gateways, 3)
    assert gateways[0].metric("weir_redis_gateways") == 3
    killed = gateways.pop()
    killed.process.kill()
    killed.process.wait(60)
    wait_for_counts(gateways, 2)
    assert gateways[0].metric("weir_redis_gateways") == 2
    assert server.keys() == []  # all this is one key, which ends with the last of them
    assert 0 < int(server.ask("PTTL", "weir:gateways")) <= 5000


def test_the_last_count_stays_while_redis_is_gone(start, server):
    gateways = [start(config(server)) for _ in range(3)]
    wait_for_counts(gateways, 3)
    server.kill()
    wait_for(lambda: all(is_down(gateway) for gateway in gateways), 60, "redis to be gone")
    assert counts_of(gateways) == [3] * 3
    assert [passed(gateway, "ann") for gateway in gateways] == [4] * 3  # a third each
    gateways[2].check = False
    gateways[2].process.kill()
    gateways[2].process.wait(60)
    server.start()
    gateways = gateways[:2]
    wait_for(lambda: all(gateway.status()["redis"]["state"] == "up" for gateway in gateways), 60, "redis to be there")
    wait_for_counts(gateways, 2)
    server.kill()
    wait_for(lambda: all(is_down(gateway) for gateway in gateways), 60, "redis to be gone")
    assert [passed(gateway, "bob") for gateway in gateways] == [6] * 2


def test_a_number_that_is_said_is_not_counted(start, server):
    said = start(config(server, ", gateways: 4"))
    counted = start(config(server))
    wait_for_counts([counted], 1)
    wait_for(lambda: server.ask("EXISTS", "weir:gateways") == "1", 60, "the count")
    assert counts_of([said, counted]) == [4, 1]
    assert said.metric("weir_redis_gateways") == 4
    server.kill()
    wait_for(lambda: is_down(said), 60, "redis to be gone")
    assert passed(said, "ann") == 3


def test_a_reload_keeps_the_count(start, server):
    gateways = [start(config(server)) for _ in range(2)]
    wait_for_counts(gateways, 2)
    assert gateways[0].reload(config(server, rate="20/h"))[0] == 200
    assert counts_of(gateways) == [2, 2]
    assert gateways[0].reload(config(server, more=", gateways: 7"))[0] == 200
    assert count(gateways[0]) == 7
    wait_for_counts(gateways[1:], 1)
    assert gateways[0].reload(config(server))[0] == 200
    wait_for_counts(gateways, 2)
