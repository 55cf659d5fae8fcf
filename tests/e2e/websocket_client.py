"""A WebSocket client that speaks frames byte for byte."""

import struct

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {"Host": "localhost", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": KEY}


def frame(first, payload, mask=b"\1\2\3\4"):
    size = len(payload)
    head = bytes([first]) + (bytes([0x80 | size]) if size < 126 else
                             b"\xfe" + struct.pack(">H", size) if size < 65536 else
                             b"\xff" + struct.pack(">Q", size))
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Raw:
    """A client that speaks frames byte for byte."""

    def __init__(self, gateway, path="/", fields=None, connection=None):
        self.connection = connection or gateway.connect()
        self.connection.send_request("GET", path, {**HANDSHAKE, **(fields or {})})
        head = self.connection._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.head = head.decode().lower()

    def send(self, data):
        self.connection.send(data)

    def read(self):
        """The next frame: (first byte, payload)."""
        first, size = self.connection._exactly(2)
        if size == 126:
            size, = struct.unpack(">H", self.connection._exactly(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.connection._exactly(8))
        return first, self.connection._exactly(size)

    def read_close(self):
        first, payload = self.read()
        assert first == 0x88
        return struct.unpack(">H", payload[:2])[0]
