"""Services and clients of layer 4: what they do with their sockets is up to each test."""

import contextlib
import select
import socket
import ssl
import struct
import threading


class TcpService:
    """Calls serve(connection) on a thread of its own for every connection."""

    def __init__(self, serve, host="127.0.0.1"):
        self.serve = serve
        self.accepted = 0
        self.listener = socket.create_server((host, 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.at = f"{host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.accepted += 1
                threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def close(self):
        # Only a shutdown ends an accept that waits, and with it the port.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class UdpService:
    """Answers every datagram with what answer(data) gives: one, a list of them, or None."""

    def __init__(self, answer=lambda data: data, port=0):
        self.answer = answer
        self.got = []
        self.peers = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.at = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            data, peer = self.socket.recvfrom(65536)
            if data == b"stop" and peer == self.socket.getsockname():
                return
            self.got.append(data)
            self.peers.append(peer)
            answers = self.answer(data)
            for one in answers if isinstance(answers, list) else [answers]:
                if one is not None:
                    self.socket.sendto(one, peer)

    def close(self):
        if self.socket.fileno() < 0:
            return
        self.socket.sendto(b"stop", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def echo(connection):
    """Sends back what comes, and ends when the other side has."""
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def named(name):
    """Says its name at once, then echoes."""
    def serve(connection):
        connection.sendall(name.encode() + b"\n")
        echo(connection)
    return serve


def reset(connection):
    """Breaks a connection off instead of ending it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection):
    """What comes until the end."""
    parts = []
    while data := connection.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def read_exactly(connection, size):
    parts = b""
    while len(parts) < size:
        data = connection.recv(size - len(parts))
        assert data, f"ended after {len(parts)} bytes of {size}: {parts[-200:]!r}"
        parts += data
    return parts


def bounce(connection, data):
    """What comes back while `data` goes out, as many bytes. On one thread: OpenSSL allows no second one at a
    connection."""
    parts, sent = [], 0
    connection.setblocking(False)
    while (left := len(data) - sum(map(len, parts))) > 0:
        select.select([connection], [connection] if sent < len(data) else [], [], 30)
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent += connection.send(data[sent:sent + 65536])
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            parts.append(connection.recv(left))
            assert parts[-1], f"ended with {left} bytes to come"
    connection.settimeout(30)
    return b"".join(parts)


def read_line(connection):
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        assert byte, f"ended after {line!r}"
        line += byte
    return line.decode().strip()


def port_of(gateway, number=0):
    """The port of the gateway's listener of that number."""
    return int(gateway.addresses[number].rsplit(":", 1)[1])


def connect(gateway, number=0, timeout=30.0, source=""):
    return socket.create_connection(("127.0.0.1", port_of(gateway, number)), timeout, (source, 0))


def datagram_socket(gateway, number=0, host="127.0.0.1", source=""):
    """One that speaks to the gateway's listener of that number."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(30)
    one.bind((source, 0))
    one.connect((host, port_of(gateway, number)))
    return one


def ask(one, data):
    one.send(data)
    return one.recv(65536)
