"""The access log: its forms, its files, and what happens when nobody takes its lines."""

import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest
from gateway import WEIR, wait_for
from http_client import Connection

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    log: {{{}}}
    routes:
      GET /page: {{respond: "0123456789"}}
      POST /page: {{respond: "0123456789"}}
    """


def config(text):
    return CONFIG.format(text)


def lines_of(path, count):
    def look():
        text = path.read_bytes() if path.exists() else b""
        lines = text[:text.rfind(b"\n") + 1].splitlines()
        return lines if len(lines) >= count else None
    return wait_for(look, what=f"{count} lines in {path}")


def test_every_field_of_the_json_form(start, serve):
    service = serve()
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        trusted: 127.0.0.0/8
        services: {{back: "{service.at}"}}
        routes: {{"/up/{{id}}": back}}
        """)
    gateway.request("POST", "/up/7?a=b&c", {"User-Agent": "agent/1", "X-Forwarded-For": "203.0.113.9",
                    "X-Request-Id": "my-id", "Host": "shop.example"}, b"12345")
    [line] = gateway.log_lines(1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 < line.pop("upstream.duration") <= line.pop("duration") < 60
    assert line == {
        "request.id": "my-id", "listener": "127.0.0.1:0", "client.address": "203.0.113.9",
        "http.request.method": "POST", "server.address": "shop.example", "url.path": "/up/7", "url.query": "a=b&c",
        "user_agent.original": "agent/1", "http.route": "/up/{id}", "service": "back",
        "upstream.address": service.at, "http.response.status_code": 200, "http.request.body.size": 5,
        "http.response.body.size": len("POST /up/7?a=b&c")}


def test_reasons(start):
    gateway = start(config("to: access.log"))
    path = gateway.folder / "access.log"
    with gateway.connect() as connection:
        connection.request("GET", "/nowhere")
        connection.request("DELETE", "/page")
        connection.send(b"GET /bad\x01 HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.read_answer()
    lines = [json.loads(line) for line in lines_of(path, 3)]
    assert [(line["http.response.status_code"], line["reason"]) for line in lines[:2]] == [
        (404, "no-route"), (405, "method-not-allowed")]
    assert lines[2]["http.response.status_code"] == 400 and lines[2]["reason"]


def test_combined_form(start):
    gateway = start(config("to: access.log, format: combined"))
    gateway.get("/page?q=1", {"Referer": "https://from.example/", "User-Agent": "agent/1"})
    [line] = lines_of(gateway.folder / "access.log", 1)
    assert re.fullmatch(rb'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                        rb'"GET /page\?q=1 HTTP/1\.1" 200 10 "https://from\.example/" "agent/1"', line), line


HOSTILE = ['quote" and \\backslash', "tab\there", "\x7f", "é\xff\xfe raw bytes", '{"json": true}', "<script>", "%0a%0d", "\x80\x81"]


@pytest.mark.parametrize("form", ["json", "combined"])
def test_hostile_values_stay_on_their_line(start, form):
    gateway = start(config(f"to: access.log, format: {form}"))
    for value in HOSTILE:
        with gateway.connect() as connection:
            connection.send(b"GET /page?q=%22%0A HTTP/1.1\r\nHost: a\r\nUser-Agent: " + value.encode("latin-1") +
                            b"\r\nReferer: \"\\x\r\n\r\n")
            connection.read_answer()
    gateway.get("/page", {"User-Agent": "last"})
    lines = lines_of(gateway.folder / "access.log", len(HOSTILE) + 1)
    assert len(lines) == len(HOSTILE) + 1
    for line in lines:
        if form == "json":
            assert isinstance(json.loads(line.decode("utf-8")), dict)
        else:
            assert re.fullmatch(rb'[^"]*"[^"]*" \d+ \d+ "[^"]*" "[^"]*"', line), line
            assert not re.search(rb"[\x00-\x1f\x7f]", line)


def test_reopened_after_rotation(start):
    gateway = start(config("to: access.log"))
    path, old = gateway.folder / "access.log", gateway.folder / "access.log.1"
    with gateway.connect() as connection:
        connection.request("GET", "/page?1")
        lines_of(path, 1)
        path.rename(old)
        connection.request("GET", "/page?2")
        lines_of(old, 2)
        gateway.signal(signal.SIGUSR1)
        wait_for(path.exists, what="the new file")
        connection.request("GET", "/page?3")
        assert b'"url.query":"3"' in lines_of(path, 1)[0]
        assert len(lines_of(old, 2)) == 2
        path.rename(gateway.folder / "access.log.2")
        assert gateway.control_request("POST", "/v1/log/reopen").status == 204
        wait_for(path.exists, what="the new file")
    assert os.stat(path).st_mode & 0o007 == 0, "others can read the log"


def counted(gateway, what):
    return gateway.metric(f"weir_access_log_{what}_total")


def test_rotation_under_load_loses_no_line(start):
    gateway = start(config("to: access.log"))
    path, number = gateway.folder / "access.log", 0
    with gateway.connect() as connection:
        for turn in range(5):
            for _ in range(200):
                connection.request("GET", f"/page?{number}")
                number += 1
            path.rename(f"{path}.{turn}")
            gateway.signal(signal.SIGUSR1)
            wait_for(path.exists, what="the new file")
    gateway.stop()
    queries = [json.loads(line)["url.query"] for file in gateway.folder.glob("access.log*")
               for line in file.read_text().splitlines()]
    assert sorted(map(int, queries)) == list(range(number))


def flood(gateway, count=400):
    """Longer lines fill pipe and ring sooner."""
    slowest = 0
    with gateway.connect() as connection:
        for _ in range(count):
            began = time.monotonic()
            assert connection.request("GET", "/page?" + "q" * 1000).status == 200
            slowest = max(slowest, time.monotonic() - began)
    return slowest


def test_a_pipe_that_nobody_reads(start, tmp_path):
    """Lines are dropped and counted; requests and the stop do not wait."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    gateway = start(config(f"to: {pipe}, buffer: 4KiB"))
    flood(gateway)
    dropped, handed = counted(gateway, "dropped"), counted(gateway, "lines")
    assert dropped > 100 and dropped + handed >= 400
    gateway.signal(signal.SIGUSR1)
    assert gateway.get("/page").status == 200
    assert gateway.reload(config("to: access.log"))[0] == 200
    gateway.get("/page?later")
    assert b"later" in lines_of(gateway.folder / "access.log", 1)[0]
    assert counted(gateway, "dropped") >= dropped, "a counter went backwards"


def test_a_pipe_whose_reader_comes_late_and_goes(start, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    gateway = start(config(f"to: {pipe}"))
    for number in range(3):
        gateway.get(f"/page?{number}")
        with open(pipe) as reader:
            assert json.loads(reader.readline())["url.query"] == str(number)
    gateway.get("/page?after")
    assert counted(gateway, "failed_writes") == 0


def test_stop_with_a_full_pipe(start, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    gateway = start(config(f"to: {pipe}, buffer: 64KiB"))
    flood(gateway)
    assert gateway.stop(30) == 0


def test_stdout_that_nobody_reads(tmp_path):
    """As when a pager holds the pipe: `weir run | less`."""
    (tmp_path / "weir.yaml").write_text(
        'version: 1\nlisten: "127.0.0.1:0"\nlog: {to: stdout, buffer: 4KiB}\nroutes: {/**: {respond: "a"}}\n')
    with open(tmp_path / "stderr", "wb") as stderr:
        process = subprocess.Popen([WEIR, "run", "weir.yaml", "--control", tmp_path / "c.sock"], cwd=tmp_path,
                                   stdout=subprocess.PIPE, stderr=stderr)
    try:
        text = lambda: (tmp_path / "stderr").read_text()  # noqa: E731
        wait_for(lambda: "serving" in text(), 20, "a gateway")
        port = int(re.search(r"127\.0\.0\.1:(\d+)", text()).group(1))
        with Connection(("127.0.0.1", port)) as connection:
            for _ in range(400):
                assert connection.request("GET", "/?" + "q" * 1000).status == 200
        process.terminate()
        assert process.wait(10) == 0, text()
        assert process.stdout.readline().startswith(b'{"time":')
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_stdout_stays_as_it_was_for_others(tmp_path):
    """Its pipe is shared: it must not cease to block for whoever else writes there."""
    (tmp_path / "weir.yaml").write_text(
        'version: 1\nlisten: "127.0.0.1:0"\nroutes: {/**: {respond: "a"}}\n')
    reader, writer = os.pipe()
    with open(tmp_path / "stderr", "wb") as stderr:
        process = subprocess.Popen([WEIR, "run", "weir.yaml", "--control", tmp_path / "c.sock"], cwd=tmp_path,
                                   stdout=writer, stderr=stderr)
    try:
        wait_for(lambda: "serving" in (tmp_path / "stderr").read_text(), 20, "a gateway")
        assert os.get_blocking(writer)
    finally:
        process.terminate()
        process.wait(10)
        os.close(reader)
        os.close(writer)


def test_full_disk(start):
    gateway = start(config("to: /dev/full"))
    for _ in range(10):
        assert gateway.get("/page").status == 200
    wait_for(lambda: counted(gateway, "dropped") == 10, what="ten lost lines")
    assert counted(gateway, "failed_writes") > 0
    assert gateway.status()["access_log"]["dropped"] == 10


def test_off(start):
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        log: off
        routes: {/**: {respond: "a"}}
        """)
    assert gateway.get("/").status == 200
    gateway.signal(signal.SIGUSR1)
    assert gateway.get("/").status == 200
    assert (gateway.folder / "stdout").read_text() == ""


def test_a_whole_buffer_of_lines_is_written(start):
    gateway = start(config("to: access.log"))

    def call(worker):
        with gateway.connect() as connection:
            for number in range(300):
                connection.request("GET", f"/page?{worker}-{number}")

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    gateway.stop()
    lines = [json.loads(line)["url.query"] for line in (gateway.folder / "access.log").read_text().splitlines()]
    assert sorted(lines) == sorted(f"{worker}-{number}" for worker in range(4) for number in range(300))
