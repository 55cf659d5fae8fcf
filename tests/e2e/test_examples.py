"""The examples, as they are, in front of services: what their comments promise happens."""

import json
import re
from pathlib import Path

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
