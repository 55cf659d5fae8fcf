"""Choosing an endpoint, staying there and waiting for it are the same for every protocol: HTTP/2 on both sides, gRPC, TCP, UDP.

One gateway a protocol has a service for each setting, all of them in front of the same endpoints a, b and c, which say who
they are."""

import collections
import contextlib
import socket
import threading
import time

import grpc
import h2_client
import pytest
from gateway import Gateway, wait_for
from grpc_peer import GrpcService, channel
from h2_upstream import H2Peer
from l4_peers import TcpService, UdpService, ask, named, read_line, reset
from upstream import Upstream

NAMES = "abc"
SOURCES = [f"127.0.0.{i}" for i in range(2, 34)]  # clients: so many that no hash gives all of them to one
PLAIN = ["", "", ""]
WEIGHTS = [", weight: 2", "", ""]
ZONES = [", zone: eu/a", ", zone: eu/b", ", zone: us/c"]
TIERS = [", tier: 1", "", ", backup: true"]
LATENCY = ["least-response-time", "peak-ewma"]
LEAST = ["least-connections", "weighted-least-connections", "least-requests", *LATENCY]
HASHES = ["ip-hash", "ring-hash", "maglev", "rendezvous"]

# What a service says, and what its endpoints do; KEY is what the protocol tells its clients apart by.
SERVICES = {
    "turns": ("balance: round-robin", PLAIN),
    "smooth": ("balance: weighted-round-robin", WEIGHTS),
    "random": ("balance: random", PLAIN),
    **{name: (f"balance: {name}", PLAIN) for name in LEAST},
    **{name: (f"balance: {name} KEY", PLAIN) for name in HASHES},
    "bounded": ("balance: {by: ring-hash, key: KEY, bound: 125%}", PLAIN),
    "sticky": ("balance: round-robin, sticky: KEY", PLAIN),
    "zone": ("zone: {own: eu/a, at-least: 0}, panic: 0%", ZONES),
    "tiers": ("balance: round-robin, panic: 0%", TIERS),
    "subset": ("subset: {label: who, by: KEY, else: none}", [f', labels: {{who: "{one}"}}' for one in SOURCES[:3]]),
    "narrow": ("balance: least-connections, concurrency: {endpoint: 1}, queue: 9 for 1m", PLAIN),
    "small": ("concurrency: 2, queue: 0", PLAIN),
}
DYING = {
    "turns": ("balance: round-robin, OUTLIER", PLAIN),
    "sticky": ("balance: round-robin, sticky: KEY, OUTLIER", PLAIN),
    "zone": ("zone: {own: eu/a, at-least: 0}, panic: 0%, OUTLIER", ZONES),
    "tiers": ("panic: 0%, OUTLIER", ["", ", tier: 1", ", tier: 2"]),
}


def dawdle(name, slow):
    if name == slow:
        time.sleep(0.5)


class Http2:
    """`once` asks as client number i: who answered. `hold` begins to ask so many times at once, always as the first client,
    and gives the list of those who have answered; they go on until it is left."""

    key, scheme = "header.x-client", "h2c://"

    def __init__(self, gateway):
        self.address, self.client = gateway.address, h2_client.Client(gateway.address)

    @staticmethod
    def endpoint(name):
        def serve(peer):
            speaker = H2Peer(peer)
            while True:
                request = speaker.request()
                dawdle(name, request.header("x-slow"))
                speaker.headers(request.stream, [(":status", "200")])
                speaker.data(request.stream, name.encode(), end=request.header("x-hold") is None)
        return Upstream(serve)

    @classmethod
    def front(cls, services):
        routes = ", ".join(f"{cls.route(name)}: {name}" for name in services)
        return f'listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}\nroutes: {{{routes}}}'

    @staticmethod
    def route(name):
        return f"/{name}/**"

    slow = "nobody"

    def fields(self, i):
        return [("x-client", SOURCES[i]), ("x-forwarded-for", SOURCES[i]), ("x-slow", self.slow)]

    def once(self, service, i=0):
        answer = self.client.request("GET", f"/{service}/x", self.fields(i))
        return answer.body.decode() if answer.status == 200 else str(answer.status)

    @contextlib.contextmanager
    def hold(self, service, count):
        found, threads = [], []
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(h2_client.Client(self.address)) for _ in range(count)]
            for client in clients:
                stream = client.begin("GET", f"/{service}/x", [*self.fields(0), ("x-hold", "1")])
                threads.append(begin(self._listen, client, stream, found))
            yield found
            for client, thread in zip(clients, threads, strict=True):
                thread.join()
                reset(client.socket)

    @staticmethod
    def _listen(client, stream, found):
        answer = client.answers[stream]
        while not answer.body and not client.is_closed(stream):
            client.pump()
        found.append(answer.body.decode())

    def close(self):
        self.client.socket.close()


