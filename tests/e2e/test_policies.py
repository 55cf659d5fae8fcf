"""Policies and handlers through the real program."""

import gzip
import json
import os

import pytest
from http_client import Connection



@pytest.fixture
def gate(start, serve):
    """gate(routes, top=""): (gateway, service) with these lines below `routes:`."""
    def make(routes, top=""):
        service = serve()
        lines = [line.strip() if not line.startswith("  ") else line for line in top.strip().splitlines()]
        text = f'version: 1\nlisten: "127.0.0.1:0"\nworkers: 1\nservices: {{back: "{service.at}"}}\n'
        text += "".join(line + "\n" for line in lines)
        text += "routes:\n" + "".join("  " + line.strip() + "\n" for line in routes.strip().splitlines())
        return start(text), service

    return make


def test_cors_preflight_and_answer(gate):
    gateway, service = gate("""
        GET,PUT /api/**: {to: back, cors: {origins: ["https://shop.example"], methods: [GET, PUT], headers: [X-One], expose: [X-Two], credentials: true, max-age: 10m}}
        """)
    preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "PUT",
                 "Access-Control-Request-Headers": "x-one"}
    answer = gateway.request("OPTIONS", "/api/1", preflight)
    assert answer.status in (200, 204) and service.requests == []
    assert answer.header("Access-Control-Allow-Origin") == "https://shop.example"
    assert answer.header("Access-Control-Allow-Credentials") == "true"
    assert "PUT" in answer.header("Access-Control-Allow-Methods")
    assert answer.header("Access-Control-Allow-Headers").lower() == "x-one"
    assert answer.header("Access-Control-Max-Age") == "600"
    assert "origin" in ",".join(answer.all("Vary")).lower()
    other = gateway.request("OPTIONS", "/api/1", {**preflight, "Origin": "https://evil.example"})
    assert other.header("Access-Control-Allow-Origin") is None

    answer = gateway.get("/api/1", {"Origin": "https://shop.example"})
    assert answer.body == b"GET /api/1"
    assert answer.header("Access-Control-Allow-Origin") == "https://shop.example"
    assert answer.header("Access-Control-Expose-Headers").lower() == "x-two"
    assert gateway.get("/api/1", {"Origin": "https://evil.example"}).header("Access-Control-Allow-Origin") is None
    plain = gateway.get("/api/1")
    assert plain.status == 200 and "origin" in ",".join(plain.all("Vary")).lower()


def test_limit(gate):
    gateway, service = gate("""
        /few: {to: back, use: [limits.few]}
        /many: back
        """, "limits: {few: {rate: 2/min, per: header.x-key}}")
    first = gateway.get("/few", {"X-Key": "a"})
    assert first.status == 200
    assert first.header("RateLimit-Policy") and "r=1" in first.header("RateLimit")
    assert gateway.get("/few", {"X-Key": "a"}).status == 200
    refused = gateway.get("/few", {"X-Key": "a"})
    assert refused.status == 429
    assert 1 <= int(refused.header("Retry-After")) <= 60
    assert "r=0" in refused.header("RateLimit")
    assert refused.header("Content-Type") == "application/problem+json"
    problem = json.loads(refused.body)
    assert problem["status"] == 429
    assert gateway.get("/few", {"X-Key": "b"}).status == 200
    assert gateway.get("/many", {"X-Key": "a"}).status == 200
    assert len(service.requests) == 4
    assert gateway.log_lines(3)[2]["reason"] == "limit-exceeded"
    assert gateway.metric("weir_limit_decisions_total", decision="refused") == 1


def test_ip(gate):
    gateway, _ = gate("""
        /inner: {to: back, ip: {allow: 10.0.0.0/8}}
        /outer: {to: back, ip: {deny: 10.0.0.0/8}}
        """, "trusted: 127.0.0.1")
    assert gateway.get("/inner").status == 403
    assert gateway.get("/outer").status == 200
    inside = {"X-Forwarded-For": "10.1.2.3"}
    assert gateway.get("/inner", inside).status == 200
    assert gateway.get("/outer", inside).status == 403


