"""API keys: consumers in a file that is read again when it changes; and certificates that clients show."""

import hashlib
import json
import secrets

import grpc
import pytest
import websocket_client
from authority import Authority, SecureConnection
from gateway import SANITIZED, run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection
from https import pair


def line(name, key, **more):
    return json.dumps({"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), **more}) + "\n"


def write(path, *lines):
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(lines))
    fresh.rename(path)


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "consumers.jsonl"
    write(path, "# who may\n", line("acme", "key-of-acme", plan="pro", team={"id": 7}), line("late", "key-of-late", exp=1000))
    return path


def configuration(service, way, more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        auth:
          shop: {{keys: {way}, send: {{X-User: claims.sub, X-Plan: claims.plan, X-Team: claims.team.id}}}}
        services: {{back: "{service.at}"}}
        use: [auth.shop]
        routes: {{/**: back}}
        {more}
        """


def reason(answer):
    return json.loads(answer.body)["reason"]


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_a_consumer_is_known_by_its_key(start, serve, book, speaks):
    service = serve()
    gateway = start(configuration(service, book))
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    for _ in range(3):
        assert gateway.get("/x", {"X-API-Key": "key-of-acme", "X-User": "forged"}).status == 200
    seen = service.requests[-1]
    assert seen.all("X-User") == ["acme"] and seen.header("X-Plan") == "pro" and seen.header("X-Team") == "7"
    assert seen.header("X-API-Key") is None
    service.requests.clear()
    rows = [({}, "credentials-missing"), ({"X-API-Key": "key-of-acm"}, "api-key-unknown"), ({"X-API-Key": "key-of-acme "}, None),
            ({"X-API-Key": "KEY-OF-ACME"}, "api-key-unknown"), ({"X-API-Key": "key-of-late"}, "api-key-expired"),
            ({"X-API-Key": hashlib.sha256(b"key-of-acme").hexdigest()}, "api-key-unknown"),
            ({"X-API-Key": "x" * 5000}, "api-key-unknown"), ({"Authorization": "ApiKey key-of-acme"}, "credentials-missing")]
    for i, (headers, word) in enumerate(rows):
        answer = gateway.get(f"/row{i}?api_key=key-of-acme", headers)
        if word:
            assert answer.status == 401 and reason(answer) == word, headers
            assert answer.header("Www-Authenticate") == 'ApiKey realm="weir"'
            assert gateway.log_line(f"/row{i}")["reason"] == word
    shown = gateway.stderr + gateway.metrics() + gateway.control_request("GET", "/v1/status").body.decode()
    assert "key-of" not in shown and hashlib.sha256(b"key-of-acme").hexdigest() not in shown


def test_two_keys_are_none(start, serve, book):
    gateway = start(configuration(serve(), book))
    with gateway.connect() as connection:
        connection.send(b"GET /x HTTP/1.1\r\nHost: a\r\nX-API-Key: key-of-acme\r\nX-API-Key: other\r\n\r\n")
        assert connection.read_answer().status == 401


def test_where_keys_are(start, serve, book):
    service = serve()
    gateway = start(configuration(service, f"{{file: {book}, header: X-Shop-Key, query: api_key, scheme: ApiKey}}"))
    assert gateway.get("/x", {"X-Shop-Key": "key-of-acme"}).status == 200
    assert gateway.get("/x?a=1&api_key=key-of-acme&b=2").status == 200
    assert service.requests[-1].target == "/x?a=1&b=2"
    assert gateway.get("/x?api%5fkey=key-of-acme").status == 200
    assert service.requests[-1].target == "/x"
    assert gateway.get("/x", {"Authorization": "apikey key-of-acme"}).status == 200
    assert service.requests[-1].header("Authorization") is None
    assert gateway.get("/x", {"X-API-Key": "key-of-acme"}).status == 401
    gateway = start(configuration(service, f"{{file: {book}, pass: true}}"))
    assert gateway.get("/x", {"X-API-Key": "key-of-acme"}).status == 200
    assert service.requests[-1].header("X-API-Key") == "key-of-acme"


def test_the_file_is_read_again(start, serve, book):
    gateway = start(configuration(serve(), book))

    def status(key):
        return gateway.get("/x", {"X-API-Key": key}).status

    assert [status("key-of-acme"), status("key-of-new")] == [200, 401]
    write(book, line("acme", "key-of-acme"), line("new", "key-of-new"))
    wait_for(lambda: status("key-of-new") == 200, what="the new key")
    write(book, line("new", "key-of-new"))
    wait_for(lambda: status("key-of-acme") == 401, what="the old key's end")
    write(book, "nonsense\n")
    wait_for(lambda: "line 1 is not JSON" in gateway.stderr, what="a complaint")
    assert [status("key-of-acme"), status("key-of-new")] == [401, 200]
    assert gateway.reload()[0] == 200
    write(book, line("acme", "key-of-acme"))
    wait_for(lambda: status("key-of-acme") == 200, what="the file as it is after a reload")


def test_grpc_and_websockets(start, book, chat):
    with GrpcService() as orders:
        orders.at = f"h2c://{orders.at}"
        gateway = start(configuration(orders, book))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            with pytest.raises(grpc.RpcError) as failure:
                call(b"x", metadata=[("x-api-key", "other")])
            assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
            call(b"x", metadata=[("x-api-key", "key-of-acme")])
    gateway, _ = chat(", auth: {keys: {file: %s, query: key}}" % book)
    assert gateway.get("/chat", websocket_client.HANDSHAKE).status == 401
    websocket_client.Raw(gateway, "/chat?key=key-of-acme").connection.close()


def test_bad_files_are_named(tmp_path, serve):
    path, book = tmp_path / "weir.yaml", tmp_path / "consumers.jsonl"
    path.write_text("\n".join(row[8:] for row in configuration(serve(), "consumers.jsonl").splitlines()))
    code, _, error = run_weir("check", path)
    assert code == 3 and 'the file "consumers.jsonl" cannot be used: it cannot be read' in error
    book.write_text(line("a", "secret-a") + '{"name": "b"}\n')
    code, _, error = run_weir("check", path)
    assert code == 3 and 'the file "consumers.jsonl" cannot be used: line 2 lacks a "sha256" of 64 hexadecimal digits' in error
    assert hashlib.sha256(b"secret-a").hexdigest() not in error


def test_the_command_makes_keys(start, serve, tmp_path):
    book = tmp_path / "made.jsonl"
    made = {}
    for name, more in (("one", ["--plan", "pro"]), ("two", ["--expires", "90d", "--prefix", "shop"])):
        code, out, error = run_weir("key", name, *more)
        assert code == 0 and json.loads(out)["name"] == name
        made[name] = error.split()[-1]
        with open(book, "a") as file:
            file.write(out)
    assert made["one"].startswith("weir_") and made["two"].startswith("shop_") and len(made["two"]) >= 48
    both = json.loads(run_weir("key", "three", "--json")[1])
    with open(book, "a") as file:
        file.write(json.dumps(both["line"]) + "\n")
    service = serve()
    gateway = start(configuration(service, book))
    for name, key in [*made.items(), ("three", both["key"])]:
        assert gateway.get("/x", {"X-API-Key": key}).status == 200
        assert service.requests[-1].header("X-User") == name
    for wrong in (["key"], ["key", ""], ["key", "a", "--expires", "soon"], ["key", "a", "--prefix", "a b"]):
        assert run_weir(*wrong)[0] == 2


@pytest.mark.skipif(SANITIZED, reason="such builds' memory says nothing")
def test_many_keys(start, serve, tmp_path):
    """100,000 keys: what they cost is bounded."""
    book, known = tmp_path / "many.jsonl", secrets.token_urlsafe(32)
    write(book, *(line(f"consumer {i}", f"key {i}", plan="free") for i in range(100000)), line("last", known, plan="pro"))
    empty = tmp_path / "few.jsonl"
    write(empty, line("last", known))
    few = start(configuration(serve(), empty))
    many = start(configuration(serve(), book))
    assert [gateway.get("/x", {"X-API-Key": known}).status for gateway in (few, many)] == [200, 200]
    assert many.get("/x", {"X-API-Key": "key 99999"}).status == 200
    cost = (many.memory() - few.memory()) / 100000
    print(f"{cost:.0f} bytes a key")
    assert cost < 1500  # the file's text while it is read included


# --- certificates


def test_certificates(secure, authority, tmp_path):
    staff = Authority(tmp_path / "staff", "Staff")
    alice = staff.issue("alice@shop.example", "alice.staff.internal", file="alice", client=True, subject="alice")
    bob = staff.issue("deep.bob.staff.internal", file="bob", client=True, subject="bob")
    nameless = staff.issue(file="nameless", client=True, subject="nameless")
    more = f"""
    auth:
      any: {{certificate: {{sub: subject}}, send: {{X-User: claims.sub}}}}
      staff: {{certificate: {{names: ["*.staff.internal", "*@shop.other"], fingerprints: "{nameless.fingerprint.upper()}"}}}}
      name: {{certificate: {{subjects: ["CN=bo*"]}}}}
"""
    gateway = secure(pair(authority.issue("localhost"), **{"client-cert": "optional", "ca": staff.file}), more=more)
    text = gateway.config_path.read_text().replace("routes:\n", """routes:
  /any: {respond: "${claims.sub} ${claims.fingerprint}", use: [auth.any]}
  /staff: {respond: "${claims.sub}", use: [auth.staff]}
  /name: {respond: "${claims.sub}", use: [auth.name]}
""", 1)
    assert gateway.reload(text)[0] == 200

    def ask(path, client=None):
        with SecureConnection(gateway.secure, authority.context(client)) as connection:
            return connection.request("GET", path)

    assert ask("/any").status == 401 and reason(ask("/any")) == "credentials-missing"
    assert ask("/any", alice).body.decode().startswith("CN=alice ")
    assert alice.fingerprint in ask("/any", alice).body.decode()
    assert ask("/staff", alice).body == b"alice@shop.example"
    refused = ask("/staff", bob)
    assert refused.status == 403 and reason(refused) == "certificate-denied"
    assert ask("/staff", nameless).body == b"CN=nameless"
    assert ask("/name", bob).body == b"deep.bob.staff.internal" and ask("/name", alice).status == 403
