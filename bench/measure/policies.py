"""What policies cost: a request through one of them against the same request by the same gateway without it. The fields
are sent on every route, so that what reading them costs is no policy's."""

import base64
import hashlib
import json
import os
import statistics
import subprocess

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from . import machine, slices
from .proxies import Backend, Forwarder, HAProxy, Nginx, Proxy, Weir, pinned, program
from .scenarios import run_load, slice_figures

TITLE = "What a policy adds to a request, 64 connections"
TOKENS = 20000  # more than Weir remembers
USERS = 20000
CONSUMERS = 100000  # of API keys
SLICE = 0.3     # of a measured second; each round has a slice without a policy before and after each with one

JWT, NEW = "JWT, ES256, remembered", "JWT, ES256, a new one"
LOOP, BARE = "EVP_DigestVerify, in a loop", "EVP_DigestVerify, bare forwarder"
REDIS = "token bucket in Redis"


class Variant:
    """A proxy, asked for what one of its routes does."""

    def __init__(self, name, proxy, path, options, bar=None):
        self.name, self.proxy, self.path, self.options, self.bar = name, proxy, path, options, bar

    def load(self, seconds):
        figures = slice_figures(run_load(self.proxy, (1,), ["--path", f"/{self.path}/7", *self.options], seconds, 0.1))
        self.proxy.empty_log()
        return figures


class NewTokens(Variant):
    """Each slice goes on behind the tokens of the one before, so that none is remembered from it."""

    def __init__(self, name, proxy, path, options, bar=None):
        super().__init__(name, proxy, path, options, bar)
        self.file = options[options.index("--each-field") + 1]

    def load(self, seconds):
        figures = super().load(seconds)
        with open(self.file) as file:
            lines = file.readlines()
        sent = int(2 * figures["requests_per_second"] * (seconds + 0.1)) % len(lines)
        with open(self.file, "w") as file:
            file.writelines(lines[sent:] + lines[:sent])
        return figures


class Verifying(Forwarder):
    """The bare forwarder with a bare EVP_DigestVerify for each request."""

    name = "forwarder_verify"

    def command(self):
        return [program("forwarder_verify"), str(self.port), str(self.backend_port), str(self.workers)]


class Policies(Weir):
    redis = 0

    def tls_values(self, pair):
        return {"REDIS": self.redis}

    def command(self):
        return self.command_with("weir-policies.yaml")


class HAProxyPolicies(HAProxy):
    def command(self):
        return self.command_with("haproxy-policies.cfg")


class NginxPolicies(Nginx):
    def command(self):
        return self.command_with("nginx-policies.conf")


class Redis(Proxy):
    name = "redis-server"

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]


