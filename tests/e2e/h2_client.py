"""HTTP/2 in clear, frame by frame: python3-h2 for what is allowed, raw bytes for what is not."""

import contextlib
import socket
import struct

import h2.config
import h2.connection
import h2.events
import hpack
import http_client

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 7, 8, 11
REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "a.example")]


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


class Raw:
    """Says any bytes; understands whole frames."""

    def __init__(self, address, timeout=30.0, settings=b""):
        self.socket = socket.create_connection(address, timeout)
        self.encoder, self.decoder, self.buffer = hpack.Encoder(), hpack.Decoder(), b""
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def headers(self, stream, fields, end=True):
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send(frame(HEADERS, flags, stream, self.encoder.encode(fields, huffman=False)))

    def frame(self):
        """The next frame as (kind, flags, stream, payload); None at the end."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.buffer += data
        size = int.from_bytes(self.buffer[:3], "big")
        head, payload, self.buffer = self.buffer[:9], self.buffer[9:9 + size], self.buffer[9 + size:]
        return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7fffffff, payload

    def until(self, *kinds):
        """The next frame of one of these kinds; heads on the way are decoded, so that the table stays right."""
        while (found := self.frame()) is not None:
            if found[0] == HEADERS:
                found = (*found[:3], self.decoder.decode(found[3]))
            if found[0] in kinds:
                return found
        return None

    def verdict(self):
        """What became of a request: ("status", 400), ("reset", code), ("goaway", code) or None."""
        found = self.until(HEADERS, RST_STREAM, GOAWAY)
        if found is None:
            return None
        if found[0] == HEADERS:
            return "status", int(dict(found[3])[":status"])
        if found[0] == RST_STREAM:
            return "reset", int.from_bytes(found[3], "big")
        return "goaway", int.from_bytes(found[3][4:8], "big")

    def goaway(self):
        """The code of the last GOAWAY before the connection ends; None when there was none."""
        code = None
        while (found := self.until(GOAWAY)) is not None:
            code = int.from_bytes(found[3][4:8], "big")
        return code


class Answer:
    def __init__(self):
        self.status, self.headers, self.body, self.trailers, self.interim = None, [], b"", [], []
        self.reset, self.is_whole = None, False


class Client:
    """A well-behaved client with any number of streams."""

    def __init__(self, address, timeout=30.0, authority="a.example"):
        self.authority = authority
        self.socket = socket.create_connection(address, timeout)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.answers, self.goaways, self.is_over, self.raw = {}, [], False, b""
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.socket.close()

    def flush(self):
        """What the gateway takes no more is dropped: what it has said is still to be read."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(self.h2.data_to_send())

    def begin(self, method, path, headers=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", self.authority), *headers]
        self.h2.send_headers(stream, fields, end_stream=end)
        self.flush()
        return stream

    def is_closed(self, stream):
        """Nothing may be sent on the stream any more: it was reset, or the connection has ended."""
        return self.answers[stream].reset is not None or self.is_over

    def send_body(self, stream, body, end=True):
        """Sends what the gateway takes: after an early answer it may stop the rest with a reset (RFC 9113 §8.1)."""
        while body and not self.is_closed(stream):
            size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if size == 0:
                self.pump()
                continue
            self.h2.send_data(stream, body[:size])
            body = body[size:]
            self.flush()
        if end and not self.is_closed(stream):
            self.h2.end_stream(stream)
            self.flush()

    def pump(self):
        """Deals with what comes next. python3-h2 says and hears nothing more after a GOAWAY; here the streams go on."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        self.is_over = not data
        self.raw += data
        while len(self.raw) >= 9 and len(self.raw) >= 9 + (size := int.from_bytes(self.raw[:3], "big")):
            found, self.raw = self.raw[:9 + size], self.raw[9 + size:]
            if found[3] == GOAWAY:
                self.goaways.append(int.from_bytes(found[13:17], "big"))
                continue
            for event in self.h2.receive_data(found):
                self._take(event)
        self.flush()

    def _take(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            answer.headers = event.headers
            answer.status = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.InformationalResponseReceived):
            answer.interim.append(int(dict(event.headers)[":status"]))
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            answer.is_whole = True
        elif isinstance(event, h2.events.StreamReset) and answer:
            answer.reset = event.error_code

    def finish(self, stream):
        while not (self.answers[stream].is_whole or self.is_closed(stream)):
            self.pump()
        return self.answers[stream]

    def request(self, method, path, headers=(), body=None):
        stream = self.begin(method, path, headers, end=body is None)
        if body is not None:
            self.send_body(stream, body)
        return self.finish(stream)


class Connection(Client):
    """Has the manners of http_client.Connection, one request at a time, so that a test can use either."""

    buffer = b""  # of what nobody has asked for: streams have none

    def request(self, method, path, headers=None, body=b""):
        self.send_request(method, path, headers, body)
        return self.read_answer()

    def send_request(self, method, path, headers=None, body=b""):
        """With a Content-Length that is more than the body's size, there is more to come."""
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        length = int(fields.setdefault("content-length", str(len(body))))
        if not length:
            del fields["content-length"]
        self.newest = self.begin(method, path, list(fields.items()), end=not length)
        if body:
            self.send_body(self.newest, body, end=length == len(body))

    def read_answer(self):
        answer = self.finish(self.newest)
        if not answer.is_whole:
            raise http_client.Closed(f"reset with {answer.reset} after {answer.body[:500]!r}")
        return http_client.Answer("HTTP/2", answer.status, "", [(name.title(), value) for name, value in answer.headers],
                                  answer.body, answer.trailers)

    def upload_until_answered(self, path, length):
        """Sends as much of a body as the gateway takes."""
        self.newest = stream = self.begin("POST", path, [("content-length", str(length))], end=False)
        while self.answers[stream].status is None and not self.is_closed(stream):
            size = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if size:
                self.h2.send_data(stream, bytes(size))
                self.flush()
            else:
                self.pump()
        return self.read_answer()
