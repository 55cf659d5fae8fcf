"""WebSockets: messages for each second of processor time, and what idle ones hold."""

import json
import resource
import subprocess
import sys
import time

from . import machine
from .layer4 import summarise
from .proxies import HAProxy, Nginx, Proxy, Weir, pinned, program


class WebSocketWeir(Weir):
    def command(self):
        return self.command_with("weir-websocket.yaml")


class WebSocketNginx(Nginx):
    def command(self):
        return self.command_with("nginx-websocket.conf")


class WebSocketHAProxy(HAProxy):
    def command(self):
        return self.command_with("haproxy-websocket.cfg")


class Service(Proxy):
    """Not measured; it stands behind all of them."""

    name = "websocket"

    def command(self):
        return [program("websocket"), "serve", str(self.port)]


KINDS = {kind.name: kind for kind in (WebSocketWeir, WebSocketNginx, WebSocketHAProxy)}


def kinds_of(bench):
    return [KINDS[kind.name] for kind in bench.kinds if kind.name in KINDS]


def run_load(proxy, seconds):
    """One slice: messages there and back for each second of processor time, and what went wrong."""
    command = [program("websocket"), "load", "--port", str(proxy.port), "--seconds", str(seconds),
               "--warm-up", "0.3"]
    for pid in proxy.pids():
        command += ["--watch", str(pid)]
    done = subprocess.run(pinned((1,), command), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"the load on {proxy.name} failed")
    report = json.loads(done.stdout)
    return {"per_cpu_second": report["units"] / (report["cpu_ns"] / 1e9),
            "per_second": report["units"] / report["seconds"], "errors": report["errors"]}


def measure_echo(bench, _results):
    """All proxies in interleaved slices, after one round that only warms up."""
    running = [Service(bench.folder, 0, cores=(1,)).start()]
    slices = {}
    try:
        running += [kind(bench.folder, running[0].port).start() for kind in kinds_of(bench)]
        for turn in range(bench.rounds + 1):
            for proxy in running[1:]:
                one = run_load(proxy, bench.seconds if turn > 0 else 0.3)
                if turn > 0:
                    slices.setdefault(proxy.name, []).append(one)
    finally:
        for one in reversed(running):
            one.stop()
    return {"title": "WebSocket: messages of 128 bytes there and back, 64 connections", "unit": "messages",
            "proxies": {name: summarise(of_proxy) for name, of_proxy in slices.items()}}


def idle_command(proxy, count):
    how = [program("load_tls"), "--mode", "websocket"] if proxy.tls else [program("websocket"), "load", "--idle"]
    return how + ["--port", str(proxy.port), "--connections", str(count)]


def hold(proxy, count, settle):
    """Opens that many WebSockets; the resident memory with them, and what went wrong."""
    with subprocess.Popen(pinned((1,), idle_command(proxy, count)), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as load:
        opened = load.stdout.readline()
        time.sleep(settle)
        resident = machine.rss_bytes(proxy.pids())
        rest, _ = load.communicate("\n")
    if not opened or not rest:
        raise RuntimeError("the load generator could not hold the WebSockets")
    return resident, json.loads(opened)["errors"] + json.loads(rest)["closed_by_proxy"]


def idle_figures(proxy, count):
    hold(proxy, 16, 0.5)
    time.sleep(0.5)
    before = machine.rss_bytes(proxy.pids())
    after, errors = hold(proxy, count, 4)
    return {"rss_before_bytes": before, "rss_after_bytes": after,
            "bytes_per_connection": (after - before) / count, "errors": errors}


def how_many():
    """10,000, or what the descriptors are enough for: each takes two of the proxy's."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(10000, (limit - 200) // 2)


def measure_idle(bench, _results, is_tls=False):
    """Resident memory for each WebSocket, both of its connections included, that has passed one message
    both ways and then rests."""
    figures, count = {}, how_many()
    for kind in kinds_of(bench):
        service = Service(bench.folder, 0, cores=(1,)).start()
        proxy = kind(bench.folder, service.port, tls=is_tls).start()
        try:
            figures[kind.name] = idle_figures(proxy, count)
        except RuntimeError as error:
            print(f"idle WebSockets, {kind.name}: {error}", file=sys.stderr)
        finally:
            proxy.stop()
            service.stop()
    how = " over TLS" if is_tls else ""
    return {"title": f"{count:,} idle WebSockets{how}", "proxies": figures}


def measure_idle_tls(bench, results):
    return measure_idle(bench, results, is_tls=True)


STEPS = [("ws-echo", measure_echo), ("ws-idle", measure_idle), ("ws-idle-tls", measure_idle_tls)]
