"""HTTPS as clients see it: which certificate is shown, what requests and answers say, who is let in."""

import socket
import ssl
import subprocess

import pytest
from https import ask, pair, pairs, shown

def test_a_request(secure, authority):
    gateway = secure()
    answer = ask(gateway, authority.context(), "/a?b=c")
    assert answer.status == 200
    assert ask(gateway, authority.context(), "/facts").body == b"https TLSv1.3 localhost"
    line = gateway.log_line("/facts")
    assert line["tls.protocol.version"] == "TLSv1.3" and line["server.address"] == "localhost"
    assert gateway.metric("weir_tls_handshakes_total", version="TLSv1.3", resumed="false") == 2


def test_curl(secure, authority):
    gateway = secure()
    done = subprocess.run(["curl", "-sS", "--fail", "--cacert", authority.file,
                           f"https://localhost:{gateway.secure[1]}/facts"], capture_output=True, text=True, timeout=20)
    assert done.stdout == "https TLSv1.3 localhost", done.stderr


def test_redirect(secure):
    gateway = secure()
    port = gateway.secure[1]
    for path in ["/", "/a/b?c=d&e", "/x?"]:
        answer = gateway.get(path, {"Host": "Shop.Example:8080"})
        assert (answer.status, answer.header("Location")) == (308, f"https://shop.example:{port}{path}")
    assert gateway.request("POST", "/", {"Host": "[::1]:80"}, b"x").header("Location") == f"https://[::1]:{port}/"
    assert gateway.get("/.well-known/acme-challenge/abc").body == b"proof"


def test_plain_http_on_the_secure_port(secure):
    gateway = secure()
    with socket.create_connection(gateway.secure, 10) as client:
        client.sendall(b"GET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ") and b"plain-http" in answer and b"HTTPS" in answer
    assert gateway.log_line("/plain")["reason"] == "plain-http"


def test_misdirected(secure, authority):
    one, two = authority.issue("one.example"), authority.issue("two.example", "*.two.example")
    gateway = secure(pairs(one, two))
    context = authority.context()
    assert ask(gateway, context, name="one.example").status == 200
    assert ask(gateway, context, name="two.example", headers={"Host": "a.two.example"}).status == 200
    for name, host in [("one.example", "two.example"), ("one.example", "three.example"), ("two.example", "a.b.two.example")]:
        answer = ask(gateway, context, name=name, headers={"Host": host})
        assert answer.status == 421, (name, host)
        assert b"misdirected" in answer.body


def test_which_certificate(secure, authority):
    exact, wild = authority.issue("a.example", "shop.example"), authority.issue("*.wild.example", file="wild")
    ecdsa, rsa = authority.issue("both.test", file="ecdsa"), authority.issue("both.test", file="rsa", kind="rsa")
    gateway = secure(pairs(exact, wild, ecdsa, rsa))
    context = authority.context()
    for name, wanted in [("a.example", exact), ("shop.example", exact), ("other.wild.example", wild), ("both.test", ecdsa)]:
        assert shown(gateway.secure, context, name) == wanted.der, name
    anyone = authority.context(check_hostname=False)
    assert shown(gateway.secure, anyone, "unknown.test") == exact.der
    assert shown(gateway.secure, anyone, None) == exact.der
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert shown(gateway.secure, context, "both.test") == rsa.der


def test_versions(secure, authority):
    gateway = secure()
    context = authority.context(maximum_version=ssl.TLSVersion.TLSv1_2)
    assert ask(gateway, context, "/facts").body == b"https TLSv1.2 localhost"
    strict = secure('{"min-version": "1.3", ' + pair(authority.issue("localhost"))[1:])
    with pytest.raises(ssl.SSLError):
        ask(strict, context)
    assert ask(strict, authority.context(), "/facts").body == b"https TLSv1.3 localhost"


def test_strict_names(secure, authority):
    gateway = secure('{"strict": true, ' + pair(authority.issue("localhost"))[1:])
    assert ask(gateway, authority.context()).status == 200
    with pytest.raises(ssl.SSLError):
        shown(gateway.secure, authority.context(check_hostname=False), "unknown.test")
