"""Requests that stay for as long as a test wants, by every protocol, and the services that they stay at."""

import contextlib
import queue

import grpc
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Client
from upstream import Upstream
from websocket_client import HANDSHAKE, frame
from websocket_service import WebSocketService

PATIENCE = 60


def stay(peer):
    """Begins to answer at once, and ends when the request does."""
    while True:
        request = peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        peer.read_body(request)
        peer.send(b"0\r\n\r\n")


class Services:
    """One for each protocol. Use it as a context manager."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.http = stack.enter_context(Upstream(stay))
            self.chat = stack.enter_context(WebSocketService())
            self.order = stack.enter_context(GrpcService())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def config(self, limit, more="workers: 2", http=""):
        """All of them behind the limit `limits.x`, which tells users apart."""
        return f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            http: {{{http}}}
            {more}
            services: {{http: "{self.http.at}", chat: "{self.chat.at}", order: "h2c://{self.order.at}"}}
            limits: {{x: {limit}}}
            use: [limits.x]
            routes:
              grpc {SERVICE}/*: order
              /ws: chat
              /**: http
            """


class Http1:
    """Each visit: has it `passed`? It is ended as it should be, or broken off, or was refused; at last it is closed."""

    def __init__(self, gateway, user, path="/stay"):
        self.connection = gateway.connect(PATIENCE)
        self.connection.send_request("POST", path, {"X-User": user, "Content-Length": "2"}, b"a")

    def passed(self):
        answer = self.connection.read_answer("HEAD")
        assert answer.status in (200, 429), answer
        return answer.status == 200

    def end(self):
        self.connection.send(b"b")
        self.connection.read_chunks()

    def abort(self):
        self.connection.reset()

    def close(self):
        self.connection.close()


class Http2:
    def __init__(self, gateway, user, path="/stay"):
        self.client = Client(gateway.address, PATIENCE)
        self.stream = self.client.begin("POST", path, [("x-user", user)], end=False)
        self.client.send_body(self.stream, b"a", end=False)

    def passed(self):
        answer = self.client.answers[self.stream]
        while answer.status is None and not self.client.is_closed(self.stream):
            self.client.pump()
        assert answer.status in (200, 429), answer
        return answer.status == 200

    def end(self):
        self.client.send_body(self.stream, b"b")
        assert self.client.finish(self.stream).is_whole

    def abort(self):
        """The connection lives on."""
        if not self.client.answers[self.stream].is_whole:
            self.client.h2.reset_stream(self.stream)
        self.client.flush()

    def close(self):
        self.client.socket.close()


class Grpc:
    def __init__(self, gateway, user):
        self.stack = contextlib.ExitStack()
        self.messages = queue.Queue()
        call = self.stack.enter_context(channel(gateway.address)).stream_stream(f"/{SERVICE}/Chat")
        self.call = call(iter(self.messages.get, None), metadata=[("x-user", user)], timeout=PATIENCE)
        self.messages.put(b"hello")

    def passed(self):
        try:
            assert next(self.call) == b"re: hello"
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
            return False
        return True

    def end(self):
        self.messages.put(None)
        assert list(self.call) == []

    def abort(self):
        self.call.cancel()

    def close(self):
        self.messages.put(None)
        self.stack.close()


class WebSocket:
    def __init__(self, gateway, user):
        self.connection = gateway.connect(PATIENCE)
        self.connection.send_request("GET", "/ws", {**HANDSHAKE, "X-User": user})

    def passed(self):
        answer = self.connection.read_head()
        assert answer.status in (101, 429), answer
        return answer.status == 101

    def end(self):
        self.connection.send(frame(0x88, b"\x03\xe8"))
        self.connection.read_to_end()

    def abort(self):
        self.connection.reset()

    def close(self):
        self.connection.close()


VISITS = {"http1": Http1, "http2": Http2, "grpc": Grpc, "websocket": WebSocket}


class Visitors:
    """Those of one test, who are gone at its end. Use it as a context manager."""

    def __init__(self):
        self.visits = []

    def come(self, gateway, protocol, user="ann", **more):
        self.visits.append(VISITS[protocol](gateway, user, **more))
        return self.visits[-1]

    def passes(self, gateway, protocol, user="ann"):
        """Whether one passes, who leaves at once."""
        visit = self.come(gateway, protocol, user)
        passed = visit.passed()
        if passed:
            visit.end()
        visit.close()
        return passed

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for visit in self.visits:
            visit.close()
