"""A gateway that is killed at any moment never lets a request be done twice.

WEIR_KILLS says how often it is killed: 20 times by default, 200 times by hand.
"""

import os
import random
import signal
import threading
import time

import http_client
from gateway import Gateway
from idempotency_desk import counted, post, reason

KILLS = int(os.environ.get("WEIR_KILLS", "20"))
CLIENTS = 4
LONGEST_LIFE = 0.3  # seconds: a gateway lives for a random part of it


class Ledger:
    """A service that notes who has ordered what, and takes a random while to answer."""

    def __init__(self, seed):
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.done = {}  # key: the numbers of its orders, of which there should be one
        self.count = 0

    def serve(self, peer):
        while True:
            request = peer.read_request()
            with self.lock:
                self.count += 1
                number = self.count
                self.done.setdefault(request.header("Idempotency-Key"), []).append(number)
                pause = self.random.choice([0, 0, 0.001, 0.01, 0.05])
            time.sleep(pause)
            peer.answer(b"order %d for %s" % (number, request.header("Idempotency-Key").encode()), 201)


class Clients:
    """Each sends orders one after the other, and each until it hears what became of it; then it asks once more."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.gateway = None  # the one that lives; set by whoever kills
        self.is_over = threading.Event()
        self.taken, self.unknown, self.wrong = {}, set(), []
        self.threads = [threading.Thread(target=self._order, args=(i,)) for i in range(CLIENTS)]

    def _insist(self, key):
        """The answer; None: there is no gateway any more."""
        while True:
            try:
                answer = post(self.gateway, key)
            except (http_client.Closed, OSError):
                if self.is_over.is_set():
                    return None
                time.sleep(0.002)
                continue
            if answer.status not in (409, 503):
                return answer
            time.sleep(0.02)

    def _order(self, i):
        try:
            n = 0
            while not self.is_over.is_set():
                n += 1
                self._check(f"{i}-{n}")
        except Exception as error:  # the test has to see it
            self.wrong.append(error)

    def _check(self, key):
        first = self._insist(key)
        again = first and self._insist(key)
        if not again:
            return
        if first.status == 500:
            assert reason(first) == reason(again) == "outcome-unknown"
            self.unknown.add(key)
            return
        assert (first.status, again.status, again.body) == (201, 201, first.body), (first, again)
        assert again.header("Idempotent-Replayed") == "true"
        self.taken[key] = first.body


def test_nothing_is_done_twice(tmp_path, serve, free_port):
    ledger, chance = Ledger(7), random.Random(11)
    # All lives have one port, which nobody else is given: clients of a dead one must not find another test's gateway.
    back = serve(ledger.serve)
    config = f"""
        version: 1
        listen: "127.0.0.1:{free_port()}"
        workers: 2
        state: {tmp_path}/state.db
        services: {{order: {{at: "{back.at}", outlier: {{failures: 0}}}}}}
        routes: {{/**: {{to: order, idempotent: {{methods: POST, lease: 1s, store: disk}}}}}}
        """
    clients = Clients(ledger)

    def begin(n):
        folder = tmp_path / f"life{n}"
        folder.mkdir()
        clients.gateway = Gateway(folder, config, check=False)

    begin(0)
    for thread in clients.threads:
        thread.start()
    for n in range(KILLS):
        time.sleep(chance.uniform(0, LONGEST_LIFE))  # any moment is right: that is what is tested
        clients.gateway.process.send_signal(signal.SIGKILL)
        clients.gateway.process.wait()
        begin(n + 1)
    clients.is_over.set()
    for thread in clients.threads:
        thread.join(120)
    with clients.gateway as gateway:
        assert counted(gateway, "lost") == 0
    assert not clients.wrong, clients.wrong[0]
    twice = {key: numbers for key, numbers in ledger.done.items() if len(numbers) > 1}
    assert not twice, f"of {ledger.count} orders these were taken twice: {twice}"
    assert clients.taken
    for key, body in clients.taken.items():
        assert body == b"order %d for %s" % (ledger.done[key][0], key.encode())
    print(f"{KILLS} kills, {ledger.count} orders, {len(clients.taken)} known, {len(clients.unknown)} unknown")
