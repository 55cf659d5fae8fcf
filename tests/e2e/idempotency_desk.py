"""What the tests of `idempotent` have in common: a service that takes orders, and clients that send them."""

import concurrent.futures
import contextlib
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


# --- what gateways that share a store do


def insist(gateway, key, start):
    """Sends an order until it is taken, as a client does; the answer."""
    start.wait(60)
    while True:
        answer = post(gateway, key)
        if answer.status != 409:
            return answer


def check_retries_at_once(gateways, desk):
    """Retries that come to both at once are one execution."""
    keys = [f"k{i}" for i in range(25)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for key in keys:
            begin = threading.Barrier(4)
            answers = [one.result() for one in [pool.submit(insist, gateways[i % 2], key, begin) for i in range(4)]]
            assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
            assert sum(answer.header("Idempotent-Replayed") is None for answer in answers) == 1
    assert sorted(order.header("Idempotency-Key") for order in desk.orders) == sorted(keys)
    assert sum(counted(gateway, "kept") for gateway in gateways) == len(keys)


def check_left_unknown(first, second, desk):
    """What a gateway that was killed left is unknown to the other; its lease is short."""
    desk.gate.clear()
    with contextlib.suppress(Exception), first.connect() as connection:
        connection.send_request("POST", "/orders", {"Idempotency-Key": "k1", "Content-Type": "application/json"}, ORDER)
        desk.wait_for_orders(1)
        first.check = False
        first.process.kill()
        first.process.wait()
    desk.gate.set()
    answer = wait_for(lambda: (answer := post(second)).status != 409 and answer, what="the end of the lease")
    assert (answer.status, reason(answer)) == (500, "outcome-unknown")
    assert len(desk.orders) == 1
