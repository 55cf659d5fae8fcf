"""The beginning of TLS connections: resumption, and clients that vanish, dawdle or talk nonsense."""

import datetime
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
from authority import SecureConnection, now
from gateway import SANITIZED, wait_for
from https import ask, pair, s_client

TESTSSL = shutil.which("testssl")
MANY = 200 if SANITIZED else 1000
FAILURES = "weir_tls_handshake_failures_total"


def hello(context, name="localhost"):
    """The first bytes of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def finish_with(gateway, context, data, session=None):
    """A connection whose handshake ends in the same packet as `data` begins, and what is answered."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
    with socket.create_connection(gateway.secure, 10) as one:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                one.sendall(outgoing.read())
                incoming.write(one.recv(65536))
        client.write(data)
        one.sendall(outgoing.read())
        while True:
            try:
                return client.read(65536), client.session
            except ssl.SSLWantReadError:
                incoming.write(one.recv(65536))


def half_open(gateway, data):
    one = socket.create_connection(gateway.secure, 10)
    one.sendall(data)
    return one


def ended(one):
    """Waits for the gateway to close."""
    one.settimeout(60)
    try:
        while one.recv(65536):
            pass
    except ConnectionError:
        pass
    one.close()


# --- resumption


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_tickets(secure, authority, tmp_path, version):
    """A session goes on at any worker, and after reloads."""
    gateway = secure()
    session = str(tmp_path / "session")
    request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    said = s_client(gateway, version, "-sess_out", session, "-ign_eof", input=request)
    assert "New, TLS" in said and "200 OK" in said
    for i in range(8):
        if i == 4:
            assert gateway.reload()[0] == 200
        said = s_client(gateway, version, "-sess_in", session, "-ign_eof", input=request)
        assert "Reused, TLS" in said and "200 OK" in said, said
    assert gateway.metric("weir_tls_handshakes_total", resumed="true") == 8


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_ends_with_its_certificate(secure, authority, version):
    """What a client showed when its session began counts as long as it is good, and no longer."""
    gateway = secure(pair(authority.issue("localhost"), **{"client-cert": "required", "ca": authority.file}))
    until = now() + datetime.timedelta(seconds=7)
    shown = authority.issue(client=True, subject="alice", end=until)
    context, session = authority.context(shown, maximum_version=version), None
    for _ in range(2):
        with SecureConnection(gateway.secure, context, session=session) as connection:
            assert connection.request("GET", "/who").body == b"CN=alice"
            session = connection.socket.session
    assert gateway.metric("weir_tls_handshakes_total", resumed="true") == 1
    time.sleep((until - now()).total_seconds() + 1)
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, AssertionError)):
        with SecureConnection(gateway.secure, context, session=session) as connection:
            connection.request("GET", "/who")
    gateway.log_lines(3)  # what is logged has been counted
    assert gateway.metric(FAILURES, reason="tls-certificate") == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_right_behind_the_handshake(secure, authority, version):
    """Nobody would wake for it any more: it is here before the connection is looked at."""
    gateway, context = secure(), authority.context(maximum_version=version)
    request, session = b"GET /facts HTTP/1.1\r\nHost: localhost\r\n\r\n", None
    for _ in range(3):  # the second and third time a session is resumed
        answer, session = finish_with(gateway, context, request, session)
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_old_versions(secure):
    gateway = secure()
    for version in ["-tls1", "-tls1_1"]:
        assert "Cipher is (NONE)" in s_client(gateway, version, "-cipher", "ALL:@SECLEVEL=0")
    gateway.log_lines(2)  # what is logged has been counted
    assert gateway.metric(FAILURES, reason="tls-protocol") == 2


# --- clients that do not mean well


def test_clients_that_vanish(secure, authority):
    gateway = secure()
    first, sockets = hello(authority.context()), gateway.sockets()
    for size in [0, 1, 5, 100, len(first) - 1, len(first)]:
        half_open(gateway, first[:size]).close()
    gateway.settle(sockets)
    wait_for(lambda: gateway.metric(FAILURES) == 5, what="those that have said something are counted")
    assert ask(gateway, authority.context()).status == 200


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x16" + b"\0" * 100, b"\x80\x2e\x01\x00\x02",
                                   b"\xff" * 1000, b"\0", b"ssh-2.0\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" * 50])
def test_noise(secure, authority, noise):
    gateway = secure(more="http: {head-timeout: 2s}")
    one = half_open(gateway, b"")
    try:
        one.sendall(noise)
    except ConnectionError:
        pass
    ended(one)
    assert ask(gateway, authority.context()).status == 200
    line = next(line for line in gateway.log_lines(2) if "reason" in line)
    assert gateway.metric(FAILURES) == 1
    assert line["reason"] in ("tls-protocol", "timeout") and line["client.address"] == "127.0.0.1"


def test_what_is_known_is_logged(secure, authority):
    """A failed handshake says who it was, whom it asked for and what was wrong; nothing of a request that never was."""
    gateway = secure(pair(authority.issue("localhost"), **{"client-cert": "required", "ca": authority.file}))
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError, AssertionError)):
        ask(gateway, authority.context())
    line = next(line for line in gateway.log_lines(1) if "reason" in line)
    port = line.pop("client.port")
    assert 1024 <= port <= 65535 and line.pop("time").endswith("Z")
    assert line == {"listener": line["listener"], "client.address": "127.0.0.1", "tls.client.server_name": "localhost",
                    "reason": "tls-certificate", "error.message": "peer did not return a certificate"}


