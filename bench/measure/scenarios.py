"""The scenarios: what is asked of the proxies, and how the answers become figures."""

from . import machine, slices
from .proxies import Backend, Forwarder, program

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
    return slices.run_load(proxy, cores, [program(load), "--port", str(proxy.port), "--seconds", str(seconds),
                                          "--warm-up", str(warm_up)] + options)


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


def start_all(bench, scenario, started):
    """All proxies before the first of what is started."""
    proxy_cores, _ = bench.cores(scenario.workers)
    is_tls = isinstance(scenario, TlsScenario)
    for kind in bench.general_kinds():
        if not is_tls or kind is not Forwarder:
            started.append(kind(bench.folder, started[0].port, scenario.workers, proxy_cores,
                                scenario.body or "100k", is_tls).start())


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
    _, other_cores = bench.cores(scenario.workers)
    rounds, slice_seconds = slicing(bench, scenario)
    options = scenario.load_options()
    rate = fixed_rate(results) if scenario.at_rate else None
    if rate:
        options += ["--rate", str(rate)]

    def load(proxy, seconds):
        return slice_figures(run_load(proxy, other_cores, options, seconds, load=scenario.load))

    with slices.running() as started:
        started.append(Backend(bench.folder, 0, cores=other_cores).start())
        start_all(bench, scenario, started)
        figures = slices.in_turn(started[1:], rounds, slice_seconds, load)
        for proxy in started[1:]:
            figures[proxy.name]["rss_bytes"] = machine.rss_bytes(proxy.pids())
    return {"title": scenario.title, "rate": rate, "proxies": figures}


def measure_idle_tls(bench, results, count=10000):
    return measure_idle(bench, results, count, is_tls=True)


def measure_idle(bench, _results, count=10000, is_tls=False):
    """Resident memory for each idle keep-alive connection that has had one request."""
    load, held = ("load_tls", ["--mode", "idle"]) if is_tls else ("load", ["--idle"])

    def figures_of(proxy):
        run_load(proxy, (1,), ["--connections", "16"], 1, load=load)
        return slices.idle_figures(proxy, [program(load)] + held, count, settle=1)

    kinds = [kind for kind in bench.general_kinds() if not is_tls or kind is not Forwarder]
    figures = slices.each_alone(bench, kinds, Backend, figures_of, "idle connections", tls=is_tls)
    kind = "idle TLS connections" if is_tls else "idle keep-alive connections"
    return {"title": f"{count:,} {kind}", "proxies": figures}
