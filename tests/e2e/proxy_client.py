"""Clients of a forward proxy, and its configuration."""

import contextlib
import socket
import subprocess

import h2_client
import http_client
import l4_peers

CONFIG = """
    version: 1
    listen:
      http: {{address: "127.0.0.1:0", http2: true, forward-proxy: {proxy}}}
    workers: {workers}
    drain: {drain}
    routes:
      /own: {{respond: own}}
    {more}
    """


def config(proxy, more="", workers=2, drain="1s"):
    return CONFIG.format(proxy=proxy, more=more, workers=workers, drain=drain)


def connect_request(target, *lines, version="1.1"):
    return "\r\n".join([f"CONNECT {target} HTTP/{version}", f"Host: {target}", *lines, "", ""]).encode()


class Tunnel:
    """A tunnel by HTTP/1.1; `answer` is that to CONNECT."""

    def __init__(self, gateway, target, *lines, early=b"", version="1.1", timeout=20):
        self.connection = http_client.Connection(gateway.address, timeout)
        self.connection.send(connect_request(target, *lines, version=version) + early)
        self.answer = self.connection.read_head()
        self.socket = self.connection.socket

    def __enter__(self):
        assert self.answer.status == 200, self.answer
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def recv(self, size=65536):
        if self.connection.buffer:
            data, self.connection.buffer = self.connection.buffer[:size], self.connection.buffer[size:]
            return data
        return self.socket.recv(size)

    def read_all(self):
        return l4_peers.read_all(self)

    def exactly(self, size):
        return l4_peers.read_exactly(self, size)


def refused(gateway, target, *lines, **more):
    """The whole answer to a CONNECT that is not granted: (status, reason, Proxy-Status)."""
    with contextlib.closing(http_client.Connection(gateway.address)) as connection:
        connection.send(connect_request(target, *lines, **more))
        answer = connection.read_answer()
        assert answer.status != 200, answer
        assert answer.header("Connection") == "close"
        return answer.status, reason_of(answer), answer.header("Proxy-Status")


def reason_of(answer):
    import json
    return json.loads(answer.body)["reason"]


class H2Tunnels(h2_client.Client):
    """Tunnels by HTTP/2, any number on a connection."""

    def ask(self, target, end=False, headers=()):
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = h2_client.Answer()
        self.h2.config.validate_outbound_headers = False  # python3-h2 wants a path
        self.h2.send_headers(stream, [(":method", "CONNECT"), (":authority", target), *headers], end_stream=end)
        self.flush()
        return stream

    def head(self, stream):
        answer = self.answers[stream]
        while answer.status is None and answer.reset is None and not self.is_over:
            self.pump()
        return answer

    def open(self, target, **more):
        stream = self.ask(target, **more)
        assert self.head(stream).status == 200, self.answers[stream].status
        return stream

    def read(self, stream, size):
        answer = self.answers[stream]
        while len(answer.body) < size:
            assert not (answer.is_whole or answer.reset is not None or self.is_over), (answer.body, answer.reset)
            self.pump()
        taken, answer.body = answer.body[:size], answer.body[size:]
        return taken


def curl(*arguments, timeout=60):
    """What curl gets: (exit code, output)."""
    done = subprocess.run(["curl", "-sS", "--max-time", "30", *map(str, arguments)], capture_output=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr.decode()
