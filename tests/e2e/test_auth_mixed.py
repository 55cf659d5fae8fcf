"""Tokens of several kinds and of several issuers behind one Bearer: each is judged by who knows it, and by nobody
else."""

import json

import pytest
from h2_client import Connection as H2Connection
from issuer import Issuer, Key, bearer
from oauth_server import CLIENT, SECRET, OAuthServer


@pytest.fixture(scope="module")
def keys():
    """Two issuers' keys of the same name, and one that nobody publishes."""
    return {name: Key("k", "ES256") for name in ("shop", "partner", "nobody")}


@pytest.fixture
def shop(keys):
    with Issuer(keys["shop"]) as issuer:
        yield issuer


@pytest.fixture
def partner(keys):
    with Issuer(keys["partner"]) as issuer:
        yield issuer


@pytest.fixture
def identity():
    with OAuthServer() as server:
        yield server


def configuration(service, ways, rest=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        auth:
          all:
            {ways}
            audience: shop-api
            send: {{X-User: claims.sub, X-Issuer: claims.iss}}
        services: {{back: "{service}"}}
        use: [auth.all]
        routes:
          /orders/**: {{to: back, allow: {{scope: [orders.read, orders.write]}}}}
          /**: back
{rest}
        """


def introspection(identity):
    return (f'introspection: {{at: "http://{identity.at}/introspect", client: "{CLIENT}", secret: "{SECRET}", '
            "timeout: 60s, remember: 1h, remember-refused: 1h}")


def reason(answer):
    return json.loads(answer.body)["reason"]


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_signed_and_opaque_tokens(start, serve, shop, keys, identity, speaks):
    service = serve()
    gateway = start(configuration(service.at, f"""jwt: {{issuer: "{shop.url}", patience: 60s}}
            {introspection(identity)}"""))
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    foreign = keys["nobody"].token({"iss": "https://elsewhere.example"})
    identity.worth = {"opaque": {"active": True, "sub": "u2", "aud": "shop-api"},
                      foreign: {"active": True, "sub": "u3", "aud": "shop-api"}}
    signed = shop.token(keys["shop"])
    for _ in range(2):
        for token, user in ((signed, "u1"), ("opaque", "u2"), (foreign, "u3")):
            assert gateway.get("/x", bearer(token)).status == 200, user
            assert service.requests[-1].header("X-User") == user
    answer = gateway.get("/x", bearer("unknown"))
    assert answer.status == 401 and reason(answer) == "token-inactive"
    assert len(identity.forms) == 3

    # What jwt knows for its own is never tried elsewhere, though the other server would let it in.
    count = len(service.requests)
    own = {shop.token(keys["shop"], {"exp": 1}): "token-expired",
           shop.token(keys["nobody"]): "token-signature",
           shop.token(keys["shop"], {"aud": "bank"}): "token-audience"}
    identity.worth.update({token: {"active": True, "sub": "u9", "aud": "shop-api"} for token in own})
    for token, word in own.items():
        answer = gateway.get("/x", bearer(token))
        assert answer.status == 401 and reason(answer) == word
    assert len(identity.forms) == 3 and len(service.requests) == count
    assert gateway.get("/x").header("Www-Authenticate") == 'Bearer realm="weir"'


def test_no_issuer_speaks_for_another(start, serve, shop, partner, keys):
    """Both have a key "k"; whose keys are tried the token's `iss` says, which these very keys then sign for."""
    service = serve()
    gateway = start(configuration(service.at, f"""jwt: [{{issuer: "{shop.url}", patience: 60s}},
                  {{issuer: "{partner.url}", patience: 60s, cooldown: 1h}}]"""))
    good = [shop.token(keys["shop"]), partner.token(keys["partner"], {"sub": "p1"})]
    bad = [shop.token(keys["partner"]), partner.token(keys["shop"]), shop.token(keys["nobody"]),
           keys["shop"].token({"iss": partner.url}, {"kid": "k", "jku": f"{shop.url}/keys", "iss": shop.url})]
    for _ in range(2):
        for token, issuer in zip(good, (shop, partner)):
            assert gateway.get("/x", bearer(token)).status == 200
            assert service.requests[-1].header("X-Issuer") == issuer.url
        for token in bad:
            answer = gateway.get("/x", bearer(token))
            assert answer.status == 401 and reason(answer) == "token-signature"
    answer = gateway.get("/x", bearer(keys["shop"].token({"iss": "https://third.example"})))
    assert answer.status == 401 and reason(answer) == "token-issuer"
    answer = gateway.get("/x", bearer("opaque"))
    assert answer.status == 401 and reason(answer) == "token-malformed"


def test_scopes_of_tokens(start, serve, shop, keys):
    """A list, however the issuer writes them; who lacks one hears which are needed (RFC 6750 §3.1)."""
    gateway = start(configuration(serve().at, f'jwt: {{issuer: "{shop.url}", patience: 60s}}'))
    for claims in ({"scope": "orders.write orders.read"}, {"scp": ["orders.read", "orders.write"]},
                   {"scp": "x orders.read orders.write"}):
        assert gateway.get("/orders", bearer(shop.token(keys["shop"], claims))).status == 200, claims
    lacking = ({"scope": "orders.read"}, {"scp": ["orders.reads", "orders.write"]}, {})
    for i, claims in enumerate(lacking):
        answer = gateway.get(f"/orders/{i}", bearer(shop.token(keys["shop"], claims)))
        assert answer.status == 403 and reason(answer) == "not-allowed", claims
        assert answer.header("Www-Authenticate") == (
            'Bearer realm="weir", error="insufficient_scope", scope="orders.read orders.write"')
        missing = "orders.read" if i else "orders.write"
        assert gateway.log_line(f"/orders/{i}")["error.message"] == f"it lacks the scope {missing}"
