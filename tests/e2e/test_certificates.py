"""Certificates over time: they are watched, read again, stapled, warned of; and clients show their own."""

import http.server
import json
import os
import ssl
import threading
import time

import pytest
from authority import DAY, Authority, SecureConnection, now
from gateway import run_weir, wait_for
from http_client import Closed
from https import ask, pair, pairs, s_client, shown


def test_a_new_certificate(secure, authority):
    """It is taken without a word from anybody, and connections that are open stay."""
    old = authority.issue("localhost")
    gateway = secure(pair(old))
    context = authority.context()
    with SecureConnection(gateway.secure, context) as connection:
        assert connection.request("GET", "/").status == 200
        new = authority.issue("localhost")
        wait_for(lambda: shown(gateway.secure, context, "localhost") == new.der, what="the new certificate")
        assert connection.request("GET", "/").status == 200
    assert old.der != new.der
    wait_for(lambda: "reloaded" in gateway.stderr, what="a word about it")


def replace(path, text):
    """At once: a key that is half written is another one that is bad."""
    new = path + ".new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.rename(new, path)


def test_a_bad_pair_leaves_the_good_one(secure, authority):
    good = authority.issue("localhost")
    gateway = secure(pair(good))
    context, key = authority.context(), open(good.key).read()
    authority.issue("other.example")
    replace(good.key, open(authority.folder / "other.example.key").read())
    wait_for(lambda: "refused" in gateway.stderr, what="a complaint")
    assert "belong" in gateway.stderr, gateway.stderr
    assert "weir.yaml:5:" in gateway.stderr
    time.sleep(2.5)
    assert gateway.stderr.count("refused") == 1, "it is said once"
    assert shown(gateway.secure, context, "localhost") == good.der
    assert gateway.metric("weir_config_last_reload_success") == 0
    replace(good.key, key)
    wait_for(lambda: gateway.metric("weir_config_last_reload_success") == 1, what="the good one again")


def test_reloads_under_load(secure, authority):
    """20 certificates one after another; not one request of those who come meanwhile fails."""
    gateway = secure(pair(authority.issue("localhost")))
    context, failures, count, stop = authority.context(), [], [0], threading.Event()

    def client():
        while not stop.is_set():
            try:
                with SecureConnection(gateway.secure, context) as connection:
                    for _ in range(3):
                        assert connection.request("GET", "/").status == 200
                        count[0] += 1
            except Exception as error:  # noqa: BLE001: whatever it is, it is a failure
                failures.append(error)

    clients = [threading.Thread(target=client) for _ in range(3)]
    [one.start() for one in clients]
    for _ in range(20):
        authority.issue("localhost")
        assert gateway.reload()[0] == 200
    stop.set()
    [one.join() for one in clients]
    assert not failures and count[0] > 20, (failures[:3], count)


BAD = {
    "no file": lambda a: {"cert": "missing.pem", "key": "missing.key"},
    "no key": lambda a: {"cert": a.issue("a").cert, "key": "missing.key"},
    "a key of another": lambda a: {"cert": a.issue("a").cert, "key": a.issue("b").key},
    "no certificate": lambda a: {"cert": a.issue("a").key, "key": a.issue("a").key},
    "no PEM": lambda a: {"cert": __file__, "key": a.issue("a").key},
    "no authorities": lambda a: {"cert": a.issue("a").cert, "key": a.issue("a").key, "client-cert": "optional",
                                 "ca": __file__},
    "a folder": lambda a: {"cert": "/", "key": a.issue("a").key},
}


@pytest.mark.parametrize("kind", BAD)
def test_complaints(kind, authority, tmp_path):
    (tmp_path / "weir.yaml").write_text('version: 1\nlisten: {https: ":0"}\ntls: ' + json.dumps(BAD[kind](authority)) +
                                        '\nroutes: {/**: {respond: a}}\n')
    code, _, said = run_weir("check", tmp_path / "weir.yaml")
    assert code == 3 and "weir.yaml:3:" in said and "error:" in said, said


def test_warnings(authority, tmp_path):
    ending = authority.issue("ending.example", end=now() + 5.5 * DAY)
    ended = authority.issue("ended.example", begin=now() - 9 * DAY, end=now() - DAY)
    os.chmod(ending.key, 0o644)
    (tmp_path / "weir.yaml").write_text(f'version: 1\nlisten: {{https: ":0"}}\ntls: {pairs(ending, ended)}\n'
                                        'hosts: [ending.example, shop.example, "*.a.example"]\nroutes: {/**: {respond: a}}\n')
    code, _, said = run_weir("check", tmp_path / "weir.yaml")
    assert code == 0, said
    for words in ["expires in 5 days", "has expired", "may read the key", "for shop.example", "for *.a.example"]:
        assert words in said, (words, said)


