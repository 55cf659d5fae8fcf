"""The PROXY protocol, in and out: who says for whom it speaks, and who is told."""

import contextlib
import socket
import ssl
import struct
import subprocess
import time

import pytest
from gateway import run_weir, wait_for
from l4_peers import TcpService, connect, echo, port_of, read_all, read_exactly, read_line

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def v1(source="192.0.2.7", destination="198.51.100.1", ports=(1234, 443)):
    family = 6 if ":" in source else 4
    return b"PROXY TCP%d %s %s %d %d\r\n" % (family, source.encode(), destination.encode(), *ports)


def v2(source="192.0.2.7", destination="198.51.100.1", ports=(1234, 443), command=1, more=b""):
    is_v6 = ":" in source
    family = socket.AF_INET6 if is_v6 else socket.AF_INET
    body = socket.inet_pton(family, source) + socket.inet_pton(family, destination) + struct.pack("!HH", *ports) + more
    return SIGNATURE + bytes([0x20 | command, 0x21 if is_v6 else 0x11]) + struct.pack("!H", len(body)) + body


HTTP = """
    version: 1
    listen: {{http: {{address: "127.0.0.1:0", proxy-protocol: true}}}}
    trusted: {}
    http: {{head-timeout: 2s}}
    routes: {{/**: {{respond: "${{client.ip}} ${{peer.ip}}"}}}}
    """


def ask(gateway, header, pieces=False):
    with connect(gateway) as client:
        if pieces:
            for byte in header:
                client.sendall(bytes([byte]))
        else:
            client.sendall(header + REQUEST)
        if pieces:
            client.sendall(REQUEST)
        answer = read_all(client)
    return answer.split(b"\r\n\r\n")[-1].decode()


