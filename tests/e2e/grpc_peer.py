"""gRPC for the tests: a service without generated code (messages are bytes), and a client of gRPC-Web."""

import base64
import contextlib
import re
import time
from concurrent import futures

import grpc

SERVICE = "shop.Orders"


class Orders(grpc.GenericRpcHandler):
    """All four kinds of call."""

    def __init__(self):
        self.metadata, self.left, self.cancelled = [], [], 0
        self.health = {"": 1, SERVICE: 1}

    def service(self, call):
        name = call.method
        self.metadata.append((name, dict(call.invocation_metadata)))
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return {
            f"/{SERVICE}/Get": unary(self.get),
            f"/{SERVICE}/Fail": unary(self.fail),
            f"/{SERVICE}/Slow": unary(self.slow),
            f"/{SERVICE}/List": stream(self.list),
            f"/{SERVICE}/Watch": stream(self.watch),
            f"/{SERVICE}/Add": grpc.stream_unary_rpc_method_handler(self.add),
            f"/{SERVICE}/Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "/grpc.health.v1.Health/Check": unary(self.check),
        }.get(name)

    def get(self, message, context):
        self.left.append(context.time_remaining())
        context.send_initial_metadata((("x-head", "1"),))
        context.set_trailing_metadata((("x-trail", "2"), ("x-more", "3")))
        return b"got " + message

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not yet: ä 100%")

    def slow(self, message, context):
        if not context.add_callback(self.count_end):  # the caller has given up already
            self.count_end()
        self.left.append(context.time_remaining())
        time.sleep(3)
        return b""

    def count_end(self):
        self.cancelled += 1

    def list(self, message, context):
        for i in range(int(message)):
            yield b"%d" % i

    def watch(self, message, context):
        """Silent for so many milliseconds before each message."""
        for text in (b"first", b"second"):
            time.sleep(int(message) / 1000)
            yield text

    def add(self, messages, context):
        return b"%d" % sum(len(message) for message in messages)

    def chat(self, messages, context):
        for message in messages:
            yield b"re: " + message

    def check(self, message, context):
        name = message[2:].decode()
        if name not in self.health:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        return b"\x08" + bytes([self.health[name]])


class GrpcService:
    def __init__(self, credentials=None, orders=None):
        self.orders = orders or Orders()
        self.server = grpc.server(futures.ThreadPoolExecutor(16), handlers=(self.orders,))
        where = "127.0.0.1:0"
        self.port = self.server.add_secure_port(where, credentials) if credentials else self.server.add_insecure_port(where)
        self.server.start()
        self.at = f"127.0.0.1:{self.port}"

    def close(self):
        self.server.stop(0).wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def channel(address, **options):
    with grpc.insecure_channel("%s:%d" % address, options=list(options.items())) as made:
        yield made


def frame(message, flag=0):
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def web_call(gateway, method, messages, text=False, headers=None):
    """A call as a browser makes it, by HTTP/1.1: (answer, messages, trailers)."""
    kind = "application/grpc-web-text+proto" if text else "application/grpc-web+proto"
    body = b"".join(frame(message) for message in messages)
    answer = gateway.request("POST", method, {"Content-Type": kind, "Accept": kind, "X-Grpc-Web": "1", **(headers or {})},
                             body=base64.b64encode(body) if text else body)
    data = bytes(answer.body)
    if text:  # parts may be padded each
        data = b"".join(base64.b64decode(part) for part in re.findall(rb"[^=]+={0,2}", data))
    found, trailers = [], {}
    at = 0
    while at < len(data):
        flag, size = data[at], int.from_bytes(data[at + 1:at + 5], "big")
        part, at = data[at + 5:at + 5 + size], at + 5 + size
        if flag & 0x80:
            trailers = dict(line.split(": ", 1) for line in part.decode().split("\r\n") if line)
        else:
            found.append(part)
    return answer, found, trailers
