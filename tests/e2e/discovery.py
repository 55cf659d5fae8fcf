"""What tests of discovery have in common."""

import collections

from gateway import wait_for

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 1
    services: {{back: {service}}}
    routes: {{/**: back}}
    {more}
    """


def config(service, more=""):
    """`service` as it stands in the file; taken in turns, so that shares can be told exactly."""
    turns = "balance: weighted-round-robin"
    service = f"{{{turns}, {service[1:]}" if service.startswith("{") else f"{{at: {service}, {turns}}}"
    return CONFIG.format(service=service, more=more)


def endpoints(gateway):
    """The endpoints of the service: {address: what status says of it}."""
    return {one["address"]: one for one in gateway.status()["services"][0]["endpoints"]}


def source(gateway):
    """What status says of the service's first source."""
    return gateway.status()["services"][0]["sources"][0]


def wait_for_endpoints(gateway, *addresses, timeout=40):
    wait_for(lambda: set(endpoints(gateway)) == set(addresses), timeout, f"endpoints {addresses}")


def answers(gateway, count=20):
    """How often each service answered."""
    return collections.Counter(gateway.get("/").body.decode() for _ in range(count))


def named(serve, name):
    """A service that answers with its name."""
    def script(peer):
        while True:
            peer.upstream.requests.append(peer.read_request())
            peer.answer(name.encode())
    return serve(script)