def begin(run, *arguments):
    """A thread that may end with what its socket does."""
    def guarded():
        with contextlib.suppress(OSError, AssertionError, grpc.RpcError):
            run(*arguments)
    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    return thread


class NamedOrders(grpc.GenericRpcHandler):
    def __init__(self, name):
        self.name = name

    def service(self, call):
        return (grpc.unary_unary_rpc_method_handler(self.get) if call.method.endswith("/Get")
                else grpc.unary_stream_rpc_method_handler(self.watch))

    def get(self, message, context):
        dawdle(self.name, dict(context.invocation_metadata())["x-slow"])
        return self.name.encode()

    def watch(self, message, context):
        """Goes on for as long as somebody listens."""
        done = threading.Event()
        context.add_callback(done.set)
        yield self.name.encode()
        done.wait(60)


class Grpc(Http2):
    def __init__(self, gateway):
        self.stack = contextlib.ExitStack()
        self.channel = self.stack.enter_context(channel(gateway.address))

    @staticmethod
    def endpoint(name):
        return GrpcService(orders=NamedOrders(name))

    @staticmethod
    def route(name):
        return f"grpc {name}.Orders/*"

    def once(self, service, i=0):
        get = self.channel.unary_unary(f"/{service}.Orders/Get")
        try:
            return get(b"x", metadata=self.fields(i), timeout=60).decode()
        except grpc.RpcError as error:
            return error.code().name

    @contextlib.contextmanager
    def hold(self, service, count):
        found = []
        watch = self.channel.unary_stream(f"/{service}.Orders/Watch")
        calls = [watch(b"x", metadata=self.fields(0), timeout=60) for _ in range(count)]
        threads = [begin(self._listen_to, call, found) for call in calls]
        yield found
        for call in calls:
            call.cancel()
        for thread in threads:
            thread.join()

    @staticmethod
    def _listen_to(call, found):
        for message in call:
            found.append(message.decode())

    def close(self):
        self.stack.close()


class Tcp:
    key, scheme, kind, target = "client.ip", "", "tcp", "{}"

    def __init__(self, gateway):
        self.addresses = gateway.addresses
        self.services = list(gateway.services)

    @staticmethod
    def endpoint(name):
        return TcpService(named(name))

    @classmethod
    def front(cls, services):
        """A listener each, at addresses of their own."""
        listeners = ", ".join(f'"127.0.1.{i + 1}:0": {cls.target.format(name)}' for i, name in enumerate(services))
        return f"listen: {{{cls.kind}: {{{listeners}}}}}"

    def address(self, service):
        host = f"127.0.1.{self.services.index(service) + 1}"
        [at] = [one for one in self.addresses if one.startswith(host + ":")]
        return host, int(at.rsplit(":", 1)[1])

    def connect(self, service, i=0):
        return socket.create_connection(self.address(service), 60, (SOURCES[i], 0))

    def once(self, service, i=0):
        try:
            with self.connect(service, i) as one:
                return read_line(one)
        except (AssertionError, ConnectionResetError):
            return "refused"

    @contextlib.contextmanager
    def hold(self, service, count):
        found, threads = [], []
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(self.connect(service)) for _ in range(count)]
            for one in connections:
                threads.append(begin(lambda one=one: found.append(read_line(one))))
            yield found
            for one in connections:
                one.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()

    def close(self):
        pass


