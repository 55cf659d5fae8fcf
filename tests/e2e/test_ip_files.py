"""Lists of addresses in files that other programs write: what they say holds without a reload."""

import pytest
from gateway import run_weir, wait_for
from h2_client import Connection as H2Connection

FILE_READS = "weir_file_reads_total"


def put(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


@pytest.fixture
def guarded(start, serve, tmp_path):
    """(gateway, deny list, allow list): only 192.0.2.0/24 is let in, by what a trusted proxy says."""
    deny, allow = tmp_path / "deny.txt", tmp_path / "allow.txt"
    deny.write_text("# nobody\n")
    allow.write_text("192.0.2.0/24 # the office\n")
    gateway = start(f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        trusted: loopback
        ip: {{office: {{deny-file: "{deny}", allow-file: ["{allow}"]}}}}
        services: {{back: "{serve().at}"}}
        routes: {{/**: {{to: back, use: [ip.office]}}}}
        """)
    return gateway, deny, allow


def status_for(gateway, client):
    return gateway.get("/", {"X-Forwarded-For": client}).status


def test_lists_change_without_a_reload(guarded):
    gateway, deny, allow = guarded
    assert status_for(gateway, "192.0.2.7") == 200
    assert status_for(gateway, "198.51.100.7") == 403
    put(deny, "192.0.2.7\n")
    wait_for(lambda: status_for(gateway, "192.0.2.7") == 403, what="the deny list's change")
    assert status_for(gateway, "192.0.2.8") == 200
    put(allow, "2001:db8::/32\n198.51.100.0/24\n")
    wait_for(lambda: status_for(gateway, "198.51.100.7") == 200, what="the allow list's change")
    assert status_for(gateway, "192.0.2.8") == 403
    assert status_for(gateway, "2001:db8::1") == 200
    gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    assert status_for(gateway, "2001:db9::1") == 403


def test_a_bad_file_changes_nothing(guarded):
    gateway, deny, _ = guarded
    put(deny, "192.0.2.7\n")
    wait_for(lambda: status_for(gateway, "192.0.2.7") == 403, what="the deny list's change")
    for text, said in [("192.0.2.8\n192.0.2.0/99\n", "line 2: \"192.0.2.0/99\" is no address or network"), ("", "it is empty")]:
        bad = gateway.metric(FILE_READS, file=deny, outcome="bad")
        put(deny, text)
        wait_for(lambda: gateway.metric(FILE_READS, file=deny, outcome="bad") == bad + 1, what="the bad file")
        wait_for(lambda: said in gateway.stderr and "the last good one goes on" in gateway.stderr, what=said)
        assert status_for(gateway, "192.0.2.7") == 403 and status_for(gateway, "192.0.2.8") == 200
    assert gateway.reload()[0] == 200  # the configuration is as good as it was
    assert status_for(gateway, "192.0.2.7") == 403
    put(deny, "192.0.2.8\n")
    wait_for(lambda: status_for(gateway, "192.0.2.8") == 403, what="the mended list")
    assert status_for(gateway, "192.0.2.7") == 200


def test_many_at_once(guarded):
    gateway, deny, _ = guarded
    put(deny, "".join(f"{n >> 16}.{n >> 8 & 255}.{n & 255}.128/25\n" for n in range(1 << 16, 1 << 16 | 200_000))
        + "192.0.2.7\n")
    wait_for(lambda: status_for(gateway, "192.0.2.7") == 403, what="the long list")
    assert status_for(gateway, "192.0.2.8") == 200


def test_a_file_must_be_there_and_good_at_the_start(tmp_path):
    listed = tmp_path / "list.txt"
    file = tmp_path / "weir.yaml"
    file.write_text("version: 1\nlisten: \"127.0.0.1:0\"\nroutes:\n  /: {respond: ok, ip: {deny-file: list.txt}}\n")
    code, out, err = run_weir("check", file)
    assert code == 3 and "cannot be read" in out + err
    listed.write_text("<html>404</html>\n")
    code, out, err = run_weir("check", file)
    assert code == 3 and "line 1" in out + err and "deny-file" in out + err
    listed.write_text("127.0.0.0/8\n")
    assert run_weir("check", file)[0] == 0
    code, out, _ = run_weir("explain", "GET http://localhost/", file)
    assert code == 0 and "ip" in out
