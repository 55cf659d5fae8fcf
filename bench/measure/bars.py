"""What Weir has to reach, and whether it did."""

from . import reload

PEERS = ("nginx", "haproxy", "h2o")
HTTP2_LIMITS = {"h2-tls": 1.0, "grpc-unary": 0.85}
NOT_MEASURED = "not measured"


def row(what, ours, against, limit, text, theirs):
    """One line of the table: what, Weir's figure, the one it is held against, ratio, bar, verdict."""
    if ours is None:
        return [what, "–", against, "–", text, NOT_MEASURED]
    ratio = ours / theirs if theirs else None
    passed = (ratio if ratio is not None else ours) <= limit
    return [what, f"{ours:.4g}", against, f"{ratio:.2f}" if ratio is not None else "–", text,
            "reached" if passed else "**falls short**"]


def median_of(proxies, name, key):
    return proxies[name][key][0] if name in proxies else None


def better_peer(proxies, key):
    """(figure, name) of the peer with the smaller one, or None."""
    found = [(median_of(proxies, name, key), name) for name in PEERS if name in proxies]
    return min(found) if found else None


def against_peer(title, proxies, key, unit, limit):
    peer = better_peer(proxies, key)
    if peer is None:
        return []
    figure, name = peer
    bar = f"≤ {limit:.2f} (= {figure * limit:.4g} {unit})"
    return [row(title, median_of(proxies, "weir", key), f"{name}, {figure:.4g} {unit}", limit, bar, figure)]


def against_forwarder(title, proxies, limit):
    floor = median_of(proxies, "forwarder", "cpu_us")
    if floor is None:
        return []
    bar = f"≤ {limit:.2f} (= {floor * limit:.4g} µs)"
    return [row(title, median_of(proxies, "weir", "cpu_us"), f"bare forwarder, {floor:.4g} µs", limit, bar,
                floor)]


def judge_load(name, scenario):
    """The bars of one closed-loop or fixed-rate scenario."""
    proxies, title = scenario["proxies"], scenario["title"]
    if name.startswith("body-"):
        return against_peer(f"{title}: CPU µs", proxies, "cpu_us", "µs", 0.9)
    if name.startswith("tls-"):
        return judge_tls(name, scenario)
    if name in HTTP2_LIMITS:
        return against_peer(f"{title}: CPU µs", proxies, "cpu_us", "µs", HTTP2_LIMITS[name])
    if name.startswith("rate-"):
        return against_peer(f"{title}: p99 µs", proxies, "p99_us", "µs", 1.0)
    return (against_peer(f"{title}: CPU µs", proxies, "cpu_us", "µs", 0.8) +
            against_forwarder(f"{title}: CPU µs", proxies, 1.2) +
            against_peer(f"{title}: p99 µs", proxies, "p99_us", "µs", 1.0))


def judge_work(scenario):
    """Work for each second of processor time: more is better, so the ratio is the peer's to ours."""
    proxies, title, unit = scenario["proxies"], scenario["title"], scenario["unit"]
    ours = median_of(proxies, "weir", "per_cpu_second")
    rows = []
    for name in PEERS:
        theirs = median_of(proxies, name, "per_cpu_second")
        what = f"{title}: {unit} a CPU second"
        if theirs is None:
            continue
        against = f"{name}, {theirs:,.0f}"
        if ours is None:
            rows.append([what, "–", against, "–", "≥ 1.00", NOT_MEASURED])
            continue
        ratio = ours / theirs
        rows.append([what, f"{ours:,.0f}", against, f"{ratio:.2f}", "≥ 1.00",
                     "reached" if ratio >= 1 else "**falls short**"])
    return rows


def judge_tls(name, scenario):
    """Handshakes for each CPU second at least those of the better peer: at most its CPU for one."""
    limit = 0.9 if name == "tls-64" else 1.0
    return against_peer(f"{scenario['title']}: CPU µs", scenario["proxies"], "cpu_us", "µs", limit)


def judge_idle_tls(scenario):
    ours = scenario["proxies"].get("weir", {}).get("bytes_per_connection")
    return [row(f"{scenario['title']}: bytes", ours, "–", 12288, "≤ 12,288", None)]


