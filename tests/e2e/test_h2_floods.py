"""Floods by HTTP/2 while others are served by the same worker: none of their requests fails, they wait little longer than
they do in peace, memory stays bounded, and each flood is counted."""

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import threading

import hpack
import pytest

from gateway import SANITIZED, Gateway, wait_for
from h2_client import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, PRIORITY, REQUEST, RST_STREAM,
                       SETTINGS, WINDOW_UPDATE, frame)

CONFIG = """
version: 1
listen: {http: {address: "127.0.0.1:0", http2: true}}
workers: 1
http: {head-timeout: 2s, body-timeout: 2s, http2: {stalls: 50/min}}
log: {to: /dev/null}
routes:
  /a: {respond: {status: 200, body: hello}}
  /large: {respond: {status: 200, body: "%s"}}
""" % ("z" * 60000)

REQUESTS = 3000
ATTACKERS, CONNECTIONS, STREAMS = 3, 20, 128  # connections of those attackers that hold some
MEMORY = ATTACKERS * CONNECTIONS * STREAMS * (24 << 10)  # bytes more than in peace, generously, for all that is held

pytestmark = pytest.mark.skipif(not shutil.which("h2load"), reason="needs h2load")


def streams(encoder, path="/a", method="GET", count=2000):
    fields = [(":method", method), REQUEST[1], (":path", path), REQUEST[3]]
    for i in range(count):
        yield 2 * i + 1, encoder.encode(fields)


def rapid_reset():
    return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, head) +
                    frame(RST_STREAM, 0, stream, struct.pack("!I", 8)) for stream, head in streams(hpack.Encoder()))


def made_you_reset():
    return b"".join(frame(HEADERS, END_HEADERS, stream, head) +
                    frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", 0x7fffffff))
                    for stream, head in streams(hpack.Encoder(), method="PUT"))


def continuations():
    head = hpack.Encoder().encode(REQUEST)
    return frame(HEADERS, END_STREAM, 1, head) + frame(CONTINUATION, 0, 1, b"\0\1x\1y" * 100) * 5000


def empty_frames():
    (stream, head), = streams(hpack.Encoder(), method="PUT", count=1)
    return frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, 0, stream) * 20000


def bombs():
    encoder, parts = hpack.Encoder(), []
    for i in range(100):
        head = encoder.encode([*REQUEST, ("x-bomb", "y" * 3000)], huffman=False)
        parts.append(frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1,
                           head + encoder.encode([("x-bomb", "y" * 3000)]) * 12000))
    return b"".join(parts)


AT_ONCE = {  # kind: all that one connection says
    "rapid reset": ("resets", rapid_reset),
    "made you reset": ("resets", made_you_reset),
    "continuation": ("continuations", continuations),
    "settings": ("settings", lambda: frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 65535)) * 20000),
    "ping": ("pings", lambda: frame(PING, 0, 0, b"12345678") * 20000),
    "empty frames": ("empty-frames", empty_frames),
    "unknown frames": ("empty-frames", lambda: frame(0xbe, 0, 0) * 20000),
    "window updates": ("window-updates", lambda: frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1)) * 20000),
    "priorities": ("priorities", lambda: frame(PRIORITY, 0, 1, struct.pack("!IB", 3, 1)) * 20000),
    "hpack bombs": ("large-heads", bombs),
}


def stall(address, ends):
    """As many answers as there may be, of which nothing is ever taken."""
    heads = b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, head)
                     for stream, head in streams(hpack.Encoder(), "/large", count=STREAMS))
    hold(address, [PREFACE + frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 0)) + heads], ends)


def trickle(address, ends):
    """Heads of which a byte comes now and then."""
    head = hpack.Encoder().encode([*REQUEST, ("x-long", "y" * 300)], huffman=False)
    whole = PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, head)
    hold(address, [whole[:60], *(whole[i:i + 1] for i in range(60, 160))], ends)


def take_nothing(address, ends):
    """Windows are wide, but nobody reads what comes."""
    heads = b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, head)
                     for stream, head in streams(hpack.Encoder(), "/large", count=STREAMS))
    wide = frame(SETTINGS, 0, 0, struct.pack("!HI", 4, 0x7fffffff)) + \
        frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 0x7ffe0000))
    hold(address, [PREFACE + wide + heads], ends)


