"""A new configuration replaces the old one: how it is asked for, and what a bad one does."""

import json
import os
import signal

import pytest
from gateway import run_weir, wait_for

CONFIG = """
    version: 1
    listen: "127.0.0.1:0"
    workers: 2
    routes: {{/**: {{respond: "{}"}}}}
    """
BAD = """
    version: 1
    listen: "127.0.0.1:0"
    services: {back: "127.0.0.1:1"}
    routes:
      /**: bakc
    """


def says(gateway, text):
    wait_for(lambda: gateway.get("/").body == text.encode(), what=f"an answer {text}")


def test_control_socket(start):
    gateway = start(CONFIG.format("one"), "--no-watch")
    says(gateway, "one")
    status, answer = gateway.reload(CONFIG.format("two"))
    assert (status, answer["ok"], answer["generation"]) == (200, True, 2)
    assert gateway.get("/").body == b"two"


def test_command(start):
    gateway = start(CONFIG.format("one"), "--no-watch")
    gateway.write_config(CONFIG.format("two"))
    code, _, error = run_weir("reload", "--control", gateway.control)
    assert code == 0 and "reloaded" in error
    assert gateway.get("/").body == b"two"


def test_hangup_signal(start):
    gateway = start(CONFIG.format("one"), "--no-watch")
    gateway.write_config(CONFIG.format("two"))
    gateway.signal(signal.SIGHUP)
    says(gateway, "two")


def test_file_written_in_place(start):
    gateway = start(CONFIG.format("one"))
    text = gateway.config_path.read_text().replace("one", "two")
    with open(gateway.config_path, "r+") as file:
        file.truncate(0)
        file.write(text)
    says(gateway, "two")


def test_file_replaced_by_rename(start):
    gateway = start(CONFIG.format("one"))
    for text in ["two", "three", "four"]:
        gateway.write_config(CONFIG.format(text))
        says(gateway, text)


def test_file_removed_and_written_again(start):
    gateway = start(CONFIG.format("one"))
    gateway.config_path.unlink()
    assert gateway.get("/").body == b"one"
    gateway.write_config(CONFIG.format("two"))
    says(gateway, "two")


def swap_link(link, target):
    """As Kubernetes does it for a mounted ConfigMap: a new link is renamed over the old one."""
    fresh = link.with_name(link.name + "_tmp")
    os.symlink(target, fresh)
    os.rename(fresh, link)


def test_link_swapped_as_kubernetes_does(start, tmp_path):
    """weir.yaml -> ..data/weir.yaml, ..data -> ..version: only ..data changes."""
    gateway = start(CONFIG.format("zero"), "--no-watch")  # for its listener's form only
    folder = tmp_path / "mounted"
    folder.mkdir()

    def version(name, text):
        (folder / name).mkdir()
        (folder / name / "weir.yaml").write_text(gateway.config_path.read_text().replace("zero", text))

    version("..v1", "one")
    os.symlink("..v1", folder / "..data")
    os.symlink("..data/weir.yaml", folder / "weir.yaml")
    mounted = start(CONFIG.format("unused"), path=folder / "weir.yaml")
    assert mounted.get("/").body == b"one"
    for number, text in enumerate(["two", "three"], 2):
        version(f"..v{number}", text)
        swap_link(folder / "..data", f"..v{number}")
        says(mounted, text)


