"""A forward proxy: CONNECT and requests for foreign hosts, where a listener lets them through."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading

import pytest
from gateway import run_weir, wait_for
from http_client import Connection
from l4_peers import TcpService, echo, read_all
from proxy_client import Tunnel, config, connect_request, curl, reason_of, refused


@pytest.fixture
def service():
    """service(serve): a TCP service."""
    with contextlib.ExitStack() as stack:
        yield lambda serve=echo: stack.enter_context(TcpService(serve))


@pytest.fixture
def proxy(start):
    """proxy(option, …): a gateway whose listener is a forward proxy."""
    return lambda option, **more: start(config(option, **more))


def absolute(gateway, url, *lines, method="GET", body=b""):
    host = url.split("/")[2].split("?")[0]
    with gateway.connect() as connection:
        connection.send("\r\n".join([f"{method} {url} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode() + body)
        return connection.read_answer(method)


# --- tunnels

def test_bytes_pass_both_ways(proxy, service):
    back = service()
    gateway = proxy('"loopback:*"')
    with Tunnel(gateway, back.at) as tunnel:
        assert tunnel.answer.version == "HTTP/1.1"
        assert not {"Content-Length", "Transfer-Encoding", "Connection", "Upgrade"} & {n for n, _ in tunnel.answer.headers}
        for message in (b"hello", b"x" * 3_000_000, b"\0\1\2"):
            threading.Thread(target=tunnel.send, args=(message,)).start()
            assert tunnel.exactly(len(message)) == message
        assert gateway.metric("weir_tunnels_open") == gateway.metric("weir_proxy_open_connections") == 1
        assert gateway.metric("weir_websockets_open") == 0
    line = gateway.log_lines(1)[0]
    assert line["http.request.method"] == "CONNECT" and line["http.response.status_code"] == 200
    assert (line["server.address"], line["server.port"]) == ("127.0.0.1", back.port)
    assert line["upstream.address"] == back.at and line["http.route"] == "forward-proxy"
    assert line["http.request.body.size"] == line["http.response.body.size"] == 3_000_008
    assert "reason" not in line
    for direction in ("received", "sent"):
        assert gateway.metric(f"weir_proxy_{direction}_bytes_total") == 3_000_008
    wait_for(lambda: gateway.metric("weir_tunnels_open") == gateway.metric("weir_proxy_open_connections") == 0)
    assert gateway.metric("weir_http_requests_total", method="CONNECT", code=200, route="forward-proxy") == 1


def test_who_does_not_wait_for_the_answer(proxy, service):
    back = service()
    with Tunnel(proxy('"loopback:*"'), back.at, early=b"early bird") as tunnel:
        assert tunnel.exactly(10) == b"early bird"


def test_a_client_of_http_1_0(proxy, service):
    with Tunnel(proxy('"loopback:*"'), service().at, version="1.0") as tunnel:
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"


def test_half_close_of_the_client(proxy, service):
    back = service(lambda connection: connection.sendall(str(len(read_all(connection))).encode()))
    with Tunnel(proxy('"loopback:*"'), back.at) as tunnel:
        tunnel.send(b"x" * 100_000)
        tunnel.end()
        assert tunnel.read_all() == b"100000"


def test_half_close_of_the_target(proxy, service):
    heard = []

    def serve(connection):
        connection.sendall(b"that is all")
        connection.shutdown(1)
        heard.append(read_all(connection))
    with Tunnel(proxy('"loopback:*"'), service(serve).at) as tunnel:
        assert tunnel.read_all() == b"that is all"
        tunnel.send(b"I go on")
        tunnel.end()
        wait_for(lambda: heard == [b"I go on"])


def test_long_transfers_arrive_whole(proxy, service):
    data = os.urandom(8 << 20)

    def serve(connection):
        connection.sendall(data)
        connection.shutdown(1)
        read_all(connection)
    with Tunnel(proxy('"loopback:*"'), service(serve).at) as tunnel:
        assert hashlib.sha256(tunnel.read_all()).digest() == hashlib.sha256(data).digest()
        tunnel.end()


def test_proxy_fields_stay_here(proxy, serve):
    """Whatever a client says to the proxy is not for those behind it."""
    service = serve()
    gateway = proxy('"loopback:*"', more=f'services: {{back: "{service.at}"}}')
    absolute(gateway, f"http://{service.at}/x", "Proxy-Authorization: Basic c2VjcmV0", "Proxy-Connection: keep-alive",
             "Connection: x-mine", "X-Mine: 1", "X-Forwarded-For: 6.6.6.6")
    request = service.requests[0]
    names = {name.lower() for name, _ in request.headers}
    assert not names & {"proxy-authorization", "proxy-connection", "x-mine", "x-forwarded-for", "forwarded", "x-real-ip"}
    assert request.header("Via") == "1.1 weir"


def test_proxy_authorization_never_reaches_a_service(shop):
    gateway, service = shop
    gateway.get("/", {"Proxy-Authorization": "Basic c2VjcmV0"})
    assert service.requests[0].header("Proxy-Authorization") is None


# --- requests

def test_a_request_goes_on_as_it_is(proxy, serve):
    service = serve()
    gateway = proxy('"loopback:*"')
    answer = absolute(gateway, f"http://{service.at}/a/%7Eb/./c?x=1&y=%2F", "X-Test: 1", "User-Agent: me")
    assert answer.status == 200 and answer.header("Via") == "1.1 weir"
    request = service.requests[0]
    assert request.target == "/a/%7Eb/./c?x=1&y=%2F" and request.header("Host") == service.at
    assert request.header("X-Test") == "1" and request.header("Connection") == "close"
    line = gateway.log_lines(1)[0]
    assert line["http.route"] == "forward-proxy" and line["upstream.address"] == service.at
    wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 0)


@pytest.mark.parametrize("target, path", [("", "/"), ("?a=b", "/?a=b"), ("/", "/")])
def test_empty_paths(proxy, serve, target, path):
    service = serve()
    absolute(proxy('"loopback:*"'), f"http://{service.at}{target}")
    assert service.requests[0].target == path


def test_options_for_the_whole_server(proxy, serve):
    service = serve()
    absolute(proxy('"loopback:*"'), f"http://{service.at}", method="OPTIONS")
    assert service.requests[0].target == "*"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards(proxy, serve, method):
    service = serve()
    gateway = proxy('"loopback:*"')
    assert absolute(gateway, f"http://{service.at}/", "Max-Forwards: 0", method=method).status in (204, 405)
    assert not service.requests
    absolute(gateway, f"http://{service.at}/", "Max-Forwards: 3", method=method)
    assert service.requests[0].header("Max-Forwards") == "2"


def test_bodies_both_ways(proxy, serve):
    def script(peer):
        request = peer.read_request()
        peer.answer(request.body)
    service = serve(script)
    gateway = proxy('"loopback:*"')
    for size in (0, 1, 100_000, 5_000_000):
        body = os.urandom(size)
        answer = absolute(gateway, f"http://{service.at}/", f"Content-Length: {size}", method="POST", body=body)
        assert answer.body == body
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    answer = absolute(gateway, f"http://{service.at}/", "Transfer-Encoding: chunked", method="POST", body=chunks)
    assert answer.body == b"hello world"


def test_expectations_are_asked_of_the_target(proxy, serve):
    def script(peer):
        request = peer.read_head()
        assert request.header("Expect") == "100-continue"
        peer.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.answer(peer.read_body(request))
    service = serve(script)
    gateway = proxy('"loopback:*"')
    with gateway.connect() as connection:
        connection.send(f"POST http://{service.at}/ HTTP/1.1\r\nHost: {service.at}\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n".encode())
        assert connection.read_answer(interim=True).status == 100
        connection.send(b"hello")
        assert connection.read_answer().body == b"hello"


def test_an_early_refusal_is_passed_on(proxy, serve):
    def script(peer):
        peer.read_head()
        peer.answer(b"no", 417)
    service = serve(script)
    with proxy('"loopback:*"').connect() as connection:
        connection.send(f"POST http://{service.at}/ HTTP/1.1\r\nHost: {service.at}\r\nExpect: 100-continue\r\n"
                        "Content-Length: 5\r\n\r\n".encode())
        assert connection.read_answer().status == 417


def test_head_and_several_on_one_connection(proxy, serve):
    service = serve()
    with proxy('"loopback:*"').connect() as connection:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            connection.send(f"{method} http://{service.at}/ HTTP/1.1\r\nHost: {service.at}\r\n\r\n".encode())
            assert connection.read_answer(method).status == 200


def test_https_is_for_tunnels(proxy, serve):
    answer = absolute(proxy('"loopback:*"'), f"https://{serve().at}/")
    assert (answer.status, reason_of(answer)) == (501, "not-implemented")


def test_an_upgrade_is_not_passed_on(proxy, serve):
    service = serve()
    absolute(proxy('"loopback:*"'), f"http://{service.at}/", "Connection: upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    assert service.requests[0].header("Upgrade") is None


# --- what is not the proxy's

def test_own_routes_stay(proxy):
    gateway = proxy('"loopback:*"')
    assert gateway.get("/own").body == b"own"
    assert gateway.get("/none").status == 404


def test_hosts_of_routes_stay_theirs(proxy):
    gateway = proxy('"loopback:*"', more='hosts: [shop.example, "*.shop.example"]')
    for host in ("shop.example", "api.shop.example"):
        assert absolute(gateway, f"http://{host}/own").body == b"own"
    answer = absolute(gateway, "http://10.9.9.9/own")
    assert (answer.status, reason_of(answer)) == (403, "target-denied")


def test_without_the_option_nothing_goes_anywhere(start, service):
    back = service()
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        routes: {/**: {respond: own}}
        """)
    assert refused(gateway, back.at)[:2] == (501, "not-implemented")
    assert absolute(gateway, f"http://{back.at}/").body == b"own"
    assert back.accepted == 0


