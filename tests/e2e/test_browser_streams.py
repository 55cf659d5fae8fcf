"""A page in Debian's chromium that talks to services through the gateway: WebSocket and EventSource."""

import contextlib
import threading

import pytest

from test_demo import CHROMIUM, Browser
from upstream import Upstream
from websocket_service import WebSocketService

SCRIPT = """(async () => {
    const socket = new WebSocket(`ws://${location.host}/chat`);
    const heard = [];
    const closed = new Promise(done => socket.onclose = event => done([event.code, event.reason]));
    await new Promise((done, fail) => { socket.onopen = done; socket.onerror = fail; });
    for (const text of ["hello", "x".repeat(200000)]) {
        socket.send(text);
        heard.push((await new Promise(done => socket.onmessage = done)).data.length);
    }
    socket.close(4000, "enough");
    const source = new EventSource("/events");
    const events = [];
    await new Promise(done => source.onmessage = event => events.push(event.data) == 3 && done());
    source.close();
    return JSON.stringify({heard, closed: await closed, events});
})()"""


def events(peer):
    peer.read_request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for number in range(3):
        peer.send(b"data: %d\n\n" % number)
        threading.Event().wait(0.4)
    peer.socket.recv(1)


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
def test_a_page_talks_through_the_gateway(start, tmp_path):
    with contextlib.ExitStack() as stack:
        chat = stack.enter_context(WebSocketService())
        news = stack.enter_context(Upstream(events))
        gateway = start(f"""
            version: 1
            listen: "127.0.0.1:0"
            services: {{chat: "{chat.at}", news: "{news.at}"}}
            routes:
              GET /: {{respond: {{body: "<p>", type: text/html}}}}
              GET /chat: chat
              GET /events: {{to: news, stream: {{kind: sse, comment: 100ms}}}}
            """)
        browser = Browser(tmp_path)
        stack.callback(browser.close)
        browser.open(gateway.url + "/")
        assert browser.evaluate(SCRIPT) == \
            '{"heard":[5,200000],"closed":[4000,"enough"],"events":["0","1","2"]}'
        assert gateway.log_line("/chat")["websocket.close_code"] == 4000
