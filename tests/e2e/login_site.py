"""What tests of logins share: a gateway with a login, a provider, a service, and a browser."""

import json

import pytest
from login_browser import Browser
from oidc_provider import OidcProvider

SECRETS = ["a secret for sessions of more than 32 bytes", "another secret for sessions, as long as that"]
CLIENT_SECRET = "a client's secret: with %&+ in it"

CONFIG = """
    version: 1
    {more}
    listen: {{http: {{address: "127.0.0.1:{port_of_listener}", http2: true}}}}
    workers: 2
    services: {{back: {service}}}
    auth:
      web:
        {optional}
        login:
          issuer: "{issuer}"
          client: shop
          {secret_of_client}
          secret: {secret}
          url: "http://127.0.0.1:{port}"
          scopes: [profile, offline_access]
          {options}
        send: {{X-User: claims.sub, X-Name: claims.name}}
    use: [auth.web]
    routes:
      /**: back
      /buy: {{to: back, allow: claims.roles has buyer}}
      /sell: {{to: back, allow: claims.roles has seller}}
      /bye: {{respond: {{body: "<!doctype html><title>Bye</title>", type: text/html}}, use: []}}
    """


class Site:
    """A gateway with a login, a provider, a service behind it, and a browser before it."""

    def __init__(self, gateway, provider, service, url, config):
        self.gateway, self.provider, self.service, self.url, self.config = gateway, provider, service, url, config
        self.browser = Browser()

    def counted(self, outcome):
        return self.gateway.metric("weir_login_total", auth="auth.web", outcome=outcome)

    @property
    def cookies(self):
        return self.browser.cookies(self.url)

    def log_in(self, path="/"):
        """Just so far that the browser has a session: it is not used yet."""
        answer = self.browser.ask(self.browser.get(f"{self.url}{path}", until="/oauth2/callback"))
        assert answer.status == 302 and answer.header("Location") == path
        return self.browser

    def session_parts(self):
        return sorted(name for name in self.cookies if ".login" not in name)


def reason(answer):
    return answer.status, json.loads(answer.body)["reason"]


@pytest.fixture
def provider():
    with OidcProvider() as one:
        yield one


@pytest.fixture
def site(start, serve, provider, free_port):
    def run(options="", optional="", secret=None, port=None, issuer=None, more="", service=None, has_secret=True):
        service = serve(service)
        port = port or free_port()

        def config(**changes):
            return CONFIG.format(**{"port": port, "port_of_listener": port, "service": json.dumps(service.at), "issuer": issuer or provider.issuer,
                                    "optional": optional,
                                    "secret_of_client": f"client-secret: {json.dumps(CLIENT_SECRET)}" if has_secret else "",
                                    "secret": json.dumps(secret or SECRETS[0]), "options": options, "more": more, **changes})
        return Site(start(config()), provider, service, f"http://127.0.0.1:{port}", config)
    return run


@pytest.fixture
def tls_site(start, serve, provider, authority, free_port):
    """A site behind a login, over TLS: a browser that trusts its certificate, and its URL."""
    service, port = serve(), free_port()
    issued = authority.issue("localhost")
    start(f"""
        version: 1
        listen: {{https: "127.0.0.1:{port}"}}
        tls: {{cert: {issued.cert}, key: {issued.key}}}
        services: {{back: "{service.at}"}}
        auth:
          web: {{login: {{issuer: "{provider.issuer}", client: shop, client-secret: "{CLIENT_SECRET}", secret: "{SECRETS[0]}"}}}}
        use: [auth.web]
        routes: {{/**: back}}
        """)
    return Browser(authority.context()), f"https://localhost:{port}"
