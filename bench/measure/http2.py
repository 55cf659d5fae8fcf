"""HTTP/2 over TLS to a service that speaks HTTP/1.1, and calls of gRPC, which is HTTP/2 on both sides."""

import os
import re
import shutil
import subprocess
import time

from . import machine, scenarios, slices
from .proxies import H2O, Backend, HAProxy, Nginx, Weir, pinned, program

CONNECTIONS, STREAMS = 16, 32


class Http2Nginx(Nginx):
    def tls_values(self, pair):
        return {**super().tls_values(pair), "LISTEN": "ssl http2"}


class Http2HAProxy(HAProxy):
    def tls_values(self, pair):
        return {"TLS": f"ssl crt {pair} alpn h2,http/1.1"}


class GrpcWeir(Weir):
    def command(self):
        return self.command_with("weir-grpc.yaml")


class GrpcNginx(Nginx):
    def command(self):
        return self.command_with("nginx-grpc.conf")


class GrpcHAProxy(HAProxy):
    def command(self):
        return self.command_with("haproxy-grpc.cfg")


class GrpcBackend(Backend):
    def command(self):
        return [program("backend_grpc"), str(self.port)]


def percentile(values, share):
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0


class Http2Scenario:
    """Requests of HTTP/2, 32 under way on each of 16 connections."""

    def __init__(self, name, title, kinds, backend):
        self.name = name
        self.title = title
        self.kinds = {kind.name: kind for kind in kinds}
        self.backend = backend

    def load(self, proxy, seconds):
        raise NotImplementedError

    def __call__(self, bench, _results):
        with slices.running() as started:
            started.append(self.backend(bench.folder, 0, cores=(1,)).start())
            for name in (kind.name for kind in bench.kinds if kind.name in self.kinds):
                started.append(self.kinds[name](bench.folder, started[0].port, tls=True).start())
            figures = slices.in_turn(started[1:], bench.rounds, bench.seconds,
                                     lambda *how: scenarios.slice_figures(self.load(*how)))
            for proxy in started[1:]:
                figures[proxy.name]["rss_bytes"] = machine.rss_bytes(proxy.pids())
        return {"title": self.title, "proxies": figures}


class GrpcScenario(Http2Scenario):
    def load(self, proxy, seconds):
        return scenarios.run_load(proxy, (1,), ["--connections", str(CONNECTIONS), "--calls", str(STREAMS)],
                                  seconds, load="load_grpc")


class H2loadScenario(Http2Scenario):
    """h2load knows nothing of the proxy's processor time: it gets a number of requests, and all that the proxy
    uses from before it starts until after it has ended counts, the 16 handshakes with it."""

    rates = {}  # requests/s that each proxy was last capable of

    def load(self, proxy, seconds):
        count = int(self.rates.get(proxy.name, 10000) * seconds) // 1000 * 1000 + 1000
        log = proxy.path("h2load.log")
        command = ["h2load", "-n", str(count), "-c", str(CONNECTIONS), "-m", str(STREAMS), "--log-file", log]
        command += [f"https://127.0.0.1:{proxy.port}{path}" for path in scenarios.SMALL_PATHS]
        before, began = machine.cpu_ns(proxy.pids()), time.monotonic()
        done = subprocess.run(pinned((1,), command), stdout=subprocess.PIPE, text=True)
        took, cpu = time.monotonic() - began, machine.cpu_ns(proxy.pids()) - before
        found = re.search(r"status codes: (\d+) 2xx", done.stdout)
        if done.returncode != 0 or not found or not int(found.group(1)):
            raise RuntimeError(f"the load on {proxy.name} failed")
        good = int(found.group(1))
        self.rates[proxy.name] = good / took
        with open(log) as file:
            times = sorted(int(line.split("\t")[2]) for line in file)
        os.unlink(log)
        return {"requests": good, "errors": count - good, "late": 0, "seconds": took, "cpu_ns": cpu,
                "p50_us": percentile(times, 0.5), "p99_us": percentile(times, 0.99),
                "p999_us": percentile(times, 0.999)}

    def __call__(self, bench, results):
        if not shutil.which("h2load"):
            raise RuntimeError("h2load is not there (Debian's nghttp2-client)")
        return super().__call__(bench, results)


STEPS = [(step.name, step) for step in (
    H2loadScenario("h2-tls", "HTTP/2 over TLS, 16 connections, 32 requests under way on each",
                   (Weir, Http2Nginx, Http2HAProxy, H2O), Backend),
    GrpcScenario("grpc-unary", "gRPC in clear, 16 connections, 32 unary calls under way on each",
                 (GrpcWeir, GrpcNginx, GrpcHAProxy), GrpcBackend),
)]
