"""Names and passwords: htpasswd's files, checked beside the workers, remembered for a while."""

import base64
import concurrent.futures
import json
import subprocess

import grpc
import pytest
import websocket_client
from gateway import run_weir, wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection


def htpasswd(name, password, *how):
    """A line, as the tool of that name writes it; bcrypt of little cost by default."""
    return subprocess.run(["htpasswd", "-nb", *(how or ("-B", "-C", "4")), name, password], capture_output=True, text=True,
                          check=True).stdout.strip() + "\n"


def argon(name, password):
    made = subprocess.run(["argon2", "saltsalt", "-id", "-t", "1", "-m", "8", "-e"], input=password, capture_output=True, text=True,
                          check=True).stdout.strip()
    return f"{name}:{made}\n"


def openssl(name, password):
    made = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True).stdout.strip()
    return f"{name}:{made}\n"


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def write(path, *lines):
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(lines))
    fresh.rename(path)


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.htpasswd"
    write(path, "# who may\n", htpasswd("alice", "open sesame"), argon("bob", "pass:word"), openssl("carol", "x" * 80))
    return path


def configuration(service, way):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        auth:
          shop: {{basic: {way}, realm: shop, send: {{X-User: claims.sub}}}}
        services: {{back: "{service.at}"}}
        use: [auth.shop]
        routes: {{/**: back}}
        """


def reason(answer):
    return json.loads(answer.body)["reason"]


@pytest.mark.parametrize("speaks", ["HTTP/1.1", "HTTP/2"])
def test_users_are_known_by_their_passwords(start, serve, users, speaks):
    service = serve()
    gateway = start(configuration(service, f"{{file: {users}, patience: 60s}}"))
    if speaks == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    for name, password in (("alice", "open sesame"), ("bob", "pass:word"), ("carol", "x" * 80)):
        for _ in range(2):
            assert gateway.get("/x", {**basic(name, password), "X-User": "root"}).status == 200, name
        assert service.requests[-1].all("X-User") == [name] and service.requests[-1].header("Authorization") is None
    service.requests.clear()
    wrong = [basic("alice", "open sesam"), basic("alice", ""), basic("Alice", "open sesame"), basic("", "open sesame"),
             basic("nobody", "open sesame"), basic("alice", "open sesame\0"), basic("alice", "x" * 600), basic("x" * 300, "y"),
             {"Authorization": "Basic !!!"}, {"Authorization": "Basic " + base64.b64encode(b"alice").decode()}]
    for i, headers in enumerate(wrong):
        answer = gateway.get(f"/wrong{i}", headers)
        assert answer.status == 401 and reason(answer) == "password-wrong", headers
        assert answer.header("Www-Authenticate") == 'Basic realm="shop"'
        assert gateway.log_line(f"/wrong{i}")["reason"] == "password-wrong"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic"}):
        assert reason(gateway.get("/x", headers)) == "credentials-missing"
    assert service.requests == []
    shown = gateway.stderr + gateway.metrics() + gateway.control_request("GET", "/v1/status").body.decode()
    assert "sesame" not in shown and "$2y$" not in shown


def test_a_password_is_remembered_until_its_hash_changes(start, serve, users):
    gateway = start(configuration(serve(), f"{{file: {users}, patience: 60s}}"))

    def status(name, password):
        return gateway.get("/x", basic(name, password)).status

    def known():
        return gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="known")

    wait_for(lambda: status("alice", "open sesame") == 200 and known() >= 2, what="both workers' memory")
    write(users, htpasswd("alice", "another"))
    wait_for(lambda: status("alice", "another") == 200, what="the new password")
    assert status("alice", "open sesame") == 401
    write(users, htpasswd("bob", "new"))
    wait_for(lambda: status("bob", "new") == 200, what="the new user")
    assert status("alice", "another") == 401
    write(users, "alice:plain\n")
    wait_for(lambda: "line 1 has a hash of a kind that is not taken" in gateway.stderr, what="a complaint")
    assert status("bob", "new") == 200 and "plain" not in gateway.stderr


def test_nothing_is_remembered_if_told_so(start, serve, users):
    gateway = start(configuration(serve(), f"{{file: {users}, remember: 0s, pass: true, patience: 60s}}"))
    for _ in range(4):
        assert gateway.get("/x", basic("alice", "open sesame")).status == 200
    assert gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="known") == 0


def test_hashing_holds_nobody_up(start, serve, tmp_path):
    """Guesses queue up to a bound; whoever is known, and what needs no password, goes on meanwhile."""
    users, service = tmp_path / "slow", serve()
    write(users, htpasswd("slow", "secret", "-B", "-C", "12"), htpasswd("alice", "open sesame"))
    text = configuration(service, f"{{file: {users}, patience: 60s}}").replace("/**: back", "/**: back, /open: {to: back, use: []}")
    gateway = start(text)
    wait_for(lambda: gateway.get("/x", basic("alice", "open sesame")).status == 200 and
             gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="known") >= 2, what="both workers' memory")
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        guesses = [pool.submit(gateway.get, f"/guess{i}", basic("slow", f"guess{i}"), timeout=120) for i in range(100)]
        busy = wait_for(lambda: [guess for guess in guesses if guess.done() and guess.result().status == 503], what="a full queue")
        assert reason(busy[0].result()) == "passwords-busy"
        assert gateway.get("/open").status == 200
        assert {guess.result().status for guess in guesses} == {401, 503}
    assert gateway.metric("weir_auth_requests_total", auth="auth.shop", outcome="unavailable") >= 1


def test_who_hangs_up_leaves_nothing_behind(start, serve, tmp_path):
    users = tmp_path / "slow"
    write(users, htpasswd("slow", "secret", "-B", "-C", "10"))
    gateway = start(configuration(serve(), f"{{file: {users}, patience: 60s}}"))
    sockets = gateway.sockets()
    for _ in range(10):
        with gateway.connect() as connection:
            connection.send_request("GET", "/x", basic("slow", "guess"))
    gateway.settle(sockets)
    assert gateway.get("/x", basic("slow", "secret")).status == 200
    with gateway.connect() as connection:
        connection.send_request("GET", "/x", basic("slow", "another"))
        assert gateway.stop() == 0


def test_grpc_and_websockets(start, users, chat):
    header = basic("alice", "open sesame")["Authorization"]
    with GrpcService() as orders:
        orders.at = f"h2c://{orders.at}"
        gateway = start(configuration(orders, f"{{file: {users}, patience: 60s}}"))
        with channel(gateway.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            with pytest.raises(grpc.RpcError) as failure:
                call(b"x", metadata=[("authorization", basic("alice", "x")["Authorization"])])
            assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
            call(b"x", metadata=[("authorization", header)])
    gateway, _ = chat(", auth: {basic: {file: %s, patience: 60s}}" % users)
    assert gateway.get("/chat", websocket_client.HANDSHAKE).status == 401
    websocket_client.Raw(gateway, "/chat", {"Authorization": header}).connection.close()


def test_commands_know_users(tmp_path, serve, users):
    path = tmp_path / "weir.yaml"
    header = basic("alice", "open sesame")["Authorization"]
    path.write_text("\n".join(row[8:] for row in configuration(serve(), users).splitlines()) + f"""
tests:
  - {{get: /x, is: 401}}
  - {{get: /x, header: {{authorization: "{header}"}}, is: back}}
""")
    code, out, error = run_weir("test", path)
    assert code == 0 and "2 passed, 0 failed" in out, out + error
    users.write_text("alice:{SHA}x\n")
    code, _, error = run_weir("check", path)
    assert code == 3 and "line 1 has a hash of a kind that is not taken: make it with `htpasswd -B`" in error
