"""Webhooks that arrive: signed as their senders do it, they reach the service as they are; others hear nothing of why not."""

import base64
import hashlib
import hmac
import json
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from gateway import run_weir, wait_for
from h2_client import Connection as H2Connection
from redis_server import RedisServer

KEY = bytes(range(32))
SECRETS = {"standard": "whsec_" + base64.b64encode(KEY).decode(), "svix": "whsec_" + base64.b64encode(KEY).decode(),
           "stripe": "whsec_of_stripe", "github": "secret of github", "slack": "secret of slack",
           "shopify": "secret of shopify"}
BODY = '{"id": "evt_1", "event_id": "Ev1", "name": "Zoë \\u0000"}  \n'.encode()


def code(secret, message):
    return hmac.new(secret.encode(), message, hashlib.sha256)


def b64(data):
    return base64.b64encode(data).decode()


def signed(form, body=BODY, when=None, identifier="msg-1", secret=None):
    """The fields that a sender of this form posts with the body."""
    when = str(int(time.time()) if when is None else when)
    secret = secret or SECRETS[form]
    if form in ("standard", "svix"):
        name = {"standard": "Webhook", "svix": "Svix"}[form]
        digest = hmac.new(base64.b64decode(secret[6:]), f"{identifier}.{when}.".encode() + body, hashlib.sha256).digest()
        return {f"{name}-Id": identifier, f"{name}-Timestamp": when, f"{name}-Signature": "v1," + b64(digest)}
    if form == "stripe":
        return {"Stripe-Signature": f"t={when},v1={code(secret, when.encode() + b'.' + body).hexdigest()}"}
    if form == "github":
        return {"X-Hub-Signature-256": "sha256=" + code(secret, body).hexdigest(), "X-GitHub-Delivery": identifier}
    if form == "slack":
        return {"X-Slack-Request-Timestamp": when,
                "X-Slack-Signature": "v0=" + code(secret, f"v0:{when}:".encode() + body).hexdigest()}
    return {"X-Shopify-Hmac-Sha256": b64(code(secret, body).digest()), "X-Shopify-Webhook-Id": identifier}


def configuration(service, more=""):
    hooks = "\n".join(f"          {form}: {{form: {form}, secret: \"{secret}\"{more}}}" for form, secret in SECRETS.items())
    routes = "\n".join(f"          POST /{form}: {{to: back, use: [webhooks.{form}]}}" for form in SECRETS)
    return f"""
version: 1
listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
workers: 2
webhooks:
{hooks}
services: {{back: "{service.at}"}}
routes:
{routes}
"""


@pytest.fixture
def hooks(start, serve):
    """(gateway, service) behind a webhook of each form."""
    service = serve()
    return start(configuration(service)), service


def speak(gateway, version):
    if version == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)


def held():
    """(begun, end, serve): a service that has a request when `begun` is set, and answers it after `end`."""
    begun, end = threading.Event(), threading.Event()

    def serve_late(peer):
        peer.upstream.requests.append(peer.read_request())
        begun.set()
        end.wait(60)
        peer.answer(b"done")
    return begun, end, serve_late


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("form", SECRETS)
def test_each_form(hooks, form, version):
    gateway, service = hooks
    speak(gateway, version)
    fields = {**signed(form), "Content-Type": "application/json", "Content-Encoding": "x-untouched"}
    assert gateway.request("POST", f"/{form}", fields, BODY).status == 200
    request = service.requests[-1]
    assert request.body == BODY
    assert request.header("Content-Encoding") == "x-untouched"
    for name, value in signed(form, when=0).items():
        assert request.header(name) is not None, (name, value)
    answer = gateway.request("POST", f"/{form}", fields, BODY + b" ")
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == "Webhook"
    problem = json.loads(answer.body)
    assert problem["reason"] == "webhook-refused" and "secret" not in answer.body.decode()
    assert len(service.requests) == 1
    assert gateway.metric("weir_webhook_requests_total", webhook=f"webhooks.{form}", outcome="accepted") == 1
    assert gateway.metric("weir_webhook_requests_total", webhook=f"webhooks.{form}", outcome="wrong-signature") == 1
    line = next(line for line in gateway.log_lines(2) if line.get("reason"))  # each worker writes its own
    assert line["reason"] == "webhook-refused" and line["error.message"] == "none of the secrets made its signature"


