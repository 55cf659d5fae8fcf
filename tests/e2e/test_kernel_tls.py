"""`tls: {kernel: true}`: long answers over TLS 1.3 are encrypted by the kernel, and no client sees a difference.

Most of it needs a kernel with TLS (`modprobe tls`). Where there is none, tools/guest runs it in an emulated machine."""

import functools
import hashlib
import socket
import ssl
import subprocess
import threading
import time

import pytest
from authority import SecureConnection
from gateway import wait_for
from https import HTTPS, pair, split
from test_splice import break_off, bytes_of, digest_of, download, send_sized
from test_tls_records import SUITES, Typist, read_to_end, wrap

TCP_ULP = 31
LONG = (5 << 20) + 345
HUGE = 32 << 20


@functools.cache
def is_offered():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError:
            return False
    return True


needs_kernel = pytest.mark.skipif(not is_offered(), reason="this kernel has no TLS; tools/guest has one that does")


@pytest.fixture
def through(start, serve, authority):
    """through(script): a gateway before a service; its kernel encrypts."""
    def run(script=send_sized, kernel="true", more="", **options):
        issued = authority.issue("localhost")
        gateway = start(HTTPS.format(tls=pair(issued, kernel=kernel == "true"), service=serve(script).at, more=more,
                                     listener=""), **options)
        gateway.secure = split(gateway.addresses[1])
        gateway.connect_securely = lambda **settings: SecureConnection(
            gateway.secure, authority.context(**settings), timeout=60)
        gateway.kernel = lambda: tuple(int(gateway.metric(f"weir_kernel_tls_{name}_total"))
                                       for name in ("connections", "spliced_bytes"))
        return gateway
    return run


# --- where there is none


@pytest.mark.skipif(is_offered(), reason="this kernel has TLS")
def test_a_kernel_without_tls_changes_nothing(through):
    gateway = through()
    for _ in range(2):
        with gateway.connect_securely() as connection:
            for size in (LONG, 5, 2 << 20, LONG):
                assert download(connection, size) == digest_of(size)
    assert gateway.kernel() == (0, 0)
    assert gateway.metric("weir_worker_pipes") == 0


def test_nothing_is_handed_over_unless_asked(through):
    gateway = through(kernel="false")
    with gateway.connect_securely() as connection:
        assert download(connection, LONG) == digest_of(LONG)
    assert gateway.kernel() == (0, 0)


# --- where there is


@needs_kernel
@pytest.mark.parametrize("suite", SUITES)
def test_curl_sees_no_difference(through, authority, tmp_path, suite):
    gateway = through()
    sizes = [HUGE if suite == SUITES[0] else LONG, 3, 100_000, 2 << 20, LONG + 1, 0]
    urls = [word for size in sizes for word in (f"https://localhost:{gateway.secure[1]}/{size}", "-o", f"{tmp_path}/{size}")]
    done = subprocess.run(["curl", "-sS", "--http1.1", "--cacert", authority.file, "--tls13-ciphers", suite, "--resolve",
                           f"localhost:{gateway.secure[1]}:127.0.0.1", "-w", "%{num_connects} ", *urls],
                          capture_output=True, text=True, timeout=100)
    assert (done.stdout.split(), done.stderr) == (["1"] + ["0"] * (len(sizes) - 1), "")
    for size in sizes:
        assert hashlib.sha256((tmp_path / str(size)).read_bytes()).hexdigest() == digest_of(size)
    connections, spliced = gateway.kernel()
    assert connections == 1
    assert spliced > sum(sizes) - (1 << 20)


@needs_kernel
def test_short_answers_stay_here(through):
    gateway = through()
    with gateway.connect_securely() as connection:
        for size in (1, 100_000, (1 << 20) - 1):
            assert download(connection, size) == digest_of(size)
        assert gateway.kernel() == (0, 0)
        assert download(connection, 2 << 20) == digest_of(2 << 20)
        wait_for(lambda: gateway.kernel()[0] == 1)


@needs_kernel
def test_older_versions_stay_here(through):
    gateway = through()
    with gateway.connect_securely(maximum_version=ssl.TLSVersion.TLSv1_2) as connection:
        assert download(connection, LONG) == digest_of(LONG)
    assert gateway.kernel() == (0, 0)


@needs_kernel
def test_what_comes_in_is_still_read_here(through):
    gateway = through()
    body = b"".join(bytes_of(LONG))
    with gateway.connect_securely() as connection:
        for _ in range(2):
            assert download(connection, LONG) == digest_of(LONG)
            assert connection.request("POST", "/", body=body).body.decode() == digest_of(LONG)
    assert gateway.kernel()[0] == 1


