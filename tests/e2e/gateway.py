"""Running the real program for a test: start it on a configuration, wait until it serves, look at it, stop it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import textwrap
import time
from pathlib import Path

import http_client

WEIR = os.environ.get("WEIR", str(Path(__file__).resolve().parents[2] / "build" / "weir"))
SANITIZED = os.environ.get("WEIR_BUILD") in ("asan", "tsan")  # such builds are slow, and their memory says nothing
STARTUP = 60  # seconds; sanitizer builds are slow to start on a busy machine
PATIENCE = 30.0  # seconds: how long a test waits for what must come; far more than it takes, since machines are busy


def pick_port(stack):
    """A port on which nobody listens, at any address, and which nobody else is given until the ExitStack ends."""
    # A bound socket that does not listen keeps the port from being given to others, and SO_REUSEPORT
    # is not needed to listen there: the kernel allows it beside one with SO_REUSEADDR.
    while True:
        keeper = stack.enter_context(socket.socket())
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("0.0.0.0", 0))
        # Nothing keeps datagrams' ports, but who comes by chance takes any other just as well.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(keeper.getsockname())
            return keeper.getsockname()[1]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
        return True
    except OSError:
        return False


def replace_file(path, text):
    """At once, so that nobody reads a half of it."""
    replacement = path.with_suffix(".new")
    replacement.write_text(text)
    replacement.rename(path)


class Gateway:
    """One `weir run`. Use it as a context manager; `address` is the first listener's (host, port)."""

    def __init__(self, folder: Path, config: str, *arguments: str, environment=None, check=True, path=None, wrapper=(),
                 pass_fds=()):
        """`path`: serves that file or folder as it is instead of `config`. `wrapper`: a command that starts weir."""
        self.folder = Path(folder)
        self.config_path = self.folder / "weir.yaml"
        self.control = str(self.folder / "control.sock")
        self.log_path = self.folder / "access.log"
        self.check = check
        self.write_config(config)
        command = [*wrapper, WEIR, "run", str(path or self.config_path), "--control", self.control, *arguments]
        self.stderr_path = self.folder / "stderr"
        with open(self.stderr_path, "wb") as stderr, open(self.folder / "stdout", "wb") as stdout:
            self.process = subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=self.folder, pass_fds=pass_fds,
                                            env={**os.environ, **(environment or {})})
        self.addresses = self._wait_until_serving()

    def write_config(self, config: str) -> None:
        text = textwrap.dedent(config)
        if not re.search(r"^log:", text, re.M):
            text += f"\nlog: {{to: {self.log_path}}}\n"
        replace_file(self.config_path, text)

    def _wait_until_serving(self):
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline:
            found = re.search(r"weir: serving .* on (.*)", self.stderr)
            if found:
                return found.group(1).split(", ")
            if self.process.poll() is not None:
                raise AssertionError(f"weir ended with {self.process.returncode}:\n{self.stderr}")
            time.sleep(0.005)
        self.process.kill()
        raise AssertionError(f"weir did not start:\n{self.stderr}")

    @property
    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    @property
    def address(self):
        host, port = self.addresses[0].rsplit(":", 1)
        return host.strip("[]").replace("::", "127.0.0.1") if host == "[::]" else host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        return "http://%s:%d" % self.address

    def connect(self, timeout=PATIENCE):
        return http_client.Connection(self.address, timeout)

    def request(self, method, path, headers=None, body=b"", timeout=PATIENCE):
        """One request on a connection of its own."""
        with self.connect(timeout) as connection:
            return connection.request(method, path, headers, body)

    def get(self, path, headers=None, **more):
        return self.request("GET", path, headers, **more)

    def control_request(self, method, path, body=b""):
        with http_client.Connection(self.control, 30.0) as connection:
            return connection.request(method, path, body=body)

    def status(self):
        return json.loads(self.control_request("GET", "/v1/status").body)

    def metrics(self) -> str:
        return self.control_request("GET", "/metrics").body.decode()

    def metric(self, name, **labels) -> float:
        """The sum of a metric over all series that have these labels; 0 when there are none."""
        total = 0.0
        for line in self.metrics().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if not found or found.group(1) != name:
                continue
            have = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found.group(2) or ""))
            if all(have.get(key) == str(value) for key, value in labels.items()):
                total += float(found.group(3))
        return total

    def reload(self, config=None):
        """Loads a new configuration; returns (status, JSON answer)."""
        if config is not None:
            self.write_config(config)
        answer = self.control_request("POST", "/v1/reload")
        return answer.status, json.loads(answer.body)

    def log_lines(self, count, timeout=PATIENCE):
        """The access log's lines as dictionaries, once there are `count` of them."""
        lines = wait_for(lambda: self._whole_lines() if len(self._whole_lines()) >= count else None,
                         timeout, f"{count} log lines in {self.log_path}")
        return [json.loads(line) for line in lines]

    def log_line(self, path, timeout=PATIENCE):
        """The access log's line for a path that was asked for once."""
        def look():
            return [line for line in map(json.loads, self._whole_lines()) if line.get("url.path") == path]
        found = wait_for(look, timeout, f"a log line for {path}")
        assert len(found) == 1, found
        return found[0]

    def in_flight(self) -> int:
        """Requests that endpoints are working on."""
        services = self.status()["services"]
        return sum(endpoint["in_flight"] for service in services for endpoint in service["endpoints"])

    def sockets(self) -> int:
        """Open sockets. What else there is, such as the pipes that bodies move through, is kept to be used again."""
        folder = f"/proc/{self.process.pid}/fd"
        targets = []
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                targets.append(os.readlink(f"{folder}/{name}"))
        return sum(target.startswith("socket:") for target in targets)

    def settle(self, sockets, timeout=PATIENCE):
        """Waits until nothing is under way and no more sockets are open than there were."""
        try:
            wait_for(lambda: self.sockets() <= sockets, timeout)
        except AssertionError:
            raise AssertionError(f"there were {sockets} sockets, there are {self.sockets()}") from None
        wait_for(lambda: self.in_flight() == 0, timeout, "nothing in flight")

    def memory(self) -> int:
        """Resident memory in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024

    def _whole_lines(self):
        if not self.log_path.exists():
            return []
        text = self.log_path.read_text()
        return text[:text.rfind("\n") + 1].splitlines()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def signal(self, number) -> None:
        self.process.send_signal(number)

    def stop(self, timeout=60.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"weir did not stop:\n{self.stderr}") from None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        code = self.stop()
        if self.check and kind is None:
            assert code == 0, f"weir ended with {code}:\n{self.stderr}"
            assert "Sanitizer" not in self.stderr, self.stderr


def wait_for(look, timeout=PATIENCE, what="the condition"):
    """Calls `look` until it gives something true; that."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {timeout} s")


def suspend(process):
    """Stops a process with all its threads, which takes the kernel a moment. SIGCONT lets it go on."""
    def is_stopped():
        stats = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
        return {text.rpartition(")")[2].split()[0] for text in stats} == {"T"}
    process.send_signal(signal.SIGSTOP)
    wait_for(is_stopped, what="the process to stand still")


def run_weir(*arguments, input=None, timeout=60):
    """A command that ends by itself: (code, stdout, stderr)."""
    done = subprocess.run([WEIR, *map(str, arguments)], input=input, capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr
