"""HTTP/2 with node's client, WebSocket by it too."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from websocket_service import WebSocketService

NODE = shutil.which("node") or shutil.which("nodejs")
SCRIPT = Path(__file__).with_name("h2_node.js")


def serve_paths(peer):
    while True:
        request = peer.read_head()
        body = peer.read_body(request)
        if request.target == "/silent":
            peer.socket.recv(1)
            return
        if request.target == "/trailers":
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.mark.skipif(not NODE, reason="no node here")
def test_node(start, serve):
    service = serve(serve_paths)
    with WebSocketService() as chat:
        gateway = start(f"""
            version: 1
            listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
            workers: 2
            services: {{back: "{service.at}", chat: "{chat.at}"}}
            routes:
              GET /page: {{respond: "${{query}}"}}
              /echo: back
              /trailers: back
              /silent: back
              GET /chat: chat
            """)
        done = subprocess.run([NODE, SCRIPT, gateway.url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "connect": True, "ping": 8, "pages": True, "echo": True, "trailers": "7", "head": 0, "missing": 404,
        "chat": {"status": 200, "text": "from node", "code": 0}, "after": "after"}
    assert gateway.log_line("/chat")["websocket.close_code"] == 1000
    assert gateway.log_line("/silent")["reason"] == "client-closed"
