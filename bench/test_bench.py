#!/usr/bin/python3
"""Checks the bench's own programs: what they count, and that the forwarder moves every byte.

    tools/build release bench-programs && bench/test_bench.py
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measure import bars, http2, machine, picks, policies, proxies, reload, report, scale, scenarios, slices  # noqa: E402


class Programs(unittest.TestCase):
    """A backend and a forwarder in front of it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.backend = proxies.Backend(cls.folder.name, 0).start()
        cls.forwarder = proxies.Forwarder(cls.folder.name, cls.backend.port).start()

    @classmethod
    def tearDownClass(cls):
        cls.forwarder.stop()
        cls.backend.stop()
        cls.folder.cleanup()

    def connect(self, port=None):
        sock = socket.create_connection(("127.0.0.1", port or self.forwarder.port), 5)
        self.addCleanup(sock.close)
        return sock

    def receive(self, sock, count):
        received = b""
        while len(received) < count:
            part = sock.recv(min(65536, count - len(received)))
            self.assertNotEqual(part, b"", "closed too early")
            received += part
        return received

    def receive_one(self, sock):
        byte = sock.recv(1)
        self.assertNotEqual(byte, b"", "closed in the head")
        return byte

    def answer(self, sock):
        """One answer's body, read exactly."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.receive_one(sock)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return self.receive(sock, length) if length else b""

    def count(self):
        sock = self.connect(self.backend.port)
        sock.sendall(b"GET /count HTTP/1.1\r\nHost: b\r\n\r\n")
        return int(self.answer(sock))

    def load(self, *options):
        done = subprocess.run([proxies.program("load"), "--port", str(self.forwarder.port), *options],
                              stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)

    def test_the_forwarder_that_verifies_forwards(self):
        verifying = policies.Verifying(self.folder.name, self.backend.port).start()
        self.addCleanup(verifying.stop)
        before = self.count()
        report = self.load("--port", str(verifying.port), "--seconds", "0.2", "--connections", "8", "--path", "/users/7")
        self.assertEqual(report["errors"], 0)
        self.assertGreater(report["requests"], 0)
        self.assertGreaterEqual(self.count() - before, report["requests"])

    def test_the_load_counts_what_the_backend_counts(self):
        before = self.count()
        report = self.load("--connections", "8", "--seconds", "0.3")
        seen = self.count() - before - 1
        self.assertEqual(report["errors"], 0)
        self.assertLessEqual(report["requests"], seen)
        self.assertLessEqual(seen, report["requests"] + 8)

    def test_a_rate_is_kept(self):
        report = self.load("--rate", "500", "--seconds", "2", "--connections", "8")
        self.assertAlmostEqual(report["requests"], 1000, delta=250)  # as many as there may be are some ten thousand

    def test_a_delay_is_measured(self):
        report = self.load("--path", "/delay/30", "--seconds", "0.3", "--connections", "2")
        self.assertGreaterEqual(report["p50_us"], 29500)

    def test_a_wrong_length_is_an_error(self):
        command = [proxies.program("load"), "--port", str(self.forwarder.port), "--seconds", "0.1",
                   "--length", "127", "--connections", "1"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertGreater(json.loads(done.stdout)["errors"], 0)

    def test_uploads_and_long_bodies_arrive(self):
        self.assertEqual(self.load("--upload", "300000", "--seconds", "0.2")["errors"], 0)
        for size in (8000, 16384, 40000, 102400, 1 << 20, 5 << 20):
            report = self.load("--path", f"/size/{size}", "--length", str(size), "--seconds", "0.1")
            self.assertEqual(report["errors"], 0, size)

    def test_every_byte_of_a_body_is_the_backends(self):
        for size in (100, 9000, 102400, 3000000):
            request = b"GET /size/%d HTTP/1.1\r\nHost: b\r\n\r\n" % size
            direct, forwarded = self.connect(self.backend.port), self.connect()
            direct.sendall(request)
            forwarded.sendall(request)
            self.assertEqual(self.answer(direct), self.answer(forwarded))

    def test_a_client_that_reads_late_gets_all(self):
        sock = self.connect()
        sock.sendall(b"GET /size/20000000 HTTP/1.1\r\nHost: b\r\n\r\n")
        other = self.connect()
        other.sendall(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
        self.assertEqual(len(self.answer(other)), 128)
        self.assertEqual(len(self.answer(sock)), 20000000)

    def test_pipelined_requests_are_answered_in_order(self):
        sock = self.connect()
        sizes = [5, 70000, 1, 0, 200000, 3]
        sock.sendall(b"".join(b"GET /size/%d HTTP/1.1\r\nHost: b\r\n\r\n" % size for size in sizes))
        for size in sizes:
            self.assertEqual(len(self.answer(sock)), size)

    def test_a_head_may_come_in_pieces(self):
        sock = self.connect()
        for byte in b"POST /size/7 HTTP/1.1\r\nHost: b\r\ncontent-length: 4\r\n\r\nbody":
            sock.sendall(bytes([byte]))
        self.assertEqual(len(self.answer(sock)), 7)

    def test_a_client_that_leaves_disturbs_nobody(self):
        for _ in range(20):
            self.connect().sendall(b"GET /size/3000000 HTTP/1.1\r\nHost: b\r\n\r\n")
        self.assertEqual(self.load("--seconds", "0.1")["errors"], 0)


class Grpc(unittest.TestCase):
    """The two ends of the gRPC load, without a proxy between them."""

    def test_every_call_is_answered_with_its_message(self):
        with tempfile.TemporaryDirectory() as folder:
            backend = http2.GrpcBackend(folder, 0).start()
            self.addCleanup(backend.stop)
            done = subprocess.run([proxies.program("load_grpc"), "--port", str(backend.port), "--seconds", "0.3",
                                   "--connections", "2"], stdout=subprocess.PIPE, text=True, check=True)
        report = json.loads(done.stdout)
        self.assertEqual(report["errors"], 0)
        self.assertGreater(report["requests"], 10)

    def test_an_answer_that_is_no_grpc_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "nginx.conf")
            port = machine.free_port()
            with open(config, "w") as file:
                file.write(f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
                           f"http {{ access_log off; keepalive_requests 1000000;\n"
                           f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
                           f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
                           f"server {{ listen 127.0.0.1:{port} http2; return 200 none; }} }}\n")
            nginx = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
            try:
                machine.wait_for_port(port, nginx)
                done = subprocess.run([proxies.program("load_grpc"), "--port", str(port), "--seconds", "0.1",
                                       "--connections", "1"], stdout=subprocess.PIPE, text=True)
            finally:
                nginx.kill()  # SIGTERM just before its epoll_wait would be heard at the next event only
                nginx.wait()
        self.assertEqual(done.returncode, 1)
        self.assertGreater(json.loads(done.stdout)["errors"], 0)


class Failures(unittest.TestCase):
    def test_a_backend_becomes_ill(self):
        with tempfile.TemporaryDirectory() as folder:
            backend = proxies.Backend(folder, 0).start()
            self.addCleanup(backend.stop)
            quick, slow = self.load(backend), None
            backend.process.send_signal(signal.SIGUSR1)
            slow = self.load(backend)
        self.assertLess(quick["p50_us"], 200000)
        self.assertGreaterEqual(slow["p50_us"], 199000)
        self.assertEqual(slow["errors"], 0)

    def load(self, backend):
        done = subprocess.run([proxies.program("load"), "--port", str(backend.port), "--connections", "2",
                               "--seconds", "0.5"], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout)

    def test_a_failed_request_is_too_many(self):
        def one(failed, p99):
            return {"failed": failed, "p99_us": [p99, 0, 0]}
        found = bars.judge({"failures": {"title": "t", "proxies": {
            "weir": one([0, 1, 0], 10), "nginx": one([3, 3, 3], 20), "haproxy": one([0, 0, 0], 30)}}})
        self.assertEqual([line[-1] for line in found], ["**falls short**", "reached"])
        self.assertEqual(found[1][2:4], ["nginx, 20 µs", "0.50"])


class Scale(unittest.TestCase):
    def test_every_endpoint_has_an_address_of_its_own(self):
        text = scale.services(80)
        self.assertEqual(len(text.splitlines()), scale.SERVICES)
        self.assertEqual(len(set(scale.address(i) for i in range(scale.SERVICES * scale.EACH))), 10000)
        self.assertIn('at: ["127.1.0.0:80"', text)
        self.assertIn('"127.1.39.15:80"]', text)

    def test_checks_are_added_up(self):
        metrics = ('weir_endpoint_checks_total{service="a",endpoint="x",result="good"} 3\n'
                   'weir_endpoint_checks_total{service="b",endpoint="y",result="good"} 4\n'
                   'weir_endpoint_checks_total{service="b",endpoint="y",result="bad"} 1\nother 9\n')
        self.assertEqual(scale.checks_made(metrics), (7, 1))

    def test_the_worst_round_counts(self):
        figures = {"core_share": [0.03, 0.16, 0.02], "rss_bytes": 39900000, "checks_per_second": 1000, "bad": 0,
                   "descriptors": 12}
        scenario = {"title": "t", "proxies": {"weir": figures}}
        found = bars.judge({"scale": scenario})
        self.assertEqual([(line[1], line[-1]) for line in found], [("39.9", "reached"), ("16", "**falls short**")])
        self.assertIn("| weir | 39.9 | 3.0, 16.0, 2.0 | 1,000 | 0 | 12 |", report.table("scale", scenario))


class Guards(unittest.TestCase):
    def test_weir_is_held_against_itself(self):
        def one(cpu):
            return {"cpu_us": [cpu, cpu, cpu], "requests_per_second": [1, 1, 1], "p50_us": [2, 2, 2],
                    "p99_us": [3, 3, 3], "errors": 0}
        scenario = {"title": "t", "proxies": {"weir": one(10.6), "weir, plain": one(10)}}
        self.assertEqual([line[-3:] for line in bars.judge({"guards": scenario})],
                         [["1.06", "≤ 1.05", "**falls short**"]])
        self.assertIn("| weir, plain | 1.00 (1.00–1.00) | 10.0", report.table("guards", scenario))


class Policies(unittest.TestCase):
    def test_what_each_adds_is_held_against_its_own_bar(self):
        def one(added, bar):
            return {"cpu_us": [8, 7, 9], "added_us": [added, added, added], "errors": 0, "bar": bar}
        scenario = {"title": "t", "policies": {"allow": one(0.1, 0.2), "CORS": one(0.3, 0.2), "peer": one(50, None),
                                               "redis": one(4, 10)}}
        self.assertEqual([(line[0], line[-1]) for line in bars.judge({"policies": scenario})],
                         [("Policy, allow: CPU µs added", "reached"), ("Policy, CORS: CPU µs added", "**falls short**"),
                          ("Policy, redis: CPU µs added", "reached")])
        self.assertIn("| peer | 50.0", report.table("policies", scenario))

    def test_what_is_added_counts_from_before_and_after(self):
        same = ["same"]

        class Fake:
            def __init__(self, name, figures):
                self.name, self.options, self.bar, self.figures = name, same, None, iter(figures)

            def load(self, _seconds):
                return {"cpu_us": next(self.figures), "errors": 0}
        plain = Fake("none", [1, 1, 1, 7, 9, 1, 7, 9, 3])
        found = policies.measure_added({"weir": ([plain], [Fake("one", [1, 10, 11]), Fake("two", [1, 6, 8])])}, 2, 1)
        self.assertEqual(found["one"]["added_us"], [2.5, 2, 3])
        self.assertEqual(found["two"]["added_us"], [1.5, 1, 2])

    def test_no_token_comes_again_soon(self):
        class Fake:
            def empty_log(self):
                pass
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(policies, "run_load"), \
                mock.patch.object(policies, "slice_figures", return_value={"requests_per_second": 10}):
            path = os.path.join(folder, "tokens")
            with open(path, "w") as file:
                file.writelines(f"{i}\n" for i in range(100))
            policies.NewTokens("new", Fake(), "jwt", ["--each-field", path]).load(0.4)
            with open(path) as file:
                lines = file.read().split()
        self.assertEqual((len(lines), lines[0], lines[-1]), (100, "10", "9"))


class Picks(unittest.TestCase):
    def test_lines_of_a_thousand_endpoints_are_read(self):
        text = ("ring-hash    10 endpoints              13.9 ns a pick    15.9 ns with a tenth down    0.07 ms to build\n"
                "ring-hash  1000 endpoints             112.4 ns a pick   238.7 ns with a tenth down   17.93 ms to build\n"
                "ring-hash  1000 endpoints, weighted   111.7 ns a pick   141.4 ns with a tenth down   57.89 ms to build\n")
        found = picks.parse(text)
        self.assertEqual(found["ring-hash"], {"pick_ns": 112.4, "pick_down_ns": 238.7, "build_ms": 17.93})
        self.assertEqual(list(found), ["ring-hash", "ring-hash, weighted"])
        verdicts = bars.judge({"picks": {"title": "t", "balancers": found}})
        self.assertEqual([(line[1], line[-1]) for line in verdicts],
                         [("238.7", "**falls short**"), ("57.89", "**falls short**")])


class Figures(unittest.TestCase):
    """The arithmetic of the report."""

    def test_bars_compare_with_the_better_peer(self):
        one = {"cpu_us": [10.0, 9, 11], "p99_us": [500.0, 1, 2]}
        other = {"cpu_us": [14.0, 9, 11], "p99_us": [400.0, 1, 2]}
        ours = {"cpu_us": [7.9, 7, 8], "p99_us": [450.0, 1, 2]}
        floor = {"cpu_us": [6.0, 6, 6], "p99_us": [1.0, 1, 1]}
        found = bars.judge({"small-64": {"title": "t", "proxies": {
            "nginx": one, "haproxy": other, "weir": ours, "forwarder": floor}}})
        self.assertEqual([(line[3], line[5]) for line in found],
                         [("0.79", "reached"), ("1.32", "**falls short**"), ("1.12", "**falls short**")])

    def test_http2_has_a_peer_of_its_own(self):
        found = bars.judge({"h2-tls": {"title": "t", "proxies": {
            "nginx": {"cpu_us": [20, 0, 0]}, "h2o": {"cpu_us": [10, 0, 0]}, "weir": {"cpu_us": [11, 0, 0]}}}})
        self.assertEqual([(line[2], line[3], line[5]) for line in found],
                         [("h2o, 10 µs", "1.10", "**falls short**")])

    def test_a_missing_weir_is_said(self):
        peer = {"cpu_us": [10.0, 9, 11], "p99_us": [500.0, 1, 2]}
        found = bars.judge({"small-64": {"title": "t", "proxies": {"nginx": peer}}})
        self.assertEqual({line[5] for line in found}, {bars.NOT_MEASURED})

    def test_slices_become_a_median_and_sums(self):
        rounds = [{"cpu_us": value, "errors": 1, "late": 0} for value in (3, 1, 2)]
        self.assertEqual(slices.summarise(rounds), {"cpu_us": [2, 1, 3], "errors": 3, "late": 0})

    def test_the_time_of_a_snapshot_is_read(self):
        metrics = "# HELP weir_config_build_seconds x\nweir_config_build_seconds 0.0315\nother 2\n"
        self.assertAlmostEqual(reload.build_milliseconds(metrics), 31.5)
        self.assertRaises(RuntimeError, reload.build_milliseconds, "other 2\n")

    def test_congestion_control_has_a_name(self):
        self.assertRegex(machine.congestion_control(), r"^[a-z]+$")


class Balancing(unittest.TestCase):
    def test_what_is_said_of_balancers_is_what_they_do(self):
        done = subprocess.run([os.path.join(os.path.dirname(os.path.abspath(__file__)), "balance"), "--check"],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()