def test_only_the_listener_that_says_so(start, service, free_port):
    back = service()
    gateway = start(f"""
        version: 1
        listen: {{http: ["127.0.0.1:0", {{address: "127.0.0.1:{free_port()}", forward-proxy: "loopback:*"}}]}}
        routes: {{/**: {{respond: own}}}}
        """)
    assert refused(gateway, back.at)[:2] == (501, "not-implemented")
    host, port = gateway.addresses[1].rsplit(":", 1)
    with contextlib.closing(Connection((host, int(port)))) as connection:
        connection.send(connect_request(back.at))
        assert connection.read_head().status == 200


# --- who may go where

@pytest.mark.parametrize("option, target, expected", [
    ('"*.example.com"', "example.com:443", "target-denied"),
    ('"*.example.com"', "notexample.com:443", "target-denied"),
    ('"*.example.com"', "a.example.com:8080", "target-denied"),
    ('"api.example.com:8443"', "api.example.com:443", "target-denied"),
    ('"10.0.0.0/8"', "11.0.0.1:443", "target-denied"),
    ('"*"', "127.0.0.1:443", "target-address-denied"),
    ('"*:*"', "127.0.0.1:22", "target-address-denied"),
    ('"*:*"', "127.8.9.1:22", "target-address-denied"),
    ('"*:*"', "0.0.0.0:22", "target-address-denied"),
    ('"*:*"', "10.1.2.3:22", "target-address-denied"),
    ('"*:*"', "100.64.0.1:22", "target-address-denied"),
    ('"*:*"', "169.254.169.254:80", "target-address-denied"),
    ('"*:*"', "168.63.129.16:80", "target-address-denied"),
    ('"*:*"', "172.31.0.1:80", "target-address-denied"),
    ('"*:*"', "192.168.1.1:80", "target-address-denied"),
    ('"*:*"', "224.0.0.1:80", "target-address-denied"),
    ('"*:*"', "255.255.255.255:80", "target-address-denied"),
    ('"*:*"', "[::1]:80", "target-address-denied"),
    ('"*:*"', "[::]:80", "target-address-denied"),
    ('"*:*"', "[::ffff:127.0.0.1]:80", "target-address-denied"),
    ('"*:*"', "[::ffff:7f00:1]:80", "target-address-denied"),
    ('"*:*"', "[::127.0.0.1]:80", "target-address-denied"),
    ('"*:*"', "[64:ff9b::7f00:1]:80", "target-address-denied"),
    ('"*:*"', "[64:ff9b::a9fe:a9fe]:80", "target-address-denied"),
    ('"*:*"', "[2002:7f00:1::]:80", "target-address-denied"),
    ('"*:*"', "[fe80::1]:80", "target-address-denied"),
    ('"*:*"', "[fd00:ec2::254]:80", "target-address-denied"),
    ('"*:*"', "[ff02::1]:80", "target-address-denied"),
    ('"*:*"', "localhost:80", "target-address-denied"),
    ('"localhost:*"', "localhost:80", "target-address-denied"),
    ('"*:*"', "2130706433:80", "target-denied"),
    ('"*:*"', "0x7f000001:80", "target-denied"),
    ('"*:*"', "0x7f.0.0.1:80", "target-denied"),
    ('"*:*"', "127.1:80", "target-denied"),
    ('"*:*"', "0177.0.0.1:80", "target-denied"),
    ('"*:*"', "127.0.0.01:80", "target-denied"),
])
def test_where_nobody_is_taken(proxy, option, target, expected):
    gateway = proxy(option)
    status, reason, told = refused(gateway, target)
    assert (status, reason) == (403, expected)
    error = "destination_ip_prohibited" if "address" in expected else "http_request_denied"
    assert told == f"weir; error={error}"
    line = gateway.log_lines(1)[0]
    assert line["reason"] == expected and "upstream.address" not in line
    assert gateway.metric("weir_http_reasons_total", route="forward-proxy", reason=expected) == 1
    answer = absolute(gateway, f"http://{target}/")
    assert (answer.status, reason_of(answer)) == (403, expected)


