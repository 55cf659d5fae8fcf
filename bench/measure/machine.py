"""The machine: its facts, a network of its own for the run, and what a process costs on it."""

import fcntl
import glob
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import time

IN_NAMESPACE = "WEIR_BENCH_NAMESPACE"
CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"


def enter_network_namespace():
    """Starts this program anew in a network namespace of its own, where the congestion control may be
    chosen and no port is taken. Without the right to do so the run goes on where it is."""
    if IN_NAMESPACE in os.environ or not shutil.which("unshare"):
        return
    for wanted in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if subprocess.run(wanted + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
            os.environ[IN_NAMESPACE] = "1"
            os.execvp("unshare", wanted + [sys.executable] + sys.argv)
    print("no network namespace to be had: measuring in the host's own", file=sys.stderr)


def prepare_network():
    """Brings loopback up and picks a congestion control that does not pace: bbr does, even on loopback."""
    if IN_NAMESPACE not in os.environ:
        return
    bring_loopback_up()
    for name in ("cubic", "reno"):
        try:
            with open(CONTROL, "w") as file:
                file.write(name)
            return
        except OSError:
            continue


def bring_loopback_up():
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14s", b"lo", 0, b"")
        flags = struct.unpack("16sh14s", fcntl.ioctl(sock, get_flags, request))[1]
        fcntl.ioctl(sock, set_flags, struct.pack("16sh14s", b"lo", flags | up, b""))


def congestion_control():
    """What a connection on loopback really uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).strip(b"\0").decode()


def raise_descriptor_limit():
    """10,000 connections need as many descriptors in the load generator and in the proxy."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
        except (OSError, ValueError):
            continue
    return soft


def connections_to_hold():
    """10,000, or what the descriptors are enough for: each takes two of the proxy's."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(10000, (limit - 200) // 2)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for_port(port, process, seconds=10):
    """Waits until something listens there; raises if the process ends or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[-1]} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


def process_tree(pid):
    """The process and all that descend from it."""
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as file:
            for child in file.read().split():
                found += process_tree(int(child))
    return found


def rss_bytes(pids):
    """Resident memory, added up over the processes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm") as file:
            total += int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return total


def cpu_ns(pids):
    """Processor time that the processes' threads have used so far, by the scheduler's own account."""
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with open(path) as file:
                total += int(file.read().split()[0])
    return total


def first_line(command):
    """The first line that a command prints, on either stream."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.splitlines()[0].strip() if done.stdout else ""
    except OSError:
        return ""


def processor_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return os.uname().machine


class Bystanders:
    """How much of the machine other programs took while the run went on."""

    def __init__(self):
        self.begin = self.read()

    @staticmethod
    def read():
        """Seconds so far: (of all cores, of them in use or taken by the host, used by this program and what
        it has started and seen ending)."""
        with open("/proc/stat") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
        second = os.sysconf("SC_CLK_TCK")
        return sum(ticks) / second, (sum(ticks) - ticks[3] - ticks[4]) / second, sum(os.times()[:4])

    def share(self):
        total, busy, own = (now - then for now, then in zip(self.read(), self.begin))
        return max(0.0, (busy - own) / total) if total > 0 else 0.0


def facts():
    """What a reader needs to know of the machine to place the figures."""
    system = os.uname()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "kernel": f"{system.sysname} {system.release} {system.machine}",
        "congestion_control": congestion_control(),
        "own_network_namespace": IN_NAMESPACE in os.environ,
        "load_average_before": round(os.getloadavg()[0], 2),
    }
