"""Reloading a file of 10,000 routes under a light load: how long the new snapshot takes, and whether the
requests in flight feel it."""

import json
import os
import re
import signal
import subprocess
import time

from .proxies import Backend, Weir, pinned, program
from .scenarios import SMALL_PATHS

ROUTES = 10000
RELOADS = 5
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

    def messages(self):
        with open(self.path("weir.err")) as file:
            return file.read()


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
            "errors": report["errors"] + report["late"]}


def build_milliseconds(text):
    """The times that Weir's own messages name for a new snapshot, in milliseconds."""
    units = {"ms": 1, "s": 1000, "us": 0.001, "µs": 0.001}
    found = re.findall(r"reload.*?(\d+(?:\.\d+)?) ?(ms|us|µs|s)\b", text)
    return [float(value) * units[unit] for value, unit in found]


def wait_for_reload(proxy, known, seconds=5):
    """Waits until Weir's messages tell of one more reload. Returns how long that took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if len(build_milliseconds(proxy.messages())) > known:
            return (time.monotonic() - begun) * 1000
        time.sleep(0.005)
    raise RuntimeError("Weir did not say that it has reloaded")


def reload_under_load(proxy):
    load = background_load(proxy, RELOADS + 1)
    time.sleep(1)
    waited = []
    for number in range(1, RELOADS + 1):
        known = len(build_milliseconds(proxy.messages()))
        proxy.write_version(number)
        os.kill(proxy.process.pid, signal.SIGHUP)
        waited.append(wait_for_reload(proxy, known))
        time.sleep(0.8)
    return finished(load), waited


def measure_reload(bench, _results):
    if Weir not in bench.kinds:
        return {"title": f"Reload with {ROUTES:,} routes", "proxies": {}}
    backend = Backend(bench.folder, 0, cores=(0, 1)).start()
    proxy = ManyRoutes(bench.folder, backend.port, cores=(0, 1))
    try:
        proxy.start()
        quiet = finished(background_load(proxy, RELOADS + 1))
        begun = len(build_milliseconds(proxy.messages()))
        busy, waited = reload_under_load(proxy)
        builds = build_milliseconds(proxy.messages())[begun:]
    finally:
        proxy.stop()
        backend.stop()
    return {"title": f"Reload with {ROUTES:,} routes",
            "proxies": {"weir": {"quiet": quiet, "reloading": busy, "build_ms": builds,
                                 "waited_ms": waited, "errors": quiet["errors"] + busy["errors"]}}}
