"""An ACME authority for tests: Debian's pebble, with a DNS server that says everything is at 127.0.0.1."""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from pathlib import Path

from gateway import wait_for

PROGRAMS = ("pebble", "pebble-challtestsrv")


def is_installed():
    return all(shutil.which(name) for name in PROGRAMS)


def make_certificate(folder: Path, name="localhost"):
    """A certificate for 127.0.0.1 that signs itself: (certificate, key), as files."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", key, "-out", cert, "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"], check=True, capture_output=True)
    return cert, key


class Authority:
    """Pebble. `http_port` and `tls_port` are where it looks for challenges. Use it as a context manager."""

    def __init__(self, folder: Path, ports, http_port, tls_port, validity=None, binding=None, **environment):
        self.folder, self.processes = Path(folder), []
        self.folder.mkdir(exist_ok=True)
        self.ca, key = make_certificate(self.folder)
        api, self.management, dns, control = (ports() for _ in range(4))
        self.directory = f"https://127.0.0.1:{api}/dir"
        config = {"listenAddress": f"127.0.0.1:{api}", "managementListenAddress": f"127.0.0.1:{self.management}",
                  "certificate": str(self.ca), "privateKey": str(key), "httpPort": http_port, "tlsPort": tls_port,
                  "ocspResponderURL": "", "externalAccountBindingRequired": bool(binding)}
        if validity:
            config["certificateValidityPeriod"] = validity
        if binding:
            config["externalAccountMACKeys"] = binding
        (self.folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        self.log = self.folder / "pebble.log"
        self._start(["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{control}", "-http01", "",
                     "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""], {})
        self.arguments = ["pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
        self.environment = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", **environment}
        self._start(self.arguments, self.environment)
        self._wait(api)
        self._wait(self.management)

    def _start(self, command, environment):
        with open(self.log, "ab") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment}))

    def _wait(self, port):
        def answers():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
        wait_for(answers, 60, f"pebble on port {port}")

    def root(self) -> str:
        """The certificate (PEM) that signs all the others."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://127.0.0.1:{self.management}/roots/0", context=context, timeout=10) as answer:
            return answer.read().decode()

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


class Intermediary:
    """Stands before an authority and sees every request: `look(path, forward)` gives (status, headers, body), its own or what
    `forward()` gives. Use it as a context manager."""

    def __init__(self, authority: Authority, look):
        port = int(authority.directory.split(":")[2].split("/")[0])
        paths = self.paths = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))

                def forward():
                    context = ssl.create_default_context(cafile=str(authority.ca))
                    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
                    # With our own Host the authority names us in all its URLs.
                    connection.request(self.command, self.path, body, dict(self.headers))
                    answer = connection.getresponse()
                    return answer.status, answer.getheaders(), answer.read()

                paths.append(self.path)
                status, headers, text = look(self.path, forward)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in headers:
                        if name.lower() not in ("content-length", "connection", "date", "transfer-encoding"):
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)

            do_GET = do_POST = do_HEAD = do  # noqa: N815

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.ca, authority.folder / "localhost.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.daemon_threads = True
        authority.directory = f"https://127.0.0.1:{self.server.server_address[1]}/dir"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
