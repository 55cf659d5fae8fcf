"""Services that speak TLS: who is believed, what is shown, what is said when it fails."""

import ssl
import subprocess

import pytest
from certificates import authority, self_signed
from gateway import run_weir, wait_for
from http_client import Closed

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: {workers}
services:
  back: {service}
routes: {{/**: back}}
"""


def context(certificate, client_ca=None, protocols=("http/1.1",), version=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate.cert, certificate.key)
    made.set_alpn_protocols(list(protocols))
    if client_ca:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(client_ca)
    if version:
        made.maximum_version = version
    return made


@pytest.fixture
def back(start, serve):
    """back(certificate, options, …): (gateway, service) with TLS between them."""
    def run(certificate, options="ca: CA", script=None, workers=1, scheme="https://", extra="", **tls):
        service = serve(script, tls=context(certificate, **tls))
        options = options.replace("CA", str(authority().cert))
        text = f'{{at: "{scheme}{service.at}", tls: {{{options}}}{extra}}}'
        return start(CONFIG.format(service=text, workers=workers)), service
    return run


def assert_refused(gateway, reason, error):
    answer = gateway.get("/refused")
    assert answer.status == 502, answer
    assert reason.encode() in answer.body
    assert f"error={error}" in answer.header("Proxy-Status")
    assert gateway.log_line("/refused")["reason"] == reason
    assert gateway.metric("weir_upstream_failures_total", service="back", reason=reason) >= 1


def events(gateway):
    return [event["what"] for event in gateway.status()["services"][0]["endpoints"][0]["events"]]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_a_good_certificate_is_believed(back, version, key):
    gateway, service = back(authority().sign(key=key), version=version)
    assert gateway.get("/x").body == b"GET /x"
    body = bytes(range(256)) * 4000
    assert gateway.request("POST", "/y", body=body).body == b"POST /y"
    assert service.requests[-1].body == body
    assert service.connections == 1  # kept open between requests


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 3_000_000])
def test_long_answers_arrive_whole(back, size):
    body = b"x" * size

    def script(peer):
        peer.read_request()
        peer.answer(body)
    gateway, _ = back(authority().sign(), script=script)
    assert gateway.get("/x").body == body


def test_what_is_verified_is_the_host_that_is_written(back, start, serve):
    service = serve(tls=context(authority().sign(names="DNS:localhost")))
    text = f'{{at: "https://localhost:{service.port}", tls: {{ca: {authority().cert}}}}}'
    gateway = start(CONFIG.format(service=text, workers=1))
    assert gateway.get("/x").status == 200
    gateway, _ = back(authority().sign(names="DNS:localhost"))  # asked by its address
    assert_refused(gateway, "upstream-tls-certificate", "tls_certificate_error")
    assert "no TLS: IP address mismatch" in events(gateway)


def test_another_name_can_be_demanded(back):
    names = []
    certificate = authority().sign(names="DNS:users.internal")
    gateway, service = back(certificate, "ca: CA, name: users.internal")
    service.tls.sni_callback = lambda socket, name, context: names.append(name)
    assert gateway.get("/x").status == 200
    assert names == ["users.internal"]
    gateway, _ = back(certificate, "ca: CA, name: orders.internal")
    assert_refused(gateway, "upstream-tls-certificate", "tls_certificate_error")
    assert "no TLS: hostname mismatch" in events(gateway)


@pytest.mark.parametrize("certificate, why", [
    (lambda folder: authority().expired(), "certificate has expired"),
    (lambda folder: authority().sign(begins="20900101000000Z"), "certificate is not yet valid"),
    (lambda folder: self_signed(folder), "self-signed certificate"),
])
def test_a_bad_certificate_is_refused(back, tmp_path, certificate, why):
    gateway, service = back(certificate(tmp_path))
    assert_refused(gateway, "upstream-tls-certificate", "tls_certificate_error")
    assert f"no TLS: {why}" in events(gateway)
    assert not service.requests


def test_the_systems_authorities_do_not_know_ours(back):
    gateway, _ = back(authority().sign(), "verify: true")
    assert_refused(gateway, "upstream-tls-certificate", "tls_certificate_error")


def test_a_certificate_can_be_pinned(back, tmp_path):
    mine = self_signed(tmp_path)
    gateway, _ = back(mine, f"ca: {mine.cert}")
    assert gateway.get("/x").status == 200
    gateway, _ = back(self_signed(tmp_path, stem="other"), f"ca: {mine.cert}")
    assert_refused(gateway, "upstream-tls-certificate", "tls_certificate_error")


def test_verification_can_be_turned_off(back, tmp_path):
    gateway, _ = back(self_signed(tmp_path, names="DNS:nobody"), "verify: false")
    assert gateway.get("/x").status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_is_shown_when_it_is_asked_for(back, version):
    mine = authority().sign(subject="gateway")
    gateway, _ = back(authority().sign(), f"ca: CA, cert: {mine.cert}, key: {mine.key}",
                      client_ca=authority().cert, version=version)
    assert gateway.get("/x").status == 200
    gateway, service = back(authority().sign(), client_ca=authority().cert, version=version)
    assert_refused(gateway, "upstream-tls-alert", "tls_alert_received")
    assert not service.requests


def test_who_does_not_speak_tls_is_refused(start, serve):
    service = serve(lambda peer: peer.socket.recv(1) and peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    text = f'{{at: "https://{service.at}", tls: {{verify: false}}}}'
    gateway = start(CONFIG.format(service=text, workers=1))
    assert_refused(gateway, "upstream-tls-protocol", "tls_protocol_error")


def test_who_never_answers_the_handshake_is_given_up(start, serve):
    service = serve(lambda peer: peer.socket.recv(1) and peer._until(b"never"))
    text = f'{{at: "https://{service.at}", timeout: {{connect: 200ms}}, tls: {{verify: false}}}}'
    gateway = start(CONFIG.format(service=text, workers=1))
    answer = gateway.get("/x")
    assert answer.status == 504 and b"upstream-connect-timeout" in answer.body


def test_another_endpoint_is_asked_when_tls_fails(start, serve):
    good = serve(tls=context(authority().sign()))
    bad = serve(script=lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    text = f'{{at: ["https://{bad.at}", "https://{good.at}"], tls: {{ca: {authority().cert}}}}}'
    gateway = start(CONFIG.format(service=text, workers=1))
    assert [gateway.request("POST", "/x", body=b"y").status for _ in range(4)] == [200] * 4
    assert len(good.requests) == 4


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(back, version):
    reused = []

    def script(peer):
        reused.append(peer.socket.session_reused)
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    gateway, _ = back(authority().sign(), script=script, version=version)
    for _ in range(3):
        assert gateway.get("/x").body == b"ok"
    assert reused == [False, True, True]


def test_a_body_that_ends_with_the_connection_must_end_properly(back):
    def script(peer):
        request = peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        if request.target == "/good":
            peer.socket.unwrap()
    gateway, _ = back(authority().sign(), script=script)
    answer = gateway.get("/good")
    assert answer.status == 200 and answer.body == b"all of it"
    with pytest.raises(Closed):
        gateway.get("/cut")
    assert gateway.log_line("/cut")["reason"] == "upstream-incomplete"


def test_health_is_checked_with_tls(back):
    gateway, service = back(authority().sign(), extra=", health: {path: /healthz, every: 20ms}")
    wait_for(lambda: any(request.target == "/healthz" for request in service.requests))
    assert gateway.get("/x").status == 200
    gateway, _ = back(authority().expired(), extra=", panic: 0%, health: {path: /healthz, every: 20ms, fall: 2}")
    wait_for(lambda: any("upstream-tls-certificate, certificate has expired" in event for event in events(gateway)))
    assert gateway.get("/x").status == 503


def test_a_reload_keeps_connections_unless_tls_changes(back, tmp_path):
    gateway, service = back(authority().sign())
    assert gateway.get("/x").status == 200
    assert gateway.reload()[0] == 200
    assert gateway.get("/x").status == 200
    assert service.connections == 1
    text = gateway.config_path.read_text()
    assert gateway.reload(text.replace("tls: {ca", "tls: {name: 127.0.0.1, ca"))[0] == 200
    assert gateway.get("/x").status == 200
    mine = self_signed(tmp_path)
    assert gateway.reload(text.replace(str(authority().cert), str(mine.cert)))[0] == 200
    assert_refused(gateway, "upstream-tls-certificate", "tls_certificate_error")


def test_connections_are_not_moved_between_workers_but_make_room(back):
    gateway, service = back(authority().sign(), workers=2, extra=", connections: {max: 1}")
    for _ in range(20):  # each on a connection of its own, so at either worker
        assert gateway.get("/x").status == 200
    assert len(service.requests) == 20


def test_nginx_speaks_tls(start, tmp_path):
    certificate = authority().sign()
    (tmp_path / "file").write_bytes(b"y" * 200_000)
    (tmp_path / "conf").write_text(f"""
daemon off; master_process off; error_log {tmp_path}/error.log; pid {tmp_path}/pid; events {{}}
http {{ access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b; fastcgi_temp_path {tmp_path}/c;
  uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;
  server {{ listen unix:{tmp_path}/socket ssl; root {tmp_path}; ssl_certificate {certificate.cert};
    ssl_certificate_key {certificate.key}; }} }}""")
    with subprocess.Popen(["nginx", "-c", tmp_path / "conf", "-e", tmp_path / "error.log"]) as nginx:
        try:
            wait_for((tmp_path / "socket").exists)
            text = f'{{at: "unix:{tmp_path}/socket", tls: {{ca: {authority().cert}, name: localhost}}}}'
            gateway = start(CONFIG.format(service=text, workers=1))
            for _ in range(3):
                assert gateway.get("/file").body == b"y" * 200_000
        finally:
            nginx.terminate()


@pytest.mark.parametrize("options, complaint", [
    ("ca: /nowhere.pem", 'cannot read "/nowhere.pem"'),
    ("ca: KEY", "there is no certificate in it"),
    ("cert: CERT, key: OTHER", "the key does not belong to the certificate"),
    ("cert: CERT, key: CERT", "there is no private key in it"),
    ("cert: CERT", "a certificate needs its key"),
])
def test_bad_files_are_errors_with_a_place(tmp_path, options, complaint):
    mine, other = authority().sign(), authority().sign()
    for name, path in (("CERT", mine.cert), ("KEY", mine.key), ("OTHER", other.key)):
        options = options.replace(name, str(path))
    config = tmp_path / "weir.yaml"
    config.write_text(CONFIG.format(service=f"{{at: https://a.example, tls: {{{options}}}}}", workers=1))
    code, _, talk = run_weir("check", config)
    assert code == 3 and complaint in talk, talk
    assert "weir.yaml:6:" in talk