class Udp(Tcp):
    """A session ends with as many replies as are due: two for each datagram."""

    patience = 30.0
    kind, target = "udp", "{{to: {}, replies: 2}}"

    @staticmethod
    def endpoint(name):
        return UdpService(lambda data: [name.encode()] * {b"once": 2, b"hold": 1, b"end": 3}[data])

    def connect(self, service, i=0):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((SOURCES[i], 0))
        one.connect(self.address(service))
        one.settimeout(self.patience)
        return one

    @staticmethod
    def say(one, data):
        """Again until it is answered: datagrams get lost where an endpoint has gone."""
        for _ in range(100):
            with contextlib.suppress(TimeoutError):
                return ask(one, data).decode()
        raise AssertionError("no answer")

    def once(self, service, i=0):
        with self.connect(service, i) as one:
            return self.say(one, b"once")

    @contextlib.contextmanager
    def hold(self, service, count):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(self.connect(service)) for _ in range(count)]
            yield [self.say(one, b"hold") for one in sockets]
            for one in sockets:
                self.say(one, b"end")


class World:
    """A gateway, its endpoints, and a client of the protocol."""

    def __init__(self, protocol, services, folder):
        self.stack = contextlib.ExitStack()
        self.endpoints = [self.stack.enter_context(protocol.endpoint(name)) for name in NAMES]
        written = [self._service(protocol, name, *services[name]) for name in services]
        config = "\n".join(["version: 1", "workers: 1", "trusted: loopback", protocol.front(services), "services:", *written])
        self.gateway = self.stack.enter_context(Gateway(folder, config + "\n"))
        self.gateway.services = services
        self.client = self.stack.enter_context(contextlib.closing(protocol(self.gateway)))
        self.protocol, self.once, self.hold = protocol, self.client.once, self.client.hold

    def _service(self, protocol, name, options, more):
        places = [f'{{address: "{protocol.scheme}{endpoint.at}"{one}}}'
                  for endpoint, one in zip(self.endpoints, more, strict=True)]
        outlier = "outlier: {failures: 1, share: 100%, eject: 1h, longest: 1h}"
        return f"  {name}: {{at: [{', '.join(places)}], {options.replace('KEY', protocol.key).replace('OUTLIER', outlier)}}}"

    def count(self, service, number):
        return collections.Counter(self.once(service) for _ in range(number))

    def of(self, service):
        [found] = [one for one in self.gateway.status()["services"] if one["name"] == service]
        return found

    def is_idle(self, service):
        return sum(one["in_flight"] for one in self.of(service)["endpoints"]) == 0


@pytest.fixture(scope="module", params=[Http2, Grpc, Tcp, Udp], ids=["http2", "grpc", "tcp", "udp"])
def world(request, tmp_path_factory):
    made = World(request.param, SERVICES, tmp_path_factory.mktemp("protocols"))
    with made.stack:
        yield made


@pytest.fixture(params=[Http2, Grpc, Tcp, Udp], ids=["http2", "grpc", "tcp", "udp"])
def dying(request, tmp_path):
    made = World(request.param, DYING, tmp_path)
    with made.stack:
        yield made


def held(world, service, count):
    """Who has answered, of so many at once, and nothing under way afterwards."""
    with world.hold(service, count) as found:
        wait_for(lambda: len(found) == count)
        names = collections.Counter(found)
    wait_for(lambda: world.is_idle(service))
    return names


# --- choosing

def test_in_turn(world):
    assert world.count("turns", 6) == {"a": 2, "b": 2, "c": 2}
    assert world.count("smooth", 8) == {"a": 4, "b": 2, "c": 2}


def test_at_random(world):
    assert set(world.count("random", 60)) == set(NAMES)