def test_link_to_a_file_elsewhere(start, tmp_path):
    """The file behind the link is what counts, in whatever folder it lies."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    first = start(CONFIG.format("one"), "--no-watch")
    (elsewhere / "real.yaml").write_text(first.config_path.read_text())
    link = tmp_path / "link.yaml"
    link.symlink_to(elsewhere / "real.yaml")
    gateway = start(CONFIG.format("unused"), path=link)
    (elsewhere / "real.yaml").write_text(first.config_path.read_text().replace("one", "two"))
    says(gateway, "two")


def test_folder(start, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.yaml").write_text('version: 1\nlisten: "127.0.0.1:0"\nlog: off\n')
    (folder / "b.yaml").write_text('routes: {/a: {respond: "a"}}\n')
    gateway = start(CONFIG.format("unused"), path=folder)
    assert gateway.get("/a").body == b"a"
    (folder / "b.yaml").write_text('routes: {/a: {respond: "a"}, /c: {respond: "c"}}\n')
    wait_for(lambda: gateway.get("/c").body == b"c", what="the new route")


def test_bad_file_is_refused_with_its_place(start):
    gateway = start(CONFIG.format("one"), "--no-watch")
    status, answer = gateway.reload(BAD)
    assert status == 422 and not answer["ok"] and answer["generation"] == 1
    [problem] = answer["diagnostics"]
    assert (problem["line"], problem["column"], problem["severity"]) == (6, 8, "error")
    assert "bakc" in problem["message"] and "back" in problem["hint"]
    assert gateway.get("/").body == b"one"
    assert gateway.metric("weir_config_last_reload_success") == 0
    assert gateway.status()["config"]["failed_reloads"] == 1

    code, _, error = run_weir("reload", "--control", gateway.control)
    assert code == 3
    assert "weir.yaml:6:8: error:" in error and "bakc" in error and "back" in error
    code, output, _ = run_weir("reload", "--control", gateway.control, "--json")
    assert code == 3 and json.loads(output)["diagnostics"][0]["line"] == 6

    gateway.signal(signal.SIGHUP)
    wait_for(lambda: "weir.yaml:6:8: error:" in gateway.stderr and "old one goes on" in gateway.stderr, what="a complaint")
    assert gateway.get("/").body == b"one"
    assert gateway.reload(CONFIG.format("two"))[0] == 200
    assert gateway.get("/").body == b"two"
    assert gateway.metric("weir_config_last_reload_success") == 1


def test_file_that_is_missing_or_not_readable(start):
    gateway = start(CONFIG.format("one"), "--no-watch")
    text = gateway.config_path.read_text()
    gateway.config_path.unlink()
    status, answer = gateway.reload()
    assert status == 422 and answer["diagnostics"], answer
    gateway.config_path.mkdir()
    assert gateway.reload()[0] == 422
    gateway.config_path.rmdir()
    gateway.config_path.write_text(text)
    assert gateway.reload()[0] == 200
    assert gateway.get("/").body == b"one"


def test_reload_without_a_gateway(tmp_path):
    code, _, error = run_weir("reload", "--control", tmp_path / "nobody.sock")
    assert code == 1 and "no gateway answers" in error


def test_another_number_of_workers_needs_a_restart(start):
    gateway = start(CONFIG.format("one"), "--no-watch")
    status, answer = gateway.reload(CONFIG.format("two").replace("workers: 2", "workers: 3"))
    assert status == 200 and answer["ok"]
    [warning] = answer["diagnostics"]
    assert warning["severity"] == "warning" and warning["line"] == 4, warning
    assert "restart" in warning["message"] + warning["hint"]
    assert gateway.get("/").body == b"two"
    assert gateway.status()["workers"] == 2
    code, _, error = run_weir("reload", "--control", gateway.control)
    assert code == 0 and "restart" in error


@pytest.mark.parametrize("how", ["command", "signal"])
def test_admin_addresses_come_and_go(start, how, free_port):
    gateway = start(CONFIG.format("one"), "--no-watch")
    port = free_port()
    gateway.write_config(CONFIG.format("two").rstrip(" ") + f'    admin: "127.0.0.1:{port}"\n')
    reload = (lambda: run_weir("reload", "--control", gateway.control)) if how == "command" else (
        lambda: gateway.signal(signal.SIGHUP))
    reload()
    wait_for(lambda: reachable(port), what="the admin address")
    gateway.write_config(CONFIG.format("three"))
    reload()
    wait_for(lambda: not reachable(port), what="the admin address's end")


def reachable(port):
    import socket
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    except ConnectionRefusedError:
        return False


def test_admin_address_in_use_refuses_the_reload(start, free_port):
    import socket
    gateway = start(CONFIG.format("one"), "--no-watch")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, answer = gateway.reload(CONFIG.format("two").rstrip(" ") + f'    admin: "127.0.0.1:{port}"\n')
    assert status == 422, answer
    assert "in use" in answer["diagnostics"][0]["message"]
    assert gateway.get("/").body == b"one"
    assert gateway.reload(CONFIG.format("two"))[0] == 200
