"""Clients that keep calling on keep-alive connections, and count what went wrong."""

import threading

import http_client


class Load:
    """Threads that send one request after another until told to stop. `failures` has a text for each answer that was
    not as wanted and each connection that was closed. Use it as a context manager."""

    def __init__(self, gateway, path="/load", threads=2, connections=4, status=200):
        self.gateway, self.path, self.status = gateway, path, status
        self.done, self.failures = 0, []
        self.ends = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._call, args=(connections,), daemon=True) for _ in range(threads)]

    def _call(self, count):
        connections = [self.gateway.connect() for _ in range(count)]
        done = 0
        while not self.ends.is_set():
            for index, connection in enumerate(connections):
                try:
                    answer = connection.request("GET", self.path)
                    if answer.status != self.status:
                        self.failures.append(f"{answer.status} {answer.body[:200]!r}")
                    if (answer.header("Connection") or "").lower() == "close":
                        self.failures.append("the answer closes its connection")
                    done += 1
                except (OSError, http_client.Closed) as error:
                    self.failures.append(repr(error))
                    connections[index].close()
                    connections[index] = self.gateway.connect()
        for connection in connections:
            connection.close()
        with self.lock:
            self.done += done

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.ends.set()
        for thread in self.threads:
            thread.join(30)

    def __exit__(self, *_):
        self.stop()
