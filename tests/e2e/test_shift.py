"""weir shift: versions get other shares at once, and what was said holds until something else is said."""

import getpass
import json
import os
import re
import threading

import pytest
from gateway import run_weir, wait_for
from http_client import Closed, Connection
from l4_peers import TcpService, connect, named, read_line
from test_balance import Named
from test_upgrade import upgraded  # noqa: F401
from test_versions import USERS, versions

KEY = "stay: header.x-user"


def shift(gateway, *words):
    return run_weir("shift", *words, "--control", gateway.control)


def shares(gateway, service="order"):
    """What each version gets now, in percent."""
    [found] = [one for one in gateway.status()["services"] if one["name"] == service]
    return {version["name"]: round(version["share"] * 100, 3) for version in found["versions"]}


@pytest.fixture
def colours(start, serve):
    """A gateway in front of blue, which has all, and green: (gateway, how to write its configuration)."""
    blue, green = serve(Named("blue")), serve(Named("green"))

    def write(share="0%", more="", beside=KEY):
        return f"""
            version: 1
            listen: "127.0.0.1:0"
            workers: 2
            services:
              order: {{{beside}, versions: {{blue: "{blue.at}", green: {{at: "{green.at}", share: {share} {more}}}}}}}
            routes: {{/orders/**: order}}
            """
    return start(write(), "--no-watch"), write


def test_blue_green_and_back(colours):
    gateway, _ = colours
    assert set(versions(gateway, USERS[:20])) == {"blue"}
    code, said, _ = shift(gateway, "order", "green", "100%")
    assert code == 0 and said == "blue 0%\ngreen 100%\n", said
    assert set(versions(gateway, USERS[:20])) == {"green"}
    assert gateway.metric("weir_version_share_ratio", version="green") == 1
    assert shift(gateway, "order", "blue", "100%")[0] == 0
    assert set(versions(gateway, USERS[:20])) == {"blue"}
    assert gateway.metric("weir_version_shifts_total", service="order", by="operator") == 2


def test_a_shift_is_seen_whole_by_everybody(colours):
    """Whoever asks after the command has ended, on whichever worker, gets the new version, and nobody fails meanwhile."""
    gateway, _ = colours
    expected, wrong, ends = ["blue"], [], threading.Event()
    asked = [0] * 6

    def ask(number):
        connection = Connection(gateway.address, 20)
        try:
            while not ends.is_set():
                before = expected[0]
                answer = connection.request("GET", "/orders/1", {"X-User": f"u{number}"}).body.decode()
                after = expected[0]
                if answer not in ("blue", "green") or (before == after != "both" and answer != before):
                    wrong.append((before, answer, after))
                asked[number] += 1
        except (OSError, Closed) as error:
            wrong.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(10):
            to = "green" if turn % 2 == 0 else "blue"
            expected[0] = "both"
            assert shift(gateway, "order", to, "100%")[0] == 0
            expected[0] = to
            seen = list(asked)
            wait_for(lambda seen=seen: wrong or all(now > then for now, then in zip(asked, seen)), 30, "requests")
    finally:
        ends.set()
        for thread in threads:
            thread.join(30)
    assert wrong == []


def test_users_stay_where_they_can(colours):
    gateway, _ = colours
    assert shift(gateway, "order", "green", "20%")[0] == 0
    first = versions(gateway, USERS)
    assert 50 <= first.count("green") <= 115, first.count("green")  # 80 ± 4.4 standard deviations
    assert shift(gateway, "order", "green", "40%")[0] == 0
    second = versions(gateway, USERS)
    assert all(has == "green" for had, has in zip(first, second) if had == "green")
    assert second.count("green") > first.count("green")
    assert shift(gateway, "order", "green", "20%")[0] == 0
    assert versions(gateway, USERS) == first


def test_who_and_when(colours):
    gateway, _ = colours
    assert shift(gateway, "order", "green", "25%", "--by", "pipeline 17")[0] == 0
    [service] = [one for one in gateway.status()["services"] if one["name"] == "order"]
    who = f"pipeline 17 (uid {os.getuid()})"
    assert service["shift"]["by"] == who
    assert re.fullmatch(r"20\d\d-.*Z", service["shift"]["time"])
    assert service["events"][0]["what"] == f"shifted by {who}: blue 75%, green 25%"
    assert f"weir: service order: shifted by {who}: blue 75%, green 25%" in gateway.stderr
    assert gateway.metric("weir_version_shift_timestamp_seconds", service="order") > 1.7e9
    _, said, _ = run_weir("status", "--control", gateway.control)
    assert re.search(rf"service order, .*, shifted at {service['shift']['time']} by {re.escape(who)}", said), said
    assert re.search(r"green +25%, 0% in the file", said), said
    assert shift(gateway, "order", "green", "30%")[0] == 0
    [service] = [one for one in gateway.status()["services"] if one["name"] == "order"]
    assert service["shift"]["by"] == f"{os.environ.get('SUDO_USER') or getpass.getuser()} (uid {os.getuid()})"


def test_explain_tells_what_holds(colours):
    gateway, _ = colours
    assert shift(gateway, "order", "green", "25%")[0] == 0
    ask = ["explain", "GET /orders/1", gateway.config_path, "--control", gateway.control]
    _, said, _ = run_weir(*ask)
    assert "version:  green, 25% now, 0% in the file" in said, said
    _, said, _ = run_weir(*ask, "--json")
    assert json.loads(said)["versions"][1]["share"] == 0.25, said


