"""Layer 4: bytes, connections and datagrams for each second of processor time."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time

from . import machine
from .proxies import HAProxy, Nginx, Proxy, Weir, pinned, program

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
        for pid in proxy.pids():
            command += ["--watch", str(pid)]
        done = subprocess.run(pinned((1,), command), stdout=subprocess.PIPE, text=True)
        if done.returncode != 0 or not done.stdout:
            raise RuntimeError(f"the load on {proxy.name} failed")
        report = json.loads(done.stdout)
        units = report["units"] / self.size
        return {"per_cpu_second": units / (report["cpu_ns"] / 1e9), "per_second": units / report["seconds"],
                "errors": report["errors"]}

    def __call__(self, bench, _results):
        """All proxies in interleaved slices, after one round that only warms up."""
        names = [kind.name for kind in bench.kinds if kind.name == "weir" or kind.name in self.peers]
        running = [Service(bench.folder, 0, cores=(1,)).start()]
        slices = {}
        try:
            for name in names:
                if KINDS[name].is_installed():
                    running.append(KINDS[name](bench.folder, running[0].port).start())
                else:
                    print(f"{name} cannot do {self.name} here: left out", file=sys.stderr)
            for turn in range(bench.rounds + 1):
                for proxy in running[1:]:
                    one = self.load(proxy, bench.seconds if turn > 0 else 0.3)
                    proxy.empty_log()
                    if turn > 0:
                        slices.setdefault(proxy.name, []).append(one)
        finally:
            for one in reversed(running):
                one.stop()
        return {"title": self.title, "unit": self.unit,
                "proxies": {name: summarise(of_proxy) for name, of_proxy in slices.items()}}


def summarise(slices):
    """Median, least and most over the rounds; errors are added up."""
    result = {"errors": sum(one["errors"] for one in slices)}
    for key in ("per_cpu_second", "per_second"):
        values = [one[key] for one in slices]
        result[key] = [statistics.median(values), min(values), max(values)]
    return result


def hold(proxy, count, settle):
    """Opens that many connections, each of which passes a piece both ways; the resident memory with them, and what
    went wrong."""
    command = [program("layer4"), "load", "--port", str(proxy.port), "--kind", "idle", "--connections", str(count)]
    with subprocess.Popen(pinned((1,), command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        opened = load.stdout.readline()
        time.sleep(settle)
        resident = machine.rss_bytes(proxy.pids())
        rest, _ = load.communicate("\n")
    if not opened or not rest:
        raise RuntimeError("the load generator could not hold the connections")
    return resident, json.loads(opened)["errors"] + json.loads(rest)["closed_by_proxy"]


def idle_figures(proxy, count):
    hold(proxy, 16, 0.5)
    time.sleep(0.5)
    before = machine.rss_bytes(proxy.pids())
    after, errors = hold(proxy, count, 4)
    return {"rss_before_bytes": before, "rss_after_bytes": after,
            "bytes_per_connection": (after - before) / count, "errors": errors}


def measure_idle(bench, _results):
    """Resident memory for each connection, that to the service included, which has passed a piece both ways and
    then rests. Each takes two of the proxy's descriptors."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    figures, count = {}, min(10000, (limit - 200) // 2)
    for kind in (KINDS[kind.name] for kind in bench.kinds if kind.name in KINDS):
        if not kind.is_installed():
            continue
        service = Service(bench.folder, 0, cores=(1,)).start()
        proxy = kind(bench.folder, service.port).start()
        try:
            figures[kind.name] = idle_figures(proxy, count)
        except RuntimeError as error:
            print(f"idle TCP connections, {kind.name}: {error}", file=sys.stderr)
        finally:
            proxy.stop()
            service.stop()
    return {"title": f"{count:,} idle TCP connections", "proxies": figures}


STEPS = [(step.name, step) for step in (
    Layer4Scenario("tcp-stream", "TCP: 16 streams", "stream", 16, "MiB", 2**20, ("haproxy",)),
    Layer4Scenario("tcp-connect", "TCP: connections of one question and answer, 64 at a time", "connect", 64,
                   "connections", 1, ("haproxy",)),
    Layer4Scenario("udp", "UDP: datagrams there and back, 64 ports", "datagram", 64, "datagrams", 1, ("nginx",)),
)] + [("idle-tcp", measure_idle)]
