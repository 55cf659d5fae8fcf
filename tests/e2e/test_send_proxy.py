"""Services that are told by a PROXY header who the client is, whatever else they speak."""

import shutil
import ssl
import subprocess
import threading

import pytest
from gateway import run_weir, wait_for
from https import pair
from l4_peers import TcpService, connect, port_of, read_exactly, read_line
from test_proxy_protocol import SIGNATURE, tell_header, v1, v2

MAKE = {"v1": v1, "v2": v2}


def read_header(peer):
    """A PROXY header from a connection, without a byte of what comes behind it."""
    if peer.socket.recv(1, 2) == b"P":  # MSG_PEEK
        line = b""
        while not line.endswith(b"\r\n"):
            line += peer.socket.recv(1)
        return line
    head = read_exactly(peer.socket, 16)
    return head + (read_exactly(peer.socket, head[15]) if head[15] else b"")


def proxied(context=None):
    """A service that answers with the header that its connection began with, and how many requests came on it."""
    def script(peer):
        header, count = read_header(peer), 0
        peer.upstream.requests.append(header)
        if context:
            peer.socket = context.wrap_socket(peer.socket, server_side=True)
        while True:
            peer.read_request()
            count += 1
            peer.answer(header.hex().encode() + b" %d" % count)
    return script


CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: {workers}
    services: {{back: {{at: "{at}", send-proxy: {version}{more}}}}}
    routes: {{/**: back}}
    """


def config(at, version="v2", workers=2, more=""):
    return CONFIG.format(at=at, version=version, workers=workers, more=more)


def expected(connection, gateway, version="v2"):
    return MAKE[version]("127.0.0.1", "127.0.0.1", (connection.socket.getsockname()[1], gateway.address[1])).hex()


def said(answer):
    assert answer.status == 200, answer
    header, count = answer.body.decode().split()
    return header, int(count)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_client_keeps_its_connection(start, serve, version):
    service = serve(proxied())
    gateway = start(config(service.at, version))
    with gateway.connect() as one, gateway.connect() as two:
        for i in range(1, 4):
            for client in (one, two):
                assert said(client.request("GET", "/")) == (expected(client, gateway, version), i)
    assert service.connections == 2


def test_nobody_speaks_for_another(start, serve):
    """More clients than connections: each has its own header, or waits."""
    service, wrong = serve(proxied()), []
    gateway = start(config(service.at, more=", connections: {max: 3}"))

    def client():
        with gateway.connect() as connection:
            for _ in range(25):
                if said(connection.request("GET", "/"))[0] != expected(connection, gateway):
                    wrong.append(1)

    clients = [threading.Thread(target=client) for _ in range(8)]
    [one.start() for one in clients]
    [one.join() for one in clients]
    assert not wrong
    assert service.connections >= 8


def test_old_clients_make_room(start, serve):
    """Connections of clients that are gone do not keep others out."""
    service = serve(proxied())
    gateway = start(config(service.at, workers=1, more=", connections: {max: 2, idle: 2}, timeout: {connect: 1s}"))
    for _ in range(10):
        with gateway.connect() as client:
            assert said(client.request("GET", "/")) == (expected(client, gateway), 1)
            assert said(client.request("GET", "/")) == (expected(client, gateway), 2)
    assert service.connections == 10


def test_before_tls(start, serve, authority):
    issued = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    service = serve(proxied(context))
    gateway = start(config("https://" + service.at, more=f", tls: {{ca: {authority.file}}}"))
    with gateway.connect() as client:
        for i in range(1, 3):
            assert said(client.request("GET", "/")) == (expected(client, gateway), i)


def test_http_2_clients(start, serve, authority):
    """Streams of one connection are one client."""
    service = serve(proxied())
    gateway = start(config(service.at).replace('listen: "127.0.0.1:0"', 'listen: {https: "127.0.0.1:0"}')
                    + f"\n    tls: {pair(authority.issue('localhost'))}\n")
    url = "https://localhost:%d/" % gateway.address[1]
    done = subprocess.run(["curl", "-sS", "--cacert", authority.file, "-w", " %{http_version} %{local_port}\n", url, url],
                          capture_output=True, text=True, timeout=20)
    answers = [line.split() for line in done.stdout.splitlines()]
    assert [answer[1:3] for answer in answers] == [["1", "2"], ["2", "2"]], done
    assert answers[0][0] == v2("127.0.0.1", "127.0.0.1", (int(answers[0][3]), gateway.address[1])).hex()


def test_checks_speak_for_nobody(start, serve):
    service = serve(proxied())
    gateway = start(config(service.at, more=", health: {path: /, every: 50ms, rise: 1, fall: 1}"))
    wait_for(lambda: service.requests, what="a check")
    assert service.requests[0] == SIGNATURE + b"\x20\0\0\0"
    with gateway.connect() as client:
        assert said(client.request("GET", "/"))[0] == expected(client, gateway)


L4 = """
    version: 1
    listen: {{tcp: {{"127.0.0.1:0": {{to: back, send-proxy: {listener}}}}}}}
    services: {{back: {{at: "{at}", send-proxy: {service}{more}}}}}
    """


@pytest.mark.parametrize("listener, service, wins", [("off", "v1", "v1"), ("v2", "v1", "v2"), ("v1", "off", "v1")])
def test_layer_4(start, listener, service, wins):
    with TcpService(tell_header) as back:
        gateway = start(L4.format(listener=listener, service=service, at=back.at, more=""))
        with connect(gateway) as client:
            ports = (client.getsockname()[1], port_of(gateway))
            assert read_line(client) == MAKE[wins]("127.0.0.1", "127.0.0.1", ports).hex()


def test_layer_4_before_tls(start, serve, authority):
    """The header is for who is in front of TLS."""
    issued = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)

    def script(peer):
        header = read_header(peer)
        peer.socket = context.wrap_socket(peer.socket, server_side=True)
        peer.send(header.hex().encode() + b"\n")
        peer.socket.recv(1)

    service = serve(script)
    gateway = start(L4.format(listener="v2", service="off", at="https://" + service.at, more=f", tls: {{ca: {authority.file}}}"))
    with connect(gateway) as client:
        assert read_line(client) == v2("127.0.0.1", "127.0.0.1", (client.getsockname()[1], port_of(gateway))).hex()


NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        location / {{ return 200 "$proxy_protocol_addr $proxy_protocol_port"; }}
    }}
}}
"""


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_understands(start, free_port, tmp_path, version):
    port = free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port))
    nginx = subprocess.Popen(["nginx", "-p", str(tmp_path), "-e", str(tmp_path / "error"), "-c", str(tmp_path / "nginx.conf")])
    try:
        gateway = start(config(f"127.0.0.1:{port}", version))
        wait_for(lambda: gateway.get("/").status == 200, what="nginx")
        with gateway.connect() as client:
            for _ in range(3):
                answer = client.request("GET", "/")
                assert answer.body.decode() == "127.0.0.1 %d" % client.socket.getsockname()[1]
    finally:
        nginx.terminate()
        nginx.wait()


@pytest.mark.parametrize("text, problem", [
    ("services: {back: {at: 'h2c://127.0.0.1:1', send-proxy: v1}}\nroutes: {/**: back}\nlisten: ':0'", "carry many"),
    ("services: {back: {at: '127.0.0.1:1', http2: true, send-proxy: v2}}\nroutes: {/**: back}\nlisten: ':0'", "carry many"),
    ("services: {back: {at: '127.0.0.1:1', send-proxy: v2}}\nlisten: {udp: {'127.0.0.1:0': back}}", "no place before datagrams"),
    ("services: {back: {at: '127.0.0.1:1', send-proxy: v3}}\nroutes: {/**: back}\nlisten: ':0'", 'cannot be "v3"'),
])
def test_what_cannot_work_is_refused(tmp_path, text, problem):
    (tmp_path / "weir.yaml").write_text("version: 1\n" + text + "\n")
    code, _, errors = run_weir("check", tmp_path / "weir.yaml")
    assert code == 3 and problem in errors, errors
