"""The demo: what a newcomer sees first. Its page is tried in a real browser."""

import base64
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest
from gateway import WEIR, wait_for

CHROMIUM = shutil.which("chromium")


class Demo:
    def __init__(self, folder, *arguments, **environment):
        self.control = str(folder / "control.sock")
        self.out, self.error = folder / "out", folder / "error"
        with open(self.out, "wb") as out, open(self.error, "wb") as error:
            self.process = subprocess.Popen([WEIR, "demo", "--control", self.control, *arguments], stdout=out, stderr=error,
                                            cwd=folder, env={**os.environ, **environment})
        self.guide = wait_for(lambda: "Ctrl-C ends it" in self.out.read_text() and self.out.read_text(), 60, "the demo")
        self.url, self.address = re.search(r"In a browser:  (https?://(\S+))/", self.guide).groups()

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.error.read_text()
        assert not os.path.exists(self.control)
        assert not os.path.exists(re.search(r"Weir serves (\S+):", self.guide).group(1)), "its copy of the example stayed"


@pytest.fixture
def demo(tmp_path):
    # Port 0 for the doors: several demos may run on this machine at a time.
    running = Demo(tmp_path, WEIR_PORT="0", WEIR_ADMIN_PORT="0")
    yield running
    running.stop()


def test_every_curl_line(demo):
    lines = re.findall(r"^    (curl .*)$", demo.guide, re.M)
    assert len(lines) >= 5
    for line in lines:
        done = subprocess.run(["bash", "-c", line.replace("curl ", "curl -sS --fail-with-body ", 1)], capture_output=True,
                              text=True, timeout=30)
        assert done.returncode == 0, line + done.stdout + done.stderr
        assert done.stdout.strip(), line


