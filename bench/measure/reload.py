"""Reloading a file of 10,000 routes under a light load: how long the new snapshot takes, and whether the
requests in flight feel it."""

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import time

from .proxies import Backend, Weir, pinned, program
from .scenarios import SMALL_PATHS

ROUTES = 10000
PAIRS = 7
RELOADS = 3
RATE = 1000


class ManyRoutes(Weir):
    """Weir with a file of 10,000 routes; each version of it differs in one route."""

    def configure(self, template):
        path = super().configure(template)
        self.config = path
        with open(path) as file:
            self.head = file.read()
        self.write_version(0)
        return path

    def write_version(self, number):
        """Puts the new file in place by rename, as an editor or a deployment does."""
        lines = [f'  "GET /api/v{index % 10}/resource{index}/{{id:int}}/part": back\n'
                 for index in range(ROUTES)]
        with open(self.config + ".new", "w") as file:
            file.write(self.head + "".join(lines) + f'  "/version{number}": back\n')
        os.rename(self.config + ".new", self.config)

    def reloads(self):
        """How often Weir has said that it has reloaded."""
        with open(self.path("weir.err")) as file:
            return file.read().count("weir: reloaded\n")


def background_load(proxy, seconds):
    command = [program("load"), "--port", str(proxy.port), "--connections", "16", "--rate", str(RATE),
               "--seconds", str(seconds), "--warm-up", "0.5"]
    for path in SMALL_PATHS:
        command += ["--path", path]
    return subprocess.Popen(pinned((0, 1), command), stdout=subprocess.PIPE, text=True)


def finished(load):
    out, _ = load.communicate()
    report = json.loads(out)
    return {"p99_us": report["p99_us"], "p999_us": report["p999_us"], "max_us": report["max_us"],
            "errors": report["errors"], "late": report["late"]}


def build_milliseconds(metrics):
    """How long the present snapshot took, from Weir's metrics."""
    found = re.search(r"^weir_config_build_seconds(?:{[^}]*})? ([0-9.e+-]+)$", metrics, re.MULTILINE)
    if not found:
        raise RuntimeError("Weir does not say how long its snapshot took")
    return float(found.group(1)) * 1000


def read_metrics(proxy):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(proxy.control())
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n")
        parts = []
        for part in iter(lambda: sock.recv(65536), b""):
            parts.append(part)
    return b"".join(parts).decode()


def wait_for_reload(proxy, known, seconds=5):
    """Waits until Weir tells of one more reload. Returns the milliseconds that it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if proxy.reloads() > known:
            return (time.monotonic() - begun) * 1000
        time.sleep(0.005)
    raise RuntimeError("Weir did not say that it has reloaded")


def reload_under_load(proxy, before):
    load = background_load(proxy, RELOADS + 1)
    time.sleep(1)
    waited, builds = [], []
    for number in range(before + 1, before + RELOADS + 1):
        known = proxy.reloads()
        proxy.write_version(number)
        os.kill(proxy.process.pid, signal.SIGHUP)
        waited.append(wait_for_reload(proxy, known))
        time.sleep(0.8)
        builds.append(build_milliseconds(read_metrics(proxy)))
    return finished(load), waited, builds


def measure_pairs(proxy):
    """A quiet load and one with reloads, in turn."""
    figures = {"quiet": [], "reloading": [], "build_ms": [], "waited_ms": []}
    for pair in range(PAIRS):
        figures["quiet"].append(finished(background_load(proxy, RELOADS + 1)))
        busy, waited, builds = reload_under_load(proxy, pair * RELOADS)
        figures["reloading"].append(busy)
        figures["waited_ms"] += waited
        figures["build_ms"] += builds
    for key in ("errors", "late"):
        figures[key] = sum(one[key] for one in figures["quiet"] + figures["reloading"])
    return figures


def typical(loads, key):
    """(median, least, most) of one figure of several loads."""
    values = [one[key] for one in loads]
    return statistics.median(values), min(values), max(values)


def measure_reload(bench, _results):
    if Weir not in bench.kinds:
        return {"title": f"Reload with {ROUTES:,} routes", "proxies": {}}
    backend = Backend(bench.folder, 0, cores=(0, 1)).start()
    proxy = ManyRoutes(bench.folder, backend.port, cores=(0, 1))
    try:
        proxy.start()
        figures = measure_pairs(proxy)
    finally:
        proxy.stop()
        backend.stop()
    return {"title": f"Reload with {ROUTES:,} routes", "proxies": {"weir": figures}}
