"""Ten thousand endpoints in a thousand services, all of them checked every ten seconds: what Weir needs for it.

The endpoints are addresses of 127.0.0.0/8 with the port of one backend, which listens on all of them."""

import os
import time

from . import machine
from .proxies import Everywhere, Weir
from .reload import read_metrics

SERVICES = 1000
EACH = 10
EVERY = 10  # seconds between two checks of an endpoint
ROUNDS = 3


def address(number):
    """The address of an endpoint, from 127.1.0.0 on."""
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def services(port):
    """The lines under `services:`."""
    lines = []
    for service in range(SERVICES):
        at = ", ".join(f'"{address(service * EACH + i)}:{port}"' for i in range(EACH))
        lines.append(f"  service-{service}: {{at: [{at}], health: {{path: /healthz, every: {EVERY}s, idle: {EVERY}s}}}}\n")
    return "".join(lines)


class ManyEndpoints(Weir):
    """Weir with a route and ten endpoints for each service."""

    def command(self):
        return self.command_with("weir-scale.yaml")

    def tls_values(self, pair):
        routes = "".join(f'  "/service-{service}/**": service-{service}\n' for service in range(SERVICES))
        return {"SERVICES": services(self.backend_port).rstrip("\n"), "ROUTES": routes.rstrip("\n")}


def checks_made(metrics):
    """(good, bad) checks so far, of all endpoints."""
    counts = {"good": 0, "bad": 0}
    for line in metrics.splitlines():
        if line.startswith("weir_endpoint_checks_total{"):
            labels, value = line.rsplit(" ", 1)
            counts["good" if 'result="good"' in labels else "bad"] += int(value)
    return counts["good"], counts["bad"]


def measure_round(proxy):
    """The share of a core and the resident memory of one interval, in which every endpoint is due once."""
    before, began = machine.cpu_ns(proxy.pids()), time.monotonic()
    time.sleep(EVERY)
    used = machine.cpu_ns(proxy.pids()) - before
    return {"core_share": used / 1e9 / (time.monotonic() - began), "rss_bytes": machine.rss_bytes(proxy.pids())}


def measure_checks(proxy):
    """Rounds after the first, in which everybody is new."""
    time.sleep(EVERY)
    good, _ = checks_made(read_metrics(proxy))
    began = time.monotonic()
    rounds = [measure_round(proxy) for _ in range(ROUNDS)]
    seconds = time.monotonic() - began
    now_good, bad = checks_made(read_metrics(proxy))
    if bad >= now_good:
        raise RuntimeError(f"of {now_good + bad} checks {bad} failed: the endpoints are not there")
    return {"core_share": [one["core_share"] for one in rounds], "rss_bytes": max(one["rss_bytes"] for one in rounds),
            "checks_per_second": (now_good - good) / seconds, "bad": bad,
            "descriptors": len(os.listdir(f"/proc/{proxy.process.pid}/fd"))}


def measure(bench, _results):
    title = f"{SERVICES * EACH:,} endpoints in {SERVICES:,} services, each checked every {EVERY} s"
    if Weir not in bench.kinds:
        return {"title": title, "proxies": {}}
    backend = Everywhere(bench.folder, 0, cores=(1,)).start()
    proxy = ManyEndpoints(bench.folder, backend.port)
    try:
        proxy.start()
        figures = measure_checks(proxy)
    finally:
        proxy.stop()
        backend.stop()
    return {"title": title, "proxies": {"weir": figures}}
