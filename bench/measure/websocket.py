"""WebSockets: messages for each second of processor time, and what idle ones hold."""

from . import machine, slices
from .proxies import HAProxy, Nginx, Proxy, Weir, program


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
    report = slices.run_load(proxy, (1,), command)
    return {"per_cpu_second": report["units"] / (report["cpu_ns"] / 1e9),
            "per_second": report["units"] / report["seconds"], "errors": report["errors"]}


def measure_echo(bench, _results):
    with slices.running() as started:
        started.append(Service(bench.folder, 0, cores=(1,)).start())
        for kind in kinds_of(bench):
            started.append(kind(bench.folder, started[0].port).start())
        figures = slices.in_turn(started[1:], bench.rounds, bench.seconds, run_load)
    return {"title": "WebSocket: messages of 128 bytes there and back, 64 connections", "unit": "messages",
            "proxies": figures}


def measure_idle(bench, _results, is_tls=False):
    """Resident memory for each WebSocket, both of its connections included, that has passed one message
    both ways and then rests."""
    count = machine.connections_to_hold()
    command = [program("load_tls"), "--mode", "websocket"] if is_tls else [program("websocket"), "load", "--idle"]
    figures = slices.each_alone(bench, kinds_of(bench), Service,
                                lambda proxy: slices.warmed_idle_figures(proxy, command, count),
                                "idle WebSockets", tls=is_tls)
    how = " over TLS" if is_tls else ""
    return {"title": f"{count:,} idle WebSockets{how}", "proxies": figures}


def measure_idle_tls(bench, results):
    return measure_idle(bench, results, is_tls=True)


STEPS = [("ws-echo", measure_echo), ("ws-idle", measure_idle), ("ws-idle-tls", measure_idle_tls)]
