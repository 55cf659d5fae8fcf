"""What tests of tokens share: issuers' keys, tokens, and an OpenID provider that publishes keys."""

import base64
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from registry_server import RegistryServer

ISSUER = "https://id.example"


class Key:
    """A key pair of an issuer: signs tokens, and is published as a JWK."""

    def __init__(self, identifier, algorithm, private=None):
        self.identifier, self.algorithm = identifier, algorithm
        self.private = private or new_private(algorithm)

    @property
    def jwk(self):
        kind = {"R": jwt.algorithms.RSAAlgorithm, "P": jwt.algorithms.RSAAlgorithm, "E": EcOrOkp}[self.algorithm[0]]
        fields = json.loads(kind.to_jwk(self.private.public_key()))
        fields.pop("key_ops", None)
        named = {"kid": self.identifier} if self.identifier else {}
        return {**fields, **named, "alg": self.algorithm, "use": "sig"}

    @property
    def pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM,
                                                      serialization.PublicFormat.SubjectPublicKeyInfo)

    def token(self, claims=None, headers=None):
        named = {"kid": self.identifier} if self.identifier else {}
        return jwt.encode(good(**(claims or {})), self.private, self.algorithm, {**named, **(headers or {})})


def new_private(algorithm):
    curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm]())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


class EcOrOkp:
    """PyJWT writes no JWK of curves; RFC 7518 §6.2.1 and RFC 8037 §2 say how."""

    @staticmethod
    def to_jwk(public):
        if isinstance(public, ec.EllipticCurvePublicKey):
            numbers, size = public.public_numbers(), (public.curve.key_size + 7) // 8
            return json.dumps({"kty": "EC", "crv": {32: "P-256", 48: "P-384", 66: "P-521"}[size],
                               "x": text64(numbers.x.to_bytes(size, "big")), "y": text64(numbers.y.to_bytes(size, "big"))})
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return json.dumps({"kty": "OKP", "crv": {32: "Ed25519", 57: "Ed448"}[len(raw)], "x": text64(raw)})


def every_key():
    """A key for each algorithm, by its name."""
    private = rsa.generate_private_key(65537, 2048)
    made = {name: Key(name, name, private) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}
    made.update({name: Key(name, name) for name in ("ES256", "ES384", "ES512")})
    made["Ed25519"] = Key("Ed25519", "EdDSA")
    made["Ed448"] = Key("Ed448", "EdDSA", ed448.Ed448PrivateKey.generate())
    return made


def text64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def good(**more):
    """Claims that are accepted; None takes one away."""
    claims = {"iss": ISSUER, "aud": "shop-api", "sub": "u1", "exp": int(time.time()) + 3600, "roles": ["buyer"],
              "plan": "free", **more}
    return {name: value for name, value in claims.items() if value is not None}


def publish(path, *keys):
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"keys": [key.jwk for key in keys]}))
    fresh.rename(path)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Issuer(RegistryServer):
    """An OpenID provider that says where its keys are, and gives them; set what it says as you like."""

    def __init__(self, *keys, **options):
        self.keys, self.document, self.raw_keys = keys, {}, None
        self.cache_control, self.status, self.is_held = None, 200, False
        super().__init__(**options)

    def token(self, key, claims=None, headers=None):
        return key.token({"iss": self.url, **(claims or {})}, headers)

    def asked(self, path="/keys"):
        """How often."""
        return sum(request[1] == path for request in self.requests)

    def hold(self, is_held):
        """Answers nothing meanwhile."""
        with self.changed:
            self.is_held = is_held
            self.changed.notify_all()

    def answer(self, handler):
        self.wait(lambda: not self.is_held, None)
        headers = [("Cache-Control", self.cache_control)] if self.cache_control else []
        if handler.path == "/.well-known/openid-configuration":
            handler.reply(self.status, {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **self.document}, headers)
        elif handler.path == "/keys":
            content = {"keys": [key.jwk for key in self.keys]} if self.raw_keys is None else self.raw_keys
            handler.reply(self.status, content, headers)
        else:
            handler.reply(404, {})