def test_reloads_change_nothing_until_the_shares_do(colours):
    gateway, write = colours
    assert shift(gateway, "order", "green", "100%")[0] == 0
    assert gateway.reload(write(beside=f"{KEY}, timeout: 7s"))[0] == 200
    assert shares(gateway) == {"blue": 0, "green": 100}
    assert set(versions(gateway, USERS[:20])) == {"green"}
    assert gateway.reload(write("nonsense"))[0] == 422
    assert set(versions(gateway, USERS[:20])) == {"green"}
    assert gateway.reload(write("5%"))[0] == 200
    assert shares(gateway) == {"blue": 95, "green": 5}
    assert versions(gateway, USERS).count("green") < 100
    assert "service order: the file has other versions or shares, which hold: blue 95%, green 5%" in gateway.stderr
    assert gateway.metric("weir_version_shifts_total", service="order", by="file") == 1
    assert gateway.reload(write())[0] == 200
    assert set(versions(gateway, USERS[:20])) == {"blue"}, "what was said once does not come back"


def test_back_to_the_file(colours):
    gateway, _ = colours
    assert shift(gateway, "order", "green", "60%")[0] == 0
    code, said, _ = shift(gateway, "order", "--reset")
    assert code == 0 and said == "blue 100%\ngreen 0%\n"
    assert shares(gateway) == {"blue": 100, "green": 0}
    assert not [one for one in gateway.status()["services"] if one["name"] == "order"][0].get("shift")


def test_upgrades_change_nothing(colours, upgraded):  # noqa: F811
    gateway, write = colours
    one = upgraded(gateway)
    assert shift(gateway, "order", "green", "100%", "--by", "ada")[0] == 0
    before = [service["shift"] for service in gateway.status()["services"] if service["name"] == "order"]
    for _ in range(2):
        assert one.upgrade()[0] == 0
        assert set(versions(gateway, USERS[:20])) == {"green"}
        assert [service["shift"] for service in gateway.status()["services"] if service["name"] == "order"] == before
    assert gateway.reload(write(beside=f"{KEY}, timeout: 7s"))[0] == 200
    assert set(versions(gateway, USERS[:20])) == {"green"}
    assert shift(gateway, "order", "blue", "100%")[0] == 0
    gateway.write_config(write("30%"))
    assert one.upgrade()[0] == 0
    assert shares(gateway) == {"blue": 70, "green": 30}, "the file has changed with the program"


def test_several_versions(start, serve):
    a, b, c = serve(Named("a")), serve(Named("b")), serve(Named("c"))
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        services:
          order:
            versions: {{a: "{a.at}", b: {{at: "{b.at}", share: 20%}}, c: {{at: "{c.at}", share: 10%}}}}
        routes: {{/**: order}}
        """)
    assert shift(gateway, "order", "c", "40%")[0] == 0
    assert shares(gateway) == {"a": 46.667, "b": 13.333, "c": 40}, "the others divide the rest as before"
    assert shift(gateway, "order", "a", "10%", "b", "20%")[0] == 0
    assert shares(gateway) == {"a": 10, "b": 20, "c": 70}
    assert shift(gateway, "order", "b", "100%")[0] == 0
    assert shift(gateway, "order", "b", "50%")[0] == 0
    assert shares(gateway) == {"a": 43.75, "b": 50, "c": 6.25}, "those who had nothing: as the file divides it"


def test_conditions_stay_at_zero(colours):
    gateway, write = colours
    assert gateway.reload(write("10%", ", when: header.x-canary"))[0] == 200
    assert shift(gateway, "order", "green", "0%")[0] == 0
    assert set(versions(gateway, USERS[:20])) == {"blue"}
    assert gateway.get("/orders/1", {"X-Canary": "1"}).body == b"green"


def test_tcp(start):
    with TcpService(named("blue")) as blue, TcpService(named("green")) as green:
        gateway = start(f"""
            version: 1
            listen: {{tcp: {{"127.0.0.1:0": {{to: order}}}}}}
            drain: 1s
            services: {{order: {{versions: {{blue: "{blue.at}", green: {{at: "{green.at}", share: 0%}}}}}}}}
            """)
        for colour in "blue", "green", "blue":
            assert shift(gateway, "order", colour, "100%")[0] == 0
            for _ in range(5):
                with connect(gateway) as client:
                    assert read_line(client) == colour


@pytest.mark.parametrize("words,says,code", [
    (("ordr", "green", "10%"), 'no service "ordr"', 1),
    (("order", "gren", "10%"), 'no version "gren"', 1),
    (("order", "green", "70%", "blue", "60%"), "130% together", 1),
    (("order", "green", "10%", "blue", "60%"), "No version is left for the other 30%", 1),
    (("order", "green", "10%", "green", "20%"), "names a version twice", 2),
    (("order", "green", "110%"), '"110%" is no share of a version', 1),
    (("order", "green", "10"), '"10" is no share of a version', 1),
    (("order.green", "green", "10%"), "has no versions", 1),
    (("order", "green", "10%", "--by", "a\tb"), "What is wanted", 1),
    (("order", "green"), "needs a service, a version and its share", 2),
    (("order",), "needs a service, a version and its share", 2),
    (("order", "green", "10%", "--reset"), "--reset takes no shares", 2)])
def test_mistakes(colours, words, says, code):
    gateway, _ = colours
    found, _, said = shift(gateway, *words)
    assert found == code and says in said, said
    assert shares(gateway) == {"blue": 100, "green": 0}
    assert gateway.metric("weir_version_shifts_total") == 0