def test_all_that_is_wrong_sounds_the_same(hooks):
    gateway, service = hooks
    now = int(time.time())
    good = signed("stripe")["Stripe-Signature"]
    rows = [
        ({}, "unsigned"),
        ({"Stripe-Signature": "t=1,v1=00"}, "malformed"),
        (signed("stripe", when=now - 1000), "too-old"),
        (signed("stripe", when=now + 1000), "too-new"),
        (signed("stripe", secret="another secret"), "wrong-signature"),
        ({"Stripe-Signature": good.replace("v1=", "v0=")}, "unsigned"),
        ({"Stripe-Signature": good.upper()}, "unsigned"),
        ({"Stripe-Signature": good, "stripe-signature": good}, "malformed"),
        ({"Stripe-Signature": good[:-1]}, "malformed"),
    ]
    answers = set()
    for fields, outcome in rows:
        before = gateway.metric("weir_webhook_requests_total", outcome=outcome)
        answer = gateway.request("POST", "/stripe", fields, BODY)
        problem = json.loads(answer.body)
        problem.pop("request_id", None)
        answers.add((answer.status, answer.header("WWW-Authenticate"), answer.header("Proxy-Status"),
                     json.dumps({key: value for key, value in problem.items() if "id" not in key}, sort_keys=True)))
        assert gateway.metric("weir_webhook_requests_total", outcome=outcome) == before + 1, outcome
    assert len(answers) == 1 and next(iter(answers))[0] == 401
    assert service.requests == []