@pytest.mark.parametrize("name", LEAST)
def test_busy_ones_get_less(world, name):
    """However ties are broken and pairs are drawn, nobody gets four of six, unless he is known to be quicker."""
    if name in LATENCY and isinstance(world.client, Http2):
        pytest.skip("see the next test")
    found = held(world, name, 6)
    assert max(found.values()) <= 3 and found.total() == 6, found


@pytest.mark.parametrize("name", LATENCY)
def test_slow_ones_get_less(world, name):
    if not isinstance(world.client, Http2):
        pytest.skip("nobody knows when a service of layer 4 has answered")
    world.client.slow = "a"
    rounds = (world.count(name, 15) for _ in range(5))
    assert any(found["a"] <= 1 for found in rounds)  # one may not be enough: a busy machine makes others slow too
    world.client.slow = "nobody"


@pytest.mark.parametrize("name", HASHES)
def test_a_key_stays(world, name):
    first = [world.once(name, i) for i in range(len(SOURCES))]
    assert len(set(first)) > 1
    assert [world.once(name, i) for i in range(len(SOURCES))] == first


def test_a_key_that_everybody_asks_for(world):
    found = held(world, "bounded", 6)
    assert max(found.values()) <= 3 and len(found) > 1, found
    names = set()
    for _ in range(4):
        names.add(world.once("bounded"))
        wait_for(lambda: world.is_idle("bounded"))
    assert len(names) == 1


def test_near_ones_and_first_tiers(world):
    assert world.count("zone", 6) == {"a": 6}
    assert world.count("tiers", 6) == {"b": 6}


def test_subsets(world):
    assert [world.once("subset", i) for i in (2, 0, 1, 1, 2)] == list("cabbc")


# --- staying

def test_sessions_stay_over_reloads(world):
    homes = [world.once("sticky", i) for i in range(6)]
    assert collections.Counter(homes) == {"a": 2, "b": 2, "c": 2}
    assert [world.once("sticky", i) for i in range(6)] == homes
    assert world.gateway.reload()[0] == 200
    assert [world.once("sticky", i) for i in range(6)] == homes
    assert world.of("sticky")["sessions"] == 6


# --- waiting

def test_the_queue(world):
    if isinstance(world.client, Udp):
        pytest.skip("datagrams do not wait")
    later = []
    with world.hold("narrow", 3) as found:
        wait_for(lambda: sorted(found) == list(NAMES))
        thread = begin(lambda: later.append(world.once("narrow")))
        wait_for(lambda: world.of("narrow")["waiting"] == 1)
        assert not later
    thread.join()
    assert later and later[0] in NAMES
    wait_for(lambda: world.is_idle("narrow"))


def test_no_more_than_allowed(world):
    refusal = {Http2: "503", Grpc: "UNAVAILABLE", Tcp: "refused"}
    with world.hold("small", 2) as found:
        wait_for(lambda: len(found) == 2)
        if isinstance(world.client, Udp):
            with world.client.connect("small") as one:
                one.send(b"once")
                wait_for(lambda: world.gateway.metric("weir_udp_reasons_total", reason="service-busy", service="small") == 1)
        else:
            assert world.once("small") == refusal[type(world.client)]
    wait_for(lambda: world.is_idle("small"))
    assert world.once("small") in NAMES


# --- an endpoint dies

def test_who_is_gone_is_left(dying):
    homes = [dying.once("sticky", i) for i in range(6)]
    assert dying.count("zone", 3) == dying.count("tiers", 3) == {"a": 3}
    dying.endpoints[0].close()
    dying.client.patience = 0.3
    assert set(dying.count("turns", 6)) == {"b", "c"}
    assert set(dying.count("zone", 3)) == set(dying.count("tiers", 3)) == {"b"}
    moved = [dying.once("sticky", i) for i in range(6)]
    assert [new for new, old in zip(moved, homes, strict=True) if old != "a"] == [old for old in homes if old != "a"]
    assert "a" not in moved
    assert [dying.once("sticky", i) for i in range(6)] == moved
    for service in DYING:
        assert dying.of(service)["endpoints"][0]["state"] == "ejected", service
        assert dying.gateway.metric("weir_endpoint_ejections_total", service=service) == 1
