"""What picking an endpoint costs, and building what the balancers pick from: the lines of build/release/micro_balance,
with 1,000 endpoints."""

import re
import subprocess

from .proxies import program

TITLE = "Picking one of 1,000 endpoints"
LINE = re.compile(r"^(\S+) +1000 endpoints(, weighted)? +([0-9.]+) ns a pick +([0-9.]+) ns with a tenth down +"
                  r"([0-9.]+) ms to build$")


def parse(text):
    """{name: {pick_ns, pick_down_ns, build_ms}}; the weighted ones are named so."""
    found = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match:
            name = match[1] + (match[2] or "")
            found[name] = {"pick_ns": float(match[3]), "pick_down_ns": float(match[4]), "build_ms": float(match[5])}
    return found


def measure(_bench, _results):
    done = subprocess.run([program("micro_balance")], stdout=subprocess.PIPE, text=True, check=True)
    return {"title": TITLE, "balancers": parse(done.stdout)}
