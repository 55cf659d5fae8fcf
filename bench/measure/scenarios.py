"""The scenarios: what is asked of the proxies, and how the answers become figures."""

import json
import statistics
import subprocess
import sys
import time

from . import machine
from .proxies import Backend, Forwarder, pinned, program

SMALL_PATHS = ["/users/7", "/orders/42", "/cart/items"]
SIZES = {"100k": 102400, "1m": 1048576}


class Scenario:
    """A closed or fixed-rate load of one kind of request."""

    load = "load"  # the program

    def __init__(self, name, title, connections, body=None, workers=1, at_rate=False):
        self.name = name
        self.title = title
        self.connections = connections
        self.body = body
        self.workers = workers
        self.at_rate = at_rate

    def load_options(self):
        if self.body is None:
            paths, length = SMALL_PATHS, 128
        else:
            length = SIZES[self.body]
            paths = [f"/files/size/{length}"]
        options = ["--connections", str(self.connections), "--length", str(length)]
        for path in paths:
            options += ["--path", path]
        return options


class TlsScenario(Scenario):
    """Small requests over TLS 1.3 with an ECDSA certificate, on connections that stay or on new ones."""

    load = "load_tls"

    def __init__(self, name, title, connections, mode):
        super().__init__(name, title, connections)
        self.mode = mode

    def load_options(self):
        return ["--connections", str(self.connections), "--mode", self.mode]


SCENARIOS = [
    Scenario("small-64", "Small requests, 64 connections", 64),
    Scenario("small-256", "Small requests, 256 connections", 256),
    Scenario("rate-64", "Small requests at a fixed rate, 64 connections", 64, at_rate=True),
    Scenario("body-100k-16", "100 KB bodies, 16 connections", 16, body="100k"),
    Scenario("body-100k-64", "100 KB bodies, 64 connections", 64, body="100k"),
    Scenario("body-1m-16", "1 MB bodies, 16 connections", 16, body="1m"),
    Scenario("body-1m-64", "1 MB bodies, 64 connections", 64, body="1m"),
    Scenario("workers-64", "Two workers, small requests, 64 connections", 64, workers=2),
    Scenario("workers-256", "Two workers, small requests, 256 connections", 256, workers=2),
    TlsScenario("tls-64", "HTTPS, small requests, 64 connections", 64, "keep-alive"),
    TlsScenario("tls-full-16", "HTTPS, a request on each new connection, full handshakes", 16, "full"),
    TlsScenario("tls-resumed-16", "HTTPS, a request on each new connection, resumed sessions", 16, "resumed"),
]


class Bench:
    """What every scenario of a run shares: the folder, the kinds of proxies, the time for each slice."""

    def __init__(self, folder, kinds, seconds, rounds):
        self.folder = folder
        self.kinds = kinds
        self.seconds = seconds
        self.rounds = rounds

    def general_kinds(self):
        return [kind for kind in self.kinds if kind.is_general]

    def cores(self, workers):
        """(the proxies' cores, everyone else's)."""
        return ((0,), (1,)) if workers == 1 else ((0, 1), (0, 1))


def run_load(proxy, cores, options, seconds, warm_up=0.3, load="load"):
    """One slice: the load generator's own report, as a dict."""
    command = [program(load), "--port", str(proxy.port), "--seconds", str(seconds),
               "--warm-up", str(warm_up)] + options
    for pid in proxy.pids():
        command += ["--watch", str(pid)]
    done = subprocess.run(pinned(cores, command), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"the load on {proxy.name} failed")
    return json.loads(done.stdout)


def slice_figures(report):
    requests = max(report["requests"], 1)
    return {
        "requests_per_second": report["requests"] / report["seconds"],
        "cpu_us": report["cpu_ns"] / requests / 1000,
        "p50_us": report["p50_us"],
        "p99_us": report["p99_us"],
        "p999_us": report["p999_us"],
        "errors": report["errors"],
        "late": report["late"],
    }


def summarise(slices):
    """Median, least and most of each figure over the rounds; what went wrong is added up."""
    result = {key: sum(one[key] for one in slices) for key in ("errors", "late")}
    for key in slices[0]:
        if key not in result:
            values = [one[key] for one in slices]
            result[key] = [statistics.median(values), min(values), max(values)]
    return result


