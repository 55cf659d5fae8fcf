"""Layer 4: bytes, connections and datagrams for each second of processor time."""

import os
import sys

from . import machine, slices
from .proxies import HAProxy, Nginx, Proxy, Weir, program

STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"


class Layer4Weir(Weir):
    def command(self):
        return self.command_with("weir-layer4.yaml")


class Layer4HAProxy(HAProxy):
    def command(self):
        return self.command_with("haproxy-layer4.cfg")


class Layer4Nginx(Nginx):
    @classmethod
    def is_installed(cls):
        return super().is_installed() and os.path.exists(STREAM_MODULE)

    def command(self):
        return self.command_with("nginx-layer4.conf")


class Service(Proxy):
    """Not measured; it stands behind all of them."""

    name = "layer4"

    def command(self):
        return [program("layer4"), "serve", str(self.port)]


KINDS = {kind.name: kind for kind in (Layer4Weir, Layer4Nginx, Layer4HAProxy)}


class Layer4Scenario:
    """One kind of load, and what of it is counted in one unit of the report."""

    def __init__(self, name, title, kind, connections, unit, size, peers):
        self.name = name
        self.title = title
        self.kind = kind
        self.connections = connections
        self.unit = unit
        self.size = size
        self.peers = peers

    def load(self, proxy, seconds):
        """One slice: units for each second of processor time, and what went wrong."""
        command = [program("layer4"), "load", "--port", str(proxy.port), "--kind", self.kind,
                   "--connections", str(self.connections), "--seconds", str(seconds), "--warm-up", "0.3"]
        report = slices.run_load(proxy, (1,), command)
        units = report["units"] / self.size
        return {"per_cpu_second": units / (report["cpu_ns"] / 1e9), "per_second": units / report["seconds"],
                "errors": report["errors"]}

    def __call__(self, bench, _results):
        names = [kind.name for kind in bench.kinds if kind.name == "weir" or kind.name in self.peers]
        with slices.running() as started:
            started.append(Service(bench.folder, 0, cores=(1,)).start())
            for name in names:
                if KINDS[name].is_installed():
                    started.append(KINDS[name](bench.folder, started[0].port).start())
                else:
                    print(f"{name} cannot do {self.name} here: left out", file=sys.stderr)
            figures = slices.in_turn(started[1:], bench.rounds, bench.seconds, self.load)
        return {"title": self.title, "unit": self.unit, "proxies": figures}


def measure_idle(bench, _results):
    """Resident memory for each connection, that to the service included, which has passed a piece both ways and
    then rests."""
    count = machine.connections_to_hold()
    kinds = [KINDS[kind.name] for kind in bench.kinds if kind.name in KINDS]
    command = [program("layer4"), "load", "--kind", "idle"]
    figures = slices.each_alone(bench, [kind for kind in kinds if kind.is_installed()], Service,
                                lambda proxy: slices.warmed_idle_figures(proxy, command, count), "idle TCP connections")
    return {"title": f"{count:,} idle TCP connections", "proxies": figures}


STEPS = [(step.name, step) for step in (
    Layer4Scenario("tcp-stream", "TCP: 16 streams", "stream", 16, "MiB", 2**20, ("haproxy",)),
    Layer4Scenario("tcp-connect", "TCP: connections of one question and answer, 64 at a time", "connect", 64,
                   "connections", 1, ("haproxy",)),
    Layer4Scenario("udp", "UDP: datagrams there and back, 64 ports", "datagram", 64, "datagrams", 1, ("nginx",)),
)] + [("idle-tcp", measure_idle)]
