"""Tokens that the gateway shows to services: OAuth 2.0 client credentials (RFC 6749 §4.4)."""

import json
import ssl
import threading

import grpc
import pytest
import websocket_client
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, Orders, channel
from h2_client import Connection as H2Connection
from issuer import Issuer, Key
from oauth_server import CLIENT, SECRET, OAuthServer
from upstream import Upstream


@pytest.fixture
def identity():
    with OAuthServer() as server:
        yield server


@pytest.fixture
def issuer(identity):
    """Its tokens are given at another host's port."""
    with Issuer(Key("one", "ES256")) as made:
        made.document = {"token_endpoint": f"http://{identity.at}/token?by=discovery"}
        yield made


def discovering(service, issuer, more="", workers=2):
    return configuration(service, issuer.url, more, workers).replace("{token:", "{issuer:")


def credentials(at, more=""):
    return f'{{token: "{at}", client: "{CLIENT}", secret: "{SECRET}", timeout: 60s{more}}}'


def configuration(service, at, more="", workers=2, rest=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: {workers}
        credentials: {{pay: {credentials(at, more)}}}
        services: {{back: "{service}"}}
        routes:
          /bare: back
          /**: {{to: back, use: [credentials.pay]}}
{rest}
        """


def refusing(accepted):
    """A service that knows the tokens in `accepted`."""
    def script(peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            token = request.header("Authorization", "").removeprefix("Bearer ")
            if token in accepted:
                peer.answer(b"%d bytes" % len(request.body))
            else:
                peer.answer(b"no", 401, [("WWW-Authenticate", 'Bearer error="invalid_token"')])
    return script


def tokens_of(service):
    return [request.header("Authorization") for request in service.requests]


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_one_token_for_all(start, serve, identity, speaks):
    service = serve()
    gateway = start(configuration(service.at, f"http://{identity.at}/token", ', scope: "pay refund", parameters: {audience: "x y"}'))
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    for i in range(5):
        assert gateway.get(f"/{i}", {"Authorization": "Bearer of-the-client"}).status == 200
    assert gateway.request("POST", "/post", body=b"x" * 10).status == 200
    assert tokens_of(service) == ["Bearer service-token-1"] * 6
    assert gateway.get("/bare", {"Authorization": "Bearer of-the-client"}).status == 200
    assert tokens_of(service)[-1] == "Bearer of-the-client"
    assert identity.forms == [{"grant_type": "client_credentials", "scope": "pay refund", "audience": "x y"}]
    gateway.reload()
    assert gateway.get("/x").status == 200 and len(identity.requests) == 1
    gateway.reload(gateway.config_path.read_text().replace("pay refund", "pay"))
    assert gateway.get("/x").status == 200 and tokens_of(service)[-1] == "Bearer service-token-2"
    assert gateway.metric("weir_service_tokens_total", credentials="credentials.pay", outcome="fetched") == 2


def test_one_asks_at_a_time(start, serve, identity):
    service = serve()
    gateway = start(configuration(service.at, f"http://{identity.at}/token", ", client-auth: post"))
    identity.pause()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(gateway.get("/x", timeout=60).status)) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_for(lambda: identity.requests, what="the question")
    identity.go_on()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 20 and len(identity.requests) == 1
    assert identity.forms[0]["client_id"] == CLIENT and identity.requests[0].header("Authorization") is None


@pytest.mark.parametrize("by", ["token", "issuer"])
def test_renewed_ahead_of_its_end(start, serve, identity, issuer, by):
    service = serve()
    identity.expires_in = 4  # renewal is due after 2 s
    text = configuration(service.at, f"http://{identity.at}/token", ", early: 1d", workers=1)
    gateway = start(text if by == "token" else discovering(service.at, issuer, ", early: 1d", workers=1))
    assert gateway.get("/x").status == 200
    identity.expires_in = 3600
    wait_for(lambda: gateway.get("/x").status == 200 and len(identity.requests) == 2, what="the renewal")
    wait_for(lambda: gateway.get("/x").status == 200 and tokens_of(service)[-1] == "Bearer service-token-2")
    assert set(tokens_of(service)) == {"Bearer service-token-1", "Bearer service-token-2"}


def test_found_by_discovery(start, serve, identity, issuer):
    service = serve()
    gateway = start(discovering(service.at, issuer, ", scope: pay"))
    for i in range(5):
        assert gateway.get(f"/{i}", {"Authorization": "Bearer of-the-client"}).status == 200
    assert tokens_of(service) == ["Bearer service-token-1"] * 5
    assert [request.target for request in identity.requests] == ["/token?by=discovery"]
    assert identity.forms == [{"grant_type": "client_credentials", "scope": "pay"}]
    issuer.kill()  # what it has said stays, and is enough for another token
    gateway.reload(gateway.config_path.read_text().replace("scope: pay", "scope: refund"))
    assert gateway.get("/x").status == 200 and tokens_of(service)[-1] == "Bearer service-token-2"
    assert identity.forms[-1]["scope"] == "refund" and issuer.asked("/.well-known/openid-configuration") == 1


def test_issuer_that_is_down_at_first(start, serve, identity, issuer):
    issuer.kill()
    service = serve()
    gateway = start(discovering(service.at, issuer))
    answer = gateway.get("/early", {"Authorization": "Bearer of-the-client"})
    assert answer.status == 503 and json.loads(answer.body)["reason"] == "service-token-unavailable"
    line = gateway.log_line("/early")
    assert line["error.message"] == f"{issuer.url}: its discovery document could not be fetched"
    assert service.requests == [] and identity.requests == []
    issuer.start()
    wait_for(lambda: gateway.get("/x").status == 200, what="a token")
    assert tokens_of(service)[-1] == "Bearer service-token-1"


@pytest.mark.parametrize("said, why", [
    ({"issuer": "http://127.0.0.1:1"}, "its discovery document could not be fetched"),
    ({"token_endpoint": "http://id.example/token"}, "its discovery document could not be fetched"),
    ({"token_endpoint": None}, "its discovery document has no token endpoint")])
def test_document_that_is_not_believed(start, serve, identity, issuer, said, why):
    issuer.document |= said
    service = serve()
    gateway = start(discovering(service.at, issuer))
    assert gateway.get("/x").status == 503
    assert gateway.log_line("/x")["error.message"] == f"{issuer.url}: {why}"
    assert service.requests == [] and identity.requests == []


def test_discovery_over_tls(start, serve, authority):
    issued = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    service = serve()
    with OAuthServer(tls=context) as identity, Issuer(Key("one", "ES256"), tls=context) as issuer:
        issuer.document = {"token_endpoint": f"https://{identity.at}/token"}
        gateway = start(discovering(service.at, issuer, f', ca: "{authority.file}"'))
        assert gateway.get("/x").status == 200 and tokens_of(service) == ["Bearer service-token-1"]
        gateway = start(discovering(service.at, issuer))  # the system's authorities do not know it
        assert gateway.get("/y").status == 503


def test_sent_again_when_it_is_not_accepted(start, identity):
    accepted = {"service-token-1"}
    with Upstream(refusing(accepted)) as service:
        gateway = start(configuration(service.at, f"http://{identity.at}/token", ", keep: 1KiB"))
        assert gateway.get("/x").status == 200
        accepted.clear()
        accepted.add("service-token-2")  # the first is revoked
        answer = gateway.request("POST", "/pay", body=b"y" * 1000)
        assert (answer.status, answer.body) == (200, b"1000 bytes")
        assert [len(request.body) for request in service.requests] == [0, 1000, 1000]
        assert tokens_of(service)[1:] == ["Bearer service-token-1", "Bearer service-token-2"]
        assert gateway.metric("weir_service_tokens_total", credentials="credentials.pay", outcome="rejected") == 1


def test_body_that_is_not_kept(start, identity):
    """It is sent once; the client hears of it, and the next request has a new token."""
    accepted = {"service-token-2"}
    with Upstream(refusing(accepted)) as service:
        gateway = start(configuration(service.at, f"http://{identity.at}/token", ", keep: 1KiB"))
        assert gateway.request("POST", "/pay", body=b"y" * 2000).status == 401
        assert len(service.requests) == 1
        assert gateway.get("/x").status == 200


def test_service_that_accepts_no_token(start, identity):
    """It is asked twice now and then, not for each request, and so is who gives tokens."""
    with Upstream(refusing(set())) as service:
        gateway = start(configuration(service.at, f"http://{identity.at}/token"))
        answers = [gateway.get("/x") for _ in range(20)]
        assert {answer.status for answer in answers} == {401}
        assert "invalid_token" in answers[0].header("Www-Authenticate")
        assert len(service.requests) < 40 and len(identity.requests) < 20


@pytest.mark.parametrize("then, status", [("refuse", 503), ("pass", 200)])
def test_no_token_to_be_had(start, serve, identity, then, status):
    service = serve()
    gateway = start(configuration(service.at, f"http://{identity.at}/token", f", if-unavailable: {then}").replace("60s", "300ms"))
    failures = [(500, {}), (400, {"error": "invalid_scope"}), (401, {"error": "invalid_client"}), (200, {}), (200, []),
                (200, {"access_token": ""}), (200, {"access_token": "a\r\nX: y"}), (200, {"access_token": 7}),
                (200, {"access_token": "a", "token_type": "mac"}), (200, {"access_token": "x" * 20000})]
    for i, identity.failure in enumerate(failures):
        answer = gateway.get(f"/f{i}", {"Authorization": "Bearer of-the-client"})
        assert answer.status == status, identity.failure
        if then == "refuse":
            assert json.loads(answer.body)["reason"] == "service-token-unavailable"
            assert gateway.log_line(f"/f{i}")["reason"] == "service-token-unavailable"
    identity.failure = None
    identity.pause()
    assert gateway.get("/slow").status == status
    identity.go_on()
    assert tokens_of(service) == [None] * len(service.requests)
    assert wait_for(lambda: gateway.get("/healed").status == 200 and tokens_of(service)[-1])
    identity.close()
    assert gateway.get("/x").status == 200  # it is known
    shown = [gateway.stderr, gateway.metrics(), gateway.control_request("GET", "/v1/status").body.decode(),
             gateway.log_path.read_text()]
    assert not any(word in text for text in shown for word in (SECRET, "service-token-1"))


class Forgetful(Orders):
    """Takes the first token that it sees for one that was revoked."""

    def get(self, message, context):
        token = dict(context.invocation_metadata()).get("authorization")
        if token == "Bearer service-token-1":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "revoked")
        return token.encode()


def test_grpc_and_websockets(start, identity, chat):
    with GrpcService(orders=Forgetful()) as orders:
        gateway = start(configuration(f"h2c://{orders.at}", f"http://{identity.at}/token"))
        with channel(gateway.address) as made:
            assert made.unary_unary(f"/{SERVICE}/Get")(b"x") == b"Bearer service-token-2"
    gateway, _ = chat(f', credentials: {credentials(f"http://{identity.at}/token")}')
    websocket_client.Raw(gateway, "/chat").connection.close()
    assert identity.given == 3


def test_rehearsals_and_mistakes(tmp_path, identity):
    path = tmp_path / "weir.yaml"
    path.write_text("\n".join(line[8:] for line in configuration("127.0.0.1:9", f"http://{identity.at}/token").splitlines()) + """
tests:
  - {get: /x, is: back}
""")
    code, out, error = run_weir("test", path)
    assert code == 0 and "1 passed, 0 failed" in out, out + error
    code, out, _ = run_weir("explain", "GET /x", path)
    assert code == 0 and f"sends a token of http://{identity.at}/token" in out, out
    assert identity.requests == []
    mistakes = [(configuration("127.0.0.1:9", "idd/token"), 'there is no service "idd"'),
                (configuration("127.0.0.1:9", "id/token", ', issuer: "https://id.example"'), "either `token` or `issuer`"),
                (configuration("127.0.0.1:9", "").replace('token: "", ', ""), "either `token` or `issuer`")]
    for text, complaint in mistakes:
        path.write_text(text)
        code, _, error = run_weir("check", path)
        assert code == 3 and complaint in error, error
