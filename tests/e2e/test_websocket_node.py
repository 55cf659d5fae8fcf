"""WebSockets of node, on both sides of the gateway."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import websockets

NODE = shutil.which("node") or shutil.which("nodejs")
SCRIPT = Path(__file__).with_name("websocket_node.js")
pytestmark = pytest.mark.skipif(not NODE, reason="no node here")


@pytest.fixture
def gateway(start):
    """A gateway before a service of node's."""
    with subprocess.Popen([NODE, SCRIPT, "serve"], stdout=subprocess.PIPE) as service:
        yield start(f"""
            version: 1
            listen: "127.0.0.1:0"
            services: {{back: "127.0.0.1:{int(service.stdout.readline())}"}}
            routes: {{/**: back}}
            """)
        service.kill()


def test_node_speaks_to_node(gateway):
    done = subprocess.run([NODE, SCRIPT, "ask", f"{gateway.url}/chat"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": 101, "isRight": True, "heard": ["HELLO5", "X" * 20 + "300", "Y" * 20 + "60000", 1000]}
    assert gateway.log_line("/chat")["websocket.close_code"] == 1000


def test_others_speak_to_node(gateway):
    async def play():
        url = "ws://%s:%d/chat" % gateway.address
        async with websockets.connect(url, ping_interval=None) as client:
            await client.send("from python")
            return await client.recv(), client.extensions

    assert asyncio.run(asyncio.wait_for(play(), 30)) == ("FROM PYTHON", [])
    assert gateway.log_line("/chat")["websocket.messages.received"] == 1


def test_a_service_of_node_declines_plain_requests(gateway):
    assert gateway.get("/chat").status == 426
