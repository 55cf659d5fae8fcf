"""Fixtures of the end-to-end tests: the real program between real sockets."""

import contextlib
import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from authority import Authority  # noqa: E402
from gateway import Gateway, pick_port  # noqa: E402
from https import HTTPS, pair, split  # noqa: E402
from redis_server import RedisServer  # noqa: E402
from upstream import Upstream  # noqa: E402
from websocket_service import WebSocketService  # noqa: E402

# Some tests hold both ends of hundreds of connections.
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


@pytest.fixture
def start(tmp_path):
    """start(config, …): a running gateway; any number of them, each in a folder of its own."""
    with contextlib.ExitStack() as stack:
        count = 0

        def run(config, *arguments, **options):
            nonlocal count
            folder = tmp_path / f"weir{count}"
            folder.mkdir()
            count += 1
            return stack.enter_context(Gateway(folder, config, *arguments, **options))

        yield run


@pytest.fixture
def serve():
    """serve(script): a service on loopback; the usual one without a script."""
    with contextlib.ExitStack() as stack:
        yield lambda script=None, **options: stack.enter_context(Upstream(script, **options))


@pytest.fixture
def shop(start, serve):
    """A gateway with one service behind every path: (gateway, service)."""
    service = serve()
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    return gateway, service


@pytest.fixture
def free_port():
    """free_port(): a port of 127.0.0.1 on which nobody listens; each call gives another."""
    with contextlib.ExitStack() as stack:
        yield lambda: pick_port(stack)


@pytest.fixture
def redis(tmp_path, free_port):
    """redis(*options): a server; any number of them."""
    with contextlib.ExitStack() as stack:
        def run(*options, port=None, **more):
            return stack.enter_context(RedisServer(tmp_path, free_port() if port is None else port, "--save", "", *options, **more))

        yield run


@pytest.fixture
def authority(tmp_path):
    """A certificate authority."""
    return Authority(tmp_path / "ca")


@pytest.fixture
def secure(start, serve, authority):
    """secure(tls=None): a gateway that speaks HTTPS at `.secure` with a certificate for localhost, or with others."""
    def run(tls=None, more="", listener="", **options):
        if tls is None:
            tls = pair(authority.issue("localhost", "127.0.0.1"))
        gateway = start(HTTPS.format(tls=tls, service=serve().at, more=more, listener=listener), **options)
        gateway.plain, gateway.secure = gateway.address, split(gateway.addresses[1])
        return gateway
    return run


@pytest.fixture
def chat(start):
    """chat(options, handle): a gateway before a WebSocket service: (gateway, service)."""
    with contextlib.ExitStack() as stack:
        def run(options="", handle=None, more="", listen='"127.0.0.1:0"', workers=2, **service_options):
            back = stack.enter_context(WebSocketService(handle, **service_options))
            gateway = start(f"""
                version: 1
                listen: {listen}
                workers: {workers}
                services: {{back: "{back.at}"}}
                routes: {{/**: {{to: back{options}}}}}
                {more}
                """)
            return gateway, back

        yield run