def test_one_byte_at_a_time(secure, authority):
    """A handshake may come in pieces; but not for ever."""
    gateway = secure(more="http: {head-timeout: 2s}")
    first = hello(authority.context())
    one = half_open(gateway, b"")
    for i in range(len(first)):
        one.send(first[i:i + 1])
    assert one.recv(1) == b"\x16", "a ServerHello"
    one.close()
    one, began = half_open(gateway, b""), time.monotonic()
    with pytest.raises(ConnectionError):
        for i in range(len(first)):
            one.send(first[i:i + 1])
            time.sleep(0.1)
    assert time.monotonic() - began > 1.5
    one.close()
    wait_for(lambda: gateway.metric(FAILURES, reason="timeout") == 1, what="it is counted")


def test_a_thousand_half_open(secure, authority):
    """They wait no longer than a head may take, cost little, and disturb nobody."""
    gateway = secure(more=f"http: {{head-timeout: {20 if SANITIZED else 8}s}}")
    first, sockets = hello(authority.context()), gateway.sockets()
    assert ask(gateway, authority.context(), "/facts").status == 200
    gateway.settle(sockets)
    before, began = gateway.memory(), time.monotonic()
    waiting = [half_open(gateway, first) for _ in range(MANY)]
    wait_for(lambda: gateway.sockets() >= sockets + MANY, 30, "all of them")
    each = (gateway.memory() - before) / MANY
    assert ask(gateway, authority.context(), "/facts").status == 200
    [ended(one) for one in waiting]
    assert time.monotonic() - began < (120 if SANITIZED else 40)
    gateway.settle(sockets)
    assert gateway.metric(FAILURES, reason="timeout") == MANY
    failures = [line for line in gateway.log_lines(1) if line.get("reason") == "timeout"]
    assert 1 <= len(failures) < MANY / 2, "lines are few"
    if not SANITIZED:
        assert each < 128 * 1024, each


def test_a_stop_ends_handshakes(secure, authority):
    gateway = secure(more="drain: 1s")
    waiting = [half_open(gateway, hello(authority.context())[:50]) for _ in range(20)]
    assert gateway.stop() == 0
    [one.close() for one in waiting]


def test_keep_alive_after_a_handshake(secure, authority):
    """A client that says nothing behind its handshake waits as long as one between requests."""
    gateway = secure(more="http: {head-timeout: 1s, keep-alive: 8s}")
    with SecureConnection(gateway.secure, authority.context()) as connection:
        time.sleep(1.5)
        assert connection.request("GET", "/").status == 200
        time.sleep(1.5)
        assert connection.request("GET", "/").status == 200


def test_pipelined_and_large(secure, authority):
    gateway = secure()
    with SecureConnection(gateway.secure, authority.context()) as connection:
        connection.send(b"GET /facts HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
        for _ in range(5):
            assert connection.read_answer("GET").body == b"https TLSv1.3 localhost"


def test_hsts(secure, authority):
    gateway = secure(listener=", hsts: {max-age: 365d, subdomains: true, preload: true}")
    wanted = "max-age=31536000; includeSubDomains; preload"
    for path in ["/", "/facts", "/%00"]:
        assert ask(gateway, authority.context(), path).all("Strict-Transport-Security") == [wanted]
    assert gateway.get("/").header("Strict-Transport-Security") is None
    config = gateway.config_path.read_text()
    assert gateway.reload(re.sub(r", hsts: \{.*?\}", ", hsts: 0s", config))[0] == 200
    assert ask(gateway, authority.context()).all("Strict-Transport-Security") == ["max-age=0"]


def test_many_at_once(secure, authority):
    gateway, context, bad = secure(), authority.context(), []

    def client():
        for _ in range(20):
            if ask(gateway, context).status != 200:
                bad.append(1)

    clients = [threading.Thread(target=client) for _ in range(8)]
    [one.start() for one in clients]
    [one.join() for one in clients]
    assert not bad and gateway.metric("weir_tls_handshakes_total") == 160


# --- what others look for

# Not about us: the order of ciphers is the client's choice, as in Mozilla's "intermediate" profile, for all that is
# offered is forward-secret and authenticated; the rest is about names and pages.
ACCEPTED = {"cipher_order", "DNS_CAArecord", "security_headers", "cert_revocation", "sessionresumption_ticket"}


@pytest.mark.skipif(not TESTSSL, reason="testssl.sh is not installed")
@pytest.mark.timeout(400)
def test_testssl(secure, authority, tmp_path):
    gateway = secure()
    report = tmp_path / "report.json"
    subprocess.run([TESTSSL, "--quiet", "--color", "0", "--warnings", "off", "--add-ca", authority.file, "--jsonfile", str(report),
                    "-p", "-s", "-U", "https://localhost:%d" % gateway.secure[1]], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=380, cwd=tmp_path)
    found = json.loads(report.read_text())
    assert len(found) > 30 and {"TLS1_3", "heartbleed", "ROBOT", "LUCKY13"} <= {one["id"] for one in found}
    wrong = [one for one in found if one["severity"] not in ("OK", "INFO") and one["id"] not in ACCEPTED]
    assert not wrong, wrong
