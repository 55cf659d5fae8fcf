"""Forward auth: a service of HTTP decides about each request, as behind nginx' auth_request or Traefik's ForwardAuth."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time

import grpc
import jwt
import pytest
import websocket_client
from gateway import run_weir, suspend, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection
from upstream import Upstream


class Authorizer(Upstream):
    """Answers what `decide(request)` says: (status, headers, body). `gate` holds answers back while it is not set."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.decide = lambda request: (200, [("Remote-User", "ada"), ("Remote-Groups", "a, b")], b"")
        super().__init__(Authorizer.run)

    def run(peer):
        self = peer.upstream
        while True:
            request = peer.read_request()
            self.requests.append(request)
            self.gate.wait(60)
            status, headers, body = self.decide(request)
            if request.method == "HEAD":
                peer.send(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
            else:
                peer.answer(body, status, headers)

    def close(self):
        self.gate.set()
        super().close()


@pytest.fixture
def authorizer():
    with Authorizer() as made:
        yield made


def configuration(service, to, more="", rest="", workers=2):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: {workers}
        auth:
          door:
            forward: {{to: "{to}", copy: [Remote-User], claims: {{sub: Remote-User, groups: Remote-Groups}}, timeout: 60s{more}}}
            send: {{X-Sub: claims.sub}}
        services: {{back: "{service}"}}
        use: [auth.door]
        routes:
          /groups: {{to: back, allow: claims.groups has b}}
          /others: {{to: back, allow: claims.groups has c}}
          /**: back
{rest}
        """


@pytest.fixture
def shop(start, serve, authorizer):
    """shop(more): (gateway, service) behind the authorizer."""
    def run(more="", **options):
        service = serve()
        return start(configuration(service.at, f"http://{authorizer.at}/verify?from=weir", more, **options)), service
    return run


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_question_and_answer(shop, authorizer, speaks):
    gateway, service = shop()
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    forged = {"Remote-User": "root", "remote_user": "root", "X-Sub": "root", "X-Forwarded-Method": "GET",
              "x_forwarded_uri": "/public", "X-Forwarded-Uri": "/public", "X-Forwarded-For": "10.9.9.9"}
    answer = gateway.request("POST", "/groups?a=%20b", {"Cookie": "session=1", "Authorization": "Basic x",
                                                        "If-None-Match": "x", "Accept": "text/html", **forged}, b"body")
    assert answer.status == 200
    seen = service.requests[-1]
    assert seen.all("Remote-User") == ["ada"] and seen.all("remote_user") == [] and seen.all("X-Sub") == ["ada"]
    assert seen.header("Remote-Groups") is None and seen.body == b"body" and seen.header("If-None-Match") == "x"
    asked = authorizer.requests[-1]
    assert (asked.method, asked.target, asked.body) == ("GET", "/verify?from=weir", b"")
    assert asked.header("Host") == authorizer.at
    fields = {name.lower(): value for name, value in asked.headers}
    assert fields["x-forwarded-method"] == "POST" and fields["x-forwarded-uri"] == "/groups?a=%20b"
    assert fields["x-forwarded-proto"] == "http" and fields["x-forwarded-host"].startswith("localhost" if speaks == "HTTP/1.1" else "a.example")
    assert fields["x-forwarded-for"] == "127.0.0.1" and fields["accept"] == "text/html"
    assert fields["cookie"] == "session=1" and fields["authorization"] == "Basic x"
    assert "remote-user" not in fields and "if-none-match" not in fields and "x_forwarded_uri" not in fields
    assert len(asked.headers) == len(fields)
    assert gateway.get("/others").status == 403
    assert len(authorizer.requests) == 2
    assert gateway.metric("weir_auth_requests_total", auth="auth.door", outcome="verified") == 2


def test_refusals_are_answered(shop, authorizer):
    gateway, service = shop()
    rows = [
        (302, [("Location", "https://login.example/?rd=/x"), ("Set-Cookie", "csrf=1"), ("Set-Cookie", "state=2")], b""),
        (401, [("WWW-Authenticate", 'Basic realm="door"'), ("Content-Type", "text/plain"), ("X-Secret", "s")], b"who?"),
        (403, [("Content-Type", "text/html"), ("Connection", "x-hop"), ("X-Hop", "1")], b"<p>no"),
        (429, [("Retry-After", "7")], b""),
    ]
    for i, (status, headers, body) in enumerate(rows):
        authorizer.decide = lambda request, row=rows[i]: row
        answer = gateway.get(f"/row{i}")
        assert (answer.status, answer.body) == (status, body)
        for name, value in headers:
            if name in ("X-Secret", "Connection", "X-Hop"):
                assert value not in answer.all(name)
            else:
                assert value in answer.all(name), name
        word = "authorizer-unknown" if status < 402 else "authorizer-refused"
        assert gateway.log_line(f"/row{i}")["reason"] == word
    with gateway.connect() as connection:  # stays usable
        assert [connection.request("GET", "/again").status for _ in range(2)] == [429, 429]
        assert connection.request("HEAD", "/head").status == 429
        assert connection.request("POST", "/post", body=b"x" * 1000).status == 429
    assert service.requests == []
    assert gateway.metric("weir_auth_requests_total", auth="auth.door", outcome="answered") == 8


def test_claims_in_a_body(shop, authorizer):
    gateway, service = shop(", claims-in-body: true, headers: [Cookie], method: request, "
                            "set: {X-Original-URL: \"${scheme}://${host}${path}\"}")
    claims = {"sub": "body", "groups": ["x", "b"], "deep": {"er": [1, None, True, "\u00e9"]}}
    authorizer.decide = lambda request: (200, [("Remote-User", "ada")], json.dumps(claims).encode())
    answer = gateway.request("PUT", "/groups", {"Cookie": "a=b", "Accept": "x/y", "X-Original-URL": "forged"})
    assert answer.status == 200 and service.requests[-1].header("X-Sub") == "ada"
    asked = authorizer.requests[-1]
    assert asked.method == "PUT" and asked.header("Cookie") == "a=b" and asked.header("Accept") is None
    assert asked.all("X-Original-URL") == ["http://localhost/groups"]
    for body in (b"", b"[]", b'{"sub": ', b"{}x"):
        authorizer.decide = lambda request, body=body: (200, [], body)
        assert gateway.get("/x").status == 503
    authorizer.decide = lambda request: (200, [], b"{}")
    assert gateway.get("/nobody").status == 200 and service.requests[-1].header("X-Sub") is None


def test_answers_are_remembered_by_key(shop, authorizer):
    gateway, service = shop(", key: [cookie.session, path], remember: 1h, return: [Set-Cookie]")

    def decide(request):
        session = (request.header("Cookie") or "").partition("=")[2]
        return (200, [("Remote-User", session), ("Set-Cookie", "fresh=1")], b"") if session != "bad" else (401, [], b"")
    authorizer.decide = decide

    def get(path, session):
        return gateway.get(path, {"Cookie": f"session={session}"})
    assert get("/a", "ada").all("Set-Cookie") == ["fresh=1"]
    assert get("/a", "ada").all("Set-Cookie") == []
    assert service.requests[-1].all("Remote-User") == ["ada"]
    assert get("/b", "ada").status == 200 and len(authorizer.requests) == 2
    get("/a", "bob")
    assert service.requests[-1].all("Remote-User") == ["bob"] and len(authorizer.requests) == 3
    assert [get("/a", "bad").status for _ in range(2)] == [401, 401] and len(authorizer.requests) == 5
    gateway.reload()
    assert get("/a", "ada").status == 200 and len(authorizer.requests) == 5
    gateway.reload(gateway.config_path.read_text().replace("cookie.session, path", "cookie.session, path, method"))
    assert get("/a", "ada").status == 200 and len(authorizer.requests) == 6


def test_keys_do_not_collide(shop, authorizer):
    """Whatever clients write into the parts, two different lists are two keys."""
    gateway, service = shop(", key: [header.x-tenant, header.x-user], remember: 1h")
    authorizer.decide = lambda request: (200, [("Remote-User", f"{request.header('X-Tenant')}|{request.header('X-User')}")], b"")
    rows = [{"X-Tenant": "a", "X-User": "b c"}, {"X-Tenant": "a b", "X-User": "c"}, {"X-Tenant": "a,b", "X-User": "c"},
            {"X-Tenant": "a"}, {"X-User": "a"}, {"X-Tenant": "1:a", "X-User": "1:b"}, {"X-Tenant": "a1:b", "X-User": "c"},
            {"X-Tenant": "-1:"}, {"X-Tenant": "a-1:"}, {"X-Tenant": "a", "X-User": "b:c"}, {"X-Tenant": "a:b", "X-User": "c"},
            {"X-Tenant": "a", "X-User": ""}, {}]
    for row in rows * 2:
        assert gateway.get("/x", row).status == 200
        assert service.requests[-1].header("Remote-User") == f"{row.get('X-Tenant')}|{row.get('X-User')}"
    assert len(authorizer.requests) == len(rows) + 1  # who has nothing of it is asked about each time


def test_one_asks_at_a_time(shop, authorizer):
    gateway, _ = shop(", key: header.x-user, remember: 1h")
    authorizer.gate.clear()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(gateway.get("/x", {"X-User": "u"}, timeout=60).status))
               for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_for(lambda: authorizer.requests, what="the question")
    authorizer.gate.set()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 20 and len(authorizer.requests) == 1


@pytest.mark.parametrize("then, status", [("refuse", 503), ("pass", 200)])
def test_authorizer_fails(start, serve, authorizer, then, status):
    service = serve()
    text = configuration(service.at, f"http://{authorizer.at}/", f", if-unavailable: {then}")
    gateway = start(text.replace("timeout: 60s", "timeout: 300ms"))
    for i, code in enumerate((500, 502, 503, 599)):
        authorizer.decide = lambda request, code=code: (code, [("Remote-User", "root")], b"")
        assert gateway.get(f"/f{i}", {"Remote-User": "forged"}).status == status
    authorizer.gate.clear()
    assert gateway.get("/slow", {"Remote-User": "forged"}).status == status
    authorizer.gate.set()
    authorizer.close()
    assert gateway.get("/dead", {"Remote-User": "forged"}).status == status
    assert all(request.all("Remote-User") == [] for request in service.requests)
    assert len(service.requests) == (6 if then == "pass" else 0)
    assert gateway.metric("weir_auth_unavailable_total", auth="auth.door",
                          then="passed" if then == "pass" else "refused") == 6
    if then == "refuse":
        assert gateway.log_line("/dead")["reason"] == "auth-unavailable"


AUTHORIZER = textwrap.dedent("""
    import http.server
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            self.send_response(200)
            self.send_header("Remote-User", "ada")
            self.send_header("Content-Length", "0")
            self.end_headers()
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
    """)


def test_authorizer_is_stopped_and_killed(start, serve):
    """A process of its own: one that hangs is not waited for, one that is gone not either."""
    process = subprocess.Popen([sys.executable, "-c", AUTHORIZER], stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        service = serve()
        gateway = start(configuration(service.at, f"http://127.0.0.1:{port}/verify").replace("60s", "500ms"))
        assert wait_for(lambda: gateway.get("/x").status == 200)
        suspend(process)
        assert json.loads(gateway.get("/stopped").body)["reason"] == "auth-unavailable"
        process.send_signal(signal.SIGCONT)
        assert wait_for(lambda: gateway.get("/x").status == 200)
        process.kill()
        process.wait()
        assert gateway.get("/killed").status == 503
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_grpc_and_websockets(start, authorizer, chat):
    to = f"http://{authorizer.at}/"
    with GrpcService() as orders:
        gateway = start(configuration(f"h2c://{orders.at}", to))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            call(b"x")
            rows = [(401, grpc.StatusCode.UNAUTHENTICATED), (302, grpc.StatusCode.UNAUTHENTICATED),
                    (403, grpc.StatusCode.PERMISSION_DENIED), (500, grpc.StatusCode.UNAVAILABLE)]
            for status, code in rows:
                authorizer.decide = lambda request, status=status: (status, [("Location", "/login")], b"no")
                with pytest.raises(grpc.RpcError) as failure:
                    call(b"x")
                assert failure.value.code() is code
    gateway, _ = chat(', auth: {forward: {to: "%s"}}' % to)
    authorizer.decide = lambda request: (403, [], b"no")
    assert gateway.get("/chat", websocket_client.HANDSHAKE).status == 403
    authorizer.decide = lambda request: (200, [], b"")
    websocket_client.Raw(gateway, "/chat").connection.close()
    assert authorizer.requests[-1].header("Upgrade") is None
    assert authorizer.requests[-1].header("Sec-WebSocket-Key") is None


def test_behind_another_way(start, serve, authorizer):
    """Who shows a token is known by it; what the authorizer alone may say is taken out all the same."""
    service = serve()
    text = configuration(service.at, f"http://{authorizer.at}/").replace(
        "forward:", 'jwt: {issuer: "https://id", secret: "a secret of thirty-two bytes ..."}\n            forward:')
    gateway = start(text)
    token = jwt.encode({"iss": "https://id", "sub": "eve", "exp": int(time.time()) + 600},
                       "a secret of thirty-two bytes ...", "HS256")
    assert gateway.get("/x", {"Authorization": f"Bearer {token}", "Remote-User": "root"}).status == 200
    assert authorizer.requests == [] and service.requests[-1].header("X-Sub") == "eve"
    assert service.requests[-1].all("Remote-User") == []
    assert gateway.get("/x").status == 200 and service.requests[-1].header("Remote-User") == "ada"


def test_rehearsals_and_mistakes(tmp_path, authorizer):
    path = tmp_path / "weir.yaml"
    path.write_text(textwrap.dedent(configuration("127.0.0.1:9", f"http://{authorizer.at}/verify")) + """
tests:
  - {get: /x, is: 503}
  - {get: /groups, claims: {sub: u1, groups: [b]}, is: back}
""")
    code, out, error = run_weir("test", path)
    assert code == 0 and "2 passed, 0 failed" in out, out + error
    code, out, _ = run_weir("explain", "GET /x", path)
    assert code == 0 and f"auth: asks http://{authorizer.at}/verify whether it may pass" in out, out
    assert authorizer.requests == []
    for more, says in ((", set: {Host: x}", 'the field "Host" cannot be sent'),
                       (", answer: [Content-Length]", 'the field "Content-Length" cannot be answered'),
                       (", return: [x y]", 'the field "x y" cannot be returned'),
                       (", method: HEAD, claims-in-body: true", "an answer to HEAD has no body"),
                       (", if-unavailable: maybe", "if-unavailable")):
        path.write_text(textwrap.dedent(configuration("127.0.0.1:9", "back/verify", more)))
        code, _, error = run_weir("check", path)
        assert code == 3 and says in error, error
