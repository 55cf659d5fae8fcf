"""What a reload or a stop takes away while somebody still uses it. The sanitizers see more than the assertions."""

import re
import time

import http_client
from gateway import wait_for

TWO = """
    version: 1
    listen: {listen}
    admin: "127.0.0.1:0"
    drain: 5s
    services: {{back: "{at}"}}
    routes: {{/**: back, GET /here: {{respond: "here"}}}}
    """


def test_connections_keep_the_name_of_a_listener_that_went(start, serve, tmp_path):
    path = tmp_path / "first.sock"
    at = serve().at
    gateway = start(TWO.format(listen=f'["127.0.0.1:0", "unix:{path}"]', at=at))
    with http_client.Connection(str(path)) as connection:
        assert connection.request("GET", "/here").status == 200
        # Other listeners come meanwhile, in the memory of the one that goes.
        for number in range(4):
            others = ", ".join(f'"unix:{tmp_path}/{number}{letter}.sock"' for letter in "abcd")
            status, _ = gateway.reload(TWO.format(listen=f'["127.0.0.1:0", {others}]', at=at))
            assert status == 200
        assert not path.exists()
        assert connection.request("GET", "/here").status == 200
    lines = gateway.log_lines(2)
    assert [line["listener"] for line in lines] == [f"unix:{path}"] * 2
    assert gateway.metric("weir_http_requests_total", listener=f"unix:{path}") == 2


def test_an_answer_that_outlives_the_listeners_names_its_own(start, serve):
    def slow(peer):
        peer.upstream.requests.append(peer.read_request())
        time.sleep(1)
        peer.answer(b"late")

    service = serve(slow)
    gateway = start(TWO.format(listen='"127.0.0.1:0"', at=service.at))
    with gateway.connect() as connection:
        connection.send_request("GET", "/slow")
        wait_for(lambda: service.requests, what="the request at the service")
        gateway.signal(15)
        assert connection.read_answer().body == b"late"
    assert gateway.process.wait(20) == 0
    assert gateway.log_lines(1)[0]["listener"] == "127.0.0.1:0"


def test_interim_answers_that_nobody_reads(start, serve, tmp_path):
    """Two fibers want to write interim answers to a client that reads nothing: in turn, and not for ever."""
    hints = b"HTTP/1.1 103 X\r\nLink: <" + b"h" * 7000 + b">\r\n\r\n"

    def talkative(peer):
        peer.upstream.requests.append(peer.read_head())
        for _ in range(30):
            peer.send(hints)
        peer.read_body(peer.upstream.requests[0])

    service, path = serve(talkative), tmp_path / "in.sock"
    gateway = start(f"""
        version: 1
        listen: "unix:{path}"
        http: {{body-timeout: 2s}}
        services: {{back: "{service.at}"}}
        routes: {{/**: back}}
        """)
    with http_client.Connection(str(path)) as connection:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
        connection.send(head)
        wait_for(lambda: service.requests, what="the request at the service")
        line = gateway.log_lines(1)[0]
        assert line["http.response.status_code"] in (499, 504)
        received = connection.read_to_end()
    places = [found.start() for found in re.finditer(rb"HTTP/1\.1 ", received)]
    assert len(places) > 1
    assert all(place == 0 or received[:place].endswith(b"\r\n\r\n") for place in places)