def text64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def make_tokens(folder):
    """A key pair of an issuer, its public key for the proxies, and a file with a field for each of many tokens. One of
    them."""
    pair = ec.generate_private_key(ec.SECP256R1())
    with open(os.path.join(folder, "bench-jwt.pem"), "wb") as file:
        file.write(pair.public_key().public_bytes(serialization.Encoding.PEM,
                                                  serialization.PublicFormat.SubjectPublicKeyInfo))
    header, token = text64(b'{"alg":"ES256","typ":"JWT"}'), ""
    with open(os.path.join(folder, "tokens"), "w") as file:
        for number in range(TOKENS):
            claims = {"iss": "https://id.bench.example", "aud": "bench", "sub": f"u{number}", "exp": 4102444800,
                      "roles": ["buyer", "reader"], "plan": "pro"}
            signed = f"{header}.{text64(json.dumps(claims).encode())}"
            r, s = utils.decode_dss_signature(pair.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
            token = f"{signed}.{text64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
            file.write(f"Authorization: Bearer {token}\n")
    return token


def make_users(folder):
    with open(os.path.join(folder, "users"), "w") as file:
        file.writelines(f"X-User: u{number}\n" for number in range(USERS))


def make_consumers(folder):
    """Consumers of API keys; one of the keys."""
    key = ""
    with open(os.path.join(folder, "consumers.jsonl"), "w") as file:
        for number in range(CONSUMERS):
            key = f"bench-{number:06d}-{hashlib.md5(str(number).encode()).hexdigest()}"
            line = {"name": f"c{number}", "sha256": hashlib.sha256(key.encode()).hexdigest(), "plan": "pro"}
            file.write(json.dumps(line) + "\n")
    return key


def variants_of(weir, peers, token, key, folder):
    """Of each proxy those without a policy, then those with one."""
    common = ["--field", "Origin: https://shop.example", "--field", f"X-API-Key: {key}"]
    fields = ["--field", "X-User: u1", *common]
    known = [*fields, "--field", f"Authorization: Bearer {token}"]
    new = [*fields, "--each-field", os.path.join(folder, "tokens")]
    users = [*common, "--each-field", os.path.join(folder, "users")]
    found = {weir: [
        Variant(JWT, weir, "jwt", known, 0.5), NewTokens(NEW, weir, "jwt", new),
        Variant("API key, one of 100,000", weir, "key", known, 0.4),
        Variant("allow", weir, "allow", known, 0.2), Variant("CORS", weir, "cors", known, 0.2),
        Variant("token bucket", weir, "bucket", known, 0.3),
        Variant("sliding log, 20,000 users", weir, "log", users, 0.6), Variant("concurrency", weir, "places", known),
        Variant(REDIS, weir, "redis", known, 10), Variant("concurrency in Redis", weir, "redis-places", known),
        Variant("JWT, token bucket, allow, CORS together", weir, "all", known, 1.5)]}
    for peer in peers:
        found[peer] = [Variant(f"token bucket, {peer.name}", peer, "bucket", known)]
        if peer.name == "haproxy":
            found[peer] += [Variant(f"JWT, ES256, {peer.name}", peer, "jwt", known)]
    return {proxy: ([Variant("none", proxy, "plain", options) for options in (known, new, users)
                     if any(one.options is options for one in ones)], ones) for proxy, ones in found.items()}


def bare_variants(plain, verifying, ones):
    """What a signature costs in a proxy that does nothing else, with the requests of new tokens."""
    options = next(one.options for one in ones if one.name == NEW)
    return {plain: ([Variant("none", plain, "plain", options)], [Variant(BARE, verifying, "plain", options)])}


def one_round(plain, ones, seconds, found):
    """What each adds, by the CPU of two requests without it, one just before and one just after."""
    for none in plain:
        before = none.load(seconds)["cpu_us"]
        for one in (one for one in ones if one.options is none.options):
            figures = one.load(seconds)
            after = none.load(seconds)["cpu_us"]
            slot = found.setdefault(one.name, {"cpu_us": [], "added_us": [], "errors": 0, "bar": one.bar})
            slot["cpu_us"].append(figures["cpu_us"])
            slot["added_us"].append(figures["cpu_us"] - (before + after) / 2)
            slot["errors"] += figures["errors"]
            before = after


def summary(values):
    return [statistics.median(values), min(values), max(values)]


def measure_added(variants, rounds, seconds):
    found = {}
    for turn in range(rounds + 1):
        for plain, ones in variants.values():
            one_round(plain, ones, seconds if turn else 0.1, found if turn else {})
    return {name: {**one, "cpu_us": summary(one["cpu_us"]), "added_us": summary(one["added_us"])}
            for name, one in found.items()}


def measure_loop():
    done = subprocess.run(pinned((0,), [program("micro_jose")]), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)["bare_ns"] / 1000


def measure(bench, _results):
    if Weir not in bench.kinds:
        return {"title": TITLE, "policies": {}}
    token, key = make_tokens(bench.folder), make_consumers(bench.folder)
    make_users(bench.folder)
    with slices.running() as started:
        started += [Backend(bench.folder, 0, cores=(1,)).start(), Redis(bench.folder, 0, cores=(1,)).start()]
        Policies.redis = started[1].port
        port = started[0].port
        started.append(Policies(bench.folder, port).start())
        started += [kind(bench.folder, port).start() for kind in (HAProxyPolicies, NginxPolicies)
                    if kind.__base__ in bench.kinds]
        variants = variants_of(started[2], started[3:], token, key, bench.folder)
        started += [kind(bench.folder, port).start() for kind in (Forwarder, Verifying)]
        variants |= bare_variants(*started[-2:], variants[started[2]][1])
        found = measure_added(variants, bench.rounds * 3, bench.seconds * SLICE)
    loop = measure_loop()
    found[NEW]["bar"] = found[BARE]["added_us"][0] + 3
    found[LOOP] = {"cpu_us": None, "added_us": [loop, loop, loop], "errors": 0, "bar": None}
    return {"title": TITLE, "policies": found}
