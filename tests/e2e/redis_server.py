"""Real Redis servers for tests: one at a time, and a cable to one that can be cut."""

import contextlib
import signal
import socket
import subprocess
import threading

from gateway import suspend, wait_for


class RedisServer:
    """A redis-server on 127.0.0.1. Use it as a context manager."""

    def __init__(self, folder, port, *options, cli=(), tls_port=None, path=None):
        """`options`: words of its command line, behind the file at `path`. `cli`: what redis-cli needs besides, to be let in.
        With TLS `port` is 0."""
        self.folder = folder
        self.port = port
        self.command = ["redis-server", *([str(path)] if path else []), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
                        *map(str, options)]
        self.cli = ["redis-cli", "--raw", "-p", str(tls_port or port), *map(str, cli)]
        self.start()

    def start(self):
        with open(self.folder / f"redis-{self.port}.log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(lambda: self.ask("PING", check=False) == "PONG", 60, "a Redis server")
        except BaseException:
            self.kill()
            raise

    def ask(self, *words, check=True):
        """What it answers, as text."""
        done = subprocess.run([*self.cli, *map(str, words)], capture_output=True, text=True, timeout=100)
        if check:
            assert done.returncode == 0, done
        return done.stdout.strip()

    def keys(self, database=0):
        """Those of requests: where gateways count themselves is not among them."""
        return [key for key in self.ask("-n", database, "KEYS", "*").split() if key != "weir:gateways"]

    def connections(self):
        """Those of gateways: redis-cli's own is not among them."""
        return len([line for line in self.ask("CLIENT", "LIST").split("\n") if "cmd=client" not in line])

    @contextlib.contextmanager
    def paused(self):
        suspend(self.process)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.kill()


class Cable:
    """A port of its own behind which is a server; when it is cut, bytes vanish and nobody is told."""

    def __init__(self, port):
        self.port_behind = port
        self.is_cut = threading.Event()
        self.sockets = []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                self.sockets.append(client)
                if self.is_cut.is_set():
                    continue  # the kernel has said hello; nobody else will
                server = socket.create_connection(("127.0.0.1", self.port_behind))
                self.sockets.append(server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.is_cut.is_set():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        with contextlib.suppress(OSError):
            self.door.shutdown(socket.SHUT_RDWR)
        self.door.close()
        self.thread.join(20)
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sentinel(RedisServer):
    """One that watches the master "shop" and, with a second of its mind, puts a replica in its place."""

    def __init__(self, folder, port, master, more=(), **options):
        """`more`: lines of its file besides."""
        path = folder / f"sentinel-{options.get('tls_port', port)}.conf"
        path.write_text(f"sentinel monitor shop 127.0.0.1 {master} 2\n"
                        "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n" + "\n".join(more) + "\n")
        super().__init__(folder, port, "--sentinel", path=path, **options)

    def sees(self, replicas, others):
        said = self.ask("SENTINEL", "MASTER", "shop").split("\n")
        facts = dict(zip(said[::2], said[1::2]))
        return (facts["num-slaves"], facts["num-other-sentinels"], facts["flags"]) == (str(replicas), str(others), "master")

    def master(self):
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop").split("\n")[1])


class Cluster:
    """Three masters that share the slots, and a replica of the first."""

    SHARES = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self, folder, free_port, stack):
        def run():
            port, bus = free_port(), free_port()
            node = stack.enter_context(RedisServer(
                folder, port, "--save", "", "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", 1000,
                "--cluster-config-file", f"nodes-{port}.conf", "--cluster-replica-validity-factor", 0))
            node.bus = bus
            return node

        self.nodes = [run() for _ in range(4)]
        self.masters, self.replica = self.nodes[:3], self.nodes[3]
        for node, (first, last) in zip(self.masters, self.SHARES):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)
        first = self.nodes[0].ask("CLUSTER", "MYID")
        wait_for(lambda: all(self.count(node, "127.0.0.1") == 4 for node in self.nodes), 60, "nodes to know each other")
        wait_for(lambda: self.replica.ask("CLUSTER", "REPLICATE", first) == "OK", 60, "a replica")
        wait_for(lambda: all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), 60, "the cluster")
        wait_for(lambda: "master_link_status:up" in self.replica.ask("INFO", "replication"), 60, "the replica to follow")
        wait_for(lambda: all(self.count(node, "slave") == 1 for node in self.nodes), 60, "all to know the replica")

    @staticmethod
    def count(node, word):
        return len([line for line in node.ask("CLUSTER", "NODES").split("\n") if word in line])

    @property
    def text(self):
        return "[" + ", ".join(f'"127.0.0.1:{node.port}"' for node in self.nodes) + "]"

    def slot(self, key):
        return int(self.nodes[1].ask("CLUSTER", "KEYSLOT", key))

    def share(self, key):
        """Which of the masters it begins at."""
        slot = self.slot(key)
        return next(i for i, (first, last) in enumerate(self.SHARES) if first <= slot <= last)


class OddRedis:
    """What greets like a Redis server, and answers scripts with these bytes, one at a time."""

    def __init__(self, answer):
        self.answer = answer
        self.sockets = []
        self.door = socket.create_server(("127.0.0.1", 0))
        self.port = self.door.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.door.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), client.makefile("rb") as lines:
            while head := lines.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(lines.readline()[1:])
                    words.append(lines.read(size + 2)[:-2])
                known = {b"HELLO": b"%1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n", b"PING": b"+PONG\r\n"}
                for byte in known.get(words[0], self.answer):
                    client.sendall(bytes([byte]))

    def __enter__(self):
        return self

    __exit__ = Cable.__exit__
    close = Cable.close
