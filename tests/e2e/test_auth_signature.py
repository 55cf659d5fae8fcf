"""Requests that clients sign (RFC 9421): signed here by a signer of its own, known or refused by the gateway."""

import base64
import hashlib
import hmac
import json
import secrets
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from gateway import run_weir
from h2_client import Connection as H2Connection

SECRET = bytes(range(64))
USUAL = ("@method", "@target-uri")


def text64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def joined(signature, size):
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))


class Signers:
    """A key of each algorithm: how it is published, and how it signs."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.p256, self.p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
        self.ed25519 = ed25519.Ed25519PrivateKey.generate()
        pss = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
        self.sign = {
            "hmac-sha256": lambda base: hmac.new(SECRET, base, hashlib.sha256).digest(),
            "ed25519": self.ed25519.sign,
            "ecdsa-p256-sha256": lambda base: joined(self.p256.sign(base, ec.ECDSA(hashes.SHA256())), 32),
            "ecdsa-p384-sha384": lambda base: joined(self.p384.sign(base, ec.ECDSA(hashes.SHA384())), 48),
            "rsa-pss-sha512": lambda base: self.rsa.sign(base, pss, hashes.SHA512()),
            "rsa-v1_5-sha256": lambda base: self.rsa.sign(base, padding.PKCS1v15(), hashes.SHA256()),
        }

    def curve(self, key, size):
        numbers = key.public_key().public_numbers()
        return {"kty": "EC", "crv": {32: "P-256", 48: "P-384"}[size], "x": text64(numbers.x.to_bytes(size, "big")),
                "y": text64(numbers.y.to_bytes(size, "big"))}

    @property
    def jwks(self):
        numbers = self.rsa.public_key().public_numbers()
        modulus = {"kty": "RSA", "e": "AQAB", "n": text64(numbers.n.to_bytes(256, "big"))}
        raw = self.ed25519.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        kinds = {
            "hmac-sha256": {"kty": "oct", "k": text64(SECRET)},
            "ed25519": {"kty": "OKP", "crv": "Ed25519", "x": text64(raw)},
            "ecdsa-p256-sha256": self.curve(self.p256, 32),
            "ecdsa-p384-sha384": self.curve(self.p384, 48),
            "rsa-pss-sha512": {**modulus, "alg": "PS512"},
            "rsa-v1_5-sha256": {**modulus, "alg": "RS256"},
        }
        return {"keys": [{"kid": name, **kind, "claims": {"sub": f"user of {name}", "roles": ["buyer"]}}
                         for name, kind in kinds.items()]}


@pytest.fixture(scope="module")
def signers():
    return Signers()


def digest(body):
    return {"Content-Digest": "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"}


def sign(signers, key, method="GET", path="/x", fields=None, covered=USUAL, label="sig", authority="a.example", **more):
    """The request's fields with a signature; a parameter that is None is left out."""
    fields = {"Host": authority, **(fields or {})}
    lower = {name.lower(): value for name, value in fields.items()}
    derived = {"@method": method, "@target-uri": f"http://{authority}{path}", "@authority": authority, "@scheme": "http",
               "@path": path.split("?")[0], "@query": "?" + path.partition("?")[2], "@request-target": path}
    parameters = {"created": int(time.time()), "keyid": key, "alg": key, **more}
    written = "".join(f';{name}={value if isinstance(value, int) else json.dumps(value)}'
                      for name, value in parameters.items() if value is not None)
    names = " ".join(json.dumps(name) for name in covered)
    lines = [f"{json.dumps(name)}: {derived.get(name) or lower.get(name)}" for name in covered]
    base = "\n".join([*lines, f'"@signature-params": ({names}){written}']).encode()
    signature = base64.b64encode(signers.sign[key](base)).decode()
    return {**fields, "Signature-Input": f"{label}=({names}){written}", "Signature": f"{label}=:{signature}:"}


def configuration(service, keys, more=""):
    return f"""
        version: 1
        listen: {{http: {{address: "127.0.0.1:0", http2: true}}}}
        workers: 2
        auth: {{partners: {{signature: {{keys: {keys}{more}}}, send: {{X-User: claims.sub}}}}}}
        services: {{back: "{service.at}"}}
        use: [auth.partners]
        routes:
          /buy: {{to: back, allow: claims.roles has buyer}}
          /**: back
        """


@pytest.fixture
def partners(start, serve, signers, tmp_path):
    """behind(more): (gateway, service) behind signatures of all keys."""
    (tmp_path / "keys.json").write_text(json.dumps(signers.jwks))
    service = serve()
    return lambda more="": (start(configuration(service, tmp_path / "keys.json", more)), service)


