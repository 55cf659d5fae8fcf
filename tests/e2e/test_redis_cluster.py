"""Limits that gateways count together in a Redis Cluster: slots, masters that fail, slots that move."""

import concurrent.futures
import contextlib
import signal

import pytest
from gateway import suspend, wait_for
from redis_server import Cluster


@pytest.fixture
def cluster(tmp_path, free_port):
    with contextlib.ExitStack() as stack:
        yield Cluster(tmp_path, free_port, stack)


def config(cluster, text=None, rate="5/h", more="timeout: 60s, connect-timeout: 60s"):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        redis: {{cluster: {text or cluster.text}, {more}}}
        limits: {{plan: {{rate: {rate}, per: header.x-user}}}}
        routes: {{/**: {{respond: "ok", use: [limits.plan]}}}}
        """


def ask(gateway, user):
    return gateway.get("/", {"X-User": user}, timeout=60).status


def alone(gateway):
    return gateway.metric("weir_limit_unavailable_total", limit="limits.plan")


def redirects(gateway):
    return gateway.metric("weir_redis_redirects_total")


def user_of(cluster, share, number=0):
    """One whose count lies on that master; another one by another number."""
    names = (f"user{i}" for i in range(10000))
    fitting = (name for name in names if cluster.share(f"weir:limits.plan:{name}") == share)
    return [next(fitting) for _ in range(number + 1)][-1]


def test_gateways_count_together_wherever_keys_are(start, cluster):
    gateways = [start(config(cluster)) for _ in range(2)]
    users = [f"user{i}" for i in range(30)]
    answers = [[ask(gateways[i % 2], user) for i in range(7)] for user in users]
    assert answers == [[200] * 5 + [429] * 2] * 30
    assert sum(alone(gateway) for gateway in gateways) == 0
    kept = [set(node.keys()) for node in cluster.masters]
    assert all(kept) and sum(len(keys) for keys in kept) == 30
    assert gateways[0].status()["redis"]["state"] == "up"


def test_each_question_soon_goes_the_right_way_at_once(start, cluster):
    gateway = start(config(cluster, rate="100000/h"))
    for i in range(60):  # each worker has been sent once, and has got the map
        ask(gateway, f"user{i}")

    def is_settled():
        before = redirects(gateway)
        for i in range(60):
            ask(gateway, f"other{i}")
        return redirects(gateway) == before

    wait_for(is_settled, 100, "no redirects")
    assert alone(gateway) == 0


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_master_that_fails_is_replaced_while_requests_come(start, cluster, end):
    gateway = start(config(cluster, rate="1/h, burst: 100000", more="timeout: 500ms, connect-timeout: 1s"))
    users = [user_of(cluster, share) for share in range(3)]
    wait_for(lambda: [ask(gateway, user) for user in users] == [200] * 3 and len(cluster.replica.keys()) == 1, 60, "a copy")
    if end == "kill":
        cluster.masters[0].kill()
    else:
        suspend(cluster.masters[0].process)

    def is_shared_again():
        before = alone(gateway)
        answers = [ask(gateway, user) for user in users for _ in range(8)]
        assert set(answers) == {200}  # none fails meanwhile: they are counted locally
        return alone(gateway) == before

    wait_for(is_shared_again, 200, "the replica to take over")
    assert "role:master" in cluster.replica.ask("INFO", "replication")
    assert len(cluster.replica.keys()) >= 1
    if end == "stop":
        cluster.masters[0].process.send_signal(signal.SIGCONT)
        wait_for(lambda: "role:slave" in cluster.masters[0].ask("INFO", "replication"), 100, "the old master to know")
        wait_for(is_shared_again, 200, "all to be as it was")


def test_a_slot_on_its_way_is_asked_for_where_it_goes(start, cluster):
    user = user_of(cluster, 0)
    slot = cluster.slot(f"weir:limits.plan:{user}")
    source, target = cluster.masters[0], cluster.masters[1]
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
    gateway = start(config(cluster))
    assert [ask(gateway, user) for _ in range(7)] == [200] * 5 + [429] * 2
    assert alone(gateway) == 0
    assert (source.keys(), target.keys()) == ([], [f"weir:limits.plan:{user}"])
    for node in (target, source, cluster.masters[2]):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.ask("CLUSTER", "MYID"))
    assert ask(gateway, user) == 429
    assert alone(gateway) == 0


def move(cluster, slot, source, target):
    """As redis-cli does it that moves a slot."""
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.ask("CLUSTER", "MYID"))
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.ask("CLUSTER", "MYID"))
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100).split():
        source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 60000, "KEYS", *keys)
    for node in (target, source):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.ask("CLUSTER", "MYID"))


def test_a_slot_that_moves_to_and_fro_loses_no_count(start, cluster):
    gateways = [start(config(cluster, rate="1/h, burst: 300")) for _ in range(2)]
    user = user_of(cluster, 0)
    slot = cluster.slot(f"weir:limits.plan:{user}")
    places = cluster.masters[:2]
    moves = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, gateways[i % 2], user) for i in range(360)]
        while moves < 2 or not all(answer.done() for answer in answers):
            move(cluster, slot, *places)
            places.reverse()
            moves += 1
    answers = [answer.result() for answer in answers]
    assert (answers.count(200), answers.count(429)) == (300, 60)
    assert sum(alone(gateway) for gateway in gateways) == 0
    assert places[0].keys() == [f"weir:limits.plan:{user}"]


@pytest.mark.parametrize("word, status", [("local", 200), ("pass", 200), ("refuse", 503)])
def test_a_node_that_is_cut_off_from_the_others(start, cluster, word, status):
    """The one that is left cannot know what the others do meanwhile, and serves nobody."""
    rate = f"1/h, burst: 100000, if-unavailable: {word}"
    gateway = start(config(cluster, rate=rate, more="timeout: 500ms, connect-timeout: 1s"))
    users = [user_of(cluster, share) for share in range(3)]

    def is_shared():
        before = alone(gateway)
        return {ask(gateway, user) for user in users for _ in range(8)} == {200} and alone(gateway) == before

    wait_for(is_shared, 100, "connections to all")
    for node in cluster.nodes[1:]:
        suspend(node.process)
    wait_for(lambda: "cluster_state:fail" in cluster.masters[0].ask("CLUSTER", "INFO"), 60, "the node to know that it is alone")
    before = alone(gateway)
    assert {ask(gateway, user) for user in users for _ in range(8)} == {status}
    assert alone(gateway) == before + 24
    for node in cluster.nodes[1:]:
        node.process.send_signal(signal.SIGCONT)
    wait_for(is_shared, 200, "the cluster to be whole again")


def test_any_node_will_do_to_begin_with(start, cluster, free_port):
    gateway = start(config(cluster, f'["127.0.0.1:{free_port()}", "127.0.0.1:{cluster.replica.port}"]'))
    wait_for(lambda: gateway.status()["redis"]["state"] == "up", 60, "a connection")
    users = [user_of(cluster, share) for share in range(3)]
    assert [ask(gateway, user) for user in users for _ in range(6)] == ([200] * 5 + [429]) * 3
    assert alone(gateway) == 0
