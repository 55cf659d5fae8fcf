"""`weir test` with clients that speak TLS: nobody shakes hands, so a test says what the handshake has said."""

import pytest
from gateway import run_weir

CONFIG = """
version: 1
listen: ":8080"
hosts: [shop.example]
services: {staff: "127.0.0.1:9", mail: "127.0.0.1:9", robot: "127.0.0.1:9", old: "127.0.0.1:9", public: "127.0.0.1:9", modern: "127.0.0.1:9"}
routes:
  /**:
    - {to: staff, when: 'client.cert.subject == "CN=alice,O=Shop"'}
    - {to: mail, when: 'client.cert.san has "alice@shop.example"'}
    - {to: robot, when: 'client.cert.fingerprint == "12ab" or client.cert.serial == "0F" or client.cert.issuer == "CN=Robots"'}
    - {to: old, when: 'tls.version == "TLSv1.2" and tls.cipher == "ECDHE"'}
    - {to: modern, when: 'tls.alpn == "h2" and tls.sni == "shop.example" and scheme == "https" and tls.version == "TLSv1.3"'}
    - public
tests:
  - {get: /x, is: public}
  - {get: /x, cert: "CN=alice,O=Shop", is: staff}
  - {get: /x, cert: {subject: "CN=bob,O=Shop"}, is: public}
  - {get: /x, cert: {san: [alice.example, alice@shop.example]}, is: mail}
  - {get: /x, cert: {san: alice@shop.example}, is: mail}
  - {get: /x, cert: {fingerprint: 12ab}, is: robot}
  - {get: /x, cert: {serial: 0F}, is: robot}
  - {get: /x, cert: {issuer: CN=Robots, subject: CN=r2}, is: robot}
  - {get: /x, tls: {version: TLSv1.2, cipher: ECDHE}, is: old}
  - {get: /x, tls: {version: TLSv1.2}, is: public}
  - {get: /x, tls: {alpn: h2}, is: modern}
  - {get: /x, cert: CN=nobody, tls: {alpn: h2}, is: modern}
  - {get: /x, tls: {alpn: h2, sni: other.example}, is: public}
"""


def check(tmp_path, text, command="test"):
    path = tmp_path / "weir.yaml"
    path.write_text(text)
    return run_weir(command, path)


def test_what_tls_says_is_supposed(tmp_path):
    code, out, error = check(tmp_path, CONFIG)
    assert code == 0 and "13 passed, 0 failed" in out, out + error


def test_what_does_not_hold_is_shown(tmp_path):
    code, out, _ = check(tmp_path, CONFIG.replace("CN=bob", "CN=alice"))
    assert code == 1 and "got staff" in out, out


@pytest.mark.parametrize("said, problem", [
    ("tls: {sanity: x}", "sanity"), ("cert: {subjekt: CN=a}", 'did you mean "subject"'), ("tls: TLSv1.3", "tls")])
def test_mistakes(tmp_path, said, problem):
    code, _, error = check(tmp_path, CONFIG.replace("tls: {alpn: h2}", said, 1), "check")
    assert code == 3 and problem in error, error