def judge_idle(scenario):
    proxies, title = scenario["proxies"], scenario["title"]
    ours = proxies.get("weir", {}).get("bytes_per_connection")
    rows = [row(f"{title}: bytes", ours, "–", 500, "≤ 500", None)]
    if "nginx" in proxies:
        theirs = proxies["nginx"]["bytes_per_connection"]
        rows.append(row(f"{title}: bytes", ours, f"nginx, {theirs:.0f}", 1.0, "≤ 1.00", theirs))
    return rows


def judge_idle_websockets(scenario):
    ours = scenario["proxies"].get("weir", {}).get("bytes_per_connection")
    return [row(f"{scenario['title']}: bytes", ours, "–", 4096, "≤ 4,096", None)]


def judge_failures(scenario):
    proxies, title = scenario["proxies"], scenario["title"]
    ours = max(proxies["weir"]["failed"]) if "weir" in proxies else None
    failed = row(f"{title}: failed requests, at most", ours, "–", 0, "0", None)
    return [failed] + against_peer(f"{title}: p99 µs", proxies, "p99_us", "µs", 1.0)


def judge_nothing(_scenario):
    """Measured for what it says, and held against no bar."""
    return []


def judge_reload(scenario):
    weir = scenario["proxies"].get("weir")
    title = scenario["title"]
    build = max(weir["build_ms"]) if weir and weir["build_ms"] else None
    spike = reload.typical(weir["reloading"], "max_us")[0] / 1000 if weir else None
    calm = reload.typical(weir["quiet"], "max_us")[0] / 1000 if weir else 0
    quiet = f"quiet: {calm:.3g} ms" if weir else "–"
    slowest = row(f"{title}: slowest request, ms", spike, quiet, 5, "≤ 5", None)
    if calm > 5:
        slowest[5] = "machine too noisy to judge"
    return [row(f"{title}: slowest snapshot, ms", build, "–", 200, "< 200", None), slowest]


def judge_scale(scenario):
    weir, title = scenario["proxies"].get("weir"), scenario["title"]
    memory = weir["rss_bytes"] / 1e6 if weir else None
    share = max(weir["core_share"]) * 100 if weir else None
    return [row(f"{title}: resident memory, MB", memory, "–", 40, "≤ 40", None),
            row(f"{title}: % of a core", share, "–", 15, "≤ 15", None)]


def judge_guards(scenario):
    proxies, title = scenario["proxies"], scenario["title"]
    plain = median_of(proxies, "weir, plain", "cpu_us")
    if plain is None:
        return []
    return [row(f"{title}: CPU µs", median_of(proxies, "weir", "cpu_us"), f"plain, {plain:.4g} µs", 1.05, "≤ 1.05", plain)]


def judge_policies(scenario):
    """What each adds, in microseconds."""
    found = {name: one for name, one in scenario["policies"].items() if one["bar"] is not None}
    rows = []
    for name, one in found.items():
        rows.append(row(f"Policy, {name}: CPU µs added", one["added_us"][0], "–", one["bar"], f"≤ {one['bar']:.3g}", None))
    return rows


def judge_picks(scenario):
    balancers, title = scenario["balancers"].values(), scenario["title"]
    pick = max((max(one["pick_ns"], one["pick_down_ns"]) for one in balancers), default=None)
    build = max((one["build_ms"] for one in balancers), default=None)
    return [row(f"{title}: ns, the slowest balancer", pick, "–", 200, "≤ 200", None),
            row(f"{title}: ms to build, the slowest", build, "–", 50, "≤ 50", None)]


SPECIAL = {"idle": judge_idle, "idle-tls": judge_idle_tls, "reload": judge_reload,
           "failures": judge_failures, "idle-tcp": judge_idle_websockets, "ws-idle": judge_idle_websockets,
           "ws-idle-tls": judge_nothing, "guards": judge_guards, "policies": judge_policies, "scale": judge_scale, "picks": judge_picks}


def judge(results):
    """All lines, in the order of the scenarios."""
    rows = []
    for name, scenario in results.items():
        special = SPECIAL.get(name)
        if "unit" in scenario:
            special = judge_work
        rows += special(scenario) if special else judge_load(name, scenario)
    return rows
