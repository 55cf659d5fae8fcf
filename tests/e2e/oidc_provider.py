"""A small OpenID provider, strict where a client could be careless: discovery, keys, authorization code with PKCE, refresh
tokens that are good once, userinfo, logout by redirection and by the back channel."""

import base64
import hashlib
import html
import http.server
import json
import secrets
import ssl
import threading
import time
import urllib.parse
import urllib.request

import jwt
from issuer import Key, text64

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Session:
    """What the provider remembers of one who has logged in: all of its grants end with it."""

    def __init__(self, user, client, nonce, scope):
        self.user, self.client, self.nonce, self.scope = user, client, nonce, scope
        self.sid, self.began, self.refresh_token, self.is_over = secrets.token_hex(8), int(time.time()), None, False
        self.access_tokens = []


class OidcProvider:
    """Use it as a context manager. `clients`: {id: secret, public key for private_key_jwt, or None (a public client)};
    `user`: the claims of whoever is at the browser; `tls`: a certificate for localhost. At `elsewhere` it listens, too.

    What a test can turn: `asks` (a page with a button comes first), `error` (what the browser comes back with instead of a
    code), `expires_in`, `id_claims` (changes ID tokens; None takes a claim away), `token_status` (the token endpoint fails so),
    `gate` (an event that answers of the token endpoint wait for), `requires_post`, `more` (members of the document),
    `signs_with_secret` (HS256), `userinfo` (what it says besides `sub`), `userinfo_status`, `changes` (to what tokens come with).
    """

    def __init__(self, clients=None, tls=None, **user):
        self.clients = clients or {"shop": "a client's secret: with %&+ in it"}
        self.user = {"sub": "u1", "name": "Ada", "roles": ["buyer"], **user}
        self.key, self.signing = Key("first", "ES256"), None
        self.asks, self.error, self.expires_in, self.id_claims, self.token_status = False, None, 3600, {}, None
        self.gate, self.requires_post, self.more, self.gives_refresh_token = None, False, {}, True
        self.codes, self.sessions, self.requests, self.problems = {}, [], [], []
        self.signs_with_secret, self.userinfo, self.userinfo_status, self.changes = False, {}, 200, {}
        self.refreshes, self.ended, self.assertions, self.tls = 0, [], set(), tls
        self.lock = threading.Lock()

    def __enter__(self):
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                provider._serve(self, b"")

            def do_POST(self):
                provider._serve(self, self.rfile.read(int(self.headers.get("Content-Length", "0"))))

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 64

        self.servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if self.tls else None
        for server in self.servers if context else []:
            context.load_cert_chain(self.tls.cert, self.tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        self.address, other = (f"{'localhost' if self.tls else '127.0.0.1'}:{server.server_address[1]}" for server in self.servers)
        scheme = "https" if self.tls else "http"
        self.issuer, self.elsewhere = f"{scheme}://{self.address}", f"{scheme}://{other}"
        self.threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in self.servers]
        [thread.start() for thread in self.threads]
        return self

    def __exit__(self, *_):
        if self.gate:
            self.gate.set()
        for server, thread in zip(self.servers, self.threads):
            server.shutdown()
            server.server_close()
            thread.join()

    def asked(self, path):
        """The forms, fields (by names in small letters) and queries of the requests for a path, in order."""
        return [(form, {name.lower(): value for name, value in fields.items()}, query)
                for _, at, query, form, fields in self.requests if at == path]

    # --- one request

    def _serve(self, handler, body):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
        self.requests.append((handler.command, url.path, query, form, dict(handler.headers)))
        serve = {"/.well-known/openid-configuration": self._discovery, "/jwks": self._jwks, "/authorize": self._authorize,
                 "/token": self._token, "/end_session": self._end_session, "/userinfo": self._userinfo}.get(url.path)
        if serve == self._token and self.gate:
            self.gate.wait(60)
        status, fields, data = serve(query, form, handler) if serve else (404, {}, b"")
        try:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **fields}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(data)
        except OSError:
            pass  # the client went away

    @staticmethod
    def _json(document, status=200):
        return status, {"Content-Type": "application/json", "Cache-Control": "no-store"}, json.dumps(document).encode()

    def _refuse(self, why, error="invalid_request", status=400):
        self.problems.append(why)
        return self._json({"error": error, "error_description": why}, status)

    def _discovery(self, *_):
        return self._json({
            "issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token", "userinfo_endpoint": f"{self.issuer}/userinfo", "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/end_session", "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["client_secret_post" if self.requires_post else "client_secret_basic"],
            "backchannel_logout_supported": True, "backchannel_logout_session_supported": True, **self.more})

    def _jwks(self, *_):
        return self._json({"keys": [self.key.jwk]})

    # --- the authorization endpoint (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1)

    def _authorize(self, query, _form, _handler):
        wanted = {"response_type": "code", "code_challenge_method": "S256"}
        if query.get("client_id") not in self.clients or "/callback" not in query.get("redirect_uri", ""):
            return self._refuse(f"an unknown client or place: {query}")
        if any(query.get(name) != value for name, value in wanted.items()) or "openid" not in query.get("scope", "").split() or \
                len(query.get("state", "")) < 20 or len(query.get("nonce", "")) < 20 or len(query.get("code_challenge", "")) != 43:
            return self._refuse(f"an incomplete request: {query}")
        if self.asks and "agreed" not in query:
            return self._page("/authorize", "get", {**query, "agreed": "yes"})
        answer = {"state": query["state"], "iss": self.issuer}
        if self.error:
            answer["error"] = self.error
            answer["error_description"] = "<b>described</b>"
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self.codes[answer["code"]] = query
        if query.get("response_mode") == "form_post":
            return self._page(query["redirect_uri"], "post", answer)
        return 302, {"Location": f"{query['redirect_uri']}?{urllib.parse.urlencode(answer)}"}, b""

    @staticmethod
    def _page(action, method, fields):
        """A form with a button."""
        inputs = "".join(f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in fields.items())
        page = f'<!doctype html><title>Provider</title><form action="{action}" method="{method}">{inputs}<button>Log in</button></form>'
        return 200, {"Content-Type": "text/html"}, page.encode()

    # --- the token endpoint

    def _client_of(self, form, handler):
        authorization = handler.headers.get("Authorization", "")
        if authorization.startswith("Basic ") and not self.requires_post:
            name, secret = base64.b64decode(authorization[6:]).decode().split(":", 1)
            name, secret = urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(secret)
        else:
            name, secret = form.get("client_id"), form.get("client_secret")
        if "client_assertion" in form:
            return name if self._is_asserted(name, form) else None
        good = name in self.clients and secret == self.clients[name]
        return name if good else None

    def _is_asserted(self, name, form):
        """RFC 7523 §3."""
        try:
            claims = jwt.decode(form["client_assertion"], self.clients.get(name), ["ES256"], audience=self._discovered("token_endpoint"),
                                issuer=name, options={"require": ["exp", "iat", "jti", "sub"]})
        except (KeyError, TypeError, jwt.InvalidTokenError) as error:
            self.problems.append(f"an assertion that is not good: {error!r}")
            return False
        is_new = claims["jti"] not in self.assertions
        self.assertions.add(claims["jti"])
        kind = form["client_assertion_type"]
        return is_new and claims["sub"] == name and kind == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    def _discovered(self, name):
        return json.loads(self._discovery()[2])[name]

    def _token(self, _query, form, handler):
        if self.token_status:
            return self._json({"error": "server_error"}, self.token_status)
        client = self._client_of(form, handler)
        if not client:
            return self._refuse("client authentication failed", "invalid_client", 401)
        with self.lock:
            if form.get("grant_type") == "authorization_code":
                return self._exchange(client, form)
            if form.get("grant_type") == "refresh_token":
                return self._refresh(client, form)
        return self._refuse("another grant", "unsupported_grant_type")

    def _exchange(self, client, form):
        asked = self.codes.pop(form.get("code"), None)  # good once
        if not asked:
            return self._refuse("an unknown code", "invalid_grant")
        if asked["client_id"] != client or asked["redirect_uri"] != form.get("redirect_uri"):
            return self._refuse("another client's code, or place", "invalid_grant")
        verifier = form.get("code_verifier", "")
        if not 43 <= len(verifier) <= 128 or text64(hashlib.sha256(verifier.encode()).digest()) != asked["code_challenge"]:
            return self._refuse("the verifier does not fit the challenge", "invalid_grant")
        session = Session(dict(self.user), client, asked["nonce"], asked["scope"])
        self.sessions.append(session)
        return self._json(self._grant(session, session.nonce))

    def _refresh(self, client, form):
        session = next((one for one in self.sessions if one.refresh_token == form.get("refresh_token")), None)
        if not session or session.is_over or session.client != client:
            # RFC 9700 §4.14.2: a token that was used before is a sign of theft, which ends all.
            self.problems.append("a refresh token that is not good")
            for one in self.sessions:
                if form.get("refresh_token", "").startswith(one.sid):
                    one.is_over = True
            return self._json({"error": "invalid_grant"}, 400)
        self.refreshes += 1
        return self._json(self._grant(session))

    def _grant(self, session, nonce=None):
        access = secrets.token_urlsafe(24)
        session.access_tokens.append(access)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": session.client, "iat": now, "exp": now + 300, "auth_time": session.began,
                  "sid": session.sid, "at_hash": text64(hashlib.sha256(access.encode()).digest()[:16]), **session.user}
        claims |= {"nonce": nonce} if nonce else {}
        claims = {name: value for name, value in {**claims, **self.id_claims}.items() if value is not None}
        grant = {"access_token": access, "token_type": "Bearer", "expires_in": self.expires_in,
                 "id_token": self.sign(claims, self.signing)}
        if self.gives_refresh_token:
            session.refresh_token = grant["refresh_token"] = f"{session.sid}.{secrets.token_urlsafe(16)}"
        return {**grant, **self.changes}

    def _userinfo(self, _query, _form, handler):
        scheme, _, token = handler.headers.get("Authorization", "").partition(" ")
        session = next((one for one in self.sessions if token in one.access_tokens), None)
        if scheme != "Bearer" or not session:
            return self._refuse("userinfo without a token", "invalid_token", 401)
        return self._json({"sub": session.user["sub"], **self.userinfo}, self.userinfo_status)

    # --- logout

    def _end_session(self, query, _form, _handler):
        try:
            how = (self.clients["shop"], ["HS256"]) if self.signs_with_secret else (self.key.private.public_key(), ["ES256"])
            hint = jwt.decode(query["id_token_hint"], *how, audience=query["client_id"],
                              options={"verify_exp": False})
        except (KeyError, jwt.InvalidTokenError) as error:
            return self._refuse(f"a hint that is not good: {error!r}")
        self.ended.append(hint["sid"])
        for session in self.sessions:
            session.is_over |= session.sid == hint["sid"]
        if "post_logout_redirect_uri" in query:
            return 302, {"Location": query["post_logout_redirect_uri"]}, b""
        return 200, {"Content-Type": "text/html"}, b"<!doctype html><title>Provider</title>You are logged out."

    def logout_token(self, client="shop", key=None, kind="logout+jwt", **changes):
        """OpenID Connect Back-Channel Logout 1.0 §2.4; None takes a claim away."""
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": client, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8),
                  "events": {LOGOUT_EVENT: {}}, **changes}
        return self.sign({name: value for name, value in claims.items() if value is not None}, key, kind)

    def sign(self, claims, key=None, kind="JWT"):
        if self.signs_with_secret and not key:
            return jwt.encode(claims, self.clients[claims["aud"]], "HS256", {"typ": kind})
        key = key or self.key
        return jwt.encode(claims, key.private, key.algorithm, {"kid": key.identifier, "typ": kind})
