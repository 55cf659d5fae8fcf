"""What follows TLS handshakes, with other people's TLS on the other side: new keys in the middle, ends and cuts."""

import fcntl
import socket
import ssl
import subprocess
import termios
import time

import pytest
from gateway import wait_for
from https import HTTPS, pair, split
from l4_peers import TcpService, connect, read_all, reset

SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]


class Typist:
    """`openssl s_client`, at which somebody types: "k" alone in a line changes its keys, "K" both sides'."""

    def __init__(self, gateway, *arguments):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", "%s:%d" % gateway.secure, "-servername", "localhost", "-tls1_3", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""

    def type(self, text):
        """A command counts only when it is read alone, so it is waited until all has been read."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()
        wait_for(lambda: not any(fcntl.ioctl(self.process.stdin, termios.FIONREAD, bytes(4))), what="an empty pipe")

    def until(self, text):
        while text not in self.said:
            data = self.process.stdout.read1(65536)
            assert data, self.said
            self.said += data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def start_on(start, authority, at):
    """A gateway that speaks HTTPS, and forwards everything to one service."""
    gateway = start(HTTPS.format(tls=pair(authority.issue("localhost")), service=at, more="", listener=""))
    gateway.secure = split(gateway.addresses[1])
    return gateway


@pytest.mark.parametrize("suite", SUITES)
def test_new_keys_between_requests(secure, suite):
    gateway = secure()
    with Typist(gateway, "-ciphersuites", suite) as client:
        client.until(b"Verify return code")
        for command in "KkKKk":
            client.said = b""
            client.type(command + "\n")
            client.until(b"KEYUPDATE")
            client.type("GET /facts HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.until(b"https TLSv1.3 localhost")
    assert gateway.metric("weir_tls_handshakes_total") == 1


def test_new_keys_in_the_middle_of_a_body(start, serve, authority):
    service = serve(lambda peer: peer.answer(peer.read_request().body))
    gateway = start_on(start, authority, service.at)
    with Typist(gateway) as client:
        client.until(b"Verify return code")
        client.type("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\nConnection: close\r\n\r\n")
        for command in "kKk":
            client.type(command + "\n")
            client.until(b"KEYUPDATE")
            client.said = client.said.replace(b"KEYUPDATE", b"")
            client.type("x" * 19 + "\n")
        client.until(b"200 OK")
        client.until((b"x" * 19 + b"\n") * 3)


# --- ends and cuts


def read_to_end(connection, pause=0.0):
    """(bytes, how it ended): "end" when the other side said so, "cut" when it did not."""
    total = 0
    while True:
        try:
            data = connection.recv(65536)
        except ssl.SSLEOFError:
            return total, "cut"
        except ConnectionError:
            return total, "cut"
        if not data:
            return total, "end"
        total += len(data)
        time.sleep(pause)


def wrap(gateway, authority, version, number=1):
    """A client that notices when nobody said that the bytes have ended, and takes little at a time."""
    context = authority.context(maximum_version=version)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(20)
    raw.connect(split(gateway.addresses[number]))
    return context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)


BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
SIZE = 8 << 20


def until_close(size, end=None):
    """A service whose answer ends with its connection."""
    def script(peer):
        peer.read_request()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(size))
        (end or (lambda one: one.close()))(peer)
    return script


@BOTH
def test_a_slow_client_hears_the_end(start, serve, authority, version):
    """The end comes behind more than finds room; a body that ends with the connection is whole only with it."""
    gateway = start_on(start, authority, serve(until_close(SIZE)).at)
    with wrap(gateway, authority, version) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        total, end = read_to_end(client)
    assert total > SIZE and end == "end"


def cut_short(peer):
    """A service that goes away in the middle of its answer."""
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    time.sleep(0.2)
    peer.close()


@BOTH
def test_a_cut_answer_has_no_end(start, serve, authority, version):
    """A client to which an answer ends with its connection must not take a part of it for the whole."""
    gateway = start_on(start, authority, serve(cut_short).at)
    with wrap(gateway, authority, version) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert read_to_end(client)[1] == "cut"


def test_a_cut_answer_is_reset(start, serve):
    at = serve(cut_short).at
    gateway = start(f'version: 1\nlisten: "127.0.0.1:0"\nservices: {{back: "{at}"}}\nroutes: {{/**: back}}\n')
    with socket.create_connection(gateway.address, 10) as client:
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_all(client)


L4 = """
    version: 1
    listen: {{tcp: {{"127.0.0.1:0": {{to: back, tls: true}}}}}}
    tls: {tls}
    services: {{back: {{at: "{at}"}}}}
    """


@BOTH
def test_layer_4_ends_and_cuts(start, authority, version):
    """What the service does to its connection, the client sees on its own."""
    def end(connection):
        connection.recv(1)
        connection.sendall(bytes(SIZE))

    def cut(connection):
        connection.recv(1)
        connection.sendall(b"a part")
        time.sleep(0.2)
        reset(connection)

    for serve_one, expected in [(end, (SIZE, "end")), (cut, (6, "cut"))]:
        with TcpService(serve_one) as service:
            gateway = start(L4.format(tls=pair(authority.issue("localhost")), at=service.at))
            with wrap(gateway, authority, version, 0) as client:
                client.sendall(b"x")
                time.sleep(0.5)
                assert read_to_end(client) == expected


@BOTH
def test_layer_4_half_close(start, authority, version):
    """The client ends first, and hears all of the answer with its end."""
    def serve_one(connection):
        assert read_all(connection) == b"question"
        connection.sendall(bytes(SIZE))

    with TcpService(serve_one) as service:
        gateway = start(L4.format(tls=pair(authority.issue("localhost")), at=service.at))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = authority.context(maximum_version=version)
        client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with connect(gateway) as raw:
            total, end = half_close(client, raw, incoming, outgoing)
        assert (total, end) == (SIZE, "end")


def half_close(client, raw, incoming, outgoing):
    """Python's unwrap waits for the other side's end, and does not like the data before it."""
    def step(call):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                data = raw.recv(65536)
                incoming.write(data) if data else incoming.write_eof()
    step(client.do_handshake)
    client.write(b"question")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    raw.sendall(outgoing.read())
    total = 0
    while True:
        try:
            total += len(step(lambda: client.read(65536)))
        except ssl.SSLZeroReturnError:
            return total, "end"
        except ssl.SSLError as error:
            return total, str(error)
