"""Listeners appear and disappear with reloads, and so does the log."""

import socket
import threading

import pytest
from gateway import run_weir, wait_for
from http_client import Connection

CONFIG = """
    version: 1
    listen: [{}]
    workers: 2
    routes: {{/**: {{respond: "${{client.ip}}"}}}}
    """


def config(*addresses):
    return CONFIG.format(", ".join(f'"{address}"' for address in addresses))


def get(address):
    with Connection(address) as connection:
        return connection.request("GET", "/").status


def refuses(address):
    try:
        Connection(address).close()
        return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True


def test_appear_and_disappear(start, free_port):
    first, second = free_port(), free_port()
    gateway = start(config(f"127.0.0.1:{first}"), "--no-watch")
    assert refuses(("127.0.0.1", second))
    assert gateway.reload(config(f"127.0.0.1:{first}", f"127.0.0.1:{second}"))[0] == 200
    assert get(("127.0.0.1", first)) == get(("127.0.0.1", second)) == 200
    with Connection(("127.0.0.1", first)) as used, Connection(("127.0.0.1", first)) as unused:
        assert used.request("GET", "/").status == 200
        assert gateway.reload(config(f"127.0.0.1:{second}"))[0] == 200
        assert refuses(("127.0.0.1", first))
        for _ in range(3):
            answer = used.request("GET", "/")
            assert answer.status == 200 and answer.header("Connection") is None
        assert unused.request("GET", "/").status == 200
    assert get(("127.0.0.1", second)) == 200
    assert [one["address"] for one in gateway.status()["listeners"]] == [f"127.0.0.1:{second}"]
    assert gateway.reload(config(f"127.0.0.1:{first}"))[0] == 200
    assert get(("127.0.0.1", first)) == 200


def test_connections_that_waited_in_a_removed_listeners_queue(start, free_port):
    first, second = free_port(), free_port()
    gateway = start(config(f"127.0.0.1:{first}", f"127.0.0.1:{second}"), "--no-watch")
    for _ in range(10):
        waiting = [Connection(("127.0.0.1", first)) for _ in range(20)]
        assert gateway.reload(config(f"127.0.0.1:{second}"))[0] == 200
        for connection in waiting:
            assert connection.request("GET", "/").status == 200
            connection.close()
        assert gateway.reload(config(f"127.0.0.1:{first}", f"127.0.0.1:{second}"))[0] == 200


def test_address_in_use_keeps_the_old_configuration(start, free_port):
    first, other = free_port(), free_port()
    gateway = start(config(f"127.0.0.1:{first}"), "--no-watch")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        new = config(f"127.0.0.1:{other}", f"127.0.0.1:{port}")
        status, answer = gateway.reload(new)
        assert status == 422
        [problem] = answer["diagnostics"]
        assert "in use" in problem["message"] and str(port) in problem["message"]
        column = new.splitlines()[2].index(f'"127.0.0.1:{port}"') - 4 + 1
        assert (problem["line"], problem["column"]) == (3, column)
        assert get(("127.0.0.1", first)) == 200
        assert refuses(("127.0.0.1", other)), "a listener of the refused configuration stayed open"
        code, _, error = run_weir("reload", "--control", gateway.control)
        assert code == 3 and "in use" in error
    assert gateway.reload(new)[0] == 200
    assert get(("127.0.0.1", port)) == get(("127.0.0.1", other)) == 200


def test_from_one_address_to_all_and_back(start, free_port):
    """Both cannot be open at once without care; and nobody who connects meanwhile is lost."""
    port = free_port()
    one, every = f"127.0.0.1:{port}", f":{port}"
    gateway = start(config(one), "--no-watch")
    stop, answered, failures = threading.Event(), [], []

    def knock():
        while not stop.is_set():
            try:
                answered.append(get(("127.0.0.1", port)))
            except Exception as error:
                failures.append(error)

    knockers = [threading.Thread(target=knock) for _ in range(4)]
    for knocker in knockers:
        knocker.start()
    try:
        with Connection(("127.0.0.1", port)) as kept:
            for address in [every, one, f"0.0.0.0:{port}", one] * 5:
                status, answer = gateway.reload(config(address))
                assert status == 200, answer
                assert kept.request("GET", "/").status == 200
                assert refuses(("127.0.0.2", port)) == (address == one)
    finally:
        stop.set()
        for knocker in knockers:
            knocker.join()
    assert not failures and set(answered) == {200}
    with pytest.raises(OSError):
        socket.create_server(("127.0.0.1", port))


def test_unix_listener(start, tmp_path, free_port):
    path, port = tmp_path / "listen.sock", free_port()
    gateway = start(config(f"127.0.0.1:{port}"), "--no-watch")
    for _ in range(3):
        assert gateway.reload(config(f"127.0.0.1:{port}", f"unix:{path}"))[0] == 200
        assert get(str(path)) == 200
        with Connection(str(path)) as kept:
            assert kept.request("GET", "/").status == 200
            assert gateway.reload(config(f"127.0.0.1:{port}"))[0] == 200
            assert not path.exists()
            assert kept.request("GET", "/").status == 200


def test_an_address_written_in_another_way(start, tmp_path, free_port):
    """It is the same address: it neither is in use nor ceases to listen."""
    port = free_port()
    gateway = start(config(f":{port}"), "--no-watch")
    with Connection(("127.0.0.1", port)) as kept:
        for address in [f"[::]:{port}", f":{port}", f"[0::0]:{port}"]:
            status, answer = gateway.reload(config(address))
            assert status == 200, answer
            assert kept.request("GET", "/").status == 200
            assert get(("127.0.0.1", port)) == 200
    names = {line["listener"] for line in gateway.log_lines(6)}
    assert f"[0::0]:{port}" in names and f":{port}" in names


def test_log_target_changes(start, tmp_path):
    gateway = start(config("127.0.0.1:0"), "--no-watch")
    gateway.get("/one")
    assert gateway.log_lines(1)[0]["url.path"] == "/one"
    other = tmp_path / "other.log"
    with gateway.connect() as connection:
        connection.request("GET", "/two")
        assert gateway.reload(config("127.0.0.1:0") .rstrip(" ") + f"    log: {{to: {other}, format: combined}}\n")[0] == 200
        connection.request("GET", "/three")
        wait_for(lambda: other.exists() and "GET /three" in other.read_text(), what="a line in the new log")
        assert [line["url.path"] for line in gateway.log_lines(2)] == ["/one", "/two"]
        status, answer = gateway.reload(config("127.0.0.1:0") .rstrip(" ") + "    log: {to: /nowhere/at/all.log}\n")
        assert status == 422 and "cannot open" in answer["diagnostics"][0]["message"]
        connection.request("GET", "/four")
        wait_for(lambda: "GET /four" in other.read_text(), what="a line in the log that was kept")
        assert gateway.reload(config("127.0.0.1:0") .rstrip(" ") + "    log: off\n")[0] == 200
        connection.request("GET", "/five")
        assert gateway.reload(config("127.0.0.1:0"))[0] == 200
        connection.request("GET", "/six")
    assert [line["url.path"] for line in gateway.log_lines(3)] == ["/one", "/two", "/six"]
    assert "/five" not in other.read_text()