def reason(answer):
    return answer.status, json.loads(answer.body).get("reason") if answer.status != 200 else None


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_every_algorithm(partners, signers, version):
    gateway, service = partners()
    if version == "HTTP/2":
        gateway.connect = lambda timeout=30.0: H2Connection(gateway.address, timeout)
    for name in signers.sign:
        fields = sign(signers, name, path="/buy?a=1", authority="localhost")
        if version == "HTTP/2":
            fields = sign(signers, name, path="/buy?a=1", authority="a.example")
            fields.pop("Host")
        assert reason(gateway.get("/buy?a=1", fields)) == (200, None), name
        assert service.requests[-1].header("X-User") == f"user of {name}"
        if version == "HTTP/1.1":
            assert service.requests[-1].header("Signature") == fields["Signature"]
        assert reason(gateway.get("/buy?a=2", fields)) == (401, "signature-wrong"), name
        assert reason(gateway.request("DELETE", "/buy?a=1", fields)) == (401, "signature-wrong"), name
    assert gateway.metric("weir_auth_requests_total", auth="auth.partners", outcome="verified") == len(signers.sign)
    assert gateway.metric("weir_auth_requests_total", auth="auth.partners", outcome="refused") == 2 * len(signers.sign)


def test_what_is_refused_and_why(partners, signers):
    gateway, service = partners()
    now = int(time.time())
    good = sign(signers, "ed25519")

    def but(**more):
        return sign(signers, "ed25519", **more)

    rows = [
        ({}, "credentials-missing"),
        ({"Signature": good["Signature"]}, "credentials-missing"),  # of what, it does not say
        ({"Signature-Input": good["Signature-Input"]}, "signature-malformed"),
        ({**good, "Signature": good["Signature"].replace("sig=", "other=")}, "signature-malformed"),
        ({**good, "Signature-Input": good["Signature-Input"] + ", x"}, None),
        ({**good, "Signature-Input": "((("}, "signature-malformed"),
        ({**good, "Signature": "sig=:AAAA:"}, "signature-wrong"),
        ({**good, "Signature": "sig=1"}, "signature-malformed"),
        (but(created=now - 1000), "signature-expired"),
        (but(created=now + 1000), "signature-not-yet-valid"),
        (but(created=None), "signature-coverage"),
        (but(expires=now - 100), "signature-expired"),
        (but(expires=now + 100), None),
        (but(keyid="nobody"), "signature-key"),
        (but(keyid=None), "signature-key"),
        (but(keyid="hmac-sha256"), "signature-key"),
        (but(alg="hmac-sha256"), "signature-key"),
        (but(alg=None), None),
        (but(covered=["@method"]), "signature-coverage"),
        (but(covered=[]), "signature-coverage"),
        (but(covered=["@method", "@authority", "@path", "@query"]), None),
        (but(covered=["@method", "@authority", "@request-target"]), None),
        (but(covered=["@method", "@authority", "@path"]), "signature-coverage"),
        (but(covered=[*USUAL, "x-missing"]), "signature-coverage"),
        (but(covered=[*USUAL, "@method"]), "signature-coverage"),
        (but(covered=[*USUAL, "x-a"], fields={"X-A": "1"}), None),
        ({**but(covered=[*USUAL, "x-a"], fields={"X-A": "1"}), "X-A": "2"}, "signature-wrong"),
        ({**good, "Host": "b.example"}, "signature-wrong"),
        (but(created=0), "signature-malformed"),
    ]
    for fields, expected in rows:
        answer = gateway.get("/x", fields)
        assert reason(answer) == ((401, expected) if expected else (200, None)), fields
        if expected:
            assert answer.header("WWW-Authenticate") == 'Signature realm="weir"'
    assert len(service.requests) == len([None for _, expected in rows if not expected])


def test_bodies_are_what_their_digest_says(partners, signers):
    gateway, service = partners(", body: 100KiB")
    body, other = b'{"pay": 1}', b'{"pay": 9}'

    def post(sent, **more):
        return reason(gateway.request("POST", "/x", sign(signers, "ecdsa-p256-sha256", "POST", **more), sent))

    covered = [*USUAL, "content-digest"]
    assert post(body, fields=digest(body), covered=covered) == (200, None)
    assert service.requests[-1].body == body
    assert post(other, fields=digest(body), covered=covered) == (401, "digest-wrong")
    assert post(b"", fields=digest(body), covered=covered) == (401, "digest-wrong")
    assert post(b"", fields=digest(b""), covered=covered) == (200, None)
    assert post(body, fields=digest(body)) == (401, "signature-coverage")  # nobody signed the digest
    assert post(b"") == (200, None)
    assert post(body, fields={"Content-Digest": "md5=:AAAA:"}, covered=covered) == (401, "digest-wrong")
    large = b"x" * (100 << 10) + b"y"
    assert post(large, fields=digest(large), covered=covered) == (413, "body-too-large")
    fields = sign(signers, "ed25519", "POST", fields=digest(body), covered=covered)
    chunks = {**fields, "Transfer-Encoding": "chunked"}
    assert gateway.request("POST", "/x", chunks, b"4\r\n" + body[:4] + b"\r\n6\r\n" + body[4:] + b"\r\n0\r\n\r\n").status == 200
    assert service.requests[-1].body == body


