"""A service that takes WebSockets by HTTP/2 (RFC 8441): sends every message back, on any number of streams."""

import struct

from h2_upstream import SETTINGS, H2Peer

CONNECTS = {SETTINGS.ENABLE_CONNECT_PROTOCOL: 1}


def frame(first, payload):
    """A service's frame."""
    size = len(payload)
    head = bytes([first]) + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 65536 else
                             b"\x7f" + struct.pack(">Q", size))
    return head + bytes(payload)


def take_frame(data):
    """The first whole frame of what came, (first byte, payload), which is taken off; None: not yet."""
    if len(data) < 2:
        return None
    size, at = data[1] & 127, 2
    if size > 125:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(data[2:2 + width], "big"), 2 + width
    assert data[1] & 128, "clients mask"
    if len(data) < at + 4 + size:
        return None
    mask, body = bytes(data[at:at + 4]), bytes(data[at + 4:at + 4 + size])
    plain = int.from_bytes(body, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    first = data[0]
    del data[:at + 4 + size]
    return first, plain.to_bytes(size, "big")


class Chat:
    """A script of upstream.Upstream. Notes what was asked, the codes of closes, and which streams were reset."""

    def __init__(self, settings=CONNECTS, accept=(), status=200, greeting=b"", delay=None):
        self.settings, self.accept, self.status = settings, list(accept), status
        self.greeting, self.delay = greeting, delay
        self.asked, self.closes, self.resets, self.plain = [], [], [], []

    def __call__(self, peer):
        speaker = H2Peer(peer, settings=self.settings, greet=not self.delay)
        if self.delay:
            self.delay()
            speaker.h2.initiate_connection()
            speaker.flush()
        open_streams = {}
        while True:
            while speaker.begun:
                self._begin(speaker, speaker.begun.pop(0), open_streams)
            for stream in list(open_streams):
                self._look(speaker, stream, open_streams)
            speaker.pump()

    def _begin(self, speaker, request, open_streams):
        if request.header(":method") != "CONNECT":
            self.plain.append(request)
            speaker.answer(request, b"plain")
            return
        self.asked.append(request)
        if self.status != 200:
            speaker.answer(request, b"not here", status=self.status)
            return
        speaker.headers(request.stream, [(":status", "200"), *self.accept])
        if self.greeting:
            speaker.data(request.stream, self.greeting)
        open_streams[request.stream] = request

    def _look(self, speaker, stream, open_streams):
        request = open_streams[stream]
        if request.reset is not None:
            self.resets.append(request.reset)
            del open_streams[stream]
            return
        while found := take_frame(request.body):
            first, payload = found
            if first == 0x88:
                self.closes.append(struct.unpack(">H", payload[:2])[0] if payload else 1005)
                speaker.data(stream, frame(0x88, payload), end=True)
                del open_streams[stream]
                return
            if first != 0x8a:
                speaker.data(stream, frame(0x8a if first == 0x89 else first, payload))
        if request.has_ended:
            speaker.data(stream, b"", end=True)
            del open_streams[stream]
