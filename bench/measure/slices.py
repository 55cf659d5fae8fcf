"""What all scenarios do alike: programs that end with the measurement, slices in turn, connections that are held."""

import contextlib
import json
import statistics
import subprocess
import sys
import time

from . import machine
from .proxies import pinned

ADDED_UP = ("errors", "late")  # what went wrong; all other figures have a median


@contextlib.contextmanager
def running():
    """A list of what is to be stopped in the end, the newest first."""
    started = []
    try:
        yield started
    finally:
        for one in reversed(started):
            one.stop()


def watching(command, proxy):
    """A load generator's command, so that it counts the proxy's processor time too."""
    for pid in proxy.pids():
        command = command + ["--watch", str(pid)]
    return command


def run_load(proxy, cores, command):
    """One slice: the load generator's own report, as a dict."""
    done = subprocess.run(pinned(cores, watching(command, proxy)), stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or not done.stdout:
        raise RuntimeError(f"the load on {proxy.name} failed")
    return json.loads(done.stdout)


def summarise(slices):
    """Median, least and most of each figure over the rounds; what went wrong is added up."""
    result = {key: sum(one[key] for one in slices) for key in ADDED_UP if key in slices[0]}
    for key in slices[0]:
        if key not in result:
            values = [one[key] for one in slices]
            result[key] = [statistics.median(values), min(values), max(values)]
    return result


def in_turn(proxies, rounds, seconds, load):
    """The figures of all proxies, in interleaved slices, after one round that only warms up. `load` is given a proxy
    and seconds."""
    slices = {proxy.name: [] for proxy in proxies}
    for turn in range(rounds + 1):
        for proxy in proxies:
            one = load(proxy, seconds if turn > 0 else 0.3)
            proxy.empty_log()
            if turn > 0:
                slices[proxy.name].append(one)
    return {name: summarise(of_proxy) for name, of_proxy in slices.items()}


def each_alone(bench, kinds, service, measure, what, **how):
    """What `measure` finds with each kind of proxy, alone before a fresh service. `how` is said to the proxies."""
    figures = {}
    for kind in kinds:
        with running() as started:
            started.append(service(bench.folder, 0, cores=(1,)).start())
            started.append(kind(bench.folder, started[0].port, **how).start())
            try:
                figures[kind.name] = measure(started[1])
            except RuntimeError as error:
                print(f"{what}, {kind.name}: {error}", file=sys.stderr)
    return figures


def hold(proxy, command, count, settle):
    """Opens that many connections, which rest then; the resident memory with them, and what went wrong."""
    command = command + ["--port", str(proxy.port), "--connections", str(count)]
    with subprocess.Popen(pinned((1,), command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        opened = load.stdout.readline()
        time.sleep(settle)
        resident = machine.rss_bytes(proxy.pids())
        rest, _ = load.communicate("\n")
    if not opened or not rest:
        raise RuntimeError("the load generator could not hold the connections")
    return resident, json.loads(opened)["errors"] + json.loads(rest)["closed_by_proxy"]


def idle_figures(proxy, command, count, settle=4):
    """What each of that many connections holds, once the proxy has warmed up."""
    time.sleep(0.5)
    before = machine.rss_bytes(proxy.pids())
    after, errors = hold(proxy, command, count, settle)
    return {"rss_before_bytes": before, "rss_after_bytes": after,
            "bytes_per_connection": (after - before) / count, "errors": errors}


def warmed_idle_figures(proxy, command, count):
    """The same, behind a few connections that were held and let go."""
    hold(proxy, command, 16, 0.5)
    return idle_figures(proxy, command, count)
