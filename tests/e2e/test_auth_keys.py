"""Keys of tokens that are fetched: from a JWK Set's URL, or from where the issuer's discovery document says."""

import concurrent.futures
import hashlib
import hmac
import json
import ssl

import grpc
import jwt
import pytest
import websocket_client
from cryptography.hazmat.primitives.asymmetric import rsa
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection
from issuer import ISSUER, Issuer, Key, bearer, good, text64

PATIENT = "patience: 60s"  # machines are busy; a test that waits for an end waits for it


@pytest.fixture
def keys():
    return [Key("one", "ES256"), Key("two", "RS256"), Key("three", "EdDSA")]


@pytest.fixture
def issuer(keys):
    with Issuer(keys[0]) as made:
        yield made


def configuration(service, way, more="", routes=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        auth:
          shop: {{jwt: {way}, audience: shop-api, send: {{X-User: claims.sub}}}}
        services: {{back: "{service.at}"}}
        use: [auth.shop]
        routes: {{/**: back}}
        {more}
        """


def found(issuer, more=PATIENT):
    return f'{{issuer: "{issuer.url}", {more}}}'


def listed(issuer, more=PATIENT):
    return f'{{issuer: "{ISSUER}", keys: "{issuer.url}/keys", {more}}}'


def reason(answer):
    return json.loads(answer.body)["reason"]


def test_the_issuer_alone_is_enough(start, serve, issuer, keys):
    service = serve()
    gateway = start(configuration(service, issuer.url))
    token = issuer.token(keys[0])
    for _ in range(3):
        assert gateway.get("/x", bearer(token)).status == 200
    assert service.requests[-1].header("X-User") == "u1"
    assert reason(gateway.get("/x", bearer(keys[0].token()))) == "token-issuer"
    assert issuer.asked("/.well-known/openid-configuration") == issuer.asked() == 1
    assert gateway.metric("weir_auth_keys", source=issuer.url) == 1
    assert gateway.metric("weir_auth_key_fetches_total", source=issuer.url, result="ok") == 1
    assert gateway.metric("weir_auth_keys_timestamp_seconds", source=issuer.url) > 1.7e9


def test_a_url_of_keys(start, serve, issuer, keys):
    gateway = start(configuration(serve(), listed(issuer)))
    assert gateway.get("/x", bearer(keys[0].token())).status == 200
    assert issuer.asked("/.well-known/openid-configuration") == 0 and issuer.asked() == 1


def test_every_protocol_waits_for_the_first_keys(start, issuer, keys, chat):
    issuer.hold(True)
    token = issuer.token(keys[0])
    with GrpcService() as orders, concurrent.futures.ThreadPoolExecutor() as pool:
        orders.at = f"h2c://{orders.at}"
        gateway = start(configuration(orders, found(issuer)))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get").future(b"x", metadata=[("authorization", f"Bearer {token}")], timeout=60)
            wait_for(lambda: issuer.requests, what="a question to the issuer")
            issuer.hold(False)
            call.result()
        issuer.hold(True)
        gateway, _ = chat(', auth: {jwt: {issuer: "%s", from: query.t, %s}}' % (issuer.url, PATIENT))
        one = pool.submit(gateway.get, "/chat", websocket_client.HANDSHAKE)
        assert one.result().status == 401  # who brings nothing waits for nothing
        two = pool.submit(websocket_client.Raw, gateway, f"/chat?t={token}")
        issuer.hold(False)
        two.result().connection.close()


def test_http_2_waits_too(start, serve, issuer, keys):
    issuer.hold(True)
    gateway = start(configuration(serve(), found(issuer)))
    with concurrent.futures.ThreadPoolExecutor() as pool, H2Connection(gateway.address, 60) as connection:
        answer = pool.submit(connection.request, "GET", "/x", bearer(issuer.token(keys[0])))
        wait_for(lambda: issuer.requests, what="a question to the issuer")
        issuer.hold(False)
        assert answer.result().status == 200


def test_an_unknown_key_is_fetched_once_for_all(start, serve, issuer, keys):
    gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, cooldown: 10ms")))
    assert gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200
    issuer.keys = keys
    issuer.hold(True)
    token = issuer.token(keys[1])
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = []

        def is_fetching():
            if not answers or answers[-1].done():  # it came too soon after the first fetch
                answers[:] = [pool.submit(gateway.get, "/x", bearer(token))]
            return issuer.asked("/.well-known/openid-configuration") == 2

        wait_for(is_fetching, what="the fetch")
        answers += [pool.submit(gateway.get, "/x", bearer(token)) for _ in range(15)]
        assert gateway.get("/x", bearer(issuer.token(keys[0], {"sub": "other"}))).status == 200  # is not held up by it
        issuer.hold(False)
        assert {answer.result().status for answer in answers} == {200}
    assert issuer.asked() == 2


def test_unknown_keys_cause_no_stampede(start, serve, issuer, keys):
    gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, cooldown: 1h")))
    assert gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200
    for i in range(20):
        strange = issuer.token(keys[1], headers={"kid": f"strange{i}"})
        assert reason(gateway.get("/x", bearer(strange))) == "token-key"
    assert issuer.asked() == 1


def test_a_token_is_forgotten_with_its_key(start, serve, issuer, keys):
    gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, cooldown: 10ms")))
    old, new = issuer.token(keys[0]), issuer.token(keys[1])
    for _ in range(4):  # so that both workers remember it
        assert gateway.get("/x", bearer(old)).status == 200
    issuer.keys = [keys[0], keys[1]]
    wait_for(lambda: gateway.get("/x", bearer(new)).status == 200, what="the new key")
    known = gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="known")
    for _ in range(4):
        assert gateway.get("/x", bearer(old)).status == 200
    assert gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="known") > known  # a new key changes nothing
    issuer.keys = [keys[1], keys[2]]
    wait_for(lambda: gateway.get("/x", bearer(issuer.token(keys[2]))).status == 200, what="the third key")
    for _ in range(4):
        assert reason(gateway.get("/x", bearer(old))) == "token-key"
        assert gateway.get("/x", bearer(new)).status == 200


def test_keys_without_names(start, serve, keys):
    nameless = [Key("", "ES256"), Key("", "ES256")]
    with Issuer(nameless[0]) as issuer:
        gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, cooldown: 10ms")))
        assert gateway.get("/x", bearer(issuer.token(nameless[0]))).status == 200
        issuer.keys = [nameless[1]]
        wait_for(lambda: gateway.get("/x", bearer(issuer.token(nameless[1]))).status == 200, what="the new key")
        assert gateway.get("/x", bearer(issuer.token(nameless[0], {"sub": "u2"}))).status == 401


def test_keys_are_fetched_again_and_again(start, serve, issuer, keys):
    gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, refresh: 20ms")))
    old = issuer.token(keys[0])
    assert gateway.get("/x", bearer(old)).status == 200
    issuer.keys = [keys[1]]
    wait_for(lambda: gateway.get("/x", bearer(old)).status == 401, what="the old key's end")


def test_keys_stay_while_the_issuer_is_down(start, serve, issuer, keys):
    gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, cooldown: 10ms")))
    assert gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200
    issuer.kill()
    # The first may come so soon after the first fetch that it causes none.
    wait_for(lambda: reason(gateway.get("/x", bearer(issuer.token(keys[1])))) == "token-key" and
             "cannot be fetched, and stay as they are: " in gateway.stderr, what="a notice")
    assert gateway.get("/x", bearer(issuer.token(keys[0], {"sub": "u2"}))).status == 200
    status, _ = gateway.reload()
    assert status == 200
    assert gateway.get("/x", bearer(issuer.token(keys[0], {"sub": "u3"}))).status == 200  # they outlive reloads
    issuer.keys = keys
    issuer.start()
    wait_for(lambda: gateway.get("/x", bearer(issuer.token(keys[1]))).status == 200, what="the issuer's return")
    assert f"the keys of {issuer.url} are there again" in gateway.stderr
    assert gateway.metric("weir_auth_key_fetches_total", source=issuer.url, result="failed") >= 1


def test_an_issuer_that_is_away_at_the_start(start, serve, issuer, keys):
    issuer.kill()
    service = serve()
    gateway = start(configuration(service, found(issuer, f"{PATIENT}, cooldown: 10ms")))
    token = issuer.token(keys[0])
    answer = gateway.get("/early", bearer(token))
    assert answer.status == 503 and reason(answer) == "keys-unavailable" and answer.header("Www-Authenticate") is None
    assert gateway.log_line("/early")["reason"] == "keys-unavailable"
    assert gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="unavailable") == 1
    assert gateway.get("/x").status == 401 and service.requests == []
    issuer.start()
    wait_for(lambda: gateway.get("/x", bearer(token)).status == 200, what="keys")


def test_nobody_waits_for_ever(start, serve, issuer, keys):
    issuer.hold(True)
    gateway = start(configuration(serve(), found(issuer, "patience: 10ms")))
    assert reason(gateway.get("/x", bearer(issuer.token(keys[0])))) == "keys-unavailable"
    issuer.hold(False)
    wait_for(lambda: gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200, what="keys")


def oct_key(secret):
    return {"kty": "oct", "kid": "one", "alg": "HS256", "k": text64(secret)}


def test_nonsense_is_survived(start, serve, issuer, keys):
    """Sets and documents that no honest issuer publishes: none is taken, each is named, and the gateway serves on."""
    elsewhere = Issuer(keys[0])
    weak = Key("one", "RS256", rsa.generate_private_key(65537, 1024))
    odd = [
        ({}, b"", "the text ends too early"),
        ({}, b"[" * 100000, "the nesting is deeper than its limit"),
        ({}, {"keys": {}}, '"keys" is not an array'),
        ({}, {"keys": []}, "the set has no key"),
        ({}, {"keys": [keys[0].jwk] * 2000}, "too many keys"),
        ({}, b" " * (1 << 20) + b"{}", "its answer is too large"),
        ({}, {"keys": [weak.jwk]}, "an RSA key has 2048 to 8192 bits"),
        ({}, {"keys": [oct_key(b"x" * 32)]}, "a secret does not belong where anybody can read it"),
        ({}, {"keys": [{**keys[0].jwk, "kid": "x" * 600}]}, "a key's name is too long"),
        ({"issuer": "http://127.0.0.1:1"}, None, "its document is of another issuer"),
        ({"jwks_uri": "http://169.254.169.254/latest"}, None, 'its "jwks_uri" is not https'),
        ({"jwks_uri": "file:///etc/passwd"}, None, 'its "jwks_uri" is not https'),
    ]
    with elsewhere:
        issuer.raw_keys = odd[0][1]
        gateway = start(configuration(serve(), found(issuer, f"{PATIENT}, cooldown: 10ms")))
        for document, content, said in odd:
            issuer.document, issuer.raw_keys = document, content
            wait_for(lambda: gateway.get("/x", bearer(issuer.token(keys[0]))).status in (401, 503) and said in gateway.stderr,
                     what=f"a complaint of {said!r} in:\n{gateway.stderr[-500:]}")
        issuer.document, issuer.raw_keys = {}, None
        wait_for(lambda: gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200, what="good keys")
        assert elsewhere.requests == []


def test_a_token_says_nothing_of_where_its_key_is(start, serve, issuer, keys):
    evil, service = Key("one", "ES256"), serve()
    with Issuer(evil) as elsewhere:
        gateway = start(configuration(service, found(issuer, f"{PATIENT}, cooldown: 10ms")))
        assert gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200
        service.requests.clear()
        names = ["one", "other", "../keys", f"{elsewhere.url}/keys", "' or 1=1 --", "x" * 5000, ""]
        headers = [{"jku": f"{elsewhere.url}/keys"}, {"x5u": f"{elsewhere.url}/cert"}, {"jwk": evil.jwk}, {"x5c": ["AAAA"]}]
        for more in headers:
            for name in names:
                assert gateway.get("/x", bearer(issuer.token(evil, headers={**more, "kid": name}))).status == 401
        claims = {"iss": elsewhere.url}
        assert gateway.get("/x", bearer(keys[0].token(claims))).status == 401
        assert elsewhere.requests == [] and service.requests == []


def test_public_keys_are_no_secrets(start, serve, issuer, keys):
    """The algorithm is the key's, not the token's (RFC 8725 §2.1)."""
    issuer.keys = [keys[1]]
    gateway = start(configuration(serve(), found(issuer)))
    assert gateway.get("/x", bearer(issuer.token(keys[1]))).status == 200
    for secret in (keys[1].pem, json.dumps(keys[1].jwk).encode(), b""):
        signed = f'{text64(json.dumps({"alg": "HS256", "kid": "two"}).encode())}.{text64(json.dumps(good(iss=issuer.url)).encode())}'
        code = text64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())
        assert reason(gateway.get("/x", bearer(f"{signed}.{code}"))) == "token-algorithm"
    for algorithm in ("RS512", "PS256"):
        crossed = jwt.encode(good(iss=issuer.url), keys[1].private, algorithm, {"kid": "two"})
        assert reason(gateway.get("/x", bearer(crossed))) == "token-algorithm"


def test_two_keys_of_one_name(start, serve, issuer, keys):
    twins = [Key("same", "ES256"), Key("same", "ES256")]
    issuer.keys = twins
    gateway = start(configuration(serve(), found(issuer)))
    assert [gateway.get("/x", bearer(issuer.token(key))).status for key in twins] == [200, 200]


def test_https(start, serve, authority, keys):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue("127.0.0.1")
    context.load_cert_chain(issued.cert, issued.key)
    with Issuer(keys[0], tls=context) as issuer:
        service = serve()
        gateway = start(configuration(service, found(issuer, f"{PATIENT}, ca: {authority.file}")))
        assert gateway.get("/x", bearer(issuer.token(keys[0]))).status == 200
        gateway = start(configuration(service, found(issuer)))
        assert gateway.get("/x", bearer(issuer.token(keys[0]))).status == 503
        assert f"the keys of {issuer.url} cannot be fetched: " in gateway.stderr and "certificate" in gateway.stderr


def test_commands_ask_nobody(tmp_path, serve, issuer, keys):
    path = tmp_path / "weir.yaml"
    token = issuer.token(keys[0])
    path.write_text("\n".join(line[8:] for line in configuration(serve(), found(issuer)).splitlines()) + f"""
tests:
  - {{get: /x, is: 401}}
  - {{get: /x, claims: {{sub: u1}}, is: back}}
  - {{get: /x, header: {{authorization: "Bearer {token}"}}, is: 503}}
""")
    code, out, error = run_weir("test", path)
    assert code == 0 and "3 passed, 0 failed" in out, out + error
    assert run_weir("check", path)[0] == 0
    code, out, error = run_weir("explain", "GET /x", path, "-H", f"Authorization: Bearer {token}")
    assert "keys-unavailable" in out, out + error
    assert issuer.requests == []