@pytest.mark.parametrize("option", ['"127.0.0.1:{port}"', '"127.0.0.0/8:{port}"', '"loopback:*"', '"0.0.0.0/0:1-65535"',
                                    '"::/0:1"'])
def test_where_the_list_leads(proxy, service, option):
    back = service()
    gateway = proxy(option.format(port=back.port) if option != '"::/0:1"' else '["[::/0]:*"]')
    with Tunnel(gateway, back.at) as tunnel:
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"
    with Tunnel(gateway, f"localhost:{back.port}") as tunnel:  # whatever name leads there
        tunnel.send(b"x")
        assert tunnel.exactly(1) == b"x"


def test_never_to_its_own_listeners(proxy, start, free_port):
    own = """
        version: 1
        listen: {http: {address: "ADDRESS:PORT", forward-proxy: ["loopback:*"]}}
        routes: {/**: {respond: own}}
        """
    for address, targets in (("127.0.0.1", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"]),
                             ("0.0.0.0", ["127.0.0.1", "127.0.0.2"])):
        gateway = start(own.replace("ADDRESS:PORT", f"{address}:0"))
        for target in targets:
            assert refused(gateway, f"{target}:{gateway.address[1]}")[:2] == (403, "target-address-denied")
        gateway.stop()
    port = free_port()
    gateway = start(own.replace("ADDRESS:PORT", f"127.0.0.1:{port}").replace("loopback:*", f"127.0.0.1:{port}"))
    with Tunnel(gateway, f"127.0.0.1:{port}") as tunnel:  # it means just that
        tunnel.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert tunnel.read_all().endswith(b"own")


def test_policies_say_who_may(proxy, service):
    back = service()
    gateway = proxy('{to: "loopback:*", use: [limits.few]}', more="limits: {few: {per: client.ip, rate: 2/h}}")
    for _ in range(2):
        with Tunnel(gateway, back.at):
            pass
    assert refused(gateway, back.at)[:2] == (429, "limit-exceeded")
    answer = absolute(gateway, f"http://{back.at}/")
    assert (answer.status, reason_of(answer)) == (429, "limit-exceeded")
    assert gateway.get("/own").status == 200


def test_policies_of_the_file_hold_here_too(proxy, service):
    back = service()
    more = "ip: {office: {allow: 10.0.0.0/8}}\n    headers: {mark: {response: {set: {X-Mark: a}}}}\n    use: [ip.office, headers.mark]"
    assert refused(proxy('"loopback:*"', more=more), back.at)[:2] == (403, "address-denied")
    with Tunnel(proxy('{to: "loopback:*", use: []}', more=more), back.at) as tunnel:
        assert tunnel.answer.header("X-Mark") is None
        wait_for(lambda: back.accepted == 1)


def test_connections_are_bounded(proxy, service):
    back = service()
    gateway = proxy('{to: "loopback:*", connections-max: 2}', workers=1)
    with Tunnel(gateway, back.at) as one, Tunnel(gateway, back.at):
        assert refused(gateway, back.at)[:2] == (503, "overloaded")
        one.socket.close()
        wait_for(lambda: gateway.metric("weir_proxy_open_connections") == 1)
        with Tunnel(gateway, back.at):
            pass


def test_malformed_targets(proxy):
    gateway = proxy('"*:*"')
    for target in ("a.example", "a.example:", "a.example:0", "a.example:99999", "user@a.example:80", ":80", "a..b:80"):
        assert refused(gateway, target)[0] == 400


@pytest.mark.parametrize("to, message", [
    ('"exa mple"', '"exa mple" is not a host'),
    ('"*."', '"*." is not a host'),
    ('"a*.example"', '"a*.example" is not a host'),
    ('"a.example:99999"', '"99999" is not a port'),
    ('"a.example:9-3"', '"9-3" is not a port'),
    ('"a.example:"', '"a.example:" is not a target'),
    ('":80"', '":80" is not a target'),
    ('"[::1"', '"[::1" is not a target'),
    ('"10.0.0.0/99"', "this is no network"),
    ('"fd00::/8:443"', "this is no network"),
])
def test_wrong_patterns_are_shown(tmp_path, to, message):
    path = tmp_path / "weir.yaml"
    path.write_text("version: 1\nlisten:\n  http:\n    address: 127.0.0.1:0\n    forward-proxy:\n      to: [good.example, "
                    f"{to}]\nroutes: {{/: {{respond: x}}}}\n")
    code, _, said = run_weir("check", path)
    assert code == 3 and said.startswith(f"{path}:6:26: error: ") and message in said, said


def test_wrong_policies_are_shown(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("version: 1\nlisten: {http: {address: 127.0.0.1:0, forward-proxy: {to: a.example, use: [headers.x]}}}\n"
                    "headers: {x: {response: {set: {A: b}}}}\nroutes: {/: {respond: x}}\n")
    code, _, said = run_weir("check", path)
    assert code == 3 and 'cannot use "headers.x", which does not say who is let through' in said, said


# --- programs that others wrote

@pytest.fixture
def nginx(tmp_path, authority, free_port):
    """nginx: (port in clear, port with TLS)."""
    if not shutil.which("nginx"):
        pytest.skip("there is no nginx")
    issued = authority.issue("localhost", "127.0.0.1")
    folder = tmp_path / "nginx"
    (folder / "www").mkdir(parents=True)
    (folder / "www" / "file").write_bytes(b"0123456789" * 100_000)
    os.chmod(tmp_path, 0o755)
    configuration = folder / "nginx.conf"
    plain, secure = free_port(), free_port()
    configuration.write_text(f"""
        daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
        events {{}}
        http {{
            access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
            uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            server {{
                listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2;
                ssl_certificate {issued.cert}; ssl_certificate_key {issued.key}; root {folder}/www;
            }}
        }}""")
    process = subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: curl(f"http://127.0.0.1:{plain}/file", "-o", "/dev/null")[0] == 0, what="nginx")
        yield plain, secure
    finally:
        process.terminate()
        process.wait(20)


def test_curl_through_the_proxy_to_nginx(proxy, nginx, authority):
    plain, secure = nginx
    gateway = proxy('"loopback:*"')
    expected = b"0123456789" * 100_000
    assert curl("-x", gateway.url, f"http://127.0.0.1:{plain}/file")[1] == expected
    assert curl("-x", gateway.url, "-p", f"http://127.0.0.1:{plain}/file")[1] == expected
    assert curl("-x", gateway.url, "--proxy1.0", gateway.url[7:], "-p", f"http://127.0.0.1:{plain}/file")[1] == expected
    for version in ("--http1.1", "--http2"):
        code, body, said = curl("-x", gateway.url, version, "--cacert", authority.file, f"https://localhost:{secure}/file")
        assert body == expected, (code, said)
    code, _, said = curl("-x", gateway.url, "https://10.0.0.1/")
    assert code != 0 and "403" in said


def test_curl_to_a_proxy_that_speaks_tls(start, nginx, authority):
    plain, secure = nginx
    issued = authority.issue("localhost", "127.0.0.1")
    gateway = start(f"""
        version: 1
        listen: {{https: {{address: "127.0.0.1:0", forward-proxy: "loopback:*"}}}}
        tls: {json.dumps({"cert": issued.cert, "key": issued.key})}
        routes: {{/own: {{respond: own}}}}
        """)
    through = ("-x", f"https://localhost:{gateway.address[1]}", "--proxy-cacert", authority.file, "--cacert", authority.file)
    expected = b"0123456789" * 100_000
    assert curl(*through, f"http://127.0.0.1:{plain}/file")[1] == expected
    assert curl(*through, f"https://localhost:{secure}/file")[1] == expected
    assert curl(f"https://localhost:{gateway.address[1]}/own", "--cacert", authority.file)[1] == b"own"
