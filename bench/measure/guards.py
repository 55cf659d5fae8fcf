"""What guards cost: Weir with least-requests, checks, ejections, retries with their budget and breakers, against itself
with plain turns and nothing of it."""

from . import slices
from .proxies import Everywhere, Weir
from .scenarios import SCENARIOS, run_load, slice_figures

TITLE = "With all guards against plain turns, 64 connections"
ALL = "\n    ".join([
    "balance: least-requests", "health: GET /healthz every 5s", "retry: 2 if connect-error|reset|5xx",
    "outlier: {failures: 5, failure-share: 85%}", "breaker: open 10s if 50% of 20 fail"])
NONE = "\n    ".join(["balance: round-robin", "retry: off", "outlier: {failures: 0, deviation: 0, latency: 0}"])


class Guarded(Weir):
    guards = ALL

    def tls_values(self, pair):
        return {"GUARDS": self.guards}

    def command(self):
        return self.command_with("weir-guards.yaml")


class Plain(Guarded):
    name = "weir, plain"
    guards = NONE


def measure(bench, _results):
    if Weir not in bench.kinds:
        return {"title": TITLE, "proxies": {}}
    options = SCENARIOS[0].load_options()

    def load(proxy, seconds):
        return slice_figures(run_load(proxy, (1,), options, seconds))

    with slices.running() as started:
        started.append(Everywhere(bench.folder, 0, cores=(1,)).start())
        started += [kind(bench.folder, started[0].port).start() for kind in (Guarded, Plain)]
        return {"title": TITLE, "proxies": slices.in_turn(started[1:], bench.rounds, bench.seconds, load)}
