"""A service's end of HTTP/2, frame by frame, for scripts of upstream.Upstream: `script(peer)` makes an H2Peer of it."""

import h2.config
import h2.connection
import h2.events
import h2.settings

SETTINGS = h2.settings.SettingCodes


class H2Request:
    def __init__(self, stream, headers):
        self.stream, self.headers = stream, headers
        self.body, self.trailers, self.reset = bytearray(), [], None
        self.has_ended = False

    def header(self, name, default=None):
        return dict(self.headers).get(name, default)


class H2Peer:
    """Speaks for the service. What it is told to send is not checked, so that it can be wrong."""

    def __init__(self, peer, settings=None, greet=True):
        self.peer, self.socket = peer, peer.socket
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.requests, self.begun, self.ended = {}, [], []
        self.grants = True     # opens the window for each byte that comes
        self.goaway, self.pings = None, 0
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings or {})
        if greet:
            self.h2.initiate_connection()
            self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def send_raw(self, kind, flags, stream, payload=b""):
        self.flush()
        self.socket.sendall(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload)

    def _take(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.requests[stream] = H2Request(stream, event.headers)
            self.begun.append(self.requests[stream])
        elif isinstance(event, h2.events.DataReceived):
            self.requests[stream].body += event.data
            if self.grants and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            self.requests[stream].trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            self.requests[stream].has_ended = True
            self.ended.append(self.requests[stream])
        elif isinstance(event, h2.events.StreamReset):
            if stream in self.requests:
                self.requests[stream].reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1

    def pump(self):
        """Reads once; EOFError at the end."""
        data = self.socket.recv(65536)
        if not data:
            raise EOFError
        for event in self.h2.receive_data(data):
            self._take(event)
        self.flush()

    def until(self, look):
        while not look():
            self.pump()
        return look()

    def linger(self):
        """Says nothing more and waits for the gateway to close."""
        while self.socket.recv(65536):
            pass

    def begin(self):
        """The next request whose head has come."""
        self.until(lambda: self.begun)
        return self.begun.pop(0)

    def request(self):
        """The next request that has come whole."""
        self.until(lambda: self.ended)
        return self.ended.pop(0)

    def headers(self, stream, headers, end=False):
        self.h2.send_headers(stream, headers, end_stream=end)
        self.flush()

    def data(self, stream, data, end=False):
        """Waits for the window as a good service does."""
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.pump()
                continue
            self.h2.send_data(stream, bytes(data[:room]))
            self.flush()
            data = memoryview(data)[room:]
        if end:
            self.h2.end_stream(stream)
            self.flush()

    def answer(self, request, body=b"", status=200, headers=(), trailers=None):
        self.headers(request.stream, [(":status", str(status)), *headers], end=not body and trailers is None)
        if body:
            self.data(request.stream, body, end=trailers is None)
        if trailers is not None:
            self.headers(request.stream, list(trailers), end=True)


def serve(peer):
    """The usual service: answers with what it was asked."""
    speaker = H2Peer(peer)
    while True:
        request = speaker.request()
        peer.upstream.requests.append(request)
        body = f"{request.header(':method')} {request.header(':path')}".encode()
        speaker.answer(request, b"" if request.header(":method") == "HEAD" else body,
                       headers=[("content-length", str(len(body)))])


def script(run, **options):
    """Makes a script of `run(speaker)`."""
    def speak(peer):
        run(H2Peer(peer, **options))
    return speak
