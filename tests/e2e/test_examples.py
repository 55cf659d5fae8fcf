"""The examples, as they are, in front of services: what their comments promise happens."""

import json
import re
from pathlib import Path

from login_browser import Browser
from login_site import CLIENT_SECRET
from oidc_provider import OidcProvider

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_partners(start, serve):
    service = serve()
    gateway = start("", path=EXAMPLES / "partners.yaml", environment={"WEIR_PORT": "0", "ORDER_PORT": service.at.rsplit(":", 1)[1]})
    text = (EXAMPLES / "partners.yaml").read_text()
    acme, beta = ({"X-API-Key": key} for key in re.findall(r"weir_[\w-]{43}", text))

    assert gateway.get("/healthz").body == b"ok\n"
    assert gateway.get("/orders/7").status == 401
    assert gateway.get("/elsewhere", acme).status == 404

    order = {**acme, "Idempotency-Key": "order-7"}
    assert gateway.request("POST", "/orders", acme, b"{}").status == 400
    first = gateway.request("POST", "/orders", order, b"{}")
    again = gateway.request("POST", "/orders", order, b"{}")
    assert (first.status, again.status) == (200, 200)
    assert again.header("Idempotent-Replayed") == "true" and again.body == first.body
    assert len(service.requests) == 1
    assert service.requests[0].header("X-Partner") == "acme" and service.requests[0].header("X-API-Key") is None

    assert gateway.request("POST", "/orders", {**beta, "Idempotency-Key": "order-8"}, b"{}").status == 403
    seen = [gateway.get("/orders/7", beta) for _ in range(8)]
    assert [answer.status for answer in seen][0] == 200
    assert json.loads(seen[-1].body)["reason"] == "limit-exceeded" and seen[-1].status == 429


def test_staff(start, serve, tmp_path, free_port):
    service, port = serve(), free_port()
    with OidcProvider({"site": CLIENT_SECRET}) as provider:
        provider.userinfo = {"groups": ["sales"]}
        start("", path=EXAMPLES / "staff.yaml", environment={
            "WEIR_PORT": str(port), "SITE_PORT": service.at.rsplit(":", 1)[1], "STATE_FILE": str(tmp_path / "state.db"),
            "ID_ISSUER": provider.issuer, "CLIENT_SECRET": CLIENT_SECRET})
        url, browser = f"http://127.0.0.1:{port}", Browser()
        assert browser.get(f"{url}/orders").status == 200
        seen = service.requests[-1]
        assert seen.header("X-User") == "u1" and seen.header("Authorization") == f"Bearer {provider.sessions[0].access_tokens[0]}"
        assert browser.ask(f"{url}/admin/x").status == 403
        stolen = browser.copy()
        assert browser.get(f"{url}/oauth2/logout").body == b"See you tomorrow."
        assert stolen.ask(f"{url}/orders", navigates=False).status == 401 and not provider.problems
