"""What a service sees of a request and a client of an answer: targets, hosts, fields of the connection, fields about the way."""

import re
import uuid

import pytest
from gateway import Gateway
from upstream import Upstream

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 1
{more}
services: {{back: {{at: "{at}", outlier: {{failures: 0}}}}}}
routes: {{/**: back}}
"""


@pytest.fixture(scope="module")
def service():
    with Upstream() as service:
        yield service


@pytest.fixture(scope="module")
def gateways(tmp_path_factory, service):
    """gateways(options): one gateway for each set of further options, kept for the module."""
    made = {}

    def get(more=""):
        if more not in made:
            folder = tmp_path_factory.mktemp("fields")
            made[more] = Gateway(folder, CONFIG.format(at=service.at, more=more))
        return made[more]

    yield get
    for gateway in made.values():
        with gateway:
            pass


@pytest.fixture(autouse=True)
def fresh(service):
    service.script = Upstream.serve
    service.requests.clear()
    yield
    service.close_peers()
    assert not service.errors, service.errors


def send(gateway, *lines, body=b""):
    """A request of these lines; the answer."""
    with gateway.connect() as connection:
        connection.send("".join(line + "\r\n" for line in lines).encode("latin-1") + b"\r\n" + body)
        return connection.read_answer(lines[0].split(" ")[0])


# --- hop by hop

def test_fields_of_the_connection_stay_there(gateways, service):
    send(gateways(), "GET / HTTP/1.1", "Host: x", "Connection: keep-alive, X-Mine, x-other", "X-Mine: 1", "X-Other: 2",
         "X-Third: 3", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip;q=0.5, trailers",
         "Upgrade: websocket", "Proxy-Authorization: Basic eA==")
    request = service.requests[0]
    names = {name.lower() for name, _ in request.headers}
    assert not names & {"x-mine", "x-other", "keep-alive", "proxy-connection", "upgrade"}
    assert request.header("X-Third") == "3"
    assert request.header("TE") in (None, "trailers")
    assert request.header("Connection") in (None, "TE")


def test_fields_of_the_services_connection_stay_there(gateways, service):
    def script(peer):
        peer.read_request()
        peer.answer(b"ok", headers=[("Connection", "X-Mine"), ("X-Mine", "1"), ("X-Third", "3"),
                                    ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
                                    ("Upgrade", "h2c")])

    service.script = script
    answer = send(gateways(), "GET / HTTP/1.1", "Host: x")
    names = {name.lower() for name, _ in answer.headers}
    assert not names & {"x-mine", "keep-alive", "proxy-connection", "upgrade", "connection"}
    assert answer.header("X-Third") == "3"


@pytest.mark.parametrize("name", ["Content-Length", "Host", "X-Forwarded-For", "Authorization", "Via", "X-Request-Id",
                                  "Transfer-Encoding", "Connection"])
def test_connection_cannot_take_away_what_matters(gateways, service, name):
    """`Connection: Content-Length` must neither unframe the request nor take away what the gateway itself adds."""
    answer = send(gateways(), "POST / HTTP/1.1", "Host: x", f"Connection: {name}", "Content-Length: 5", body=b"hello")
    if answer.status == 400:
        assert not service.requests
        return
    request = service.requests[0]
    assert request.body == b"hello"
    assert request.all("Content-Length") == ["5"]
    assert request.all("Host") == ["x"]
    assert request.all("X-Forwarded-For") == ["127.0.0.1"]
    assert len(request.all("X-Request-Id")) == 1
    assert request.all("Via") == ["1.1 weir"]


# --- fields about the way

def test_via(gateways, service):
    def script(peer):
        service.requests.append(peer.read_request())
        peer.answer(b"ok", headers=[("Via", "1.0 back")])

    service.script = script
    answer = send(gateways(), "GET / HTTP/1.0", "Host: x", "Via: 1.1 front")
    assert service.requests[0].all("Via") in (["1.1 front", "1.0 weir"], ["1.1 front, 1.0 weir"])
    assert answer.all("Via") in (["1.0 back", "1.1 weir"], ["1.0 back, 1.1 weir"])


def test_without_via(gateways, service):
    answer = send(gateways("http: {via: false}"), "GET / HTTP/1.1", "Host: x")
    assert answer.header("Via") is None and service.requests[0].header("Via") is None


def test_a_request_that_goes_in_circles(start, service):
    """A gateway whose service is itself: it ends after a few rounds."""
    def through(peer):
        request = peer.read_head()
        service.requests.append(request)
        with gateway.connect() as connection:
            connection.send(request.raw + b"\r\n")
            answer = connection.read_answer()
        peer.answer(answer.body, status=answer.status)

    service.script = through
    gateway = start(CONFIG.format(at=service.at, more=""))
    answer = gateway.get("/")
    assert answer.status == 508
    assert len(service.requests) < 20
    assert gateway.log_lines(len(service.requests) + 1)[0]["reason"] == "loop-detected"


FORGED = ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1",
          "X-Forwarded-Prefix: /evil", "Forwarded: for=1.2.3.4"]


def test_a_stranger_says_nothing_about_the_way(gateways, service):
    send(gateways(), "GET / HTTP/1.1", "Host: shop.example:81", *FORGED)
    request = service.requests[0]
    assert request.all("X-Forwarded-For") == ["127.0.0.1"]
    assert request.all("X-Forwarded-Proto") == ["http"]
    assert request.all("X-Forwarded-Host") == ["shop.example:81"]
    assert request.all("X-Forwarded-Port") == ["81"]
    assert request.all("X-Forwarded-Prefix") == [] and request.all("Forwarded") == []


def test_a_trusted_proxy_is_believed(gateways, service):
    gateway = gateways("trusted: [127.0.0.0/8, 10.0.0.0/8]")
    send(gateway, "GET /trusted HTTP/1.1", "Host: x", "X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.7",
         "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
    request = service.requests[0]
    assert request.all("X-Forwarded-For") == ["6.6.6.6, 1.2.3.4, 10.0.0.7, 127.0.0.1"]
    assert request.all("X-Forwarded-Proto") == ["https"]
    assert request.all("X-Forwarded-Host") == ["shop.example"]
    assert gateway.log_line("/trusted")["client.address"] == "1.2.3.4"


def test_others_are_not_trusted(gateways, service):
    gateway = gateways("trusted: [10.0.0.0/8]")
    send(gateway, "GET /others HTTP/1.1", "Host: x", "X-Forwarded-For: 1.2.3.4", "X-Request-Id: theirs")
    assert service.requests[0].all("X-Forwarded-For") == ["127.0.0.1"]
    assert service.requests[0].header("X-Request-Id") != "theirs"
    assert gateway.log_line("/others")["client.address"] == "127.0.0.1"


def test_forwarded(gateways, service):
    send(gateways("http: {forwarded: forwarded}"), "GET / HTTP/1.1", "Host: shop.example", *FORGED)
    assert service.requests[0].all("Forwarded") == ["for=127.0.0.1;host=shop.example;proto=http"]
    assert service.requests[0].header("X-Forwarded-For") is None


def test_request_id(gateways, service):
    gateway = gateways()
    answer = send(gateway, "GET /id HTTP/1.1", "Host: x", "X-Request-Id: theirs")
    id = service.requests[0].header("X-Request-Id")
    assert uuid.UUID(id).version == 7
    assert answer.all("X-Request-Id") == [id]
    assert gateway.log_line("/id")["request.id"] == id


def test_a_trusted_request_id_is_kept(gateways, service):
    gateway = gateways("trusted: [127.0.0.0/8, 10.0.0.0/8]")
    answer = send(gateway, "GET /their-id HTTP/1.1", "Host: x", "X-Request-Id: theirs-1")
    assert service.requests[0].all("X-Request-Id") == ["theirs-1"]
    assert answer.all("X-Request-Id") == ["theirs-1"]
    assert gateway.log_line("/their-id")["request.id"] == "theirs-1"
    answer = send(gateway, "GET / HTTP/1.1", "Host: x", "X-Request-Id: " + "x" * 1000)
    assert uuid.UUID(answer.header("X-Request-Id"))


def test_date(gateways, service):
    pattern = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
    answer = send(gateways(), "GET / HTTP/1.1", "Host: x")
    assert re.fullmatch(pattern, answer.header("Date"))

    def script(peer):
        peer.read_request()
        peer.answer(b"", headers=[("Date", "Sun, 06 Nov 1994 08:49:37 GMT")])

    service.script = script
    service.close_peers()
    assert send(gateways(), "GET / HTTP/1.1", "Host: x").all("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


def test_fields_go_through_as_they_are(gateways, service):
    """Order, case, repetition, bytes beyond ASCII."""
    fields = [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-CaSe", "K\xe4se \xff"), ("X-Empty", ""),
              ("X-Long", "x" * 8000), ("Set-Cookie", "c=3")]

    def script(peer):
        service.requests.append(peer.read_request())
        peer.answer(b"", headers=fields)

    service.script = script
    answer = send(gateways(), "GET / HTTP/1.1", "Host: x", *[f"{name}: {value}" for name, value in fields])
    assert [field for field in service.requests[0].headers if field in fields] == fields
    assert [field for field in answer.headers if field in fields] == fields


# --- targets

SAME = "same"


@pytest.mark.parametrize("target, seen", [
    ("/a/b", SAME),
    ("/", SAME),
    ("/a//b", SAME),
    ("/a/", SAME),
    ("/?", SAME),
    ("/a?b=c/../d%2e%2F", SAME),
    ("/a/./b/../c", "/a/c"),
    ("/a/b/..", "/a/"),
    ("/a/%2e/b/%2E%2e/c", "/a/c"),
    ("/a/.%2e/c", "/c"),
    ("/%61%62%7e%2D", "/ab~-"),
    ("/%c3%a4", "/%C3%A4"),
    ("/a%20b", SAME),
    ("/%25", SAME),
    ("/%252e%252e/", SAME),
    ("/a;b=c,d@e:f", SAME),
    ("/..", 400),
    ("/a/../../b", 400),
    ("/%2e%2e/b", 400),
    ("/a/%2e%2e/%2e%2e/b", 400),
    ("/a%2fb", 400),
    ("/a%2Fb", 400),
    ("/a%5cb", 400),
    ("/a\\b", 400),
    ("/a%00b", 400),
    ("/a%0ab", 400),
    ("/a%", 400),
    ("/a%2", 400),
    ("/a%zz", 400),
    ("/a/..;x/b", 400),
    ("/a\x7fb", 400),
    ("/a\xe4b", 400),
    ("/a#b", 400),
    ("a/b", 400),
    ("*", 400),
    ("?a", 400),
])
def test_target(gateways, service, target, seen):
    gateway = gateways()
    answer = send(gateway, f"GET {target} HTTP/1.1", "Host: x")
    if seen == 400:
        assert answer.status == 400, service.requests[0].target
        assert not service.requests
    else:
        assert answer.status == 200
        assert service.requests[0].target == (target if seen == SAME else seen)


@pytest.mark.parametrize("how, target, seen", [
    ("keep", "/a%2fb", "/a%2Fb"),
    ("keep", "/a%2f../b", 400),
    ("keep", "/a/..%2fb", 400),
    ("decode", "/a%2fb", "/a/b"),
    ("decode", "/a%2f..%2fb", "/b"),
    ("decode", "/a/..%2f..%2fb", 400),
    ("decode", "/a%252fb", "/a%252fb"),
])
def test_encoded_slash(gateways, service, how, target, seen):
    answer = send(gateways(f"http: {{encoded-slash: {how}}}"), f"GET {target} HTTP/1.1", "Host: x")
    if seen == 400:
        assert answer.status == 400
        assert not service.requests
    else:
        assert answer.status == 200
        assert service.requests[0].target == seen


@pytest.mark.parametrize("target, host, seen", [
    ("http://shop.example/a?b", "shop.example", "/a?b"),
    ("http://shop.example", "shop.example", "/"),
    ("http://shop.example?b", "shop.example", "/?b"),
    ("HTTP://Shop.Example:80/a", "shop.example", "/a"),
    ("http://shop.example/a", "other.example", 400),
    ("http://shop.example:8080/a", "shop.example", 400),
    ("http://user@shop.example/a", "shop.example", 400),
    ("http:///a", "shop.example", 400),
    ("ftp://shop.example/a", "shop.example", 400),
    ("//shop.example/a", "shop.example", "//shop.example/a"),
])
def test_absolute_form(gateways, service, target, host, seen):
    answer = send(gateways(), f"GET {target} HTTP/1.1", f"Host: {host}")
    if seen == 400:
        assert answer.status == 400
        assert not service.requests
    else:
        assert answer.status == 200
        assert service.requests[0].target == seen


@pytest.mark.parametrize("lines, status", [
    (["Host: shop.example"], 200),
    (["Host: shop.example:8080"], 200),
    (["Host: [::1]:8080"], 200),
    (["HOST:shop.example"], 200),
    ([], 400),
    (["Host:"], 400),
    (["Host: a", "Host: a"], 400),
    (["Host: a", "Host: b"], 400),
    (["Host: a, b"], 400),
    (["Host: a b"], 400),
    (["Host: a/b"], 400),
    (["Host: user@a"], 400),
    (["Host: a:port"], 400),
    (["Host: a:99999"], 400),
    (["Host: [::1"], 400),
    (["Host: a", " folded"], 400),
])
def test_host(gateways, service, lines, status):
    answer = send(gateways(), "GET / HTTP/1.1", *lines)
    assert answer.status == status
    assert len(service.requests) == (1 if status == 200 else 0)


def test_an_old_client_without_host(gateways, service):
    assert send(gateways(), "GET / HTTP/1.0").status == 200
    assert len(service.requests[0].all("Host")) == 1


def test_the_service_sees_the_host_it_is_told(start, service):
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services:
          asked: "{service.at}"
          fixed: {{at: "{service.at}", host: inner.example}}
          own: {{at: "{service.at}", host: endpoint}}
        routes: {{/asked: asked, /fixed: fixed, /own: own}}
        """)
    for path in ("/asked", "/fixed", "/own"):
        assert gateway.get(path, {"Host": "shop.example"}).status == 200
    assert [request.header("Host") for request in service.requests] == ["shop.example", "inner.example", service.at]


# --- methods

def test_options_of_the_gateway(gateways, service):
    answer = send(gateways(), "OPTIONS * HTTP/1.1", "Host: x")
    assert answer.status == 204
    assert "GET" in answer.header("Allow")
    assert not service.requests


def test_options_of_a_path(gateways, service):
    assert send(gateways(), "OPTIONS /a HTTP/1.1", "Host: x").body == b"OPTIONS /a"


def test_connect_is_not_served(gateways, service):
    answer = send(gateways(), "CONNECT shop.example:443 HTTP/1.1", "Host: shop.example:443")
    assert answer.status == 501
    assert not service.requests


def test_trace_is_not_reflected_by_the_gateway(gateways, service):
    answer = send(gateways(), "TRACE / HTTP/1.1", "Host: x", "Cookie: secret")
    assert answer.body == b"TRACE /"
    assert service.requests[0].method == "TRACE"


def test_a_trace_with_a_body_is_refused(gateways, service):
    answer = send(gateways(), "TRACE / HTTP/1.1", "Host: x", "Content-Length: 5", body=b"hello")
    assert answer.status == 400
    assert not service.requests


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS"])
def test_max_forwards(gateways, service, method):
    """RFC 9110 §7.6.2: zero is answered here, more is one less at the service; other methods ignore it."""
    answer = send(gateways(), f"{method} /a HTTP/1.1", "Host: x", "Max-Forwards: 0")
    assert not service.requests
    assert answer.status == (204 if method == "OPTIONS" else 405)
    assert answer.header("Allow")
    send(gateways(), f"{method} /a HTTP/1.1", "Host: x", "Max-Forwards: 5")
    assert service.requests[0].all("Max-Forwards") == ["4"]
    send(gateways(), "GET /a HTTP/1.1", "Host: x", "Max-Forwards: 0")
    assert service.requests[1].all("Max-Forwards") == ["0"]


@pytest.mark.parametrize("method", ["PROPFIND", "M-SEARCH", "get", "X" * 30])
def test_unknown_methods_go_through(gateways, service, method):
    gateway = gateways()
    send(gateway, f"{method} /a HTTP/1.1", "Host: x")
    assert service.requests[0].method == method
    gateway.log_lines(1)  # what is logged has been counted
    assert gateway.metric("weir_http_requests_total", method="_OTHER") >= 1


@pytest.mark.parametrize("line", ["GET  / HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET\t/ HTTP/1.1", "GET /",
                                  "GET / HTTP/1.2.3", "GET / http/1.1", "GET / HTTP/11", "G(T / HTTP/1.1", "GET / HTTP/2.0",
                                  "GET / HTTP/0.9", "GET HTTP/1.1", "/ HTTP/1.1", "GET /a b HTTP/1.1"])
def test_request_lines_that_are_none(gateways, service, line):
    answer = send(gateways(), line, "Host: x")
    assert answer.status in (400, 505)
    assert answer.header("Connection") == "close"
    assert not service.requests
