"""An authorization server for the tests: it tells what tokens are worth (RFC 7662) and gives tokens to clients
(RFC 6749 §4.4), to who shows the right credentials."""

import base64
import json
import threading
from urllib.parse import parse_qs, unquote

from upstream import Upstream

CLIENT, SECRET = "the gate:way", "s3cret&%+ 1"  # characters that have to be encoded


def json_answer(peer, value, status=200, headers=()):
    peer.answer(json.dumps(value).encode(), status, [("Content-Type", "application/json"), *headers])


def credentials(request, form):
    """(client, secret), whichever way they came."""
    scheme, _, rest = request.header("Authorization", "").partition(" ")
    if scheme == "Basic":
        client, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
        return unquote(client), unquote(secret)
    return form.get("client_id"), form.get("client_secret")


class OAuthServer(Upstream):
    """`worth` says of each token what is answered. `gate` holds answers back while it is not set."""

    def __init__(self, **options):
        self.worth = {}
        self.gate = threading.Event()
        self.gate.set()
        self.forms, self.given = [], 0
        self.expires_in = 3600
        self.failure = None  # (status, value): of the next answers
        super().__init__(OAuthServer.run, **options)

    def run(peer):
        self = peer.upstream
        while True:
            request = peer.read_request()
            form = {name: values[0] for name, values in parse_qs(request.body.decode(), strict_parsing=True).items()}
            self.requests.append(request)
            self.forms.append(form)
            self.gate.wait(60)
            if self.failure:
                json_answer(peer, self.failure[1], self.failure[0])
            elif credentials(request, form) != (CLIENT, SECRET):
                json_answer(peer, {"error": "invalid_client"}, 401, [("WWW-Authenticate", 'Basic realm="id"')])
            elif request.target == "/introspect":
                json_answer(peer, self.worth.get(form["token"], {"active": False}))
            else:
                self.give(peer, form)

    def give(self, peer, form):
        assert form["grant_type"] == "client_credentials"
        self.given += 1
        value = {"access_token": f"service-token-{self.given}", "token_type": "Bearer", "scope": form.get("scope")}
        if self.expires_in is not None:
            value["expires_in"] = self.expires_in
        json_answer(peer, value)

    def pause(self):
        self.gate.clear()

    def go_on(self):
        self.gate.set()

    def close(self):
        self.gate.set()
        super().close()