def hold(address, parts, ends):
    """Many connections say these parts slowly, and stay."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(CONNECTIONS):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            clients.append(client)
        for part in parts:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(part)
            if ends.wait(0.05):
                return
        ends.wait(60)


# kind, what is held, and how much of it there is before others are served
SLOWLY = {"stalls": ("stalls", stall, "weir_http2_streams", 500),
          "slow heads": ("slow-heads", trickle, "weir_http2_connections", 20),
          "takes nothing": ("stalls", take_nothing, "weir_http2_streams", 500)}


def pour(address, data, ends):
    """Says all of it on one connection after another, and hears nothing."""
    while not ends.is_set():
        with contextlib.suppress(OSError), socket.create_connection(address, 5) as client:
            client.sendall(PREFACE + frame(SETTINGS, 0, 0) + data)
            while client.recv(1 << 16):
                pass


def hit_and_run(address, data, ends):
    """Says as much as goes at once, and comes again without waiting for what becomes of that."""
    said = PREFACE + frame(SETTINGS, 0, 0) + data
    while not ends.is_set():
        with contextlib.suppress(OSError), socket.create_connection(address, 5) as client:
            client.setblocking(False)
            client.send(said)


def keep(address, attack, ends):
    """Comes again with all that it holds as soon as the gateway, or it, has had enough."""
    while not ends.is_set():
        with contextlib.suppress(OSError):
            attack(address, Patience(ends, 1.5))


class Patience:
    """An event that is waited for by one who has not much of it."""

    def __init__(self, event, most):
        self.event, self.most = event, most

    def wait(self, time):
        return self.event.wait(min(time, self.most))


@contextlib.contextmanager
def attackers(target, *arguments):
    ends = threading.Event()
    threads = [threading.Thread(target=target, args=(*arguments, ends), daemon=True) for _ in range(ATTACKERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ends.set()
        for thread in threads:
            thread.join(20)


def call(gateway, folder):
    """Requests of well-behaved clients: the 99th percentile of how long they took, in seconds."""
    log = folder / "times"
    log.unlink(missing_ok=True)
    done = subprocess.run(["h2load", "-n", str(REQUESTS), "-c", "3", "-m", "4", f"--log-file={log}", gateway.url + "/a"],
                          capture_output=True, text=True, timeout=120)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    assert counts and counts.groups() == (str(REQUESTS), str(REQUESTS), "0", "0"), done.stdout
    times = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    return times[len(times) * 99 // 100] / 1e6


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """(gateway, the percentile in peace, the memory in peace)"""
    with Gateway(tmp_path_factory.mktemp("floods"), CONFIG) as gateway:
        call(gateway, gateway.folder)
        yield gateway, call(gateway, gateway.folder), gateway.memory()


def floods(gateway, kind):
    return gateway.metric("weir_http2_floods_total", kind=kind)


def check(stage, name, took, most, generations=1):
    gateway, peace, memory = stage
    print(f"{name}: p99 {took * 1000:.2f} ms, in peace {peace * 1000:.2f} ms; {(most - memory) >> 10} KiB more")
    assert SANITIZED or took < max(100 * peace, 1), "others wait for the flood"
    assert SANITIZED or most < memory + generations * MEMORY, (most, memory)
    # On a busy machine those who hit and ran stand in the queue for long.
    wait_for(lambda: gateway.metric("weir_client_connections") <= 1, 60, "the end of the attackers")


@pytest.mark.parametrize("name", AT_ONCE)
def test_others_are_served_beside_who_says_much(stage, name):
    gateway, (kind, attack) = stage[0], AT_ONCE[name]
    before = floods(gateway, kind)
    with attackers(pour, gateway.address, attack()):
        wait_for(lambda: floods(gateway, kind) > before, 20, "the first to be counted")
        took, most = call(gateway, gateway.folder), gateway.memory()
    check(stage, name, took, most)


@pytest.mark.parametrize("name", SLOWLY)
def test_others_are_served_beside_who_holds_much(stage, name):
    if os.environ.get("WEIR_BUILD") == "tsan":
        pytest.skip("TSan takes each fiber for a thread, and has not as many as there are streams")
    gateway, (kind, attack, held, count) = stage[0], SLOWLY[name]
    before = floods(gateway, kind)
    with attackers(attack, gateway.address):
        wait_for(lambda: gateway.metric(held) >= count, 20, held)
        took, most = call(gateway, gateway.folder), gateway.memory()
        wait_for(lambda: floods(gateway, kind) > before, 20, "the first to be counted")
    check(stage, name, took, most)


@pytest.mark.parametrize("name", AT_ONCE)
def test_others_are_served_beside_who_hits_and_runs(stage, name):
    gateway, (kind, attack) = stage[0], AT_ONCE[name]
    with attackers(hit_and_run, gateway.address, attack()):
        wait_for(lambda: gateway.metric("weir_client_connections") > 1, 20, "the first of them")
        took, most = call(gateway, gateway.folder), gateway.memory()
    check(stage, name, took, most)


@pytest.mark.parametrize("name", SLOWLY)
def test_others_are_served_beside_who_comes_again(stage, name):
    """Each time with all that it held: there may be two generations of it at a time."""
    if os.environ.get("WEIR_BUILD") == "tsan":
        pytest.skip("TSan takes each fiber for a thread, and has not as many as there are streams")
    gateway, (_, attack, held, count) = stage[0], SLOWLY[name]
    with attackers(keep, gateway.address, attack):
        wait_for(lambda: gateway.metric(held) >= count, 20, held)
        took, most = call(gateway, gateway.folder), gateway.memory()
    check(stage, name, took, most, generations=2)
