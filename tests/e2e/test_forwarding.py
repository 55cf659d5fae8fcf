"""A request goes to a service and its answer comes back."""

from gateway import wait_for


def test_get(shop):
    gateway, service = shop
    answer = gateway.get("/hello?x=1")
    assert answer.status == 200
    assert answer.body == b"GET /hello?x=1"
    assert service.requests[0].header("Host") == "localhost"
    assert service.requests[0].header("X-Forwarded-For") == "127.0.0.1"


def test_keep_alive_reuses_both_connections(shop):
    gateway, service = shop
    with gateway.connect() as connection:
        for number in range(20):
            assert connection.request("GET", f"/{number}").body == f"GET /{number}".encode()
    assert service.connections == 1


def test_body_goes_up(shop):
    gateway, service = shop
    body = bytes(range(256)) * 4000
    assert gateway.request("POST", "/up", body=body).status == 200
    assert service.requests[0].body == body


def test_log_line(shop):
    gateway, _ = shop
    gateway.get("/logged?a=b", {"User-Agent": 'quote"agent'})
    line = gateway.log_lines(1)[0]
    assert line["http.request.method"] == "GET"
    assert line["url.path"] == "/logged"
    assert line["url.query"] == "a=b"
    assert line["user_agent.original"] == 'quote"agent'
    assert line["http.response.status_code"] == 200
    assert line["service"] == "back"
    assert "reason" not in line


def test_metrics(shop):
    gateway, _ = shop
    for _ in range(3):
        gateway.get("/counted")
    # An answer is counted once its last byte is sent: a moment after the client has it.
    wait_for(lambda: gateway.metric("weir_http_requests_total", service="back", code=200, method="GET") == 3)


def test_no_route(start):
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        routes: {GET /there: {respond: "here"}}
        """)
    assert gateway.get("/there").body == b"here"
    answer = gateway.get("/elsewhere")
    assert answer.status == 404
    assert answer.header("Content-Type") == "application/problem+json"
    reasons = {line["url.path"]: line.get("reason") for line in gateway.log_lines(2)}
    assert reasons == {"/there": None, "/elsewhere": "no-route"}
