"""A WebSocket on a stream of HTTP/2 (RFC 8441), frame by frame, for the tests; any number on a connection."""

import struct

import h2_client

MASK = b"\1\2\3\4"


def frame(first, payload, mask=MASK):
    """A client's frame."""
    size = len(payload)
    head = bytes([first]) + (bytes([0x80 | size]) if size < 126 else
                             b"\xfe" + struct.pack(">H", size) if size < 65536 else
                             b"\xff" + struct.pack(">Q", size))
    times = size // 4 + 1
    masked = int.from_bytes(payload, "big") ^ int.from_bytes((mask * times)[:size], "big")
    return head + mask + masked.to_bytes(size, "big")


class Connection(h2_client.Client):
    """A client whose streams may be WebSockets. `window`: what each stream may be sent unasked; it is opened anew
    for what has been read, and so not for streams that nobody reads."""

    def __init__(self, address, timeout=30.0, window=None):
        super().__init__(address, timeout, authority="localhost")
        self.unread, self.held = {}, {}
        if window is not None:
            self.h2.update_settings({h2_client.h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.increment_flow_control_window(1 << 28)
        self.flush()
        while h2_client.h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL not in self.h2.remote_settings:
            self.pump()

    def _take(self, event):
        stream = getattr(event, "stream_id", None)
        if stream in self.unread and isinstance(event, h2_client.h2.events.DataReceived):
            self.unread[stream] += event.data
            self.held[stream] = self.held.get(stream, 0) + event.flow_controlled_length
        else:
            super()._take(event)

    def ask(self, path="/", protocol="websocket", end=False, **changes):
        """Begins one; returns its number."""
        fields = {":method": "CONNECT", ":protocol": protocol, ":scheme": "http", ":path": path,
                  ":authority": self.authority, "sec-websocket-version": "13", **changes}
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = h2_client.Answer()
        self.h2.send_headers(stream, [(name, value) for name, value in fields.items() if value is not None],
                             end_stream=end)
        self.flush()
        return stream

    def head(self, stream):
        while self.answers[stream].status is None and self.answers[stream].reset is None and not self.is_over:
            self.pump()
        return self.answers[stream]

    def open(self, path="/", **changes):
        stream = self.ask(path, **changes)
        self.unread[stream] = b""
        answer = self.head(stream)
        assert answer.status == 200, answer.status
        return Stream(self, stream)


class Stream:
    def __init__(self, connection, number):
        self.connection, self.number = connection, number

    @property
    def answer(self):
        return self.connection.answers[self.number]

    def send(self, data, end=False):
        self.connection.send_body(self.number, data, end)

    def bytes(self, size):
        connection = self.connection
        while len(connection.unread[self.number]) < size:
            self._open_window()
            assert not (self.answer.is_whole or self.answer.reset is not None or connection.is_over), "the end"
            connection.pump()
        taken = connection.unread[self.number][:size]
        connection.unread[self.number] = connection.unread[self.number][size:]
        self._open_window()
        return taken

    def _open_window(self):
        size = self.connection.held.pop(self.number, 0)
        if size and not self.answer.is_whole and self.answer.reset is None:
            self.connection.h2.acknowledge_received_data(size, self.number)
            self.connection.flush()

    def read(self):
        """The next frame: (first byte, payload)."""
        first, size = self.bytes(2)
        if size == 126:
            size, = struct.unpack(">H", self.bytes(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.bytes(8))
        return first, self.bytes(size)

    def read_close(self):
        first, payload = self.read()
        assert first == 0x88, (first, payload)
        return struct.unpack(">H", payload[:2])[0]

    def close(self, code=1000):
        """Says goodbye, hears it, and ends its side; then the gateway's end must come."""
        self.send(frame(0x88, struct.pack(">H", code)))
        assert self.read_close() == code
        self.end()

    def end(self):
        self.send(b"", end=True)
        return self.connection.finish(self.number)

    def reset(self, code=h2_client.CANCEL):
        self.connection.h2.reset_stream(self.number, code)
        self.connection.flush()