def test_body_limit(gate):
    gateway, service = gate("/**: {to: back, body-limit: 10B}")
    assert gateway.request("POST", "/", body=b"x" * 10).status == 200
    assert gateway.request("POST", "/", body=b"x" * 11).status == 413
    with gateway.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"6\r\nxxxxxx\r\n" * 2 + b"0\r\n\r\n")
        assert connection.read_answer().status == 413
    assert all(len(request.body) <= 10 for request in service.requests)


def test_rewrite(gate):
    gateway, _ = gate("""
        /strip/**: {to: back, rewrite: {strip-prefix: /strip}}
        /add/**: {to: back, rewrite: {add-prefix: /v1}}
        "/users/{id}/card": {to: back, rewrite: {path: "/cards/${path.id}"}}
        /old/**: {to: back, rewrite: {path: {match: "^/old/(.*)", with: "/new/$1"}}}
        /query: {to: back, rewrite: {query: {remove: [debug], set: {via: weir}}}}
        """)
    for path, seen in [("/strip/a/b?q=1", "/a/b?q=1"), ("/strip", "/"), ("/add/x", "/v1/add/x"),
                       ("/users/a%20b/card", "/cards/a%20b"), ("/old/x/y", "/new/x/y"),
                       ("/query?debug=1&a=2", "/query?a=2&via=weir")]:
        assert gateway.get(path).body == b"GET " + seen.encode(), path


def test_headers(gate):
    gateway, service = gate("""
        "/u/{id}": {to: back, headers: {request: {set: {X-Id: "${path.id}"}, remove: [X-Gone]}, response: {set: {X-Out: "${client.ip}"}, add: {X-Also: "1"}}}}
        """)
    answer = gateway.get("/u/7", {"X-Gone": "1", "X-Id": "forged"})
    assert answer.header("X-Out") == "127.0.0.1" and answer.header("X-Also") == "1"
    [seen] = service.requests
    assert seen.all("X-Id") == ["7"] and seen.header("X-Gone") is None


def test_a_parameter_cannot_split_a_header(gate):
    gateway, service = gate("""
        "/u/{id}": {to: back, headers: {request: {set: {X-Id: "${path.id}"}}}}
        """)
    gateway.get("/u/a%0d%0aX-Evil:%201")
    assert all(request.header("X-Evil") is None and "\r\nX-Evil" not in request.raw.decode("latin-1")
               for request in service.requests)


def test_redirect_and_respond(gate):
    gateway, _ = gate("""
        /basket: {redirect: /cart}
        "/p/{id}": {redirect: {to: "https://shop.example/products/${path.id}", code: 308}}
        /hello: {respond: "Hello, ${client.ip}."}
        /teapot: {respond: {status: 418, body: "short", type: text/plain}}
        """)
    answer = gateway.get("/basket")
    assert answer.status in (302, 307) and answer.header("Location").endswith("/cart")
    answer = gateway.get("/p/a%2Cb")
    assert answer.status == 308 and answer.header("Location").startswith("https://shop.example/products/a")
    assert gateway.get("/hello").body == b"Hello, 127.0.0.1."
    answer = gateway.get("/teapot")
    assert (answer.status, answer.body, answer.header("Content-Type").split(";")[0]) == (418, b"short", "text/plain")
    head = gateway.request("HEAD", "/teapot")
    assert head.status == 418 and head.header("Content-Length") == "5"


@pytest.fixture
def files(tmp_path, gate):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "page.html").write_text("0123456789")
    (root / "sub" / "index.html").write_text("index")
    (root / "app.js").write_text("plain script")
    (root / "app.js.gz").write_bytes(gzip.compress(b"plain script"))
    os.utime(root / "app.js", (1_700_000_000, 1_700_000_000))
    os.utime(root / "app.js.gz", (1_700_000_000, 1_700_000_000))
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "linked").symlink_to(tmp_path)
    gateway, _ = gate(f"GET /**: {{files: {{root: {root}, precompressed: [gzip]}}}}")
    return gateway


