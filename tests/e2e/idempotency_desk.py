"""What the tests of `idempotent` have in common: a service that takes orders, and clients that send them."""

import json
import threading

from gateway import wait_for

ORDER = b'{"item": 7}'


class Desk:
    """What a service does: takes orders by number, one number each. With `gate` it holds answers back until that is set."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.lock, self.orders = threading.Lock(), []

    def serve(self, peer):
        while True:
            request = peer.read_request()
            with self.lock:
                self.orders.append(request)
                number = len(self.orders)
            assert self.gate.wait(100)
            peer.answer(b"order %d" % number, 201, [("Location", f"/orders/{number}"), ("Content-Type", "text/plain")])

    def wait_for_orders(self, count):
        wait_for(lambda: len(self.orders) == count, what=f"{count} orders at the service")


def post(gateway, key="k1", body=ORDER, path="/orders", **headers):
    fields = {"Content-Type": "application/json", **headers}
    if key is not None:
        fields["Idempotency-Key"] = key
    return gateway.request("POST", path, fields, body)


def reason(answer):
    return json.loads(answer.body)["reason"]


def counted(gateway, outcome):
    return gateway.metric("weir_idempotency_requests_total", outcome=outcome)


def is_order(answer, number, replayed):
    assert (answer.status, answer.body) == (201, b"order %d" % number)
    assert answer.header("Location") == f"/orders/{number}"
    assert answer.header("Content-Type") == "text/plain"
    assert answer.header("Idempotent-Replayed") == ("true" if replayed else None)
    assert answer.header("Idempotency-Expires").endswith(" GMT")