@needs_kernel
def test_many_at_once(through):
    gateway = through()
    failures = []

    def fetch(number):
        size = (2 << 20) + 1000 * number
        with gateway.connect_securely() as connection:
            for _ in range(2):
                if download(connection, size) != digest_of(size):
                    failures.append(number)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert gateway.kernel()[0] == 6


# --- ends


@needs_kernel
def test_a_slow_client_hears_the_end(through, authority):
    """The end comes behind more than finds room, and behind all of the body."""
    gateway = through()
    with wrap(gateway, authority, ssl.TLSVersion.TLSv1_3) as client:
        client.sendall(b"GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % LONG)
        time.sleep(1)
        total, end = read_to_end(client)
    assert total > LONG and end == "end"
    assert gateway.kernel()[0] == 1


def send_any(peer):
    """GET /SIZE: as many bytes; /whole: bytes up to the connection's end; /part: some, and then it is cut."""
    while True:
        request = peer.read_head()
        peer.upstream.requests.append(request)
        if request.target == "/whole":
            peer.send(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(LONG))
            peer.close()
        elif request.target == "/part":
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            time.sleep(0.2)
            peer.close()
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
            for part in bytes_of(LONG):
                peer.send(part)


@needs_kernel
@pytest.mark.parametrize("path, between, expected", [("whole", (2 * LONG, 3 * LONG), "end"), ("part", (1, 2 * LONG), "cut")])
def test_an_answer_that_ends_with_the_connection(through, authority, path, between, expected):
    """One that is whole has an end, as it had without the kernel; one that is not has none."""
    gateway = through(send_any)
    with wrap(gateway, authority, ssl.TLSVersion.TLSv1_3) as client:
        client.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\nGET /%s HTTP/1.0\r\nHost: localhost\r\n\r\n"
                       % path.encode())
        total, end = read_to_end(client)
    assert end == expected and between[0] < total < between[1]
    assert gateway.kernel()[0] == 1


@needs_kernel
@pytest.mark.parametrize("leave", [lambda peer: peer.close(), lambda peer: peer.reset()], ids=["close", "reset"])
def test_a_service_that_breaks_off(through, authority, leave):
    gateway = through(lambda peer: break_off(peer, leave))
    with wrap(gateway, authority, ssl.TLSVersion.TLSv1_3) as client:
        client.sendall(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert 0 < read_to_end(client)[0] < LONG
    assert gateway.kernel()[0] == 1
    assert gateway.log_lines(1)[0]["reason"] == "upstream-incomplete"
    with gateway.connect_securely() as connection:
        assert connection.request("GET", "/5").body == b"after"


@needs_kernel
def test_a_client_that_leaves(through):
    gateway = through()
    before = gateway.get("/") and gateway.descriptors()
    for leave in ("close", "reset"):
        connection = gateway.connect_securely()
        connection.send_request("GET", f"/{100 * LONG}")
        assert connection.read_head().status == 200
        wait_for(lambda: gateway.kernel()[0] >= 1)
        if leave == "reset":
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.socket.close()
    assert [line["reason"] for line in gateway.log_lines(3)[1:]] == ["client-closed"] * 2
    wait_for(lambda: gateway.descriptors() <= before + 4, what="the connections' end")


@needs_kernel
def test_an_idle_connection_is_ended_in_order(through, authority):
    gateway = through(more="http: {keep-alive: 1s}")
    with wrap(gateway, authority, ssl.TLSVersion.TLSv1_3) as client:
        client.sendall(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % LONG)
        total, end = read_to_end(client)
    assert total > LONG and end == "end"


# --- new keys


def read_rest(client):
    data = b""
    while more := client.process.stdout.read1(65536):
        data += more
    return data


@needs_kernel
def test_the_client_changes_its_own_keys(through):
    gateway = through()
    with Typist(gateway, "-quiet") as client:
        for _ in range(2):
            client.type(f"GET /{LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.until(b"".join(bytes_of(LONG))[-100:])
            client.said = b""
    assert gateway.kernel()[0] == 1
    with Typist(gateway) as client:
        client.until(b"Verify return code")
        client.type(f"GET /{LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.until(b"".join(bytes_of(LONG))[-100:])
        client.said = b""
        client.type("k\n")
        client.until(b"KEYUPDATE")
        client.type("GET /facts HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.until(b"https TLSv1.3 localhost")
    assert gateway.kernel()[0] == 2


@needs_kernel
def test_a_client_that_wants_new_keys_is_let_go_in_order(through):
    gateway = through()
    with Typist(gateway) as client:
        client.until(b"Verify return code")
        client.type(f"GET /{LONG} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.until(b"".join(bytes_of(LONG))[-100:])
        client.type("K\n")
        rest = read_rest(client)
    assert b"KEYUPDATE" in rest and b"closed" in rest and b"rror" not in rest, rest[-500:]
    with gateway.connect_securely() as connection:
        assert connection.request("GET", "/5").status == 200
