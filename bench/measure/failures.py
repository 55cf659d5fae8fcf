"""Four backends, of which one turns slow and another dies and returns, under a steady load."""

import json
import signal
import statistics
import subprocess
import time

from . import machine
from .proxies import Backend, HAProxy, Nginx, Proxy, Weir, pinned, program
from .scenarios import slice_figures

TITLE = "Four backends: one turns slow (200 ms), one dies and returns"
RATE = 3000  # requests a second, on so many connections that slow answers hold up nobody else:
CONNECTIONS = 512
SECONDS = 6
ILL_AT, DEAD_AT, BACK_AT = 1.0, 2.5, 4.5  # seconds after the measurement begins
WARM_UP = 0.5
TRIALS = 3


class InFrontOfFour(Proxy):
    """A proxy whose template names four backends."""

    template = ""

    def __init__(self, folder, backends):
        super().__init__(folder, 0)
        self.backends = backends

    def tls_values(self, pair):
        return {name: one.port for name, one in zip(("ONE", "TWO", "THREE", "FOUR"), self.backends)}

    def command(self):
        return self.command_with(self.template)


class FailuresWeir(InFrontOfFour, Weir):
    template = "weir-failures.yaml"


class FailuresNginx(InFrontOfFour, Nginx):
    template = "nginx-failures.conf"


class FailuresHAProxy(InFrontOfFour, HAProxy):
    template = "haproxy-failures.cfg"


KINDS = (FailuresWeir, FailuresNginx, FailuresHAProxy)


def start_load(proxy):
    command = [program("load"), "--port", str(proxy.port), "--seconds", str(SECONDS), "--warm-up", str(WARM_UP),
               "--rate", str(RATE), "--connections", str(CONNECTIONS)]
    for pid in proxy.pids():
        command += ["--watch", str(pid)]
    return subprocess.Popen(pinned((1,), command), stdout=subprocess.PIPE, text=True)


def let_backends_fail(backends, began):
    """What happens while the load runs, each at its moment."""
    def wait_until(moment):
        time.sleep(max(0, began + WARM_UP + moment - time.monotonic()))

    wait_until(ILL_AT)
    backends[0].process.send_signal(signal.SIGUSR1)
    wait_until(DEAD_AT)
    backends[1].process.kill()
    backends[1].process.wait()
    wait_until(BACK_AT)
    backends[1].start()


def run_trial(kind, folder):
    """One proxy before four fresh backends: the load's figures."""
    running = []
    try:
        backends = [Backend(folder, 0, cores=(1,)) for _ in range(4)]
        for backend in backends:
            running.append(backend.start())
        running.append(kind(folder, backends).start())
        load, began = start_load(running[-1]), time.monotonic()
        let_backends_fail(backends, began)
        printed, _ = load.communicate(timeout=30)
        if load.returncode != 0 or not printed:
            raise RuntimeError(f"the load on {kind.name} failed")
        return slice_figures(json.loads(printed))
    finally:
        for one in reversed(running):
            one.stop()


def summarise(trials):
    """Of the trials: failed requests of each, and the median, least and most of the rest."""
    result = {"failed": [one["errors"] for one in trials], "errors": sum(one["errors"] for one in trials)}
    for key in ("p50_us", "p99_us", "p999_us", "cpu_us"):
        values = [one[key] for one in trials]
        result[key] = [statistics.median(values), min(values), max(values)]
    return result


def measure(bench, _results):
    """Each proxy in turn, alone, TRIALS times."""
    names = {kind.name for kind in bench.kinds}
    trials = {kind.name: [] for kind in KINDS if kind.name in names}
    for _ in range(TRIALS):
        for kind in KINDS:
            if kind.name in names:
                trials[kind.name].append(run_trial(kind, bench.folder))
    return {"title": TITLE, "proxies": {name: summarise(of_proxy) for name, of_proxy in trials.items()}}
