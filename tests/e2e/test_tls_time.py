"""What TLS does as days go by: the clock of the gateway is moved (libfaketime)."""

import datetime
import glob

import http_client
import pytest
from authority import SecureConnection, now
from gateway import SANITIZED, wait_for
from https import ask, pair

FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
pytestmark = pytest.mark.skipif(SANITIZED or not FAKETIME, reason="libfaketime is not installed, or does not go with sanitizers")


@pytest.fixture
def clock(tmp_path):
    """(what the gateway is started with, move(hours)): from then on its clock is ahead by so much."""
    file = tmp_path / "clock"

    def move(hours):
        new = file.with_suffix(".new")
        new.write_text(f"+{hours}h\n")
        new.rename(file)

    move(0)
    yield {"environment": {"LD_PRELOAD": FAKETIME[0], "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}}, move


def after_the_jump(look):
    """Whoever asks for something wakes the loop, which finds that it is late, for that request too: so not all are answered."""
    def attempt():
        try:
            return look()
        except (http_client.Closed, OSError):
            return None
    return wait_for(attempt, what="what time brings")


def is_resumed(gateway, context, session):
    """"yes" or "no"."""
    before = gateway.metric("weir_tls_handshakes_total", resumed="true")
    with SecureConnection(gateway.secure, context, session=session) as connection:
        assert connection.request("GET", "/").status == 200
    return "yes" if gateway.metric("weir_tls_handshakes_total", resumed="true") > before else "no"


def test_ticket_keys_are_rotated(secure, authority, clock):
    """The key is another every eight hours, and three of them open tickets."""
    options, move = clock
    gateway, context = secure(**options), authority.context()
    with SecureConnection(gateway.secure, context) as connection:
        assert connection.request("GET", "/").status == 200
        session = connection.socket.session
    assert is_resumed(gateway, context, session) == "yes"
    for hours, expected in [(9, "yes"), (18, "yes"), (27, "no")]:
        move(hours)
        after_the_jump(lambda: gateway.metric("weir_tls_ticket_rotations_total") == hours // 9)
        assert after_the_jump(lambda: is_resumed(gateway, context, session)) == expected, hours


def test_an_operator_is_reminded(secure, authority, clock):
    """Once a day, of what ends soon or has ended."""
    options, move = clock
    ends = now() + datetime.timedelta(days=30)
    issued = authority.issue("localhost", end=ends)
    gateway = secure(pair(issued), **options)
    assert "expire" not in gateway.stderr
    for days, said in [(10, "expires in 19 days"), (11, "expires in 18 days"), (31, "has expired")]:
        move(days * 24 + 1)
        after_the_jump(lambda: gateway.metrics() and said in gateway.stderr)
    assert gateway.stderr.count("expires in") == 2
    after_the_jump(lambda: ask(gateway, authority.context()).status == 200)  # the client's clock has not moved
