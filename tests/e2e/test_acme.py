"""Certificates from an authority (RFC 8555): got, shown, renewed, and what happens when it says no."""

import os
import socket
import ssl
import stat
import threading
import time

import pytest
from acme_authority import Authority, Intermediary, is_installed, make_certificate
from gateway import run_weir, wait_for

pytestmark = pytest.mark.skipif(not is_installed(), reason="pebble is not installed")

CONFIG = """
    version: 1
    listen: {{https: "127.0.0.1:{tls}"{http}}}
    tls:
      acme:
        email: ops@shop.example
        directory: "{authority.directory}"
        ca: {authority.ca}
        storage: {storage}
        retry: 200ms
        {more}
    hosts: [{hosts}]
    routes: {{/**: {{respond: "fine"}}}}
    """


class Rig:
    """An authority, and gateways that get certificates from it."""

    def __init__(self, folder, start, ports, has_http=True, **options):
        self.start, self.has_http = start, has_http
        self.http_port, self.tls_port = ports(), ports()
        self.storage = folder / "storage"
        self.authority = Authority(folder / "authority", ports, self.http_port, self.tls_port, **options)

    def config(self, hosts="shop.example", more="challenge: any", http=None):
        http = f', http: "127.0.0.1:{self.http_port}"' if self.has_http else ""
        return CONFIG.format(tls=self.tls_port, http=http, authority=self.authority, storage=self.storage, hosts=hosts, more=more)

    def run(self, **options):
        return self.start(self.config(**options), "--no-watch")

    def shown(self, name):
        """The certificate that is shown for a name (the text of openssl x509), verified or not."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.tls_port), 10) as plain, \
                context.wrap_socket(plain, server_hostname=name) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))

    def ask(self, name):
        """A request over TLS that trusts the authority alone."""
        context = ssl.create_default_context(cadata=self.authority.root())
        with socket.create_connection(("127.0.0.1", self.tls_port), 10) as plain, \
                context.wrap_socket(plain, server_hostname=name) as secure:
            secure.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while part := secure.recv(4096):
                data += part
        assert data.startswith(b"HTTP/1.1 200") and data.endswith(b"fine"), data
        return True


@pytest.fixture
def rig(tmp_path, start, free_port):
    rigs = []

    def make(**options):
        rigs.append(Rig(tmp_path, start, free_port, **options))
        return rigs[-1]

    yield make
    for one in rigs:
        one.authority.__exit__()


def views(gateway):
    return {view["name"]: view for view in gateway.status()["acme"]}


def wait_until(gateway, name, state, timeout=30):
    return wait_for(lambda: (view := views(gateway)[name])["state"] == state and view, timeout, f"{name} {state}")


def is_served(rig, name):
    try:
        return rig.ask(name)
    except ssl.SSLCertVerificationError:
        return False


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01", "any"])
def test_a_certificate_is_got(rig, challenge):
    one = rig(has_http=challenge != "tls-alpn-01")
    gateway = one.run(hosts="shop.example, api.shop.example", more=f"challenge: {challenge}")
    one.shown("shop.example")  # until then one that the gateway has signed itself
    for name in "shop.example", "api.shop.example":
        view = wait_until(gateway, name, "good")
        assert view["issued"] == 1 and view["failed"] == 0 and "problem" not in view
        wait_for(lambda name=name: is_served(one, name), what=f"the certificate of {name}")
    assert gateway.metric("weir_acme_orders_total", host="shop.example", result="issued") == 1
    assert gateway.metric("weir_acme_failing", host="shop.example") == 0
    assert "acme shop.example: good, renewed " in run_weir("status", "--control", gateway.control)[1]
    for path in one.storage.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert not list(one.storage.rglob("*.new"))


def test_it_survives_a_restart(rig):
    one = rig()
    gateway = one.run()
    wait_until(gateway, "shop.example", "good")
    wait_for(lambda: is_served(one, "shop.example"), what="the certificate")
    before = one.shown("shop.example")
    assert gateway.stop() == 0
    again = one.run()
    assert one.shown("shop.example") == before
    view = views(again)["shop.example"]
    assert view["state"] == "good" and view["issued"] == 0


def test_renewal(rig):
    """After two thirds of its life, and whoever connects meanwhile sees a good one."""
    one = rig(validity=18)
    gateway = one.run()
    wait_until(gateway, "shop.example", "good")
    wait_for(lambda: is_served(one, "shop.example"), what="the certificate")
    seen = set()
    wait_for(lambda: seen.add(one.shown("shop.example")) or (one.ask("shop.example") and len(seen) >= 3), 90, "two renewals")
    assert views(gateway)["shop.example"]["issued"] >= 3


def test_a_refused_nonce(rig):
    one = rig(PEBBLE_WFE_NONCEREJECT="50")
    gateway = one.run()
    wait_until(gateway, "shop.example", "good", 60)
    wait_for(lambda: is_served(one, "shop.example"), what="the certificate")


def test_a_challenge_that_fails(rig, free_port):
    """Somebody else answers under the name: the gateway says so, tries again, and goes on serving."""
    one = rig()
    one.http_port = free_port()  # the authority looks at the other
    gateway = one.run(more="challenge: http-01")
    view = wait_for(lambda: (view := views(gateway)["shop.example"])["failed"] >= 2 and view, 30, "two failures")
    assert view["problem"]
    assert "no certificate for shop.example: " in gateway.stderr
    wait_for(lambda: gateway.metric("weir_acme_failing", host="shop.example") == 1, what="the metric")
    one.shown("shop.example")
    # As soon as it can be, it is: `any` takes the other kind.
    assert gateway.reload(one.config(more="challenge: any"))[0] == 200
    wait_until(gateway, "shop.example", "good", 60)


def test_an_account_that_the_authority_knows(rig):
    keys = {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}
    one = rig(binding=keys)
    gateway = one.run()
    view = wait_for(lambda: (view := views(gateway)["shop.example"])["failed"] and view, 30, "a failure")
    assert "`eab`" in view["problem"]
    assert gateway.reload(one.config(more="eab: {id: kid-1, key: %s}" % keys["kid-1"]))[0] == 200
    wait_until(gateway, "shop.example", "good", 60)


def test_names_come_and_go(rig):
    one = rig()
    gateway = one.run()
    wait_until(gateway, "shop.example", "good")
    assert gateway.reload(one.config(hosts='shop.example, new.example, "*.wild.example"'))[0] == 200
    assert set(views(gateway)) == {"shop.example", "new.example"}
    wait_until(gateway, "new.example", "good")
    assert views(gateway)["shop.example"]["issued"] == 1
    assert gateway.reload(one.config(hosts="new.example"))[0] == 200
    assert set(views(gateway)) == {"new.example"}


def test_an_authority_that_is_not_trusted(rig, tmp_path):
    one = rig()
    one.authority.ca, _ = make_certificate(tmp_path, "other")
    gateway = one.run()
    view = wait_for(lambda: (view := views(gateway)["shop.example"])["failed"] and view, 30, "a failure")
    assert "certificate" in view["problem"]


def test_a_rate_limit(rig):
    """The authority says when to come again, and until then nobody comes."""
    one, times = rig(), []

    def look(path, forward):
        if path != "/order-plz" or len(times) == 2:
            return forward()
        times.append(time.monotonic())
        problem = b'{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many for today"}'
        return 429, [("Retry-After", "4"), ("Content-Type", "application/problem+json")], problem

    with Intermediary(one.authority, look) as between:
        gateway = one.run()
        view = wait_for(lambda: (view := views(gateway)["shop.example"])["failed"] and view, 30, "a failure")
        assert view["problem"] == "too many for today"
        assert one.shown("shop.example")
        seen = len(between.paths)
        time.sleep(1)
        assert len(between.paths) == seen
        wait_until(gateway, "shop.example", "good", 60)
        assert len(times) == 2 and times[1] - times[0] > 3.9


@pytest.mark.parametrize("forwarded", [False, True])
def test_a_restart_in_the_middle_of_an_order(rig, forwarded):
    """The same order goes on, with the key that the authority may have seen already."""
    one, asked, go_on = rig(), threading.Event(), threading.Event()

    def look(path, forward):
        if not path.startswith("/finalize-order/") or asked.is_set():
            return forward()
        if forwarded:
            forward()
        asked.set()
        assert go_on.wait(30)
        return 500, [], b""

    with Intermediary(one.authority, look) as between:
        gateway = one.run()
        assert asked.wait(30)
        gateway.check = False
        gateway.process.kill()
        gateway.process.wait()
        go_on.set()
        again = one.run()
        wait_until(again, "shop.example", "good", 60)
        wait_for(lambda: is_served(one, "shop.example"), what="the certificate")
        assert between.paths.count("/order-plz") == 1
        assert between.paths.count("/sign-me-up") == 1
        assert not list((one.storage / "order").rglob("url"))


def test_an_upgrade_goes_on_with_it(rig):
    one = rig()
    gateway = one.run(more="challenge: http-01")
    wait_until(gateway, "shop.example", "good")
    wait_for(lambda: is_served(one, "shop.example"), what="the certificate")
    before = one.shown("shop.example")
    code, _, error = run_weir("upgrade", "--control", gateway.control)
    assert code == 0, error
    pid = gateway.status()["pid"]
    try:
        assert one.shown("shop.example") == before
        assert gateway.reload(one.config(hosts="shop.example, new.example"))[0] == 200
        wait_until(gateway, "new.example", "good")
    finally:
        os.kill(pid, 15)


def test_what_cannot_be(tmp_path):
    def check(tls, hosts="shop.example"):
        path = tmp_path / "weir.yaml"
        path.write_text(f'version: 1\nlisten: {{https: ":443"}}\ntls: {tls}\nhosts: [{hosts}]\nroutes: {{/: {{respond: a}}}}\n')
        code, _, error = run_weir("check", path)
        return code, error

    code, error = check("{acme: nobody}")
    assert code == 3 and "`email` is an e-mail address" in error
    code, error = check('{acme: {email: a@b.c, directory: "http://ca"}}')
    assert code == 3 and "`directory` is an https URL" in error
    code, error = check("{acme: {email: a@b.c, ca: nowhere.pem}}")
    assert code == 3 and "nowhere.pem" in error
    code, error = check("{acme: a@b.c}", '"*.wild.example"')
    assert code == 3 and "needs names in `hosts`" in error
    assert check("{acme: a@b.c}")[0] == 0
