"""HTTP servers that play registries: they can be killed, with every connection, and started again on the same port."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.registry.sockets.append(self.connection)

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass

    def serve(self):
        url = urlsplit(self.path)
        self.parts = [unquote(part) for part in url.path.split("/")[1:]]
        self.query = {key: values for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        registry = self.server.registry
        registry.requests.append((self.command, self.path, dict(self.headers), self.content))
        registry.answer(self)

    do_GET = do_POST = do_PUT = do_DELETE = serve

    def reply(self, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, str(value))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def stream(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def end_stream(self):
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address, registry):
        self.registry = registry
        super().__init__(address, Handler)

    def get_request(self):
        connection, peer = super().get_request()
        context = self.registry.tls
        return (context.wrap_socket(connection, server_side=True) if context else connection), peer

    def handle_error(self, *_):
        pass


class UnixListener(Listener):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0

    def get_request(self):
        connection, _ = self.socket.accept()
        return connection, ("local", 0)


class RegistryServer:
    """Subclasses answer a Handler. `changed` is what waiting questions wait on."""

    def __init__(self, tls=None, path=None):
        """`path`: listens on a unix socket there."""
        self.tls, self.path, self.port = tls, path, 0
        self.requests, self.sockets = [], []
        self.changed = threading.Condition()
        self.listener = None
        self.is_stopping = False
        # Nobody else gets the port while the server is down.
        self.keeper = socket.socket()
        self.keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if not path:
            self.keeper.bind(("127.0.0.1", 0))
            self.port = self.keeper.getsockname()[1]
        self.start()

    @property
    def url(self):
        return f"unix:{self.path}" if self.path else f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self):
        self.is_stopping = False
        if self.path:
            self.listener = UnixListener(str(self.path), self)
        else:
            self.listener = Listener(("127.0.0.1", self.port), self)
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()

    def kill(self):
        """As if the process had died: every connection ends."""
        self.is_stopping = True
        self.listener.shutdown()
        self.listener.server_close()
        if self.path:
            self.path.unlink()
        self.cut()
        with self.changed:
            self.changed.notify_all()

    def cut(self):
        sockets, self.sockets = self.sockets, []
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def wait(self, look, timeout):
        """Waits until `look` gives something, the server stops, or time is over; that, or None."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_stopping or look(), timeout)
            return look()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.is_stopping:
            self.kill()
        self.keeper.close()
