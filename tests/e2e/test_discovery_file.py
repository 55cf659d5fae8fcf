"""Endpoints from files that are watched."""

import json

import pytest
from discovery import answers, config, endpoints, named, source, wait_for_endpoints
from gateway import run_weir, wait_for


def replace(path, text):
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_a_file_that_changes(start, serve, tmp_path, kind):
    one, two = named(serve, "one"), named(serve, "two")
    path = tmp_path / f"back.{kind}"
    path.write_text(json.dumps([one.at]))
    gateway = start(config(f'"file://{path}"'))
    wait_for_endpoints(gateway, one.at)
    assert answers(gateway) == {"one": 20}
    replace(path, json.dumps({"endpoints": [one.at, {"address": two.at, "zone": "eu/a", "labels": {"v": "2"}}]}))
    wait_for_endpoints(gateway, one.at, two.at)
    assert set(answers(gateway)) == {"one", "two"}
    assert endpoints(gateway)[two.at]["zone"] == "a"
    path.write_text(json.dumps([{"address": one.at, "state": "drain"}, two.at]))  # in place
    wait_for(lambda: endpoints(gateway)[one.at]["state"] == "down")
    assert answers(gateway) == {"two": 20}
    assert one.connections <= 2 and two.connections <= 2, "what stays keeps its connections"


def test_one_of_ten_thousand(start, serve, tmp_path):
    """What changes is counted, and everybody else keeps the connections that they have."""
    living = [named(serve, name) for name in ("one", "two", "three")]
    drained = [{"address": f"10.0.{number // 250}.{number % 250 + 1}:80", "state": "drain"} for number in range(9996)]
    path = tmp_path / "back.json"
    path.write_text(json.dumps([*(one.at for one in living), *drained]))
    gateway = start(config(f'"file://{path}"'))

    def changes():
        return gateway.metric("weir_discovery_changes_total")

    with gateway.connect() as connection:
        def asked():
            return [connection.request("GET", "/").body.decode() for _ in range(12)]
        wait_for(lambda: changes() == 9999, 60)
        assert set(asked()) == {"one", "two", "three"}
        for number, more in enumerate([["10.1.0.1:80"], [{"address": "10.1.0.1:80", "state": "drain"}], []], 1):
            replace(path, json.dumps([*(one.at for one in living), *drained, *more]))
            wait_for(lambda: changes() == 9999 + number, 60)
            if number > 1:
                assert set(asked()) == {"one", "two", "three"}
    assert [one.connections for one in living] == [1, 1, 1]


def test_what_is_half_written_changes_nothing(start, serve, tmp_path):
    one, two = named(serve, "one"), named(serve, "two")
    path = tmp_path / "back.yaml"
    path.write_text(f'- "{one.at}"\n')
    gateway = start(config(f'"file://{path}"'))
    wait_for_endpoints(gateway, one.at)
    with open(path, "w") as file:  # the file is open: nobody knows yet what it will be
        file.write(f'- "{two.at}"\n')
        file.flush()
        other = tmp_path / "other"  # something happens in the folder all the same
        other.write_text("")
        wait_for(lambda: gateway.metric("weir_discovery_age_seconds") > 1)
        assert set(endpoints(gateway)) == {one.at}
        file.write(f'- "{one.at}"\n')
    wait_for_endpoints(gateway, one.at, two.at)


def test_what_is_broken_changes_nothing(start, serve, tmp_path):
    one = named(serve, "one")
    path = tmp_path / "back.json"
    path.write_text(json.dumps([one.at]))
    gateway = start(config(f'"file://{path}"'))
    wait_for_endpoints(gateway, one.at)
    path.write_text(f'["{one.at}",')
    wait_for(lambda: source(gateway)["state"] == "down")
    assert "line 1, column" in source(gateway)["trouble"]
    assert answers(gateway) == {"one": 20}
    path.unlink()
    path.write_text(json.dumps(["127.0.0.1:9", one.at]))
    wait_for_endpoints(gateway, one.at, "127.0.0.1:9")
    assert source(gateway)["state"] == "up"
    assert gateway.stderr.count("its last endpoints stay") == 1


def test_a_file_that_comes_later(start, serve, tmp_path):
    one = named(serve, "one")
    folder = tmp_path / "weir0"
    gateway = start(config("file://back.yaml"))  # beside the configuration
    wait_for(lambda: source(gateway)["state"] == "down")
    answer = gateway.get("/")
    assert answer.status == 503 and b"upstream-discovery" in answer.body
    (folder / "back.yaml").write_text(f'["{one.at}"]')
    wait_for_endpoints(gateway, one.at)
    assert answers(gateway) == {"one": 20}


def test_an_empty_file(start, serve, tmp_path):
    one = named(serve, "one")
    path = tmp_path / "back.json"
    path.write_text(json.dumps([one.at]))
    gateway = start(config(f'{{at: "file://{path}", grace: 3s}}'))
    wait_for_endpoints(gateway, one.at)
    path.write_text("[]")
    wait_for(lambda: source(gateway)["state"] == "empty")
    assert answers(gateway) == {"one": 20}
    wait_for_endpoints(gateway)
    assert gateway.get("/").status == 503


def test_reload_keeps_what_is_known(start, serve, tmp_path):
    one = named(serve, "one")
    path = tmp_path / "back.json"
    path.write_text(json.dumps([one.at]))
    gateway = start(config(f'"file://{path}"'))
    wait_for_endpoints(gateway, one.at)
    path.unlink()
    status, _ = gateway.reload(config(f'{{at: "file://{path}", timeout: 3s}}'))
    assert status == 200
    assert answers(gateway) == {"one": 20}


@pytest.mark.parametrize("service,complaint", [
    ("file:///run/back.txt", "ends with .json, .yaml or .yml"),
    ("file://", "something is missing"),
])
def test_bad_input(tmp_path, service, complaint):
    path = tmp_path / "weir.yaml"
    path.write_text(f'version: 1\nlisten: 127.0.0.1:0\nservices:\n  back: "{service}"\nroutes: {{/**: back}}\n')
    code, _, err = run_weir("check", path)
    assert code == 3 and complaint in err, err
