"""What the gateway itself remembers: `state:`, in memory and in a file."""

import sqlite3
import textwrap

import pytest
from gateway import run_weir

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    state: {state}
    routes: {{/**: {{respond: "ok"}}}}
    """


def config(state):
    return CONFIG.format(state=state)


def test_memory_is_always_there_and_bounded(start):
    gateway = start(config("{memory: 8MiB}"))
    assert gateway.status()["memory"] == {"bytes": 0, "limit": 8 << 20, "entries": 0, "evicted": 0, "refused": 0}
    assert gateway.status()["durable"] is None
    assert gateway.metric("weir_store_memory_limit_bytes") == 8 << 20
    assert gateway.metric("weir_store_memory_bytes") == 0
    assert gateway.reload(config("{memory: 16MiB}"))[0] == 200
    assert gateway.status()["memory"]["limit"] == 16 << 20


def test_a_file_is_made_and_shown(start, tmp_path):
    path = tmp_path / "state.db"
    gateway = start(config(path))
    shown = gateway.status()["durable"]
    assert shown.pop("bytes") > 0
    assert shown == {"file": str(path), "state": "good", "pending": 0, "trouble": None}
    assert path.stat().st_mode & 0o777 == 0o600
    assert gateway.metric("weir_store_durable_bytes") > 0
    assert gateway.metric("weir_store_durable_failures_total") == 0
    assert gateway.reload()[0] == 200
    assert gateway.status()["durable"]["state"] == "good"


def test_it_is_taken_along_by_a_gateway_that_was_killed(start, tmp_path):
    path = tmp_path / "state.db"
    gateway = start(config(path), check=False)
    gateway.process.kill()
    gateway.process.wait(60)
    assert start(config(path)).status()["durable"]["state"] == "good"


def make_text(path):
    path.write_text("no database at all, but a letter to somebody\n" * 100)


def make_other(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE account (name TEXT)")
    database.commit()
    database.close()


@pytest.mark.parametrize("make, why", [
    (make_text, "it is no SQLite database"),
    (make_other, "it is a database of another program"),
    (lambda path: path.mkdir(), "it cannot be opened: Is a directory")])
def test_a_file_that_cannot_be_it_is_refused_and_left_alone(start, tmp_path, make, why):
    path = tmp_path / "state.db"
    gateway = start(config("{memory: 8MiB}"))
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    status, answer = gateway.reload(config(path))
    assert status == 422
    assert f"the state's file cannot be used: {why}" in str(answer)
    assert path.is_dir() or path.read_bytes() == before
    assert gateway.get("/").status == 200


def test_a_check_touches_no_file(tmp_path):
    path = tmp_path / "state.db"
    file = tmp_path / "weir.yaml"
    file.write_text(textwrap.dedent(config(path)))
    assert run_weir("check", file)[0] == 0
    assert not path.exists()
