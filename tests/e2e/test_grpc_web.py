"""gRPC-Web from HTTP/1.1 to a gRPC service, and gRPC's health checks."""

import pytest
from gateway import run_weir, wait_for
from grpc_peer import GrpcService, web_call


@pytest.fixture(scope="module")
def service():
    with GrpcService() as service:
        yield service


def configuration(at, more="", route=""):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 1
        services: {{order: {{at: "h2c://{at}"{more}}}, gone: {{at: "h2c://127.0.0.1:1"}}}}
        routes:
          grpc shop.Orders/*: {{to: order, grpc-web: true, cors: ["https://shop.example"]{route}}}
          grpc gone.Service/*: {{to: gone, grpc-web: true}}
        """


@pytest.mark.parametrize("text", [False, True])
def test_calls(start, service, text):
    gateway = start(configuration(service.at))
    answer, messages, trailers = web_call(gateway, "/shop.Orders/Get", [b"seven"], text)
    kind = "application/grpc-web-text+proto" if text else "application/grpc-web+proto"
    assert (answer.status, answer.header("Content-Type")) == (200, kind)
    assert messages == [b"got seven"]
    assert trailers["grpc-status"] == "0" and trailers["x-trail"] == "2"
    assert answer.header("x-head") == "1"
    assert gateway.log_line("/shop.Orders/Get")["rpc.grpc.status_code"] == 0


@pytest.mark.parametrize("text", [False, True])
def test_a_stream_of_messages(start, service, text):
    gateway = start(configuration(service.at))
    _, messages, trailers = web_call(gateway, "/shop.Orders/List", [b"20000"], text)
    assert messages == [b"%d" % i for i in range(20000)]
    assert trailers["grpc-status"] == "0"


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 100000, 3000000])
def test_sizes(start, service, text, size):
    gateway = start(configuration(service.at))
    _, messages, trailers = web_call(gateway, "/shop.Orders/Get", [b"x" * size], text)
    assert messages == [b"got " + b"x" * size]
    assert trailers["grpc-status"] == "0"


@pytest.mark.parametrize("text", [False, True])
def test_a_failure_of_the_service(start, service, text):
    gateway = start(configuration(service.at))
    answer, messages, trailers = web_call(gateway, "/shop.Orders/Fail", [b""], text)
    assert (answer.status, messages, trailers["grpc-status"]) == (200, [], "9")
    assert trailers["grpc-message"] == "not yet: %C3%A4 100%25"
    assert answer.header("grpc-status") is None


@pytest.mark.parametrize("text", [False, True])
def test_a_failure_of_the_gateway(start, service, text):
    gateway = start(configuration(service.at))
    answer, messages, trailers = web_call(gateway, "/gone.Service/Get", [b""], text)
    assert (answer.status, messages, trailers["grpc-status"]) == (200, [], "14")
    line = gateway.log_line("/gone.Service/Get")
    assert (line["reason"], line["rpc.grpc.status_code"]) == ("upstream-refused", 14)


@pytest.mark.parametrize("timeout, status", [("200m", "4"), ("0n", "4"), ("x", "3"), ("123456789S", "3")])
def test_deadlines(start, service, timeout, status):
    gateway = start(configuration(service.at))
    _, _, trailers = web_call(gateway, "/shop.Orders/Slow", [b""], headers={"grpc-timeout": timeout})
    assert trailers["grpc-status"] == status


def test_the_time_that_is_left(start, service):
    gateway = start(configuration(service.at, route=", timeout: 5s"))
    service.orders.left.clear()
    web_call(gateway, "/shop.Orders/Get", [b""], headers={"grpc-timeout": "99S"})
    web_call(gateway, "/shop.Orders/Get", [b""], headers={"grpc-timeout": "4S"})
    web_call(gateway, "/shop.Orders/Get", [b""])
    first, second, third = service.orders.left
    assert 1 < first <= 5 and 1 < second <= 4 and 1 < third <= 5


def test_bad_base64(start, service):
    gateway = start(configuration(service.at))
    answer = gateway.request("POST", "/shop.Orders/Get", {"Content-Type": "application/grpc-web-text"}, body=b"AA!A")
    assert answer.status == 200
    assert gateway.log_line("/shop.Orders/Get")["reason"] == "bad-framing"


def test_preflight_and_marks(start, service):
    gateway = start(configuration(service.at))
    answer = gateway.request("OPTIONS", "/shop.Orders/Get", {
        "Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-grpc-web"})
    assert answer.status == 204
    assert answer.header("Access-Control-Allow-Origin") == "https://shop.example"
    answer, _, _ = web_call(gateway, "/shop.Orders/Get", [b""], headers={"Origin": "https://shop.example"})
    assert answer.header("Access-Control-Allow-Origin") == "https://shop.example"


def test_a_page_of_another_origin_may_read_failures_too(start, service):
    """Of the service and of the gateway: what a page may not read is no status to it."""
    gateway = start(configuration(service.at, route=", limit: {rate: 1/h, burst: 1}"))
    for status in ("9", "8"):
        answer, _, trailers = web_call(gateway, "/shop.Orders/Fail", [b""], headers={"Origin": "https://shop.example"})
        assert (answer.status, trailers["grpc-status"]) == (200, status)
        assert answer.header("Access-Control-Allow-Origin") == "https://shop.example"


def test_a_request_that_is_no_call(start, service):
    gateway = start(configuration(service.at))
    assert gateway.request("POST", "/shop.Orders/Get", {"Content-Type": "application/json"}, body=b"{}").status == 415
    answer, _, trailers = web_call(gateway, "/other.Service/Get", [b""])
    assert (answer.status, trailers["grpc-status"]) == (200, "12")


@pytest.mark.parametrize("phrase", ["grpc every 50ms", "grpc shop.Orders every 50ms"])
def test_health(start, phrase):
    with GrpcService() as service:
        gateway = start(configuration(service.at, f', health: "{phrase}"'))
        wait_for(lambda: any(name.endswith("Check") for name, _ in service.orders.metadata))
        assert web_call(gateway, "/shop.Orders/Get", [b"x"])[1] == [b"got x"]
        service.orders.health = {"": 2, "shop.Orders": 2}
        wait_for(lambda: gateway.metric("weir_endpoint_healthy", service="order") == 0)
        assert web_call(gateway, "/shop.Orders/Get", [b"x"])[2]["grpc-status"] == "14"
        service.orders.health = {"": 1, "shop.Orders": 1}
        wait_for(lambda: gateway.metric("weir_endpoint_healthy", service="order") == 1)
        service.orders.health = {}
        wait_for(lambda: gateway.metric("weir_endpoint_healthy", service="order") == 0)


def test_http_health_by_http2(start, serve):
    from h2_upstream import serve as well
    service = serve(well)
    gateway = start(configuration(service.at, ', health: "GET /healthz every 50ms"'))
    wait_for(lambda: any(request.header(":path") == "/healthz" for request in service.requests))
    assert gateway.metric("weir_endpoint_healthy", service="order") == 1


@pytest.mark.parametrize("text, problem", [
    ('services: {a: "h2c://b:1"}\nroutes: {grpc Orders: a}', "does not name a method"),
    ('services: {a: "h2c://b:1"}\nroutes: {grpc /a/b: a}', "does not name a method"),
    ('services: {a: {at: "b:1", health: grpc every 5s}}\nroutes: {/**: a}', "asked by HTTP/2"),
    ('services: {a: {at: "h2c://b:1", health: grpc x/y every 5s}}\nroutes: {/**: a}', "blanks and slashes"),
])
def test_configuration_errors(tmp_path, text, problem):
    path = tmp_path / "weir.yaml"
    path.write_text(f'version: 1\nlisten: ":0"\n{text}\n')
    code, _, errors = run_weir("check", path)
    assert code == 3 and problem in errors, errors
