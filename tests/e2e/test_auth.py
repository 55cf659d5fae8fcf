"""Tokens, real ones: signed by PyJWT with keys of every kind, accepted or refused by the gateway as PyJWT does."""

import hashlib
import hmac
import json
import time

import grpc
import jwt
import pytest
import websocket_client
from cryptography.hazmat.primitives.asymmetric import rsa
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection
from issuer import ISSUER, Key, bearer, every_key, good, publish, text64

SECRET = "thirty-two bytes that nobody knows, and then more to make it long enough for any digest"


@pytest.fixture(scope="module")
def keys():
    return every_key()


def configuration(service, keys_path, more="", routes=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 1
        auth:
          shop:
            jwt: {{issuer: "{ISSUER}", keys: {keys_path}, leeway: 0s}}
            audience: shop-api
            send: {{X-User: claims.sub, X-Plan: claims.plan}}
            {more}
        services: {{back: "{service}"}}
        use: [auth.shop]
        routes:
          /open: {{to: back, use: []}}
          /buy: {{to: back, allow: claims.roles has buyer}}
          /sell: {{to: back, allow: claims.roles has seller}}
          /**: back
{routes}
        """


@pytest.fixture
def shop(start, serve, tmp_path, keys):
    """(gateway, service) behind tokens of all keys."""
    publish(tmp_path / "keys.json", *keys.values())
    service = serve()
    return start(configuration(service.at, tmp_path / "keys.json")), service


def test_every_algorithm(shop, keys):
    gateway, service = shop
    for name, key in keys.items():
        token = key.token()
        assert jwt.decode(token, key.private.public_key(), [key.algorithm], audience="shop-api")["sub"] == "u1"
        for _ in range(2):
            assert gateway.get("/x", bearer(token)).status == 200, name
        assert service.requests[-1].header("X-User") == "u1" and service.requests[-1].header("X-Plan") == "free"
        cut = token.rindex(".") + 5
        forged = token[:cut] + ("A" if token[cut] != "A" else "B") + token[cut + 1:]
        with pytest.raises(jwt.InvalidTokenError):
            jwt.decode(forged, key.private.public_key(), [key.algorithm], audience="shop-api")
        assert gateway.get("/x", bearer(forged)).status == 401, name
    seen = {word: gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome=word)
            for word in ("verified", "known", "refused", "missing")}
    assert seen == {"verified": len(keys), "known": len(keys), "refused": len(keys), "missing": 0}


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_what_a_client_hears(shop, keys, speaks):
    gateway, service = shop
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    key = keys["ES256"]
    now = int(time.time())
    rows = [
        (None, "credentials-missing", 'Bearer realm="weir"'),
        (key.token({"exp": now - 10}), "token-expired", "The token has expired."),
        (key.token({"nbf": now + 1000}), "token-not-yet-valid", "The token is not valid yet."),
        (key.token({"iss": "https://evil.example"}), "token-issuer", "The token comes from another issuer."),
        (key.token({"aud": "other"}), "token-audience", "The token is for another audience."),
        (key.token({"exp": None}), "token-claim", "The token lacks a claim that is asked for."),
        ("x.y.z", "token-malformed", "The token is malformed."),
    ]
    for i, (token, word, said) in enumerate(rows):
        answer = gateway.get(f"/row{i}", bearer(token) if token else {})
        assert answer.status == 401, word
        assert json.loads(answer.body)["reason"] == word
        assert said in answer.header("Www-Authenticate"), word
        assert gateway.log_line(f"/row{i}")["reason"] == word
    assert service.requests == []
    assert gateway.get("/open").status == 200
    assert gateway.get("/buy", bearer(key.token())).status == 200
    refused = gateway.get("/sell", bearer(key.token()))
    assert refused.status == 403 and 'error="insufficient_scope"' in refused.header("Www-Authenticate")
    assert b"seller" not in refused.body
    assert gateway.get("/sell", bearer(key.token({"roles": ["seller"]}))).status == 200


def mac(digest, secret, signed):
    return text64(hmac.new(secret, signed.encode(), getattr(hashlib, digest)).digest())


def test_attacks(shop, keys):
    """None of what is known to have fooled others (RFC 8725) does."""
    gateway, service = shop
    body = text64(json.dumps(good()).encode())

    def header(**fields):
        return text64(json.dumps(fields).encode())

    attacker = Key("RS256", "RS256", rsa.generate_private_key(65537, 2048))
    unsigned = [f"{header(alg=name)}.{body}." for name in ("none", "None", "NONE", "nOnE", "")]
    confused = []
    for secret in (keys["RS256"].pem, keys["RS256"].pem.strip(), json.dumps(keys["RS256"].jwk).encode(),
                   keys["RS256"].jwk["n"].encode(), b""):
        for fields in ({"alg": "HS256"}, {"alg": "HS256", "kid": "RS256"}):
            signed = f"{header(**fields)}.{body}"
            confused.append(f"{signed}.{mac('sha256', secret, signed)}")
    brought = [attacker.token(headers={"jwk": attacker.jwk}),
               attacker.token(headers={"jku": "http://127.0.0.1:1/keys.json"}),
               attacker.token(headers={"x5u": "http://127.0.0.1:1/cert.pem"}),
               attacker.token(headers={"kid": "../../../../dev/null"}),
               attacker.token(headers={"kid": "' or 1=1 --"}),
               attacker.token()]
    crossed = [jwt.encode(good(), keys["RS256"].private, "PS256", {"kid": "RS256"}),
               jwt.encode(good(), keys["RS256"].private, "RS512", {"kid": "RS256"})]
    critical = [keys["ES256"].token(headers={"crit": ["exp"]}), keys["ES256"].token(headers={"b64": False, "crit": ["b64"]})]
    zero = [f"{header(alg='ES256', kid='ES256')}.{body}.{text64(bytes(64))}"]
    for token in unsigned + confused + brought + crossed + critical + zero:
        assert gateway.get("/x", bearer(token)).status == 401, token
    assert service.requests == []


def test_headers_cannot_be_forged(shop, keys):
    gateway, service = shop
    forged = {"x-user": "admin", "X_User": "admin", "x_USER": "admin", "X-Plan": "pro"}
    assert gateway.get("/x", {**bearer(keys["ES256"].token({"plan": None})), **forged}).status == 200
    seen = service.requests[-1]
    assert seen.all("X-User") == ["u1"] and seen.all("X_User") == [] and seen.all("X-Plan") == []
    assert gateway.get("/x", bearer(keys["ES256"].token({"sub": "a\r\nX-Plan: pro"}))).status == 200
    assert service.requests[-1].all("X-User") == [] and service.requests[-1].all("X-Plan") == ["free"]


def test_keys_are_rotated_by_a_reload(start, serve, tmp_path, keys):
    path = tmp_path / "keys.json"
    publish(path, keys["ES256"])
    gateway = start(configuration(serve().at, path))
    old, new = keys["ES256"].token(), keys["Ed25519"].token()
    assert [gateway.get("/x", bearer(token)).status for token in (old, new)] == [200, 401]
    publish(path, keys["ES256"], keys["Ed25519"])
    gateway.reload()
    assert [gateway.get("/x", bearer(token)).status for token in (old, new)] == [200, 200]
    publish(path, keys["Ed25519"])
    gateway.reload()
    assert [gateway.get("/x", bearer(token)).status for token in (old, new)] == [401, 200]
    path.write_text("nothing")
    status, answer = gateway.reload()
    assert status == 422 and "these keys cannot be used" in json.dumps(answer)
    assert gateway.get("/x", bearer(new)).status == 200


def test_a_token_is_forgotten_when_it_expires(shop, keys):
    gateway, _ = shop
    for lifetime in (2, 8, 32):  # enough to be seen alive, on any machine
        token = keys["Ed25519"].token({"exp": int(time.time()) + lifetime})
        if gateway.get("/x", bearer(token)).status == 200:
            break
    else:
        pytest.fail("the token was never good")
    wait_for(lambda: gateway.get("/x", bearer(token)).status == 401, what="the token's end")


def test_secrets_come_from_the_environment_and_stay_there(start, serve):
    service = serve()
    text = configuration(service.at, "x").replace("keys: x", 'secret: "${JWT_SECRET}"').replace("jwt:", "optional: true\n            jwt:")
    gateway = start(text, environment={"JWT_SECRET": SECRET})
    for algorithm in ("HS256", "HS384", "HS512"):
        assert gateway.get("/x", bearer(jwt.encode(good(), SECRET, algorithm))).status == 200
        assert gateway.get("/x", bearer(jwt.encode(good(), SECRET + "x", algorithm))).status == 401
    assert gateway.get("/x").status == 200 and service.requests[-1].header("X-User") is None
    shown = [gateway.stderr, gateway.metrics()] + [gateway.control_request("GET", path).body.decode()
                                                   for path in ("/v1/status", "/v1/config")]
    assert not any(SECRET in text for text in shown)


def test_grpc_and_websockets(start, serve, tmp_path, keys, chat):
    publish(tmp_path / "keys.json", keys["ES256"])
    token = keys["ES256"].token()
    with GrpcService() as orders:
        gateway = start(configuration(f"h2c://{orders.at}", tmp_path / "keys.json"))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            with pytest.raises(grpc.RpcError) as failure:
                call(b"x")
            assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
            call(b"x", metadata=[("authorization", f"Bearer {token}")])
    gateway, _ = chat(", auth: {jwt: {issuer: \"%s\", keys: %s, from: query.access_token}}" % (ISSUER, tmp_path / "keys.json"))
    assert gateway.get("/chat", websocket_client.HANDSHAKE).status == 401
    websocket_client.Raw(gateway, f"/chat?access_token={token}").connection.close()


def test_rehearsals_know_claims(tmp_path, keys):
    publish(tmp_path / "keys.json", keys["ES256"])
    path = tmp_path / "weir.yaml"
    path.write_text("\n".join(line[8:] for line in configuration("127.0.0.1:9", "keys.json").splitlines()) + """
tests:
  - {get: /users/7, is: 401}
  - {get: /open, is: back}
  - {get: /users/7, claims: {sub: u1}, is: back}
  - {get: /buy, claims: {sub: u1, roles: [buyer, 7, true]}, is: back}
  - {get: /sell, claims: {sub: u1, roles: [buyer]}, is: 403}
""")
    code, out, error = run_weir("test", path)
    assert code == 0 and "5 passed, 0 failed" in out, out + error
    path.write_text(path.read_text().replace("auth:", "authentication:"))
    code, _, error = run_weir("check", path)
    assert code == 3 and "claims need an `auth` that brings them" in error


def test_deny_by_default(start, serve, tmp_path, keys):
    """A route that forgets to say who is let in lets nobody in, before any of its policies acts."""
    publish(tmp_path / "keys.json", keys["ES256"])
    service = serve()
    issuer = f'{{issuer: "{ISSUER}", keys: {tmp_path / "keys.json"}}}'
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        deny-by-default: true
        auth: {{shop: {{jwt: {issuer}}}, guest: {{jwt: {issuer}, optional: true}}}}
        limits: {{all: 100/h}}
        services: {{back: "{service.at}"}}
        routes:
          /forgotten: {{to: back, use: [limits.all]}}
          /guest: {{to: back, use: [auth.guest]}}
          /public: {{to: back, allow: true}}
          /allowed: {{to: back, allow: 'query.key == "k"'}}
          /shop: {{to: back, use: [auth.shop]}}
        """)
    for path in ("/forgotten", "/guest"):
        answer = gateway.get(path)
        assert answer.status == 403 and json.loads(answer.body)["reason"] == "denied-by-default"
        assert answer.header("ratelimit") is None
        assert gateway.get(path, bearer(keys["ES256"].token())).status == 403
    assert gateway.get("/public").status == 200
    assert gateway.get("/allowed").status == 403 and gateway.get("/allowed?key=k").status == 200
    assert gateway.get("/shop").status == 401 and gateway.get("/shop", bearer(keys["ES256"].token())).status == 200
    assert {request.target for request in service.requests} == {"/public", "/allowed?key=k", "/shop"}
    code, out, _ = run_weir("explain", "GET /forgotten", gateway.config_path)
    assert code == 0 and "deny-by-default: refuses" in out


def test_each_of_two_has_to_know_who_it_is(start, serve, tmp_path, keys):
    """What the first accepts is nothing to the second."""
    publish(tmp_path / "keys.json", keys["ES256"])
    publish(tmp_path / "others.json", keys["RS256"])
    service = serve()
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        auth:
          guest: {{jwt: {{issuer: "{ISSUER}", keys: {tmp_path / "others.json"}}}}}
          staff: {{jwt: {{issuer: "{ISSUER}", keys: {tmp_path / "keys.json"}, from: header.x-staff}}, send: {{X-User: claims.sub}}}}
        services: {{back: "{service.at}"}}
        routes: {{"/**": {{to: back, use: [auth.guest, auth.staff]}}}}
        """)
    guest, staff = bearer(keys["RS256"].token({"sub": "guest"})), {"X-Staff": keys["ES256"].token({"sub": "staff"})}
    assert gateway.get("/x", guest).status == 401
    assert gateway.get("/x", staff).status == 401
    assert gateway.get("/x", {**guest, "X-Staff": keys["RS256"].token()}).status == 401
    assert service.requests == []
    assert gateway.get("/x", {**guest, **staff}).status == 200
    assert service.requests[-1].header("X-User") == "staff"