def test_a_nonce_is_good_once(partners, signers):
    gateway, service = partners()
    nonce = secrets.token_hex(8)
    fields = sign(signers, "ed25519", nonce=nonce)
    assert reason(gateway.get("/x", fields)) == (200, None)
    assert reason(gateway.get("/x", fields)) == (401, "signature-replayed")
    assert reason(gateway.get("/x", sign(signers, "hmac-sha256", nonce=nonce))) == (200, None)  # a key's nonces are its own
    forged = {**sign(signers, "ed25519", nonce="fresh"), "Signature": "sig=:AAAA:"}
    assert reason(gateway.get("/x", forged)) == (401, "signature-wrong")
    assert reason(gateway.get("/x", sign(signers, "ed25519", nonce="fresh"))) == (200, None)  # who forges uses up nothing
    strict, _ = partners(", nonce: required")
    assert reason(strict.get("/x", sign(signers, "ed25519"))) == (401, "signature-coverage")
    assert reason(strict.get("/x", sign(signers, "ed25519", nonce="1"))) == (200, None)
    ignored, _ = partners(", nonce: ignored")
    assert [ignored.get("/x", fields).status for _ in range(2)] == [200, 200]


def test_one_of_several_signatures_will_do(partners, signers):
    gateway, service = partners()
    mine, other = sign(signers, "ed25519"), sign(signers, "hmac-sha256", keyid="nobody", label="proxy", tag="proxy")
    both = {**mine, "Signature-Input": f"{other['Signature-Input']}, {mine['Signature-Input']}",
            "Signature": f"{other['Signature']}, {mine['Signature']}"}
    assert reason(gateway.get("/x", both)) == (200, None)
    assert service.requests[-1].header("X-User") == "user of ed25519"
    tagged, _ = partners(", tag: shop")
    assert reason(tagged.get("/x", both)) == (401, "credentials-missing")
    fields = sign(signers, "ed25519", tag="shop")
    assert reason(tagged.get("/x", fields)) == (200, None)
    many = ", ".join(mine["Signature-Input"].replace("sig=", f"s{number}=") for number in range(9))
    assert reason(gateway.get("/x", {**mine, "Signature-Input": many})) == (401, "signature-malformed")


def test_what_has_to_be_covered_can_be_said(partners, signers):
    gateway, _ = partners(", covers: [\"@path\", x-tenant], unsigned-body: true")
    fields = {"X-Tenant": "t1"}
    assert reason(gateway.get("/x", sign(signers, "ed25519", fields=fields, covered=["@path", "x-tenant"]))) == (200, None)
    assert reason(gateway.get("/x", sign(signers, "ed25519", fields=fields))) == (401, "signature-coverage")
    signed = sign(signers, "ed25519", "POST", fields=fields, covered=["@path", "x-tenant"])
    assert reason(gateway.request("POST", "/x", signed, b"any")) == (200, None)


def test_mistakes_in_the_file(tmp_path, signers):
    file, keys = tmp_path / "weir.yaml", tmp_path / "keys.json"
    file.write_text("version: 1\nlisten: \"127.0.0.1:0\"\nauth: {p: {signature: keys.json}}\n"
                    "routes: {/: {respond: ok, use: [auth.p]}}\n")
    unnamed = signers.jwks
    unnamed["keys"][4].pop("alg")
    for text, said in [(None, "cannot be read"), ("{", "cannot be used"), ("{\"keys\": []}", "no key"),
                       (json.dumps(unnamed), "has to say by its \"alg\"")]:
        if text is not None:
            keys.write_text(text)
        code, out, err = run_weir("check", file)
        assert code == 3 and said in out + err, (text, out, err)
    keys.write_text(json.dumps(signers.jwks))
    assert run_weir("check", file)[0] == 0
    fields = sign(signers, "ed25519", path="/", authority="localhost")
    options = [option for name, value in fields.items() if name != "Host" for option in ("-H", f"{name}: {value}")]
    code, out, _ = run_weir("explain", "GET http://localhost/", file, *options)
    assert code == 0 and "knows \"user of ed25519\"" in out, out
