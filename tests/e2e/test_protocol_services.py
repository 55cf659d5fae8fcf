"""Real services behind the gateway: nginx on a unix socket and node on TCP."""

import gzip
import hashlib
import json
import os
import random
import socket
import subprocess

import pytest
from gateway import Gateway, wait_for

NODE = """
const http = require('http'), crypto = require('crypto');
const server = http.createServer((request, answer) => {
  const hash = crypto.createHash('sha256');
  let size = 0;
  if (request.url === '/node/hints') answer.writeEarlyHints({link: '</a.css>; rel=preload'});
  if (request.url === '/node/echo') { answer.writeHead(200); request.pipe(answer); return; }
  request.on('data', data => { hash.update(data); size += data.length; });
  request.on('end', () => {
    answer.setHeader('X-Connection', request.socket.remotePort);
    answer.setHeader('Trailer', 'X-Sum');
    answer.write(JSON.stringify({method: request.method, url: request.url, headers: request.headers,
                                 trailers: request.trailers, size, sum: hash.digest('hex')}));
    answer.addTrailers({'X-Sum': 'done'});
    answer.end();
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""

NGINX = """
daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
  server {{ listen unix:{folder}/socket; root {folder}; client_max_body_size 1000; keepalive_requests 3; }}
}}
"""

CONFIG = """
version: 1
listen: "127.0.0.1:0"
workers: 2
services: {{nginx: "unix:{nginx}", node: "{node}"}}
routes: {{/node/**: node, /**: nginx}}
"""

CONTENT = random.Random(3).randbytes(300000).hex().encode()


def listening(path):
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "file.txt").write_bytes(CONTENT)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    process = subprocess.Popen(["/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")],
                               stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listening(str(folder / "socket")))
        yield str(folder / "socket")
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def node():
    process = subprocess.Popen(["node", "-e", NODE], stdout=subprocess.PIPE)
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, nginx, node):
    with Gateway(tmp_path_factory.mktemp("services"), CONFIG.format(nginx=nginx, node=node)) as gateway:
        yield gateway


def test_nginx_serves_files(gateway):
    with gateway.connect() as connection:
        for _ in range(10):  # more than nginx lets a connection carry
            answer = connection.request("GET", "/file.txt")
            assert answer.body == CONTENT
        head = connection.request("HEAD", "/file.txt")
        assert head.header("Content-Length") == str(len(CONTENT))
        part = connection.request("GET", "/file.txt", {"Range": "bytes=100-199"})
        assert (part.status, part.body) == (206, CONTENT[100:200])
        same = connection.request("GET", "/file.txt", {"If-None-Match": answer.header("ETag")})
        assert same.status == 304
        assert connection.request("GET", "/none").status == 404


def test_nginx_compresses(gateway):
    answer = gateway.get("/file.txt", {"Accept-Encoding": "gzip"})
    assert answer.header("Transfer-Encoding") == "chunked"
    assert gzip.decompress(answer.body) == CONTENT


def test_nginx_refuses_a_large_body(gateway):
    """It answers 413 without reading and closes; the client may be sending still."""
    for _ in range(20):
        assert gateway.request("POST", "/file.txt", body=b"x" * 3000000).status == 413
    assert gateway.request("POST", "/file.txt", body=b"x" * 100).status == 405


def test_node_reads_what_is_sent(gateway):
    body = os.urandom(3000000)
    with gateway.connect() as connection:
        for form in ("length", "chunked"):
            if form == "length":
                connection.send(b"POST /node/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            else:
                connection.send(b"POST /node/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body)
                                + body + b"\r\n0\r\nX-Up: 1\r\n\r\n")
            answer = connection.read_answer()
            seen = json.loads(answer.body)
            assert (seen["size"], seen["sum"]) == (len(body), hashlib.sha256(body).hexdigest())
            assert answer.trailers == [("X-Sum", "done")]
            assert seen["trailers"] == ({"x-up": "1"} if form == "chunked" else {})


def test_node_echoes(gateway):
    body = os.urandom(5000000)
    assert gateway.request("POST", "/node/echo", body=body, timeout=30).body == body


def test_node_asks_for_the_body(gateway):
    with gateway.connect() as connection:
        for _ in range(3):
            connection.send(b"POST /node/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            assert connection.read_answer(interim=True).status == 100
            connection.send(b"hello")
            assert connection.read_answer(interim=True).body == b"hello"


def test_node_gives_hints(gateway):
    with gateway.connect() as connection:
        connection.send_request("GET", "/node/hints")
        answer = connection.read_answer(interim=True)
        if answer.status == 103:  # since node 18.11
            assert answer.header("Link") == "</a.css>; rel=preload"
            answer = connection.read_answer(interim=True)
        assert answer.status == 200
