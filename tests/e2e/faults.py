"""What tests of faults share: one gateway with services of all kinds, and what to look at after each fault."""

import contextlib
import itertools
import socket

import h2_client
from gateway import PATIENCE, Gateway, wait_for
from upstream import Upstream

CONFIG = """
version: 1
listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
workers: 1
http: {{head-timeout: 1s, body-timeout: 1s, keep-alive: 30s}}
services:                          # patient: who expects another fault must not see that a machine is slow
  back: {{at: "{at}", connections: {{idle: 0}}, retry: off, outlier: {{failures: 0}}}}
  hasty:                           # short of patience
    at: "{at}"
    timeout: {{first-byte: 1s, idle: 400ms}}
    connections: {{idle: 0}}
    retry: off
    outlier: {{failures: 0}}
  kept:                            # keeps its connections
    at: "{at}"
    retry: off
    outlier: {{failures: 0}}
  tight: {{at: "{at}", connections: 1, queue: 0, retry: off, outlier: {{failures: 0}}}}
  one: {{at: "{at}", connections: {{max: 1}}, retry: off, outlier: {{failures: 0}}}}
  gone: {{at: "127.0.0.1:{closed}", retry: off, outlier: {{failures: 0}}}}
  full: {{at: "127.0.0.1:{full}", timeout: {{connect: 300ms}}, retry: off, outlier: {{failures: 0}}}}
routes:
  /back/**: back
  /hasty/**: hasty
  /kept/**: kept
  /tight/**: tight
  /one/**: one
  /gone/**: gone
  /full/**: full
"""


def closed_port():
    """A port on which nobody listens, held so that nobody else will: (port, socket)."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder.getsockname()[1], holder


class FullDoor:
    """A listening socket whose queue is full: it neither accepts nor refuses."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.waiting = []
        # The first has the only place: it is there once it is connected.
        self.waiting.append(socket.create_connection(("127.0.0.1", self.port)))
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self.port))
            self.waiting.append(client)

    @property
    def at(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        for client in self.waiting:
            client.close()
        self.listener.close()


class Stage:
    """A gateway, a service whose script each test sets, and the accounts before and after."""

    def __init__(self, folder, config=CONFIG, serve=Upstream.serve, http2=False):
        """`serve`: what the service does when it behaves. `http2`: the clients of the tests speak that."""
        self.stack = contextlib.ExitStack()
        self.serve = serve
        self.service = self.stack.enter_context(Upstream(serve))
        port, holder = closed_port()
        self.stack.callback(holder.close)
        full = FullDoor()
        self.stack.callback(full.close)
        text = config.format(at=self.service.at, closed=port, full=full.port)
        self.gateway = self.stack.enter_context(Gateway(folder, text))
        self.is_http2 = http2
        if http2:
            self.gateway.connect = lambda timeout=PATIENCE: h2_client.Connection(self.gateway.address, timeout)
        self.numbers = itertools.count()
        self.gateway.get("/back/warm-up")
        self.gateway.settle(self.gateway.sockets())
        self.sockets = self.gateway.sockets()

    def service_for(self, reason):
        """Which is to have a fault."""
        return "hasty" if reason.endswith("timeout") else "back"

    def path(self, service):
        return f"/{service}/{next(self.numbers)}"

    def reasons(self, word):
        return self.gateway.metric("weir_http_reasons_total", reason=word)

    def failures(self, service, word):
        return self.gateway.metric("weir_upstream_failures_total", service=service, reason=word)

    def check_served(self, service="back"):
        """Nothing is left of what was before, and the next request is served. A connection whose exchange ended well in
        spite of the fault rests in a pool, and its other end still follows the old script: it is closed."""
        self.service.script = self.serve
        self.service.close_peers()
        path = self.path(service)
        answer = self.gateway.get(path)
        assert answer.body == f"GET {path}".encode(), (answer, self.gateway.log_line(path))

    def check_clean(self):
        self.service.close_peers()
        self.gateway.settle(self.sockets)
        assert not self.service.errors, self.service.errors

    def close(self):
        self.stack.close()


def hear_the_end(peer, timeout=5.0):
    """Waits until the gateway has closed its connection to the service; False when it has not."""
    peer.socket.settimeout(timeout)
    try:
        while peer.socket.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


__all__ = ["Stage", "CONFIG", "FullDoor", "closed_port", "hear_the_end", "wait_for"]
