"""Services for the tests: servers on loopback that do exactly what a script says, byte for byte."""

import contextlib
import socket
import ssl
import struct
import threading


class Request:
    def __init__(self, head: bytes, peer: "Peer"):
        self.raw = head
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.headers = [tuple(part.strip(" \t") for part in line.split(":", 1)) for line in lines[1:] if line]
        self.body, self.trailers = b"", []
        self.peer = peer

    def header(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Peer:
    """The service's end of one connection from the gateway."""

    def __init__(self, connection: socket.socket, upstream: "Upstream"):
        self.socket, self.upstream, self.buffer = connection, upstream, b""
        connection.settimeout(30)

    def _until(self, mark):
        while mark not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def _exactly(self, size):
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        part, self.buffer = whole[:size], whole[size:]
        return part

    def read_head(self) -> Request:
        return Request(self._until(b"\r\n\r\n") + b"\r\n", self)

    def read_body(self, request: Request) -> bytes:
        if request.header("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                request.body += self._exactly(size)
                self._exactly(2)
            while line := self._until(b"\r\n"):
                request.trailers.append(tuple(part.strip(" \t") for part in line.decode("latin-1").split(":", 1)))
        else:
            request.body = self._exactly(int(request.header("Content-Length", "0")))
        return request.body

    def read_request(self) -> Request:
        request = self.read_head()
        self.read_body(request)
        return request

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, body=b"", status=200, headers=()):
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{n}: {v}\r\n" for n, v in headers)
        self.send(head.encode("latin-1") + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Upstream:
    """Calls `script(peer)` in a thread for each connection. `requests` gathers what `serve` read. Use it as a context manager."""

    def __init__(self, script=None, address=("127.0.0.1", 0), tls=None):
        """`tls`: an ssl.SSLContext; `refusals` gathers why handshakes failed."""
        self.script = script or Upstream.serve
        self.tls, self.refusals = tls, []
        self.requests, self.connections, self.errors = [], 0, []
        self.listener = socket.create_server(address, backlog=1024)
        self.host, self.port = self.listener.getsockname()[:2]
        self.peers, self.threads = [], []
        self.is_closed = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    @property
    def at(self) -> str:
        return f"{self.host}:{self.port}"

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            peer = Peer(connection, self)
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _run(self, peer):
        try:
            if self.tls:
                peer.socket = self.tls.wrap_socket(peer.socket, server_side=True)
            self.script(peer)
        except ssl.SSLError as error:
            self.refusals.append(str(error))
        except (EOFError, OSError):
            pass
        except Exception as error:  # a mistake in a test's script has to be seen
            self.errors.append(error)
        finally:
            peer.close()

    @staticmethod
    def serve(peer: Peer):
        """The usual service: keep-alive, answers with what it was asked."""
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            body = f"{request.method} {request.target}".encode()
            if request.method == "HEAD":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            else:
                peer.answer(body)

    def close_peers(self):
        """Ends all connections that there are; new ones are welcome."""
        for peer in self.peers:
            peer.close()
        for thread in self.threads:
            thread.join(10)
        self.peers, self.threads = [], []

    def close(self):
        if self.is_closed:
            return
        self.is_closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            peer.close()
        self.thread.join(10)
        for thread in self.threads:
            thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()
        if kind is None:
            assert not self.errors, self.errors


def answering(*answers: bytes):
    """A script: reads a request, sends the next of `answers` as it is, and so on; then closes."""
    def script(peer):
        for answer in answers:
            peer.upstream.requests.append(peer.read_request())
            peer.send(answer)
    return script
