"""Reloads under load, and what survives them."""

import os
import threading

from gateway import SANITIZED, wait_for
from load import Load

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    services: {{back: "{at}"}}
    routes:
      /**: back
      /number: {{respond: "{number}"}}
    """
RELOADS = 100


def test_hundred_reloads_lose_nothing(start, serve):
    """A download that began before the first reload ends whole after the last: each reload lets a piece more go."""
    piece, pieces = os.urandom(10_000), RELOADS
    reloaded = threading.Semaphore(0)

    def script(peer):
        while True:
            request = peer.read_request()
            if request.target != "/download":
                peer.answer(b"fine")
                continue
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * pieces))
            for _ in range(pieces):
                assert reloaded.acquire(timeout=60)
                peer.send(piece)

    service = serve(script)
    gateway = start(CONFIG.format(at=service.at, number=0), "--no-watch")
    with gateway.connect(timeout=60) as download, Load(gateway) as load:
        download.send_request("GET", "/download")
        head = download.read_head()
        for number in range(1, RELOADS + 1):
            status, answer = gateway.reload(CONFIG.format(at=service.at, number=number))
            assert status == 200, answer
            assert gateway.get("/number").body == str(number).encode()
            reloaded.release()
        load.stop()
        assert head.status == 200
        assert download._exactly(len(piece) * pieces) == piece * pieces
        assert download.request("GET", "/number").body == str(RELOADS).encode()
    assert load.failures == []
    assert load.done > RELOADS
    assert gateway.metric("weir_config_generation") == RELOADS + 1


def test_an_exchange_keeps_the_rules_it_began_with(start, serve):
    began, release = threading.Event(), threading.Event()

    def script(peer):
        peer.read_request()
        began.set()
        assert release.wait(30)
        peer.answer(b"done")

    service = serve(script)
    config = CONFIG.format(at=service.at, number=0).rstrip(" ") + "    http: {via: %s}\n"
    gateway = start(config % "true", "--no-watch")
    with gateway.connect() as connection:
        connection.send_request("GET", "/slow")
        assert began.wait(10)
        assert gateway.reload(config % "false")[0] == 200
        release.set()
        assert connection.read_answer().header("Via")
        assert not connection.request("GET", "/number").header("Via")


def resident(gateway):
    with open(f"/proc/{gateway.process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_old_snapshots_are_freed(start, serve):
    service = serve()
    routes = "".join(f"      /r{number}/{{id:int}}: back\n" for number in range(500))
    config = CONFIG.format(at=service.at, number=0).rstrip(" ") + routes
    gateway = start(config, "--no-watch")
    count = 40 if SANITIZED else 200

    def reload(times):
        for _ in range(times):
            assert gateway.reload()[0] == 200
            gateway.get("/r7/1")

    reload(20)
    before, descriptors = resident(gateway), gateway.descriptors()
    reload(count)
    grown = resident(gateway) - before
    assert SANITIZED or grown < 4 << 20, f"{count} reloads took {grown} bytes"
    # Each worker may have opened its own connection to the service meanwhile.
    wait_for(lambda: gateway.descriptors() <= descriptors + 4, what="as few descriptors as before")


def test_limit_counters_survive(start):
    config = """
        version: 1
        listen: "127.0.0.1:0"
        limits: {few: {rate: 3/h}}
        routes: {/**: {respond: "%s", use: [limits.few]}}
        """
    gateway = start(config % "one", "--no-watch")
    assert [gateway.get("/").status for _ in range(4)] == [200, 200, 200, 429]
    assert gateway.reload(config % "two")[0] == 200
    assert gateway.get("/").status == 429


def test_health_and_counts_survive(start, serve):
    """An endpoint that was found to be down stays down; what is in flight stays counted."""
    began, release = threading.Event(), threading.Event()

    def script(peer):
        while True:
            request = peer.read_request()
            if request.target == "/healthz":
                peer.answer(b"no", status=500)
                continue
            began.set()
            assert release.wait(30)
            peer.answer(b"late")

    sick, slow = serve(script), serve(script)
    config = f"""
        version: 1
        listen: "127.0.0.1:0"
        services:
          sick: {{at: "{sick.at}", panic: 0%%, health: GET /healthz every 50ms}}
          slow: "{slow.at}"
        routes: {{/sick: sick, /slow: slow, /number: {{respond: "%d"}}}}
        """
    gateway = start(config % 1, "--no-watch")

    def endpoint(name):
        [service] = [one for one in gateway.status()["services"] if one["name"] == name]
        return service["endpoints"][0]

    wait_for(lambda: gateway.metric("weir_endpoint_healthy", service="sick") == 0, what="a sick endpoint")
    state = endpoint("sick")["state"]
    with gateway.connect() as connection:
        connection.send_request("GET", "/slow")
        assert began.wait(10)
        for number in range(2, 5):
            assert gateway.reload(config % number)[0] == 200
            assert endpoint("slow")["in_flight"] == 1
            assert endpoint("sick")["state"] == state
            assert gateway.get("/sick").status == 503
        release.set()
        assert connection.read_answer().body == b"late"
    wait_for(lambda: endpoint("slow")["in_flight"] == 0, what="nothing in flight")