@pytest.mark.parametrize("header, client", [
    (v1(), "192.0.2.7"), (v2(), "192.0.2.7"), (v1("2001:db8::7", "::1"), "2001:db8::7"),
    (v2("2001:db8::7", "::1"), "2001:db8::7"), (v2(more=b"\x04\0\x02!!"), "192.0.2.7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (v2(command=0), "127.0.0.1"), (SIGNATURE + b"\x21\0\0\0", "127.0.0.1"),
])
def test_http(start, header, client):
    gateway = start(HTTP.format("[loopback]"))
    assert ask(gateway, header) == f"{client} {client}"
    assert ask(gateway, header, pieces=True) == f"{client} {client}"
    assert gateway.log_lines(2)[0]["client.address"] == client


def test_http_goes_on_with_keep_alive(start):
    """The header counts for all requests of a connection, and stands before the first alone."""
    gateway = start(HTTP.format("[loopback]"))
    with connect(gateway) as client:
        client.sendall(v2() + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: len(gateway._whole_lines()) == 1)
        client.sendall(REQUEST)
        assert read_all(client).count(b"192.0.2.7 192.0.2.7") == 2


@pytest.mark.parametrize("junk", [REQUEST, v1().replace(b"TCP4", b"TCP9"), v2()[:12] + b"\x31" + v2()[13:], b"PROXY TCP4 1 2 3 4\r\n"])
def test_http_without_a_header(start, junk):
    gateway = start(HTTP.format("[loopback]"))
    with contextlib.suppress(ConnectionResetError), connect(gateway) as client:
        client.sendall(junk)
        assert read_all(client) == b""
    assert gateway.log_lines(1)[0]["reason"] == "bad-proxy-header"
    assert gateway.metric("weir_http_refused_connections_total", reason="bad-proxy-header") == 1


def test_http_with_half_a_header(start):
    gateway = start(HTTP.format("[loopback]"))
    with connect(gateway) as client:
        client.sendall(v2()[:20])
        assert read_all(client) == b""
    assert gateway.log_lines(1)[0]["reason"] == "opening-timeout"


def test_http_from_a_stranger(start):
    gateway = start(HTTP.format("[192.0.2.0/24]"))
    with contextlib.suppress(ConnectionResetError), connect(gateway) as client:
        client.sendall(v2() + REQUEST)
        assert read_all(client) == b""
    line = gateway.log_lines(1)[0]
    assert (line["reason"], line["client.address"]) == ("peer-not-trusted", "127.0.0.1")


def test_nobody_is_trusted(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text('version: 1\nlisten: {http: {address: ":80", proxy-protocol: true}}\n')
    code, out, error = run_weir("check", path)
    assert code == 3 and "from `trusted` peers only" in out + error


def test_x_forwarded_for_names_the_client(start, serve):
    back = serve()
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", proxy-protocol: true}}}}
        trusted: [loopback]
        services: {{back: "{back.at}"}}
        routes: {{/**: back}}
        """)
    ask(gateway, v2())
    assert wait_for(lambda: back.requests)[0].header("X-Forwarded-For") == "192.0.2.7"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", folder / "a.key", "-out", folder / "a.pem", "-days", "2", "-subj", "/CN=a",
                    "-addext", "subjectAltName=DNS:a"], check=True, capture_output=True)
    return folder


def test_https(start, certificate):
    gateway = start(f"""
        version: 1
        listen: {{https: {{address: "127.0.0.1:0", proxy-protocol: true}}}}
        tls: {{cert: {certificate}/a.pem, key: {certificate}/a.key}}
        trusted: [loopback]
        routes: {{/**: {{respond: "${{client.ip}} ${{scheme}}"}}}}
        """)
    context = ssl.create_default_context(cafile=certificate / "a.pem")
    with connect(gateway) as plain:
        plain.sendall(v2())
        with context.wrap_socket(plain, server_hostname="a") as client:
            client.sendall(REQUEST)
            assert read_all(client).endswith(b"192.0.2.7 https")


def tcp_config(at, options):
    return f"""
        version: 1
        listen: {{tcp: {{"127.0.0.1:0": {{to: back, {options}}}}}}}
        trusted: [loopback]
        services: {{back: "{at}"}}
        """


def tell_header(connection):
    """What came first, as a line of hexadecimal digits."""
    time.sleep(0.1)
    connection.sendall(connection.recv(4096).hex().encode() + b"\n")


def test_tcp_in(start):
    with TcpService(echo) as back:
        gateway = start(tcp_config(back.at, "proxy-protocol: true, opening-timeout: 2s"))
        for header in [v1(), v2()]:
            with connect(gateway) as client:
                client.sendall(header + b"hello")
                assert read_exactly(client, 5) == b"hello"
        for junk in [b"hello, this is no header", b""]:
            with contextlib.suppress(ConnectionResetError), connect(gateway) as client:
                client.sendall(junk)
                assert client.recv(1) == b""
    lines = sorted(gateway.log_lines(4), key=lambda line: line.get("reason", ""))  # two workers write them
    assert [line["client.address"] for line in lines] == ["192.0.2.7"] * 2 + ["127.0.0.1"] * 2
    assert lines[0]["client.port"] == 1234
    assert [line.get("reason") for line in lines[2:]] == ["bad-proxy-header", "opening-timeout"]


def test_tcp_out(start):
    with TcpService(tell_header) as back:
        for version in ["v1", "v2"]:
            gateway = start(tcp_config(back.at, f"send-proxy: {version}"))
            with connect(gateway) as client:
                ports = (client.getsockname()[1], port_of(gateway))
                make = v1 if version == "v1" else v2
                assert read_line(client) == make("127.0.0.1", "127.0.0.1", ports).hex()


def test_tcp_in_and_out(start):
    """What one gateway is told it tells the next."""
    with TcpService(tell_header) as back:
        inner = start(tcp_config(back.at, "proxy-protocol: true, send-proxy: v1"))
        outer = start(tcp_config(f"127.0.0.1:{port_of(inner)}", "proxy-protocol: true, send-proxy: v2"))
        with connect(outer) as client:
            client.sendall(v1("2001:db8::7", "2001:db8::8"))
            assert read_line(client) == v1("2001:db8::7", "2001:db8::8").hex()