def test_how_long_they_last(secure, authority):
    issued = authority.issue("localhost", end=now() + 60 * DAY)
    gateway = secure(pair(issued))
    until = gateway.metric("weir_tls_certificate_expiry_timestamp_seconds", certificate=issued.cert)
    assert abs(until - time.time() - 60 * 86400) < 3600
    [one] = gateway.status()["certificates"]
    assert one["names"] == ["localhost"] and one["fingerprint"] == issued.fingerprint and one["until"].startswith("20")
    assert f"certificate {issued.cert}, until 20" in run_weir("status", "--control", gateway.control)[1]
    assert "PRIVATE" not in json.dumps(gateway.status()) + gateway.control_request("GET", "/v1/config").body.decode()


# --- clients' certificates


def test_client_certificates(secure, authority, tmp_path):
    staff = Authority(tmp_path / "staff", "Staff")
    alice, mallory = staff.issue("alice@shop.example", client=True, subject="alice"), authority.issue("m", client=True)
    public, private = authority.issue("public.example"), authority.issue("private.example")
    gateway = secure("[" + pair(public) + ", " + pair(private, **{"client-cert": "required", "ca": staff.file}) + "]",
                     more="""
      /names: {respond: "${client.cert.san has 'alice@shop.example'}"}
      /finger: {respond: "${client.cert.fingerprint} ${client.cert.issuer}"}
      /only: {when: 'client.cert.subject == "CN=alice"', respond: "hello"}
    """)
    me = authority.context(alice)
    assert ask(gateway, me, "/who", "public.example").body == b"nobody", "it is not asked for"
    assert ask(gateway, me, "/who", "private.example").body == b"CN=alice"
    assert ask(gateway, me, "/names", "private.example").body == b"true"
    assert ask(gateway, me, "/finger", "private.example").body.decode() == f"{alice.fingerprint} CN=Staff"
    assert ask(gateway, me, "/only", "private.example").body == b"hello"
    assert any(line.get("tls.client.subject") == "CN=alice" for line in gateway.log_lines(5))
    for context in [authority.context(), authority.context(mallory)]:
        with pytest.raises((ssl.SSLError, ConnectionError, Closed)):
            ask(gateway, context, "/who", "private.example")
    wait_for(lambda: gateway.metric("weir_tls_handshake_failures_total", reason="tls-certificate") == 2, what="two refusals")


def test_nobody_goes_round_the_certificate(secure, authority, tmp_path):
    """Who came in by a name that asks for nothing is not let to one that does (RFC 9110 §7.4)."""
    staff = Authority(tmp_path / "staff", "Staff")
    both = authority.issue("*.shop.example", file="wild")
    tls = ('{"certificates": [' + pair(both, hosts=["www.shop.example"]) + ", " +
           pair(both, hosts=["admin.shop.example"], **{"client-cert": "required", "ca": staff.file}) + "]}")
    gateway = secure(tls)
    context = authority.context()
    assert ask(gateway, context, "/who", "www.shop.example").status == 200
    assert ask(gateway, context, "/who", "www.shop.example", headers={"Host": "admin.shop.example"}).status == 421


def test_optional_certificates(secure, authority, tmp_path):
    staff = Authority(tmp_path / "staff", "Staff")
    gateway = secure(pair(authority.issue("localhost"), **{"client-cert": "optional", "ca": staff.file}))
    assert ask(gateway, authority.context(), "/who").body == b"nobody"
    for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]:
        context = authority.context(staff.issue("bob", client=True), maximum_version=version)
        with SecureConnection(gateway.secure, context) as connection:
            assert connection.request("GET", "/who").body == b"CN=bob"
            session = connection.socket.session
        with SecureConnection(gateway.secure, context, session=session) as connection:
            assert connection.request("GET", "/who").body == b"CN=bob", "a resumed session says who it was"