def start_all(bench, scenario, backend):
    proxy_cores, _ = bench.cores(scenario.workers)
    is_tls = isinstance(scenario, TlsScenario)
    return [kind(bench.folder, backend.port, scenario.workers, proxy_cores, scenario.body or "100k", is_tls).start()
            for kind in bench.general_kinds() if not is_tls or kind is not Forwarder]


def fixed_rate(results):
    """40 % of what the slowest can do, so that all have the same work and none is saturated."""
    closed = results.get("small-64", {}).get("proxies", {})
    if not closed:
        return 15000
    slowest = min(one["requests_per_second"][0] for one in closed.values())
    return max(1000, int(slowest * 0.4 / 1000) * 1000)


def slicing(bench, scenario):
    """(rounds, seconds of a slice). At a fixed rate one pause of the machine spoils the p99 of its whole
    slice: more and shorter ones leave the median to those that had none."""
    if not scenario.at_rate:
        return bench.rounds, bench.seconds
    return bench.rounds * 8, max(bench.seconds / 4, 0.25)


def measure(bench, scenario, results):
    """All proxies of a scenario, in interleaved slices, after one round that only warms up."""
    _, other_cores = bench.cores(scenario.workers)
    rounds, slice_seconds = slicing(bench, scenario)
    options = scenario.load_options()
    rate = fixed_rate(results) if scenario.at_rate else None
    if rate:
        options += ["--rate", str(rate)]
    running = [Backend(bench.folder, 0, cores=other_cores).start()]
    try:
        running += start_all(bench, scenario, running[0])
        slices = {proxy.name: [] for proxy in running[1:]}
        for turn in range(rounds + 1):
            for proxy in running[1:]:
                seconds = slice_seconds if turn > 0 else 0.3
                report = run_load(proxy, other_cores, options, seconds, load=scenario.load)
                proxy.empty_log()
                if turn > 0:
                    slices[proxy.name].append(slice_figures(report))
        figures = {name: summarise(of_proxy) for name, of_proxy in slices.items()}
        for proxy in running[1:]:
            figures[proxy.name]["rss_bytes"] = machine.rss_bytes(proxy.pids())
    finally:
        for one in reversed(running):
            one.stop()
    return {"title": scenario.title, "rate": rate, "proxies": figures}


def measure_idle_tls(bench, results, count=10000):
    return measure_idle(bench, results, count, is_tls=True)


def measure_idle(bench, _results, count=10000, is_tls=False):
    """Resident memory for each idle keep-alive connection that has had one request."""
    figures = {}
    for kind in bench.general_kinds():
        if is_tls and kind is Forwarder:
            continue
        backend = Backend(bench.folder, 0, cores=(1,)).start()
        proxy = kind(bench.folder, backend.port, tls=is_tls).start()
        try:
            run_load(proxy, (1,), ["--connections", "16"], 1, load="load_tls" if is_tls else "load")
            time.sleep(0.5)
            figures[kind.name] = idle_figures(proxy, count)
        except RuntimeError as error:
            print(f"idle connections, {kind.name}: {error}", file=sys.stderr)
        finally:
            proxy.stop()
            backend.stop()
    kind = "idle TLS connections" if is_tls else "idle keep-alive connections"
    return {"title": f"{count:,} {kind}", "proxies": figures}


def idle_figures(proxy, count):
    before = machine.rss_bytes(proxy.pids())
    how = [program("load_tls"), "--mode", "idle"] if proxy.tls else [program("load"), "--idle"]
    command = how + ["--port", str(proxy.port), "--connections", str(count)]
    with subprocess.Popen(pinned((1,), command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as load:
        opened = load.stdout.readline()
        time.sleep(1)
        after = machine.rss_bytes(proxy.pids())
        rest, _ = load.communicate("\n")
    if not opened or not rest:
        raise RuntimeError("the load generator could not hold the connections")
    return {"rss_before_bytes": before, "rss_after_bytes": after,
            "bytes_per_connection": (after - before) / count,
            "errors": json.loads(opened)["errors"] + json.loads(rest)["closed_by_proxy"]}
