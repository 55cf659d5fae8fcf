"""Load shedding: a service that fails too much keeps those who matter."""

import json

import pytest
from gateway import run_weir


def flaky(share):
    """Fails that share of the time, evenly."""
    due = 0

    def script(peer):
        nonlocal due
        while True:
            peer.read_request()
            due += share
            peer.answer(b"x", status=500 if due >= 1 else 200)
            due -= due >= 1
    return script


def config(service, more):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        workers: 2
        services: {{back: {{at: "{service.at}", outlier: {{failures: 0}}, {more}}}}}
        routes:
          /high/**: {{to: back, importance: high}}
          /low/**: {{to: back, importance: low}}
          /**: back
        """


def ask(gateway, count):
    answers = {"/high/x": [], "/usual": [], "/low/x": []}
    with gateway.connect() as connection:
        for _ in range(count):
            for path, statuses in answers.items():
                statuses.append(connection.request("GET", path).status)
    return {path: statuses.count(503) / count for path, statuses in answers.items()}


def test_the_low_are_shed_first(start, serve):
    gateway = start(config(serve(flaky(0.3)), "shed: 95%"))
    ask(gateway, 100)
    shed = ask(gateway, 200)
    assert shed["/high/x"] == 0 and shed["/low/x"] > 0.4 and shed["/usual"] < 0.25
    while (answer := gateway.get("/low/y")).status != 503:
        pass
    assert json.loads(answer.body)["reason"] == "load-shed" and answer.header("Retry-After") == "1"
    [said] = gateway.status()["services"]
    assert 0.1 < said["pressure"] < 0.5
    assert gateway.metric("weir_upstream_failures_total", service="back", reason="load-shed") > 100


def test_a_reload_forgets_nothing(start, serve):
    service = serve(flaky(1))
    gateway = start(config(service, "shed: 95%"))
    ask(gateway, 50)
    assert gateway.reload(config(service, "shed: 90%"))[0] == 200
    assert gateway.status()["services"][0]["pressure"] > 0.5
    assert all(share > 0.5 for share in ask(gateway, 200).values())


def test_a_service_that_does_well_keeps_all(start, serve):
    gateway = start(config(serve(flaky(0.01)), "shed: 95%"))
    assert ask(gateway, 100) == {"/high/x": 0, "/usual": 0, "/low/x": 0}


@pytest.mark.parametrize("more,says", [("shed: often", "%"), ("shed: {below: 101%}", "100%"), ("shed: {above: 5%}", "unknown option")])
def test_errors(tmp_path, serve, more, says):
    path = tmp_path / "weir.yaml"
    path.write_text(config(serve(), more).replace("\n        ", "\n"))
    code, out, err = run_weir("check", path)
    assert code == 3 and says in out + err