def is_let_in(gateway, context, name, session):
    try:
        with SecureConnection(gateway.secure, context, name, session=session) as connection:
            return connection.request("GET", "/who").body.decode()
    except (ssl.SSLError, ConnectionError, Closed):
        return None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_no_certificate(secure, authority, tmp_path, version):
    """Sessions that began under other demands end with them: at another name, and after a reload."""
    old, new = Authority(tmp_path / "old", "Old"), Authority(tmp_path / "new", "New")
    wild = authority.issue("*.shop.example", file="wild")

    def tls(www, admin):
        return ("[" + pair(wild, hosts=["www.shop.example"], **www) + ", " +
                pair(wild, hosts=["admin.shop.example"], **admin) + "]")

    trusts_old, trusts_new = ({"client-cert": "required", "ca": one.file} for one in (old, new))
    gateway = secure(tls({}, trusts_old))
    sessions, stranger = {}, authority.context(maximum_version=version)
    friend = authority.context(old.issue("bob", client=True), maximum_version=version)
    for name, context in [("www", stranger), ("admin", friend)]:
        with SecureConnection(gateway.secure, context, f"{name}.shop.example") as connection:
            assert connection.request("GET", "/who").status == 200
            sessions[name] = connection.socket.session
    assert is_let_in(gateway, stranger, "www.shop.example", sessions["www"]) == "nobody"
    assert is_let_in(gateway, friend, "admin.shop.example", sessions["admin"]) == "CN=bob"
    assert is_let_in(gateway, stranger, "admin.shop.example", sessions["www"]) is None
    config = gateway.config_path.read_text()
    assert gateway.reload(config.replace(tls({}, trusts_old), tls(trusts_old, trusts_new)))[0] == 200
    assert is_let_in(gateway, stranger, "www.shop.example", sessions["www"]) is None
    assert is_let_in(gateway, friend, "admin.shop.example", sessions["admin"]) is None


# --- OCSP


def test_staple_from_a_file(secure, authority, tmp_path):
    issued = authority.issue("localhost")
    (tmp_path / "staple.der").write_bytes(authority.staple(issued))
    gateway = secure(pair(issued, ocsp=str(tmp_path / "staple.der")))
    for version in ["-tls1_2", "-tls1_3"]:
        assert "Cert Status: good" in s_client(gateway, "-status", version)


def test_staples_that_are_no_good(authority, tmp_path):
    issued, other = authority.issue("localhost"), authority.issue("other.example")
    for staple in [b"nonsense", authority.staple(issued, good=False), authority.staple(other),
                   authority.staple(issued, since=-9 * DAY, until=-DAY), Authority(tmp_path / "x").staple(issued)]:
        (tmp_path / "staple.der").write_bytes(staple)
        (tmp_path / "weir.yaml").write_text(f'version: 1\nlisten: {{https: ":0"}}\nroutes: {{/**: {{respond: a}}}}\n'
                                            f'tls: {pair(issued, ocsp=str(tmp_path / "staple.der"))}\n')
        code, _, said = run_weir("check", tmp_path / "weir.yaml")
        assert code == 0 and "no OCSP response" in said, said


class Responder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        question = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/ocsp-request" and question
        answer = self.server.answer()
        self.server.asked += 1
        self.send_response(200 if answer else 500)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def responder():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Responder)
    server.asked = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_staple_from_the_responder(secure, authority, responder):
    issued = authority.issue("localhost", responder="http://127.0.0.1:%d/ocsp" % responder.server_address[1])
    responder.answer = lambda: authority.staple(issued)
    gateway = secure(pair(issued, ocsp="fetch"))
    wait_for(lambda: gateway.metric("weir_tls_ocsp_fetches_total", result="ok") == 1, what="an answer")
    assert "Cert Status: good" in s_client(gateway, "-status")
    assert gateway.status()["certificates"][0]["ocsp_until"]
    assert gateway.reload()[0] == 200
    assert "Cert Status: good" in s_client(gateway, "-status"), "it survives a reload"
    assert responder.asked == 1


def test_a_responder_that_fails(secure, authority, responder):
    issued = authority.issue("localhost", responder="http://127.0.0.1:%d" % responder.server_address[1])
    responder.answer = lambda: b""
    gateway = secure(pair(issued, ocsp="fetch"))
    wait_for(lambda: gateway.metric("weir_tls_ocsp_fetches_total", result="failed") == 1, what="a failure")
    assert "no response sent" in s_client(gateway, "-status")
    assert gateway.status()["certificates"][0]["ocsp_problem"] == "the responder's answer is not 200"
    assert ask(gateway, authority.context()).status == 200
