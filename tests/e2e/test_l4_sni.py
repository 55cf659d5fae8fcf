"""TLS that goes through as it is, to services by the names and protocols that clients ask for."""

import contextlib
import socket
import ssl
import subprocess
import time

import pytest
from gateway import run_weir, wait_for
from l4_peers import TcpService, bounce, connect, named, port_of

NAMES = ["a", "b", "grpc", "web"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in NAMES:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-days", "2",
                        "-subj", f"/CN={name}"], check=True, capture_output=True)
    return folder


def tls_service(folder, name):
    """Says its name over TLS, then echoes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    context.set_alpn_protocols(["h2", "http/1.1"])

    def serve(connection):
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
            stream.sendall(name.encode() + b"\n")
            while data := stream.recv(65536):
                stream.sendall(data)
    return TcpService(serve)


@pytest.fixture
def gateway(start, certificates):
    with contextlib.ExitStack() as stack:
        services = {name: stack.enter_context(tls_service(certificates, name)) for name in NAMES}
        listed = ", ".join(f'{name}: "{service.at}"' for name, service in services.items())
        yield start(f"""
            version: 1
            listen:
              tcp:
                "127.0.0.1:0":
                  sni: {{a.example: a, "*.B.example": b, c.example: {{h2: grpc, else: web}}, d.example: {{h2: grpc}}}}
                  opening-timeout: 2s
                "127.0.0.2:0": {{sni: {{a.example: a, else: web}}}}
            services: {{{listed}}}
            """)


def client_context(protocols=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def ask(gateway, name, protocols=(), number=0):
    """Who answers under a name."""
    address = ("127.0.0.1" if number == 0 else "127.0.0.2", port_of(gateway, number))
    with socket.create_connection(address, 10) as plain, \
            client_context(protocols).wrap_socket(plain, server_hostname=name) as stream:
        return stream.recv(100).decode().strip()


def test_names(gateway):
    assert ask(gateway, "a.example") == "a"
    assert ask(gateway, "A.EXAMPLE") == "a"
    assert ask(gateway, "x.b.example") == "b"
    assert ask(gateway, "y.x.b.example") == "b"
    for name in ["b.example", "other.example", "a.example.org", None]:
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            ask(gateway, name)
    lines = gateway.log_lines(8)
    assert [line.get("reason") for line in lines].count("no-route") == 4
    assert {"a.example", "x.b.example", "other.example"} <= {line.get("tls.client.server_name") for line in lines}


def test_else(gateway):
    assert ask(gateway, "a.example", number=1) == "a"
    assert ask(gateway, "other.example", number=1) == "web"
    assert ask(gateway, None, number=1) == "web"


def test_protocols(gateway):
    assert ask(gateway, "c.example", ["http/1.1"]) == "web"
    assert ask(gateway, "c.example", ["http/1.1", "h2"]) == "grpc"
    assert ask(gateway, "c.example") == "web"
    assert ask(gateway, "d.example", ["h2"]) == "grpc"
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        ask(gateway, "d.example", ["http/1.1"])
    # Two workers: the lines stand in any order.
    assert {line.get("tls.next_protocol") for line in gateway.log_lines(5)} == {"http/1.1", "h2", None}


@pytest.mark.parametrize("count", [10, 50, 75])
def test_large_hellos(gateway, count):
    """As large as those with post-quantum keys: 2 KB and 12 to 15 KB."""
    protocols = [f"{i:03}" + "x" * 197 for i in range(count)]
    assert ask(gateway, "a.example", protocols) == "a"


def hello_of(name):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = client_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        stream.do_handshake()
    return stream, incoming, outgoing


def go_on(client, call, incoming, outgoing):
    """What a step of TLS gives, with as many bytes between the two sides as it needs."""
    while True:
        try:
            result = call()
            client.sendall(outgoing.read())
            return result
        except ssl.SSLWantReadError:
            client.sendall(outgoing.read())
            incoming.write(client.recv(65536))


def answers(client, stream, incoming, outgoing):
    """Who answers, after the hello was sent."""
    go_on(client, stream.do_handshake, incoming, outgoing)
    return go_on(client, lambda: stream.read(100), incoming, outgoing).decode().strip()


def in_records(hello, size):
    body = hello[5:]
    return b"".join(b"\x16\x03\x01" + len(body[i:i + size]).to_bytes(2, "big") + body[i:i + size]
                    for i in range(0, len(body), size))


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 60, 300])
def test_hello_in_packets(gateway, cut):
    stream, incoming, outgoing = hello_of("a.example")
    hello = outgoing.read()
    with connect(gateway) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(hello[:cut])
        time.sleep(0.05)
        client.sendall(hello[cut:])
        assert answers(client, stream, incoming, outgoing) == "a"


def test_hello_in_records(gateway):
    stream, incoming, outgoing = hello_of("a.example")
    with connect(gateway) as client:
        client.sendall(in_records(outgoing.read(), 100))
        assert answers(client, stream, incoming, outgoing) == "a"


def test_what_is_not_tls(gateway):
    for junk in [b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\x00\x04\x02\0\0\0"]:
        with contextlib.suppress(ConnectionResetError), connect(gateway) as client:
            client.sendall(junk)
            assert client.recv(1) == b""
    assert [line["reason"] for line in gateway.log_lines(3)] == ["bad-client-hello"] * 3


def test_one_byte_at_a_time_is_bounded(gateway):
    hello = hello_of("a.example")[2].read()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError), connect(gateway) as client:
        for byte in hello:
            client.sendall(bytes([byte]))
            time.sleep(0.01)
        client.recv(1)
    assert gateway.log_lines(1)[0]["reason"] == "opening-timeout"


def test_silence_before_the_hello(gateway):
    with contextlib.suppress(ConnectionResetError), connect(gateway) as client:
        assert client.recv(1) == b""
    assert gateway.log_lines(1)[0]["reason"] == "opening-timeout"


def test_openssl(start, certificates, free_port):
    """Its own server behind, its own client in front, and the server's certificate is what the client sees."""
    port = free_port()
    server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", certificates / "b.pem",
                               "-key", certificates / "b.key", "-quiet", "-rev"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": {{sni: {{"*.example": b}}}}}}}}
            services: {{b: "127.0.0.1:{port}"}}
            """)

        def reaches():
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", port), 1)
        wait_for(reaches).close()
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port_of(gateway)}", "-servername",
                               "shop.example", "-CAfile", certificates / "b.pem", "-verify_return_error", "-quiet",
                               "-no_ign_eof"], input="olleh\n", capture_output=True, text=True, timeout=20)
        assert done.returncode == 0 and "CN = b" in done.stderr, done
    finally:
        server.kill()
        server.wait()


def test_tls_that_ends_here(start, certificates):
    """The service gets what is in it; names still choose."""
    with TcpService(named("plain")) as plain, TcpService(named("other")) as other:
        gateway = start(f"""
            version: 1
            listen:
              tcp:
                "127.0.0.1:0": {{to: plain, tls: true, opening-timeout: 2s}}
                "127.0.0.2:0": {{sni: {{a.example: plain, else: other}}, tls: true}}
            tls: {{cert: {certificates}/web.pem, key: {certificates}/web.key}}
            services: {{plain: "{plain.at}", other: "{other.at}"}}
            """)
        with socket.create_connection(("127.0.0.1", port_of(gateway)), 10) as below, \
                client_context(["h2"]).wrap_socket(below, server_hostname="x.example") as client:
            assert client.selected_alpn_protocol() is None
            assert client.recv(100) == b"plain\n"
            data = b"0123456789" * 100_000
            assert bounce(client, data) == data
        assert gateway.metric("weir_tcp_spliced_bytes_total", service="plain") == 0  # what is on the wire is not what is in it
        line = gateway.log_lines(1)[0]
        assert line["tls.client.server_name"] == "x.example" and line["bytes.received"] == len(data)
        assert ask(gateway, "a.example", number=1) == "plain"
        assert ask(gateway, "b.example", number=1) == "other"
        with contextlib.suppress(OSError), connect(gateway) as client:
            client.sendall(b"this is no TLS at all, is it?")
            assert client.recv(100)[:1] in (b"", b"\x15")
        with contextlib.suppress(OSError), connect(gateway) as client:
            client.recv(1)
        reasons = [line.get("reason") for line in gateway.log_lines(5)]
        assert "tls-protocol" in reasons and "opening-timeout" in reasons


def test_tls_without_a_certificate(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("""version: 1
listen: {tcp: {":5432": {to: back, tls: true}}}
services: {back: "127.0.0.1:1"}
""")
    code, out, error = run_weir("check", path)
    assert code == 3 and "needs a certificate" in out + error
