"""gRPC from real clients through Weir to real services: all four kinds of call, deadlines, failures, balancing."""

import threading

import grpc
import pytest
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel


@pytest.fixture(scope="module")
def service():
    with GrpcService() as service:
        yield service


@pytest.fixture(scope="module", autouse=True)
def clients_may_speak_http2(tmp_path_factory):
    """Real clients of gRPC speak nothing else."""
    path = tmp_path_factory.mktemp("check") / "weir.yaml"
    path.write_text(configuration("127.0.0.1:1"))
    if run_weir("check", path)[0]:
        pytest.skip("this weir does not speak HTTP/2 to clients")


@pytest.fixture
def gateway(start, service):
    return start(configuration(service.at))


def configuration(*at, more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 1
        http: {{body-timeout: 1s}}
        services:
          order: {{at: [{", ".join(f'"h2c://{one}"' for one in at)}], timeout: {{idle: 1s}}, outlier: {{failures: 0}}}}
          gone: "h2c://127.0.0.1:1"
        routes:
          grpc shop.Orders/*: {{to: order{more}}}
          grpc gone.Service/*: gone
          grpc shop.Orders/List: {{to: order, limit: {{rate: 1000/s, burst: 1000}}}}
          grpc shop.Limited/*: {{to: order, limit: {{rate: 1/h, burst: 0}}}}
        """


def unary(made, name="Get", service=SERVICE):
    return made.unary_unary(f"/{service}/{name}")


def test_calls_are_counted_by_their_status(gateway, service):
    with channel(gateway.address) as made:
        for _ in range(3):
            unary(made)(b"seven")
        for name, code in (("gone.Service", grpc.StatusCode.UNAVAILABLE), (SERVICE, grpc.StatusCode.UNIMPLEMENTED)):
            with pytest.raises(grpc.RpcError) as failure:
                unary(made, "Missing", name)(b"x")
            assert failure.value.code() is code
    gateway.log_lines(5)  # what is logged has been counted

    def calls(**labels):
        return gateway.metric("weir_grpc_calls_total", **labels)
    assert calls(status="OK", service="order", route="grpc shop.Orders/*") == 3
    assert calls(status="UNIMPLEMENTED", service="order") == 1
    assert calls(status="UNAVAILABLE", service="gone") == 1
    assert calls() == 5


def test_unary(gateway, service):
    with channel(gateway.address) as made:
        answer, call = unary(made).with_call(b"seven", metadata=(("x-mine", "1"), ("x-raw-bin", b"\0\xff")))
        assert answer == b"got seven"
        assert ("x-head", "1") in call.initial_metadata()
        assert ("x-trail", "2") in call.trailing_metadata()
    _, metadata = service.orders.metadata[-1]
    assert metadata["x-mine"] == "1" and metadata["x-raw-bin"] == b"\0\xff"


@pytest.mark.parametrize("size", [0, 1, 1000, 100_000, 3_000_000])
def test_sizes(gateway, size):
    with channel(gateway.address) as made:
        assert unary(made)(b"x" * size) == b"got " + b"x" * size


def test_streams(gateway):
    count = 100_000
    with channel(gateway.address) as made:
        assert sum(1 for _ in made.unary_stream(f"/{SERVICE}/List")(b"%d" % count)) == count
        assert made.stream_unary(f"/{SERVICE}/Add")(b"abc" for _ in range(count)) == b"%d" % (3 * count)


def test_a_conversation(gateway):
    turn = threading.Semaphore(1)
    spoken = []

    def speak():
        for i in range(200):
            turn.acquire()
            spoken.append(i)
            yield b"%d" % i
    with channel(gateway.address) as made:
        for i, answer in enumerate(made.stream_stream(f"/{SERVICE}/Chat")(speak())):
            assert answer == b"re: %d" % i and len(spoken) == i + 1
            turn.release()


def failure(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value.code(), caught.value.details()


def test_failures_of_the_service(gateway):
    with channel(gateway.address) as made:
        assert failure(unary(made, "Fail"), b"") == (grpc.StatusCode.FAILED_PRECONDITION, "not yet: ä 100%")
        assert failure(unary(made, "Nothing"), b"")[0] == grpc.StatusCode.UNIMPLEMENTED
    assert gateway.log_line("/shop.Orders/Fail")["rpc.grpc.status_code"] == 9


def test_the_log_says_how_calls_ended(gateway):
    with channel(gateway.address) as made:
        assert unary(made)(b"seven")
        failure(unary(made, service="gone.Service"), b"")
    assert gateway.log_line("/shop.Orders/Get")["rpc.grpc.status_code"] == 0
    assert gateway.log_line("/gone.Service/Get")["rpc.grpc.status_code"] == 14


def test_failures_of_the_gateway(gateway):
    with channel(gateway.address) as made:
        assert failure(unary(made, service="no.Service"), b"")[0] == grpc.StatusCode.UNIMPLEMENTED
        code, details = failure(unary(made, service="gone.Service"), b"")
        assert (code, details) == (grpc.StatusCode.UNAVAILABLE, "The service refused the connection.")
        codes = [failure(unary(made, service="shop.Limited"), b"")[0] for _ in range(2)]
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in codes
    assert gateway.log_line("/gone.Service/Get")["reason"] == "upstream-refused"


def test_deadlines(gateway, service):
    with channel(gateway.address) as made:
        service.orders.left.clear()
        assert unary(made)(b"", timeout=30)
        assert failure(unary(made, "Slow"), b"", timeout=0.3)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 20 < service.orders.left[0] <= 31


def test_the_route_limits_the_time_too(start, service):
    gateway = start(configuration(service.at, more=", timeout: 1s"))
    service.orders.left.clear()
    with channel(gateway.address) as made:
        code, _ = failure(unary(made, "Slow"), b"", timeout=20)
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.orders.left[0] <= 1.1


def test_calls_are_balanced_one_by_one(start):
    with GrpcService() as first, GrpcService() as second:
        gateway = start(configuration(first.at, second.at))
        with channel(gateway.address) as made:
            for _ in range(20):
                unary(made)(b"x")
        assert len(first.orders.metadata) == len(second.orders.metadata) == 10


def test_a_caller_that_gives_up(gateway, service):
    before, begun = service.orders.cancelled, len(service.orders.left)
    with channel(gateway.address) as made:
        call = unary(made, "Slow").future(b"")
        wait_for(lambda: len(service.orders.left) > begun)
        assert gateway.in_flight() == 1
        call.cancel()
        wait_for(lambda: gateway.in_flight() == 0)
        wait_for(lambda: service.orders.cancelled > before)


def test_many_at_once(gateway):
    with channel(gateway.address) as made:
        calls = [unary(made).future(b"%d" % i) for i in range(500)]
        assert [call.result() for call in calls] == [b"got %d" % i for i in range(500)]
