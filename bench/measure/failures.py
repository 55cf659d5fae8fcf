"""Four backends, of which one turns slow and another dies and returns, under a steady load."""

import json
import signal
import subprocess
import time

from . import slices
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
    return subprocess.Popen(pinned((1,), slices.watching(command, proxy)), stdout=subprocess.PIPE, text=True)


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
    with slices.running() as started:
        backends = [Backend(folder, 0, cores=(1,)) for _ in range(4)]
        for backend in backends:
            started.append(backend.start())
        started.append(kind(folder, backends).start())
        load, began = start_load(started[-1]), time.monotonic()
        let_backends_fail(backends, began)
        printed, _ = load.communicate(timeout=30)
        if load.returncode != 0 or not printed:
            raise RuntimeError(f"the load on {kind.name} failed")
        return slice_figures(json.loads(printed))


def summarise(trials):
    """The figures of the trials, and the failed requests of each."""
    return {"failed": [one["errors"] for one in trials], **slices.summarise(trials)}


def measure(bench, _results):
    """Each proxy in turn, alone, TRIALS times."""
    names = {kind.name for kind in bench.kinds}
    trials = {kind.name: [] for kind in KINDS if kind.name in names}
    for _ in range(TRIALS):
        for kind in KINDS:
            if kind.name in names:
                trials[kind.name].append(run_trial(kind, bench.folder))
    return {"title": TITLE, "proxies": {name: summarise(of_proxy) for name, of_proxy in trials.items()}}
