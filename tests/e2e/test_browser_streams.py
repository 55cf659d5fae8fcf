"""A page in Debian's chromium that talks to services through the gateway, by HTTP/1.1 and by HTTP/2: fetch,
EventSource and WebSocket."""

import contextlib
import json
import shutil
import subprocess
import threading

import pytest

from https import pair, split
from test_demo import CHROMIUM, Browser
from upstream import Upstream
from websocket_service import WebSocketService

CERTUTIL = shutil.which("certutil")
SCRIPT = """(async () => {
    const fetched = [];
    for (const size of [0, 10, 300000]) {
        const answer = await fetch("/echo", {method: "POST", body: "y".repeat(size)});
        fetched.push([answer.status, (await answer.text()).length]);
    }
    const together = await Promise.all([...Array(50).keys()].map(i => fetch(`/page?${i}`).then(answer => answer.text())));
    const missing = (await fetch("/none")).status;
    const aborted = new AbortController();
    const given_up = fetch("/events", {signal: aborted.signal}).then(answer => answer.text()).catch(e => e.name);
    setTimeout(() => aborted.abort(), 100);

    const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat");
    const heard = [];
    const closed = new Promise(done => socket.onclose = event => done([event.code, event.reason, event.wasClean]));
    await new Promise((done, fail) => { socket.onopen = done; socket.onerror = fail; });
    for (const text of ["hello", "x".repeat(200000)]) {
        socket.send(text);
        heard.push((await new Promise(done => socket.onmessage = done)).data.length);
    }
    socket.close(4000, "enough");
    const refused = new WebSocket(location.origin.replace("http", "ws") + "/none");
    const refusal = await new Promise(done => refused.onclose = event => done(event.code));

    const source = new EventSource("/events");
    const events = [];
    await new Promise(done => source.onmessage = event => events.push(event.data) == 3 && done());
    source.close();
    return JSON.stringify({hop: performance.getEntriesByType("navigation")[0].nextHopProtocol, fetched,
        together: new Set(together).size, missing, given_up: await given_up, heard, closed: await closed, refusal, events});
})()"""


def events(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    with contextlib.suppress(OSError):
        for number in range(3):
            peer.send(b"data: %d\n\n" % number)
            threading.Event().wait(0.4)
        peer.socket.recv(1)


def echo(peer):
    while True:
        request = peer.read_head()
        body = peer.read_body(request)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def trust(folder, authority):
    store = folder / ".pki/nssdb"
    store.mkdir(parents=True)
    for arguments in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "tests", "-i", authority.file]):
        subprocess.run([CERTUTIL, "-d", f"sql:{store}", *arguments], check=True, timeout=60)


@pytest.mark.skipif(not (CHROMIUM and CERTUTIL), reason="no chromium or no certutil here")
@pytest.mark.parametrize("hop", ["http/1.1", "h2"])
def test_a_page_talks_through_the_gateway(start, tmp_path, authority, hop):
    vias = []

    async def converse(websocket):
        vias.append(websocket.request_headers["Via"].split()[0])
        async for message in websocket:
            await websocket.send(message)

    with contextlib.ExitStack() as stack:
        chat = stack.enter_context(WebSocketService(converse))
        news = stack.enter_context(Upstream(events))
        parrot = stack.enter_context(Upstream(echo))
        gateway = start(f"""
            version: 1
            listen: {{https: "127.0.0.1:0", http: "127.0.0.1:0"}}
            tls: {pair(authority.issue("localhost", "127.0.0.1"))}
            services: {{chat: "{chat.at}", news: "{news.at}", parrot: "{parrot.at}"}}
            routes:
              GET /: {{respond: {{body: "<p>", type: text/html}}}}
              GET /page: {{respond: "${{query}}"}}
              POST /echo: parrot
              GET /chat: chat
              GET /events: {{to: news, stream: {{kind: sse, comment: 100ms}}}}
            """)
        trust(tmp_path, authority)
        browser = Browser(tmp_path)
        stack.callback(browser.close)
        plain, secure = (split(address)[1] for address in gateway.addresses)
        browser.open(f"https://localhost:{secure}/" if hop == "h2" else f"http://localhost:{plain}/")
        assert json.loads(browser.evaluate(SCRIPT)) == {
            "hop": hop, "fetched": [[200, 0], [200, 10], [200, 300000]], "together": 50, "missing": 404,
            "given_up": "AbortError", "heard": [5, 200000], "closed": [4000, "enough", True], "refusal": 1006,
            "events": ["0", "1", "2"]}
        line = gateway.log_line("/chat")
        assert line["websocket.close_code"] == 4000
        assert (line["http.response.status_code"], vias) == ((200, ["2"]) if hop == "h2" else (101, ["1.1"]))
