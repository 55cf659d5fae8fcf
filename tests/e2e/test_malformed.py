"""Requests that were collected to tell parsers apart, sent to the running gateway in front of a service that records every
byte it gets. Whatever the gateway refuses leaves nothing at the service; what it passes on is one well-formed request each.
nginx and node's parser judge the same bytes: Weir refuses whatever the stricter of the two refuses, but for EXCEPTIONS."""

import base64
import concurrent.futures
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from gateway import Gateway, wait_for
from upstream import Upstream

DATA = Path(__file__).resolve().parents[1] / "data" / "http1-requests.jsonl"
VECTORS = {vector["id"]: vector for vector in map(json.loads, DATA.read_text().splitlines())}

NODE = """
const http = require('http');
const server = http.createServer({insecureHTTPParser: false, requireHostHeader: true}, (request, answer) => {
  request.on('data', () => {});
  request.on('end', () => { answer.setHeader('X-Accepted', '1'); answer.end('ok'); });
});
server.on('connect', (request, socket) => socket.end('HTTP/1.1 200 OK\\r\\nX-Accepted: 1\\r\\n\\r\\n'));
server.on('upgrade', (request, socket) => socket.end('HTTP/1.1 200 OK\\r\\nX-Accepted: 1\\r\\nContent-Length: 0\\r\\n\\r\\n'));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""

NGINX = """
daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  client_header_timeout 1s; client_body_timeout 1s; lingering_close off;
  server {{ listen unix:{folder}/socket; location / {{ proxy_pass http://{at}; proxy_http_version 1.1;
    proxy_ignore_client_abort on; }} }}
}}
"""


def listening(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def connect(address):
    if isinstance(address, str):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(address)
        return client
    return socket.create_connection(address, 10)


def talk(address, data):
    """Sends the bytes, says that there are no more, and reads to the end."""
    answer = b""
    with connect(address) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was read; what was said about it can be read still
        try:
            while part := client.recv(65536):
                answer += part
        except OSError:
            pass
    return answer


def statuses(answer):
    """The final statuses in what came back, in order."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        line = re.match(rb"HTTP/1\.[01] (\d\d\d)", head)
        if not line:
            found.append(0)
            break
        status = int(line.group(1))
        length = re.search(rb"\r\ncontent-length:[ \t]*(\d+)", head, re.I)
        if status >= 200:
            found.append(status)
        if re.search(rb"\r\ntransfer-encoding:", head, re.I):
            _, _, rest = rest.partition(b"0\r\n\r\n")
            answer = rest
        else:
            answer = rest[int(length.group(1)) if length else 0:] if length or status < 200 else b""
    return found


class Recorder(Upstream):
    """Keeps every byte, connection by connection, and answers what a strict reader takes for requests."""

    def __init__(self):
        super().__init__(Recorder.record)
        self.streams, self.wrong = [], []

    @staticmethod
    def record(peer):
        stream = Stream(peer.socket)
        peer.upstream.streams.append(stream)
        try:
            while True:
                stream.request()
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except Malformed as error:
            peer.upstream.wrong.append((str(error), bytes(stream.bytes)))
            # Whoever passed this on has not refused it.
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class Malformed(Exception):
    pass


TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TARGET = re.compile(rb"/[!$%&'()*+,./0-9:;=?@A-Z\[\]_a-z{}|~^`\"<>-]*|\*")
VALUE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")


class Stream:
    """A reader that takes nothing but the one canonical form."""

    def __init__(self, connection):
        self.socket, self.bytes, self.at = connection, bytearray(), 0

    def more(self, inside):
        data = self.socket.recv(65536)
        if not data:
            if inside and self.at < len(self.bytes):
                raise EOFError("within a message")
            raise EOFError
        self.bytes += data

    def line(self):
        while (end := self.bytes.find(b"\n", self.at)) < 0:
            self.more(True)
        line = bytes(self.bytes[self.at:end])
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            raise Malformed(f"line end in {line!r}")
        self.at = end + 1
        return line[:-1]

    def exactly(self, size):
        while len(self.bytes) - self.at < size:
            self.more(True)
        self.at += size
        return bytes(self.bytes[self.at - size:self.at])

    def fields(self):
        fields = []
        while line := self.line():
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
                raise Malformed(f"field {line!r}")
            fields.append((name.lower(), value.strip(b" \t")))
        return fields

    def request(self):
        parts = self.line().split(b" ")
        if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or not TARGET.fullmatch(parts[1]) or parts[2] != b"HTTP/1.1":
            raise Malformed(f"request line {parts!r}")
        fields = self.fields()
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value for name, value in fields if name == b"transfer-encoding"]
        hosts = [value for name, value in fields if name == b"host"]
        if len(hosts) != 1 or len(lengths) + len(codings) > 1:
            raise Malformed(f"framing {fields!r}")
        if codings:
            if codings != [b"chunked"]:
                raise Malformed(f"coding {codings!r}")
            self.chunks()
        elif lengths:
            if not re.fullmatch(rb"\d{1,18}", lengths[0]):
                raise Malformed(f"length {lengths!r}")
            self.exactly(int(lengths[0]))

    def chunks(self):
        while True:
            size = self.line()
            if not re.fullmatch(rb"[0-9a-f]{1,15}", size):
                raise Malformed(f"chunk size {size!r}")
            if int(size, 16) == 0:
                break
            self.exactly(int(size, 16))
            if self.exactly(2) != b"\r\n":
                raise Malformed("chunk end")
        self.fields()


CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 2
http: {{head-timeout: 1s, body-timeout: 1s}}
services: {{back: {{at: "{at}", outlier: {{failures: 0}}, connections: {{idle: 0}}}}}}
routes: {{/**: back}}
"""


def judge_all(address, vectors):
    """What came back for each."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda vector: talk(address, base64.b64decode(vector["b64"])), vectors)
        return {vector["id"]: answer for vector, answer in zip(vectors, answers)}


@pytest.fixture(scope="module")
def weir(tmp_path_factory):
    """(answers, recorder)"""
    with Recorder() as recorder:
        with Gateway(tmp_path_factory.mktemp("weir"), CONFIG.format(at=recorder.at)) as gateway:
            answers = judge_all(gateway.address, list(VECTORS.values()))
            yield answers, recorder


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    with Upstream(Recorder.record) as sink:
        sink.streams, sink.wrong = [], []
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, at=sink.at))
        process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")],
                                   stderr=subprocess.DEVNULL)
        try:
            path = str(folder / "socket")
            wait_for(lambda: listening(path))
            yield judge_all(path, list(VECTORS.values()))
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def node():
    process = subprocess.Popen(["node", "-e", NODE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        port = int(process.stdout.readline())
        yield judge_all(("127.0.0.1", port), list(VECTORS.values()))
    finally:
        process.terminate()
        process.wait(10)


def is_refused(answer):
    """True when some message of the vector was refused: an error status or a silent end."""
    found = statuses(answer)
    return not found or any(status == 0 or status >= 400 for status in found)


def test_what_the_service_got_is_well_formed(weir):
    _, recorder = weir
    assert not recorder.wrong, recorder.wrong[:5]


def test_every_vector_got_an_answer_of_http_or_an_end(weir):
    answers, _ = weir
    wrong = {id: answer[:100] for id, answer in answers.items() if 0 in statuses(answer)}
    assert not wrong, wrong


def test_what_must_be_refused_is(weir):
    answers, _ = weir
    wrong = [id for id, vector in VECTORS.items() if vector["expect"] == "reject" and not is_refused(answers[id])
             and id not in NEVER_READ]
    assert not wrong, wrong


def test_what_must_be_taken_is(weir):
    answers, _ = weir
    wrong = {id: statuses(answers[id]) for id, vector in VECTORS.items()
             if vector["expect"] == "accept" and is_refused(answers[id]) and id not in REFUSED_ALL_THE_SAME}
    assert not wrong, wrong


def test_as_strict_as_the_strictest(weir, nginx, node):
    answers, _ = weir
    laxer = {}
    for id in VECTORS:
        others = [name for name, verdicts in (("nginx", nginx), ("node", node)) if is_refused(verdicts[id])]
        if others and not is_refused(answers[id]) and id not in EXCEPTIONS:
            laxer[id] = others, statuses(answers[id])
    assert not laxer, "\n".join(f"{id}: {VECTORS[id]['note']!r} {base64.b64decode(VECTORS[id]['b64'])[:160]!r} {why}"
                                for id, why in laxer.items())


def test_the_gateway_is_stricter(weir, nginx, node):
    """The oracles are alive: they take and refuse many, and Weir refuses more than either."""
    answers, _ = weir
    counts = [sum(map(is_refused, verdicts.values())) for verdicts in (answers, nginx, node)]
    assert 50 < counts[1] < len(VECTORS) and 50 < counts[2] < len(VECTORS)
    assert counts[0] >= max(counts[1:])


def whys(groups):
    return {id: why for why, ids in groups.items() for id in ids.split()}


# What Weir refuses though the source, which tests a parser and not a server, says that it parses: why -> ids.
REFUSED_ALL_THE_SAME = whys({
    "HTTP/1.1 without Host": """llhttp-connection-7 llhttp-connection-11 llhttp-content-length-1 llhttp-sample-2
        llhttp-sample-6 llhttp-transfer-encoding-1 llhttp-transfer-encoding-2 llhttp-transfer-encoding-3
        llhttp-transfer-encoding-7 llhttp-uri-4 llhttp-uri-6""",
    "Host and target differ": "llhttp-uri-4+host llhttp-method-2+host",
    "two Host fields": "llhttp-method-5+host",
    "no tunnels": "llhttp-method-2 llhttp-method-4",
    "a protocol of another name": "llhttp-method-13",
    "HTTP/0.9": "llhttp-sample-10 llhttp-sample-10+host",
    "a fragment in the target": "llhttp-transfer-encoding-17 llhttp-uri-8+host",
    "bytes behind the request that are none (no upgrade took place)": "llhttp-connection-11+host",
    "the body never comes": "llhttp-content-length-9+host",
})

# What Weir takes though nginx or node refuses it: why -> ids.
EXCEPTIONS = whys({
    "a tab behind a value is white space like any other (RFC 9110 §5.6.3), and the service gets the bare number":
        "ps-CL-valsuffix:9-POST ps-CL-valsuffix:9-GET",
    "the second request is never read: HTTP/1.0 closes after the first": "llhttp-connection-3+host",
    "the second head is not whole, so there is nothing to refuse": "llhttp-connection-4",
    "a higher minor version is read as HTTP/1.1 (RFC 9110 §2.5)": "rfc-ver1.2",
})

# Takes one message and closes, so that what the source means is never read.
NEVER_READ = whys({"HTTP/1.0 closes after its first request": "llhttp-connection-3+host"})
