"""A client that sends exactly the bytes it is told to, and reads answers strictly."""

import socket


class Answer:
    def __init__(self, version, status, reason, headers, body, trailers=()):
        self.version, self.status, self.reason = version, status, reason
        self.headers = headers  # list of (name, value), as sent
        self.body = body
        self.trailers = list(trailers)

    def header(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Closed(Exception):
    """The gateway closed the connection before a whole answer was there."""


class Connection:
    def __init__(self, address, timeout=30.0):
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_chunks(self):
        """The body behind a head that read_head has read."""
        return self._chunked()[0]

    def request(self, method, path, headers=None, body=b""):
        self.send_request(method, path, headers, body)
        return self.read_answer(method)

    def send_request(self, method, path, headers=None, body=b""):
        fields = dict(headers or {})
        names = {name.lower() for name in fields}
        if "host" not in names:
            fields = {"Host": "localhost", **fields}
        if body and not names & {"content-length", "transfer-encoding"}:
            fields["Content-Length"] = str(len(body))
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields.items()) + "\r\n"
        try:
            self.send(head.encode("latin-1") + body)
        except ConnectionError:
            if not body:
                raise
            # An answer may come before all of a body is taken, and end the connection: read_answer tells.

    def _receive(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionError as error:
            raise Closed(f"reset after {self.buffer[:500]!r}") from error
        if not data:
            raise Closed(f"closed after {self.buffer[:500]!r}")
        return data

    def _more(self):
        self.buffer += self._receive()

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        part, self.buffer = self.buffer.split(mark, 1)
        return part

    def _exactly(self, size):
        parts, have = [self.buffer], len(self.buffer)
        try:
            while have < size:
                parts.append(self._receive())
                have += len(parts[-1])
        finally:
            self.buffer = b"".join(parts)
        part, self.buffer = self.buffer[:size], self.buffer[size:]
        return part

    def read_head(self):
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (lines[0].split(" ", 2) + [""])[:3]
        headers = [tuple(part.strip(" \t") for part in line.split(":", 1)) for line in lines[1:]]
        return Answer(version, int(status), reason, headers, b"")

    def read_answer(self, method="GET", interim=False):
        """The next final answer (or interim one, if asked for)."""
        answer = self.read_head()
        while 100 <= answer.status < 200 and not interim:
            answer = self.read_head()
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        coding, length = answer.header("Transfer-Encoding"), answer.header("Content-Length")
        assert not (coding and length), answer
        if coding:
            assert coding.lower() == "chunked", answer
            answer.body, answer.trailers = self._chunked()
        elif length is not None:
            answer.body = self._exactly(int(length))
        else:
            answer.body = self.read_to_end()
        return answer

    def _chunked(self):
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        trailers = []
        while line := self._until(b"\r\n"):
            name, value = line.decode("latin-1").split(":", 1)
            trailers.append((name, value.strip()))
        return body, trailers

    def read_to_end(self):
        """Everything until the gateway closes."""
        try:
            while True:
                self._more()
        except Closed:
            data, self.buffer = self.buffer, b""
            return data

    def is_closed(self, timeout=5.0):
        """True when the gateway closes without another byte."""
        self.socket.settimeout(timeout)
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def shut_write(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a reset instead of an orderly end."""
        import struct
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