def test_files(files):
    answer = files.get("/page.html")
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.header("Content-Type").startswith("text/html")
    assert answer.header("Accept-Ranges") == "bytes"
    etag, modified = answer.header("ETag"), answer.header("Last-Modified")
    assert files.get("/page.html", {"If-None-Match": etag}).status == 304
    assert files.get("/page.html", {"If-Modified-Since": modified}).status == 304
    assert files.get("/page.html", {"If-None-Match": '"other"'}).status == 200
    assert files.get("/page.html", {"If-Match": '"other"'}).status == 412
    part = files.get("/page.html", {"Range": "bytes=2-4"})
    assert (part.status, part.body, part.header("Content-Range")) == (206, b"234", "bytes 2-4/10")
    assert files.get("/page.html", {"Range": "bytes=-3"}).body == b"789"
    assert files.get("/page.html", {"Range": "bytes=20-"}).status == 416
    assert files.get("/page.html", {"Range": "bytes=0-1", "If-Range": '"other"'}).status == 200
    assert files.get("/sub/").body == b"index"
    redirected = files.get("/sub")
    assert redirected.status in (301, 302, 307, 308) and redirected.header("Location").endswith("/sub/")
    assert files.get("/none").status == 404
    assert files.request("HEAD", "/page.html").header("Content-Length") == "10"


def test_precompressed_files(files):
    answer = files.get("/app.js", {"Accept-Encoding": "gzip"})
    assert answer.header("Content-Encoding") == "gzip" and gzip.decompress(answer.body) == b"plain script"
    assert "accept-encoding" in answer.header("Vary").lower()
    plain = files.get("/app.js")
    assert plain.body == b"plain script" and plain.header("Content-Encoding") is None
    assert files.get("/app.js", {"Accept-Encoding": "gzip;q=0"}).header("Content-Encoding") is None
    assert plain.header("ETag") != answer.header("ETag")


@pytest.mark.parametrize("path", [
    "/../secret", "/sub/../../secret", "/%2e%2e/secret", "/sub/%2e%2e/%2E%2E/secret", "/..%2fsecret", "/%2e%2e%2fsecret",
    "/.%2e/secret", "/sub/..;/secret", "//secret", "/..\\secret", "/..%5csecret", "/link", "/linked/secret",
    "/%00/../secret", "/page.html%00.js", "/....//secret", "/%252e%252e/secret"])
def test_nothing_outside_the_root(files, path):
    with Connection(files.address) as connection:
        connection.send(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = connection.read_to_end()
    assert b"secret" not in data.split(b"\r\n\r\n", 1)[-1].replace(path.encode(), b"")
    assert data.split(b" ", 2)[1] in (b"400", b"403", b"404", b"301", b"308"), data


def test_hosts(gate):
    gateway, _ = gate("""
        GET /: [{hosts: ["*.shop.example"], respond: wild}, {hosts: [api.shop.example], respond: exact}, {hosts: [other.example], respond: other}]
        """)
    for host, body in [("api.shop.example", b"exact"), ("API.Shop.Example:8080", b"exact"), ("www.shop.example", b"wild"),
                       ("other.example", b"other")]:
        assert gateway.get("/", {"Host": host}).body == body, host
    for host in ["shop.example", "evil.example", "api.shop.example.evil", "xshop.example"]:
        assert gateway.get("/", {"Host": host}).status in (404, 421), host


def test_conditions_and_parameters(gate):
    gateway, _ = gate("""
        /orders/**: [{when: header.x-canary == "1", respond: canary}, {when: query.page == "2", respond: page}, {respond: usual}]
        "/n/{id:int}": {respond: "number ${path.id}"}
        "/n/{id}": {respond: "name ${path.id}"}
        /cookie: [{when: cookie.session, respond: known}, {respond: unknown}]
        """)
    assert gateway.get("/orders/1", {"X-Canary": "1"}).body == b"canary"
    assert gateway.get("/orders/1", {"X-Canary": "2"}).body == b"usual"
    assert gateway.get("/orders/1?page=2").body == b"page"
    assert gateway.get("/n/12").body == b"number 12"
    assert gateway.get("/n/ab").body == b"name ab"
    assert gateway.get("/cookie", {"Cookie": "a=b; session=x"}).body == b"known"
    assert gateway.get("/cookie").body == b"unknown"