def test_bodies_in_chunks_and_after_100(hooks):
    gateway, service = hooks
    large = json.dumps({"id": "large", "text": "x" * 300_000}).encode()
    for number, body in enumerate((BODY, large)):
        fields, again = ("".join(f"{name}: {value}\r\n" for name, value in signed("github", body, identifier=f"{number} {word}").items())
                         for word in ("chunks", "expected"))
        with gateway.connect() as connection:
            connection.send(f"POST /github HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{fields}\r\n".encode())
            for at in range(0, len(body), 70_000):
                part = body[at:at + 70_000]
                connection.send(b"%x\r\n%s\r\n" % (len(part), part))
            connection.send(b"0\r\n\r\n")
            assert connection.read_answer("POST").status == 200
        assert service.requests[-1].body == body
        with gateway.connect() as connection:
            connection.send(f"POST /github HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                            f"Expect: 100-continue\r\n{again}\r\n".encode())
            interim = connection.read_head()
            assert interim.status == 100
            connection.send(body)
            assert connection.read_answer("POST").status == 200
        assert service.requests[-1].body == body
        assert service.requests[-1].header("Expect") is None


def test_a_body_over_the_limit(start, serve):
    service = serve()
    gateway = start(configuration(service, ", body: 1KiB"))
    body = b"x" * 1024
    assert gateway.request("POST", "/github", signed("github", body), body).status == 200
    body += b"x"
    answer = gateway.request("POST", "/github", signed("github", body), body)
    assert answer.status == 413 and json.loads(answer.body)["reason"] == "body-too-large"
    chunked = {**signed("github", body), "Transfer-Encoding": "chunked"}
    answer = gateway.request("POST", "/github", chunked, b"401\r\n" + body + b"\r\n0\r\n\r\n")
    assert answer.status == 413
    assert len(service.requests) == 1


def test_secrets_are_changed_without_a_message_lost(start, serve):
    service = serve()
    key = ed25519.Ed25519PrivateKey.generate()
    public = b64(key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
    old, new = SECRETS["standard"], "whsec_" + b64(bytes(range(1, 33)))
    gateway = start(f"""
        version: 1
        listen: "127.0.0.1:0"
        webhooks: {{events: {{form: standard, secret: ["${{NEW}}", "${{OLD}}", whpk_{public}]}}}}
        services: {{back: "{service.at}"}}
        routes: {{POST /**: {{to: back, use: [webhooks.events]}}}}
        """, environment={"NEW": new, "OLD": old})
    for number, secret in enumerate((old, new)):
        fields = signed("standard", secret=secret, identifier=f"m{number}")
        assert gateway.request("POST", "/", fields, BODY).status == 200
    fields = signed("standard", identifier="m3")
    message = f"m3.{fields['Webhook-Timestamp']}.".encode() + BODY
    several = f"v1,{b64(bytes(32))} v9,what {'v1a,' + b64(key.sign(message))}"
    assert gateway.request("POST", "/", {**fields, "Webhook-Signature": several}, BODY).status == 200
    other = ed25519.Ed25519PrivateKey.generate().sign(message)
    assert gateway.request("POST", "/", {**fields, "Webhook-Signature": "v1a," + b64(other)}, BODY).status == 401
    stranger = signed("standard", secret="whsec_" + b64(bytes(32)), identifier="m4")
    assert gateway.request("POST", "/", stranger, BODY).status == 401
    told = gateway.metrics() + json.dumps(gateway.status()) + gateway.stderr + json.dumps(gateway.log_lines(5))
    for secret in (old, new):
        assert secret not in told and secret[6:] not in told


def test_mistakes_in_the_file(tmp_path):
    file = tmp_path / "weir.yaml"
    for value, said in [("{form: github, secret: short}", "8 characters"),
                        ("{form: gitlab, secret: long enough}", "gitlab"),
                        ("{form: standard, secret: whsk_AAAA}", "private key"),
                        ("{form: github}", "secret")]:
        file.write_text(f"version: 1\nlisten: \"127.0.0.1:0\"\nroutes:\n  POST /: {{respond: ok, webhook: {value}}}\n")
        status, out, err = run_weir("check", file)
        assert status == 3 and said in out + err, (value, out, err)


def test_explained_and_rehearsed(tmp_path):
    file = tmp_path / "weir.yaml"
    file.write_text("version: 1\nlisten: \"127.0.0.1:0\"\nroutes:\n"
                    "  POST /hook: {respond: ok, webhook: {form: slack, secret: 12345678}}\n"
                    "tests:\n  - {post: /hook, is: 200}\n")
    assert run_weir("test", file)[0] == 0
    status, out, _ = run_weir("explain", "POST http://localhost/hook", file)
    assert status == 0 and "wants a signature of Slack in X-Slack-Signature" in out


def flaky(failures):
    """A service that answers the first so many with 503."""
    def serve(peer):
        while True:
            request = peer.read_request()
            peer.upstream.requests.append(request)
            peer.answer(b"", 503 if len(peer.upstream.requests) <= failures else 202)
    return serve


@pytest.mark.parametrize("form", SECRETS)
def test_a_message_is_taken_once(start, serve, form):
    service = serve(flaky(2))
    gateway = start(configuration(service))
    outcomes = [gateway.request("POST", f"/{form}", signed(form), BODY).status for _ in range(5)]
    assert outcomes == [503, 503, 202, 200, 200]
    assert len(service.requests) == 3
    now = int(time.time())
    again = gateway.request("POST", f"/{form}", signed(form, when=now - 100), BODY)  # another attempt of the same
    assert again.status == 200 and again.body == b""
    known = len(service.requests)
    other = signed(form, BODY.replace(b"1", b"2"), identifier="msg-2")
    assert gateway.request("POST", f"/{form}", other, BODY.replace(b"1", b"2")).status == 202
    assert (known, len(service.requests)) == (3, 4)
    assert gateway.metric("weir_webhook_requests_total", outcome="repeated") == 3
    assert gateway.metric("weir_webhook_requests_total", outcome="not-taken") == 2
    assert gateway.metric("weir_webhook_requests_total", outcome="accepted") == 2


def test_it_is_known_after_a_reload_and_while_it_is_under_way(start, serve):
    service = serve()
    gateway = start(configuration(service, ", duplicate: refuse"))
    assert gateway.request("POST", "/github", signed("github"), BODY).status == 200
    assert gateway.reload(configuration(service, ", duplicate: refuse, body: 2MiB"))[0] == 200
    answer = gateway.request("POST", "/github", signed("github"), BODY)
    assert answer.status == 409 and json.loads(answer.body)["reason"] == "webhook-repeated"

    begun, end, slow = held()
    late = serve(slow)
    gateway = start(configuration(late))
    fields = signed("standard")
    with gateway.connect() as connection:
        connection.send_request("POST", "/standard", fields, BODY)
        assert begun.wait(60)
        answer = gateway.request("POST", "/standard", fields, BODY)
        assert answer.status == 409 and json.loads(answer.body)["reason"] == "webhook-running"
        assert answer.header("Retry-After") == "5"
        end.set()
        assert connection.read_answer("POST").status == 200
    assert gateway.request("POST", "/standard", fields, BODY).status == 200
    assert len(late.requests) == 1


def test_a_client_that_goes_away_may_come_again(start, serve):
    begun, end, slow = held()
    service = serve(slow)
    gateway = start(configuration(service))
    fields = signed("github")
    with gateway.connect() as connection:
        connection.send_request("POST", "/github", fields, BODY)
        assert begun.wait(60)
    end.set()
    wait_for(lambda: gateway.request("POST", "/github", fields, BODY).status == 200, what="the second delivery")
    assert len(service.requests) in (1, 2)  # the first may have been answered before it was seen to be gone


def test_gateways_know_together(start, serve, free_port, tmp_path):
    with RedisServer(tmp_path, free_port()) as redis:
        service = serve()
        text = configuration(service) + f"redis: {{at: \"127.0.0.1:{redis.port}\", timeout: 60s, connect-timeout: 60s}}\n"
        gateways = [start(text), start(text)]
        for gateway in gateways:
            wait_for(lambda gateway=gateway: gateway.status()["redis"]["connections"] == 2, what="connections to Redis")
        assert [gateway.request("POST", "/github", signed("github"), BODY).status for gateway in gateways] == [200, 200]
        assert len(service.requests) == 1
        assert gateways[1].metric("weir_webhook_requests_total", outcome="repeated") == 1


@pytest.mark.parametrize(("word", "status", "calls"), [("local", 200, 1), ("pass", 200, 2), ("refuse", 503, 0)])
def test_without_the_store(start, serve, free_port, word, status, calls):
    service = serve()
    gateway = start(configuration(service, f", if-unavailable: {word}") + f"redis: \"127.0.0.1:{free_port()}\"\n")
    answers = [gateway.request("POST", "/github", signed("github"), BODY).status for _ in range(2)]
    assert answers == [status] * 2 and len(service.requests) == calls