def test_state_and_limits(demo):
    before = json.loads(demo.curl(f"{demo.url}/orders"))
    made = json.loads(demo.curl("-d", '{"user":1,"total":12}', f"{demo.url}/orders"))
    assert made["total"] == 12
    assert len(json.loads(demo.curl(f"{demo.url}/orders"))) == len(before) + 1
    codes = [demo.curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", f"{demo.url}/login") for _ in range(6)]
    assert codes == ["200"] * 5 + ["429"]
    assert "307" in demo.curl("-i", f"{demo.url}/basket").splitlines()[0]
    assert demo.curl(f"{demo.url}/hello") == "Hello, 127.0.0.1."


def test_switches(demo):
    demo.curl("-X", "PUT", f"{demo.url}/cart/_switch?latency=300ms")
    began = time.monotonic()
    demo.curl(f"{demo.url}/cart")
    assert time.monotonic() - began >= 0.3
    demo.curl("-X", "PUT", f"{demo.url}/cart/_switch?latency=0ms&fail=100%25")
    assert demo.curl("-o", "/dev/null", "-w", "%{http_code}", f"{demo.url}/cart") in ("500", "503")
    demo.curl("-X", "PUT", f"{demo.url}/users/_switch?fail=0%25")
    assert demo.curl("-o", "/dev/null", "-w", "%{http_code}", f"{demo.url}/users") == "200"
    assert "unit" in demo.curl("-X", "PUT", f"{demo.url}/users/_switch?latency=5")


def test_ports_that_are_taken(tmp_path):
    """Whatever holds the usual ports, the demo finds others."""
    taken = []
    for port in [8080, 8081, *range(9001, 9006)]:
        try:
            taken.append(socket.create_server(("127.0.0.1", port)))
        except OSError:
            pass  # somebody else has it, which is as good
    try:
        demo = Demo(tmp_path)
        assert json.loads(demo.curl(f"{demo.url}/users"))
        assert not demo.address.endswith(":8080")
        demo.stop()
    finally:
        [one.close() for one in taken]


class Browser:
    """Chromium without a window, steered by its DevTools protocol: JSON texts with a NUL behind each, on two pipes."""

    def __init__(self, folder):
        self.number, self.console, self.received, self.session = 0, [], b"", {}
        read_orders, self.orders = os.pipe()
        self.answers, write_answers = os.pipe()
        with open(folder / "chromium.err", "wb") as error:
            self.process = subprocess.Popen(
                ["bash", "-c", f'exec "$0" "$@" 3<&{read_orders} 4>&{write_answers}', CHROMIUM, "--headless=new",
                 "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
                 f"--user-data-dir={folder / 'profile'}", "--window-size=1100,900", "about:blank"],
                stdout=subprocess.DEVNULL, stderr=error, pass_fds=(read_orders, write_answers),
                env={**os.environ, "HOME": str(folder)})
        os.close(read_orders)
        os.close(write_answers)
        page = wait_for(self._page, 60, "a page")
        self.session = {"sessionId": self.command("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]}
        self.command("Runtime.enable")

    def _page(self):
        pages = self.command("Target.getTargets")["targetInfos"]
        return next((one["targetId"] for one in pages if one["type"] == "page"), None)

    def command(self, method, **parameters):
        self.number += 1
        order = {"id": self.number, "method": method, "params": parameters, **self.session}
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        while True:
            message = self._receive()
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.console.append(message["params"])

    def _receive(self):
        while b"\0" not in self.received:
            assert select.select([self.answers], [], [], 60)[0], "chromium says nothing"
            data = os.read(self.answers, 1 << 20)
            assert data, "chromium has ended"
            self.received += data
        message, self.received = self.received.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, script):
        result = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url):
        self.command("Page.navigate", url=url)
        wait_for(lambda: self.evaluate("location.href + document.readyState") == url + "complete", 60, "the page")

    def click(self, text):
        """With the mouse, where the button is."""
        place = self.evaluate("(() => { const one = [...document.querySelectorAll('button')].find(b => b.textContent === "
                              f"{json.dumps(text)}); const r = one.getBoundingClientRect();"
                              " return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot")["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.orders)
        os.close(self.answers)


@pytest.fixture
def secure_demo(tmp_path):
    running = Demo(tmp_path, "--tls", WEIR_PORT="0", WEIR_ADMIN_PORT="0", WEIR_TLS_PORT="0", XDG_DATA_HOME=str(tmp_path))
    running.folder = tmp_path / "weir/demo"
    running.authority = str(running.folder / "ca.pem")
    yield running
    running.stop()


def test_demo_with_tls(secure_demo):
    assert secure_demo.url.startswith("https://localhost:") and secure_demo.authority in secure_demo.guide
    assert "Ada" in secure_demo.curl("--fail", "--cacert", secure_demo.authority, f"{secure_demo.url}/users")
    line = next(line for line in secure_demo.guide.splitlines() if line.strip().startswith("curl --cacert"))
    assert "Ada" in subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30).stdout
    for name in ["ca.key", "localhost.key"]:
        assert stat.S_IMODE(os.stat(secure_demo.folder / name).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(secure_demo.folder).st_mode) == 0o700


def test_demo_keeps_its_authority(tmp_path):
    """Who trusts it once need not do so again; a certificate that has been spoilt is made anew."""
    seen = []
    for spoil in [None, "localhost.pem", "localhost.key", "ca.key"]:
        if spoil:
            (tmp_path / "weir/demo" / spoil).write_text("nonsense")
        demo = Demo(tmp_path, "--tls", WEIR_PORT="0", WEIR_ADMIN_PORT="0", WEIR_TLS_PORT="0", XDG_DATA_HOME=str(tmp_path))
        authority = tmp_path / "weir/demo/ca.pem"
        assert "Ada" in demo.curl("--fail", "--cacert", str(authority), f"{demo.url}/users")
        seen.append(authority.read_bytes())
        demo.stop()
    assert seen[0] == seen[1] == seen[2] != seen[3]


@pytest.fixture
def browser(tmp_path):
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    one = Browser(tmp_path)
    yield one
    one.close()


ROWS = "[...document.querySelectorAll('#log tr')].map(row => [...row.children].map(cell => cell.textContent))"


def test_page_in_a_browser(demo, browser, tmp_path):
    browser.open(f"{demo.url}/")
    for count, (name, status, part) in enumerate([("GET /users", "200", "Ada"), ("POST /orders", "201", '"total":12'),
                                                  ("GET /nowhere", "404", "no-route"), ("GET /hello", "200", "Hello")], 1):
        browser.click(name)
        rows = wait_for(lambda: len(browser.evaluate(ROWS)) == count and browser.evaluate(ROWS), what=f"a row for {name}")
        assert rows[0][0] == name and rows[0][1] == status and part in rows[0][-1], rows[0]
    browser.evaluate("(() => { const one = document.getElementById('users-fail'); one.value = '100%';"
                     " one.dispatchEvent(new Event('change')); })()")
    wait_for(lambda: browser.evaluate(ROWS)[0][0].startswith("PUT /users/_switch"), what="the switch's row")
    browser.click("GET /users/1")
    wait_for(lambda: browser.evaluate(ROWS)[0][:2] == ["GET /users/1", "500"], what="a failure")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than its window"
    browser.screenshot(tmp_path / "page.png")
    assert browser.console == []


CERTUTIL = shutil.which("certutil")


@pytest.mark.skipif(not (CERTUTIL and CHROMIUM), reason="certutil or chromium is not installed")
def test_page_over_https(secure_demo, tmp_path):
    """A browser that trusts the authority shows the page without a warning."""
    store = tmp_path / ".pki/nssdb"
    store.mkdir(parents=True)
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "demo", "-i", secure_demo.authority]):
        subprocess.run([CERTUTIL, "-d", f"sql:{store}", *arguments], check=True, timeout=60)
    browser = Browser(tmp_path)
    try:
        browser.open(f"{secure_demo.url}/")
        assert browser.evaluate("isSecureContext && location.protocol") == "https:"
        browser.click("GET /users")
        rows = wait_for(lambda: browser.evaluate(ROWS), what="a row")
        assert rows[0][:2] == ["GET /users", "200"], rows
        assert browser.console == []
    finally:
        browser.close()
