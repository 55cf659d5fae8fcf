"""docs/benchmarks.md out of the results: tables, the bars, and how to repeat it."""

import os

from . import bars, reload
from .proxies import HERE

TABLE_HEAD = ("| | requests/s | CPU µs/request | p50 µs | p99 µs | p99.9 µs | RSS MiB | CPU ÷ forwarder | "
              "errors |\n|---|---|---|---|---|---|---|---|---|\n")


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure):
    """A median with its least and most."""
    middle, least, most = figure
    return f"{number(middle)} ({number(least)}–{number(most)})"


def load_row(name, figures, forwarder):
    ratio = figures["cpu_us"][0] / forwarder["cpu_us"][0] if forwarder else None
    cells = [name] + [spread(figures[key]) for key in
                      ("requests_per_second", "cpu_us", "p50_us", "p99_us", "p999_us")]
    cells += [number(figures["rss_bytes"] / 2**20), f"{ratio:.2f}" if ratio else "–",
              str(figures["errors"])]
    return "| " + " | ".join(cells) + " |\n"


def rate_line(scenario):
    if not scenario.get("rate"):
        return ""
    late = ", ".join(f"{name} {one['late']}" for name, one in scenario["proxies"].items() if one["late"])
    unsent = f" Still unsent when their slice ended: {late}." if late else ""
    return f"\n{scenario['rate']:,} requests a second for each.{unsent}\n"


def load_table(scenario):
    proxies = scenario["proxies"]
    rows = [load_row(name, one, proxies.get("forwarder")) for name, one in proxies.items()]
    return rate_line(scenario) + "\n" + TABLE_HEAD + "".join(rows)


def idle_table(scenario):
    text = "\n| | RSS before, MiB | RSS with them, MiB | bytes each | errors |\n|---|---|---|---|---|\n"
    for name, one in scenario["proxies"].items():
        text += (f"| {name} | {number(one['rss_before_bytes'] / 2**20)} | "
                 f"{number(one['rss_after_bytes'] / 2**20)} | {one['bytes_per_connection']:.0f} | "
                 f"{one['errors']} |\n")
    return text


def reload_table(scenario):
    weir = scenario["proxies"].get("weir")
    if not weir:
        return "\nNot measured.\n"
    text = "\n| | p99 µs | p99.9 µs | max µs |\n|---|---|---|---|\n"
    for label, key in (("quiet", "quiet"), ("while reloading", "reloading")):
        figures = (spread(reload.typical(weir[key], which)) for which in ("p99_us", "p999_us", "max_us"))
        text += f"| {label} | " + " | ".join(figures) + " |\n"
    builds = ", ".join(number(value) for value in weir["build_ms"])
    waits = ", ".join(number(value) for value in weir["waited_ms"])
    return (text + f"\nNew snapshots took {builds} ms by Weir's own clock; {waits} ms passed from the "
            f"signal to Weir's message. Errors: {weir['errors']}; still unsent when a load ended: {weir['late']}.\n")


def work_table(scenario):
    unit = scenario["unit"]
    text = f"\n| | {unit} a CPU second | {unit} a second | errors |\n|---|---|---|---|\n"
    for name, one in scenario["proxies"].items():
        text += f"| {name} | {spread(one['per_cpu_second'])} | {spread(one['per_second'])} | {one['errors']} |\n"
    return text


def failures_table(scenario):
    text = ("\n| | failed requests, of each trial | p50 µs | p99 µs | p99.9 µs | CPU µs/request |\n"
            "|---|---|---|---|---|---|\n")
    for name, one in scenario["proxies"].items():
        cells = [name, ", ".join(str(count) for count in one["failed"])]
        cells += [spread(one[key]) for key in ("p50_us", "p99_us", "p999_us", "cpu_us")]
        text += "| " + " | ".join(cells) + " |\n"
    return text


def guards_table(scenario):
    text = "\n| | requests/s | CPU µs/request | p50 µs | p99 µs | errors |\n|---|---|---|---|---|---|\n"
    for name, one in scenario["proxies"].items():
        cells = [name] + [spread(one[key]) for key in ("requests_per_second", "cpu_us", "p50_us", "p99_us")]
        text += "| " + " | ".join(cells + [str(one["errors"])]) + " |\n"
    return text


def policies_table(scenario):
    text = "\n| | added CPU µs | CPU µs/request | errors |\n|---|---|---|---|\n"
    for name, one in scenario["policies"].items():
        cells = [name] + [spread(one[key]) if one[key] else "–" for key in ("added_us", "cpu_us")]
        text += "| " + " | ".join(cells + [str(one["errors"])]) + " |\n"
    return text


def scale_table(scenario):
    text = ("\n| | RSS, MB | % of a core, each round | checks a second | failed checks | descriptors |\n"
            "|---|---|---|---|---|---|\n")
    for name, one in scenario["proxies"].items():
        shares = ", ".join(f"{share * 100:.1f}" for share in one["core_share"])
        text += (f"| {name} | {one['rss_bytes'] / 1e6:.1f} | {shares} | {number(one['checks_per_second'])} | "
                 f"{one['bad']} | {one['descriptors']} |\n")
    return text


def picks_table(scenario):
    text = "\n| | ns a pick | ns with a tenth down | ms to build |\n|---|---|---|---|\n"
    for name, one in scenario["balancers"].items():
        text += f"| {name} | {one['pick_ns']:.1f} | {one['pick_down_ns']:.1f} | {one['build_ms']:.2f} |\n"
    return text


def table(name, scenario):
    special = {"idle": idle_table, "idle-tls": idle_table, "idle-tcp": idle_table, "ws-idle": idle_table,
               "ws-idle-tls": idle_table, "reload": reload_table, "failures": failures_table, "scale": scale_table,
               "picks": picks_table, "guards": guards_table, "policies": policies_table}
    if "unit" in scenario:
        special[name] = work_table
    return f"\n### {scenario['title']}\n" + special.get(name, load_table)(scenario)


def bars_table(results):
    text = "| what | Weir | against | ratio | bar | |\n|---|---|---|---|---|---|\n"
    for bar in bars.judge(results):
        text += "| " + " | ".join(bar) + " |\n"
    return text


def facts_list(facts):
    versions = ", ".join(version for version in facts["versions"].values() if version)
    where = "a network namespace of its own" if facts["own_network_namespace"] else "the host's network"
    return "\n".join([
        f"- {facts['date']}; {versions}",
        f"- {facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB; {facts['kernel']}",
        f"- loopback in {where}, congestion control **{facts['congestion_control']}** on every connection",
        f"- {facts['rounds']} rounds of {facts['slice_seconds']:g} s for each, in turn; load average before "
        f"{facts['load_average_before']}, {facts['others_share']:.0%} of the cores' time went to other programs",
    ])


def render(everything):
    """The whole page, from bench/conf/benchmarks.md."""
    results = everything["scenarios"]
    with open(os.path.join(HERE, "conf", "benchmarks.md")) as file:
        page = file.read()
    tables = "".join(table(name, scenario) for name, scenario in results.items())
    return (page.replace("@FACTS@", facts_list(everything["facts"]))
            .replace("@BARS@", bars_table(results).rstrip("\n"))
            .replace("@TABLES@", tables.strip("\n")))


def verdicts(everything):
    """The bars, for the terminal."""
    rows = bars.judge(everything["scenarios"])
    widths = [max(len(row[column]) for row in rows) for column in range(6)] if rows else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                     for row in rows)
