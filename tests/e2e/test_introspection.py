"""Tokens that say nothing by themselves: what an authorization server says of them decides (RFC 7662)."""

import json
import ssl
import threading
import time

import grpc
import pytest
import websocket_client
from certificates import authority
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection
from oauth_server import CLIENT, SECRET, OAuthServer


@pytest.fixture
def identity():
    with OAuthServer() as server:
        yield server


def auth(at, more=""):
    return f'introspection: {{at: "{at}", client: "{CLIENT}", secret: "{SECRET}", timeout: 60s{more}}}'


def configuration(service, at, more="", rest="", workers=2):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: {workers}
        auth:
          shop:
            {auth(at, more)}
            audience: shop-api
            send: {{X-User: claims.sub}}
        services: {{back: "{service}"}}
        use: [auth.shop]
        routes:
          /buy: {{to: back, allow: claims.scopes has buy}}
          /**: back
{rest}
        """


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def good(**more):
    claims = {"active": True, "sub": "u1", "aud": "shop-api", "exp": int(time.time()) + 3600, "scope": "read buy",
              "token_type": "Bearer", "client_id": "app", **more}
    return {name: value for name, value in claims.items() if value is not None}


@pytest.fixture
def shop(start, serve, identity):
    service = serve()
    return start(configuration(service.at, f"http://{identity.at}/introspect", ", remember: 1h, remember-refused: 1h")), service


def in_parallel(count, run):
    """The answers of `count` calls at a time."""
    answers = [None] * count

    def one(i):
        answers[i] = run(i)
    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_who_is_known(shop, identity, speaks):
    gateway, service = shop
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    now = int(time.time())
    identity.worth = {
        "good": good(), "list": good(aud=["x", "shop-api"], sub="u2"), "endless": good(exp=None),
        "machine": good(sub=None), "untyped": good(token_type=None), "poor": good(scope="read"),
        "expired": good(exp=now - 100), "early": good(nbf=now + 1000), "foreign": good(aud="other"),
        "refresh": good(token_type="refresh_token"), "odd": good(exp="tomorrow"),
    }
    for token, user in (("good", "u1"), ("list", "u2"), ("endless", "u1"), ("machine", "app"), ("untyped", "u1")):
        assert gateway.get("/buy", {**bearer(token), "x_user": "forged"}).status == 200, token
        assert service.requests[-1].header("X-User") == user and service.requests[-1].all("x_user") == []
    assert gateway.get("/buy", bearer("poor")).status == 403
    count = len(service.requests)
    rows = [("unknown", "token-inactive"), ("expired", "token-expired"), ("early", "token-not-yet-valid"),
            ("foreign", "token-audience"), ("refresh", "token-type"), ("odd", "token-malformed")]
    for token, word in rows:
        answer = gateway.get(f"/{token}", bearer(token))
        assert answer.status == 401 and json.loads(answer.body)["reason"] == word, token
        assert 'error="invalid_token"' in answer.header("Www-Authenticate")
        assert gateway.log_line(f"/{token}")["reason"] == word
    assert gateway.get("/none").header("Www-Authenticate") == 'Bearer realm="weir"'
    assert len(service.requests) == count
    asked = identity.requests[0]
    assert asked.method == "POST" and asked.target == "/introspect" and asked.header("Host") == identity.at
    assert identity.forms[0] == {"token": "good", "token_type_hint": "access_token"}
    assert asked.header("Cookie") is None and asked.header("X-Request-Id")


def test_answers_are_remembered(shop, identity):
    gateway, _ = shop
    identity.worth = {"good": good()}
    for _ in range(5):
        assert gateway.get("/x", bearer("good")).status == 200
        assert gateway.get("/x", bearer("bad")).status == 401
    assert len(identity.requests) == 2
    gateway.reload()
    assert gateway.get("/x", bearer("good")).status == 200
    assert len(identity.requests) == 2
    assert gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="known") == 5
    assert gateway.metric("weir_inquiries_total", policy="auth.shop", outcome="2xx") == 2


def test_what_is_remembered_ends(start, serve, identity):
    """With the token, after `remember`, and not at all if that is what is said."""
    at = f"http://{identity.at}/introspect"
    gateway = start(configuration(serve().at, at, ", leeway: 0s, remember: 1h, remember-refused: 0s"))
    identity.worth = {"short": good(exp=int(time.time()) + 2)}
    gateway.get("/x", bearer("short"))
    wait_for(lambda: gateway.get("/x", bearer("short")).status == 401, what="the token's end")
    gateway = start(configuration(serve().at, at, ", remember: 0s, remember-refused: 0s"))
    identity.worth, before = {"good": good()}, len(identity.requests)
    assert [gateway.get("/x", bearer("good")).status for _ in range(3)] == [200] * 3
    identity.worth = {}
    assert gateway.get("/x", bearer("good")).status == 401
    assert len(identity.requests) == before + 4


def test_one_asks_for_a_token_at_a_time(shop, identity):
    gateway, _ = shop
    identity.worth = {"good": good()}
    identity.pause()
    threads, answers = in_parallel(30, lambda i: gateway.get("/x", bearer("good"), timeout=60).status)
    wait_for(lambda: identity.requests, what="the question")
    identity.go_on()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 30
    assert len(identity.requests) == 1


def test_who_asks_goes_away(shop, identity):
    """Then another asks for those who wait."""
    gateway, _ = shop
    identity.worth = {"good": good()}
    identity.pause()
    first = gateway.connect()
    first.send_request("GET", "/x", bearer("good"))
    wait_for(lambda: identity.requests, what="the question")
    threads, answers = in_parallel(5, lambda i: gateway.get("/x", bearer("good"), timeout=60).status)
    first.socket.close()
    identity.go_on()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 5


def test_post_and_service(start, serve, identity, tmp_path):
    """The credentials in the body; the authority as a service of the file; a token from elsewhere."""
    identity.worth = {"good": good()}
    gateway = start(configuration(serve().at, "id/introspect", ", client-auth: post, from: cookie.session")
                    .replace("services: {", f'services: {{id: "{identity.at}", '))
    assert gateway.get("/x", {"Cookie": "session=good"}).status == 200
    assert identity.forms[0]["client_id"] == CLIENT and identity.requests[0].header("Authorization") is None
    assert gateway.get("/x", bearer("good")).status == 401
    names = [service["name"] for service in gateway.status()["services"]]
    assert names == ["id", "back"] or names == ["back", "id"]


def test_by_tls(start, serve):
    """The authority's certificate is checked."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority().sign(names="DNS:localhost,IP:127.0.0.1")
    made.load_cert_chain(certificate.cert, certificate.key)
    with OAuthServer(tls=made) as server:
        server.worth = {"good": good()}
        gateway = start(configuration(serve().at, f"https://{server.at}/introspect"))
        answer = gateway.get("/distrusted", bearer("good"))
        assert answer.status == 503 and json.loads(answer.body)["reason"] == "auth-unavailable"
        assert "upstream-tls-certificate" in json.dumps(gateway.log_line("/distrusted"))
        gateway = start(configuration(serve().at, "id/introspect").replace(
            "services: {", f'services: {{id: {{at: "https://{server.at}", tls: {{ca: "{authority().cert}"}}}}, '))
        assert gateway.get("/x", bearer("good")).status == 200


def test_authority_fails(start, serve, identity):
    """503, at once or at the deadline, whatever it is; nobody gets in, and it heals."""
    service = serve()
    gateway = start(configuration(service.at, f"http://{identity.at}/introspect").replace("timeout: 60s", "timeout: 300ms"))
    failures = [(500, {}), (401, {"error": "invalid_client"}), (200, {"active": "yes"}), (200, {}), (200, []),
                (302, {"active": True}), (200, {"active": True, "sub": {"x": [1]}, "y": "z" * 100000})]
    for i, identity.failure in enumerate(failures):
        answer = gateway.get(f"/failure{i}", bearer("t"))
        assert answer.status == 503 and json.loads(answer.body)["reason"] == "auth-unavailable", identity.failure
        assert gateway.log_line(f"/failure{i}")["reason"] == "auth-unavailable"
    identity.failure = None
    identity.pause()
    assert gateway.get("/slow", bearer("t")).status == 503
    identity.go_on()
    identity.worth = {"t": good()}
    assert wait_for(lambda: gateway.get("/healed", bearer("t")).status == 200)
    assert gateway.metric("weir_auth_unavailable_total", auth="auth.shop", then="refused") >= len(failures) + 1
    identity.close()
    assert gateway.get("/x", bearer("t")).status == 200  # known
    assert gateway.get("/dead", bearer("other")).status == 503
    assert {request.target for request in service.requests} == {"/healed", "/x"}


def test_grpc_and_websockets(start, identity, chat):
    identity.worth = {"good": good()}
    at = f"http://{identity.at}/introspect"
    with GrpcService() as orders:
        gateway = start(configuration(f"h2c://{orders.at}", at))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            with pytest.raises(grpc.RpcError) as failure:
                call(b"x", metadata=[("authorization", "Bearer bad")])
            assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
            call(b"x", metadata=[("authorization", "Bearer good")])
            identity.failure = (500, {})
            with pytest.raises(grpc.RpcError) as failure:
                call(b"x", metadata=[("authorization", "Bearer other")])
            assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
            identity.failure = None
    gateway, _ = chat(", auth: {%s}" % auth(at, ", from: query.access_token"))
    assert gateway.get("/chat?access_token=bad", websocket_client.HANDSHAKE).status == 401
    websocket_client.Raw(gateway, "/chat?access_token=good").connection.close()


def test_rehearsals_ask_nobody(start, serve, identity, tmp_path):
    gateway = start(configuration(serve().at, f"http://{identity.at}/introspect"))
    path = tmp_path / "weir.yaml"
    path.write_text(gateway.config_path.read_text() + """
tests:
  - {get: /x, is: 401}
  - {get: /x, header: {authorization: Bearer t}, is: 503}
  - {get: /buy, claims: {sub: u1, scopes: [buy]}, is: back}
""")
    code, out, error = run_weir("test", path)
    assert code == 0 and "3 passed, 0 failed" in out, out + error
    code, out, _ = run_weir("explain", "GET /x", path, "-H", "Authorization: Bearer t")
    assert code == 0 and f"policy:   auth: asks http://{identity.at}/introspect what the token is worth" in out, out
    assert identity.requests == []
    shown = [gateway.stderr, gateway.metrics()] + [gateway.control_request("GET", path).body.decode()
                                                   for path in ("/v1/status",)]
    assert not any(SECRET in text for text in shown)


def test_wrong_configurations(tmp_path):
    path = tmp_path / "weir.yaml"
    for at, says in (("idd/introspect", 'there is no service "idd"'), ("ftp://x/y", "a URL begins with https://"),
                     ("https://x:0/y", "a port is a number"), ("https://id.example/%zz", "its path is malformed")):
        path.write_text(configuration("127.0.0.1:9", at))
        code, _, error = run_weir("check", path)
        assert code == 3 and says in error, error
