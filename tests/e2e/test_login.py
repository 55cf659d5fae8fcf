"""Logging browsers in at an OpenID provider, end to end."""

import base64
import json
import re
import urllib.parse

import pytest
from gateway import run_weir, wait_for
from login_browser import Browser
from login_site import CLIENT_SECRET, SECRETS, provider, reason, site, tls_site  # noqa: F401 (fixtures)
from oidc_provider import OidcProvider

def test_a_login(site):
    shop = site()
    answer = shop.browser.get(f"{shop.url}/orders?page=2&x=a%20b")
    assert answer.status == 200 and shop.browser.visits[-1] == f"{shop.url}/orders?page=2&x=a%20b"
    assert [urllib.parse.urlsplit(url).path for url in shop.browser.visits] == [
        "/orders", "/authorize", "/oauth2/callback", "/orders"]
    seen = shop.service.requests[-1]
    assert seen.header("X-User") == "u1" and seen.header("X-Name") == "Ada" and not seen.header("Cookie")
    assert not shop.provider.problems
    # The next request needs nobody else.
    asked = len(shop.provider.requests)
    assert shop.browser.ask(f"{shop.url}/again").status == 200 and len(shop.provider.requests) == asked
    assert {outcome: shop.counted(outcome) for outcome in ("begun", "completed", "failed", "stray")} == {
        "begun": 1, "completed": 1, "failed": 0, "stray": 0}


def test_what_the_provider_is_asked(site):
    shop = site(options="parameters: {prompt: login, ui: a&b}")
    place = shop.browser.get(f"{shop.url}/", until="/authorize")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(place).query))
    assert query.pop("state") and query.pop("nonce") and len(query.pop("code_challenge")) == 43
    assert query == {"response_type": "code", "client_id": "shop", "redirect_uri": f"{shop.url}/oauth2/callback",
                     "scope": "openid profile offline_access", "code_challenge_method": "S256", "prompt": "login",
                     "ui": "a&b"}
    assert shop.browser.get(place).status == 200
    sent = next(form for method, path, _, form, _ in shop.provider.requests if path == "/token")
    assert sorted(sent) == ["code", "code_verifier", "grant_type", "redirect_uri"]


def test_cookies(site):
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert [cookie.name for cookie in shop.browser.seen] == ["weir.login0", "weir", "weir.login0"]
    for cookie in shop.browser.seen:
        assert "httponly" in cookie.attributes and cookie.attributes["samesite"] == "Lax"
        assert cookie.attributes["path"] == "/"
    assert shop.session_parts() == ["weir"] == sorted(shop.cookies)
    sealed = shop.cookies["weir"].value.split(".", 1)[1]
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert raw[0] == 1 and b"Ada" not in raw and b"u1" not in raw
    # Others of the application pass, the gateway's own do not.
    shop.browser.ask(f"{shop.url}/x", headers={})
    name, value = "theme", "dark"
    shop.cookies[name] = type("Plain", (), {"value": value})
    assert shop.browser.ask(f"{shop.url}/x").status == 200
    assert shop.service.requests[-1].header("Cookie") == "theme=dark"


@pytest.mark.parametrize("headers", [
    {"Accept": "application/json"}, {"Accept": "*/*"}, {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"},
    {"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, {}])
def test_who_is_no_browser_gets_401(site, headers):
    shop = site()
    answer = shop.browser.ask(f"{shop.url}/api", headers=headers, navigates=False)
    assert answer.status == 401 and json.loads(answer.body)["reason"] == "credentials-missing"
    assert answer.header("WWW-Authenticate") == 'Login realm="weir"' and not answer.all("Set-Cookie")
    post = shop.browser.ask(f"{shop.url}/api", "POST", body=b"x=1")
    assert post.status == 401


def test_claims_decide(site):
    shop = site()
    assert shop.browser.get(f"{shop.url}/buy").status == 200
    refused = shop.browser.ask(f"{shop.url}/sell")
    assert refused.status == 403 and json.loads(refused.body)["reason"] == "not-allowed"


def test_anonymous_visitors(site):
    shop = site(optional="optional: true")
    assert shop.browser.get(f"{shop.url}/x").status == 200
    assert shop.service.requests[-1].header("X-User") is None
    assert shop.browser.get(f"{shop.url}/oauth2/login?to=/mine").status == 200
    assert shop.browser.visits[-1] == f"{shop.url}/mine"
    assert shop.service.requests[-1].header("X-User") == "u1"


def test_two_tabs(site):
    shop = site()
    places = [shop.browser.get(f"{shop.url}/tab{i}", until="/authorize") for i in range(3)]
    assert len(shop.cookies) == 3
    for i in (1, 0, 2):
        assert shop.browser.get(places[i]).status == 200
        assert shop.browser.visits[-1] == f"{shop.url}/tab{i}"
    # However many are begun, the cookies stay few.
    other = Browser()
    for i in range(10):
        last = other.get(f"{shop.url}/tab{i}", until="/authorize")
    assert len(other.cookies(shop.url)) == 4
    assert other.get(last).status == 200 and other.visits[-1] == f"{shop.url}/tab9"


@pytest.mark.parametrize("error, expected", [
    ("access_denied", (403, "login-denied")), ("invalid_scope", (502, "login-failed")),
    ("temporarily_unavailable", (503, "login-unavailable")), ("<script>alert(1)</script>", (502, "login-failed"))])
def test_the_provider_refuses(site, error, expected):
    shop = site()
    shop.provider.error = error
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == expected and answer.header("Content-Type") == "application/problem+json"
    assert b"<" not in answer.body and b"described" not in answer.body
    assert "script" in error or error in json.loads(answer.body)["detail"]
    assert not shop.cookies, "the attempt is over"


@pytest.mark.parametrize("claims, why", [
    ({"nonce": "another"}, "not of this login"), ({"nonce": None}, "not of this login"), ({"iss": "https://evil"}, "another issuer"),
    ({"aud": "other"}, "another client"), ({"aud": ["shop", "other"]}, "another client"), ({"azp": "other"}, "another client"),
    ({"exp": 1000}, "not of this time"), ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "a wrong one"), ({"sub": None}, "lacks a claim"),
    ({"sub": ""}, "lacks a claim"), ({"sub": 7}, "lacks a claim"), ({"iat": None}, "lacks a claim")])
def test_id_tokens_that_are_not_good(site, claims, why):
    shop = site()
    shop.provider.id_claims = claims
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and why in json.loads(answer.body)["detail"], answer.body
    assert not shop.cookies and not shop.service.requests and shop.counted("failed") == 1


def test_id_tokens_that_are_good(site):
    shop = site()
    for claims in ({"aud": ["shop"]}, {"aud": ["shop", "other"], "azp": "shop"}, {"at_hash": None}):
        shop.provider.id_claims = claims
        assert Browser().get(f"{shop.url}/").status == 200, claims


def test_a_stranger_s_signature(site):
    shop = site()
    stranger = OidcProvider().key
    shop.provider.signing = stranger
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and "key of its own" in json.loads(answer.body)["detail"]


def test_the_token_endpoint_fails(site):
    shop = site()
    for status, expected in ((500, (503, "login-unavailable")), (400, (502, "login-failed"))):
        shop.provider.token_status = status
        answer = shop.browser.get(f"{shop.url}/")
        assert reason(answer) == expected
    shop.provider.token_status = None
    assert shop.browser.get(f"{shop.url}/").status == 200
    reasons = {line["reason"] for line in shop.gateway.log_lines(7) if line["url.path"] == "/oauth2/callback" and "reason" in line}
    assert reasons == {"login-unavailable", "login-failed"}


def test_a_provider_that_wants_the_secret_in_the_form(site, provider):
    provider.requires_post = True
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    form = next(form for _, path, _, form, _ in provider.requests if path == "/token")
    assert form["client_id"] == "shop" and form["client_secret"] == CLIENT_SECRET


def test_sessions_over_several_cookies(site, provider):
    provider.user["text"] = "x" * 9000
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert shop.session_parts() == ["weir", "weir.1", "weir.2", "weir.3", "weir.4"]
    assert shop.browser.ask(f"{shop.url}/x").status == 200 and shop.service.requests[-1].header("X-User") == "u1"
    lost = shop.browser.copy()
    del lost.cookies(shop.url)["weir.2"]
    assert lost.ask(f"{shop.url}/x", navigates=False).status == 401
    # A smaller one takes the other parts away.
    provider.user["text"] = "x"
    assert shop.browser.get(f"{shop.url}/oauth2/login").status == 200
    assert shop.session_parts() == ["weir"]
    provider.user["text"] = "x" * 30000
    answer = Browser().get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and "too large" in json.loads(answer.body)["detail"]


def test_secrets_rotate(site):
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert shop.gateway.reload(shop.config(secret=json.dumps([SECRETS[1], SECRETS[0]])))[0] == 200
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200
    newer = Browser()
    assert newer.get(f"{shop.url}/").status == 200
    assert shop.gateway.reload(shop.config(secret=json.dumps(SECRETS[1])))[0] == 200
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 401
    assert newer.ask(f"{shop.url}/x", navigates=False).status == 200


def test_another_gateway_knows_the_session(site, start):
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    other = start(shop.config(port_of_listener=0))
    cookie = shop.cookies["weir"]
    assert other.get("/x", {"Cookie": f"weir={cookie.value}"}).status == 200
    assert other.get("/x", {"Cookie": f"weir={cookie.value[:-4]}AAAA"}).status == 401


def test_a_session_ends_when_it_is_not_used(site):
    shop = site(options="idle: 2s")
    shop.log_in("/x")
    given = next(cookie for cookie in shop.browser.seen if cookie.name == "weir")
    assert int(given.attributes["max-age"]) <= 2
    shop.cookies["weir"] = given  # for ever
    wait_for(lambda: shop.browser.copy().ask(f"{shop.url}/x", navigates=False).status == 401, what="the end of the session")
    assert shop.provider.issuer in shop.browser.get(f"{shop.url}/x", until="/authorize"), "it is not asked to log in again"


def test_a_session_goes_on_while_it_is_used(site):
    shop = site(options="idle: 20s")
    assert shop.browser.get(f"{shop.url}/").status == 200
    first = shop.cookies["weir"].value

    def is_given_anew():
        assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200
        return shop.cookies["weir"].value != first
    wait_for(is_given_anew, what="a cookie of a later time")


def test_logout(site):
    shop = site(options="after-logout: /bye")
    assert shop.browser.get(f"{shop.url}/").status == 200
    place = shop.browser.get(f"{shop.url}/oauth2/logout", until="/bye")
    assert place == f"{shop.url}/bye" and not shop.cookies
    assert shop.provider.ended == [shop.provider.sessions[0].sid] and not shop.provider.problems
    assert shop.counted("logged-out") == 1
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 401


def test_logout_without_more(site):
    """The browser stays at the provider; without a session it sees a page; from another site nothing happens."""
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    refused = shop.browser.ask(f"{shop.url}/oauth2/logout", headers={"Sec-Fetch-Site": "cross-site"})
    assert reason(refused) == (403, "not-allowed") and shop.cookies
    assert b"logged out" in shop.browser.get(f"{shop.url}/oauth2/logout", method="POST").body
    assert "/end_session" in shop.browser.visits[-1] and not shop.cookies
    page = shop.browser.get(f"{shop.url}/oauth2/logout")
    assert page.status == 200 and b"You are logged out" in page.body
    assert "default-src 'none'" in page.header("Content-Security-Policy") and page.header("Cache-Control") == "no-store"


def test_several_providers(site, provider, start, serve, free_port):
    with OidcProvider({"store": "s2"}, sub="u2") as second:
        service, port = serve(), free_port()
        gateway = start(f"""
            version: 1
            listen: "127.0.0.1:{port}"
            services: {{back: "{service.at}"}}
            auth:
              web:
                login:
                  providers:
                    one: {{issuer: "{provider.issuer}", client: shop, client-secret: "{CLIENT_SECRET}", title: "Provider <1>"}}
                    two: {{issuer: "{second.issuer}", client: store, client-secret: s2}}
                  secret: "{SECRETS[0]}"
                  url: "http://127.0.0.1:{port}"
                send: {{X-User: claims.sub}}
            use: [auth.web]
            routes: {{/**: back}}
            """)
        url, browser = f"http://127.0.0.1:{port}", Browser()
        page = browser.get(f"{url}/a?b=c")
        assert page.status == 200 and browser.visits[-1] == f"{url}/oauth2/login?to=%2Fa%3Fb%3Dc"
        links = re.findall(r'href="([^"]*)">([^<]*)<', page.body.decode())
        assert links == [("/oauth2/login/one?to=%2Fa%3Fb%3Dc", "Provider &lt;1&gt;"), ("/oauth2/login/two?to=%2Fa%3Fb%3Dc", "two")]
        for (link, _), user in zip(links, ("u1", "u2")):
            assert browser.get(url + link).status == 200 and browser.visits[-1] == f"{url}/a?b=c"
            assert service.requests[-1].header("X-User") == user
        # The answer of one is no answer of the other.
        mixed = Browser()
        back = mixed.get(f"{url}/oauth2/login/one", until="/oauth2/callback")
        assert "/oauth2/callback/one?" in back
        assert reason(mixed.ask(back.replace("callback/one", "callback/two"))) == (400, "login-stray")
        assert gateway.metric("weir_login_total", outcome="completed") == 2


def test_the_provider_is_down(site, free_port):
    shop = site(issuer=f"http://127.0.0.1:{free_port()}", options="timeout: 100ms")
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (503, "login-unavailable") and shop.counted("unavailable") == 1
    assert shop.browser.ask(f"{shop.url}/", navigates=False).status == 401


def test_nothing_secret_is_written(site):
    shop = site(options="after-logout: /bye")
    shop.browser.get(f"{shop.url}/")
    sealed = shop.cookies["weir"].value
    session = shop.provider.sessions[0]
    shop.browser.get(f"{shop.url}/oauth2/logout", until="/bye")
    shop.gateway.log_lines(4)
    written = shop.gateway.log_path.read_text() + shop.gateway.stderr + json.dumps(shop.gateway.status()) + shop.gateway.metrics()
    codes = [urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["code"][0] for url in shop.browser.visits if "code=" in url]
    assert codes
    for secret in (sealed, session.refresh_token, CLIENT_SECRET, SECRETS[0], "Ada", *codes):
        assert secret not in written, secret


def test_over_tls(tls_site):
    """The cookies have the prefix that no other host can set, and are kept from plain connections."""
    browser, url = tls_site
    assert browser.get(f"{url}/x").status == 200
    assert list(browser.cookies(url)) == ["__Host-weir"]
    assert {cookie.name for cookie in browser.seen} == {"__Host-weir", "__Host-weir.login0"}


def test_mistakes_in_the_file(tmp_path):
    good = {"issuer": "https://id.example", "client": "shop", "secret": SECRETS[0]}
    rows = [
        ({"secret": "short"}, "at least 32 bytes"), ({"secret": None}, "secret"), ({"issuer": None}, "needs an `issuer`"),
        ({"client": None}, "needs an `issuer`"), ({"url": "https://shop.example/x"}, "has no path"),
        ({"url": "ftp://shop.example"}, "has no path"), ({"path": "oauth2"}, "of a login is one of letters"),
        ({"path": "/a/../b"}, "of a login is one of letters"), ({"path": "/a?b"}, "of a login is one of letters"),
        ({"cookie": "a b"}, "a cookie has a short name"), ({"domain": "a; Path=/"}, "a `domain` is a host's name"),
        ({"after-logout": "//evil.example"}, "a path or a URL"), ({"parameters": {"state": "x"}}, "the gateway's own"),
        ({"providers": {"a": {"issuer": "https://a.example", "client": "x"}}}, "either `providers`"),
        ({"issuer": None, "client": None, "providers": {"a b": {"issuer": "https://a.example", "client": "x"}}}, "letters, digits"),
        ({"issuer": None, "client": None, "providers": {"a": {"issuer": "https://a.example"}}}, "needs an `issuer`"),
        ({"issuer": "http://id.example"}, "https"), ({"idle": "0s"}, "idle"),
    ]
    file = tmp_path / "weir.yaml"
    for change, says in [({}, None), *rows]:
        login = {name: value for name, value in {**good, **change}.items() if value is not None}
        file.write_text(f"version: 1\nlisten: ':0'\nauth: {{web: {{login: {json.dumps(login)}}}}}\nuse: [auth.web]\n"
                        "routes: {/**: {respond: hello}}\n")
        code, _, said = run_weir("check", file)
        assert (code, says is None or says in said) == (0 if says is None else 3, True), (change, said)


LOGIN = f'{{issuer: "https://id.example", client: shop, secret: "{SECRETS[0]}"}}'
TWO = f'{{providers: {{a: {{issuer: "https://a.example", client: x}}, b: {{issuer: "https://b.example", client: x, response-mode: form_post}}}}, secret: "{SECRETS[0]}"}}'


@pytest.mark.parametrize("login, top, routes, missing", [
    (LOGIN, "use: [auth.web]", "/**: {respond: x}", []),
    (LOGIN, "", "/**: {respond: x, use: [auth.web]}", []),
    (LOGIN, "", "/a/**: {respond: x}", []),  # nobody uses it
    (LOGIN, "use: [auth.web]", "GET /oauth2/**: {respond: x}\n  /a: {respond: x}", []),
    (LOGIN, "use: [auth.web]", "/a/**: {respond: x}", ["GET /oauth2/callback", "GET /oauth2/logout"]),
    (LOGIN, "use: [auth.web]", "/**: {respond: x}\n  /oauth2/callback: {respond: x, use: []}", ["GET /oauth2/callback"]),
    (LOGIN, "use: [auth.web]", "POST /**: {respond: x}", ["GET /oauth2/callback", "GET /oauth2/logout"]),
    (LOGIN, "use: [auth.web]\nhosts: [a.example, '*.b.example']", "/**: {respond: x}", []),
    (LOGIN, "use: [auth.web]\nhosts: ['*.b.example']", "/a: {respond: x}", ["GET /oauth2/callback", "GET /oauth2/logout"]),
    (LOGIN, "", "/**: {respond: x, hosts: [a.example], use: [auth.web]}\n  /oauth2/**: {respond: x}", []),
    (LOGIN, "", "/**: {respond: x, when: 'header.x == \"1\"', use: [auth.web]}\n  /a: {respond: x}", []),  # nobody can tell
    (LOGIN, "", "/a: {respond: x, auth: {login: LOGIN}}", ["GET /oauth2/callback", "GET /oauth2/logout"]),
    (LOGIN.replace("{issuer", "{path: /id, issuer"), "use: [auth.web]", "/oauth2/**: {respond: x}", ["GET /id/callback", "GET /id/logout"]),
    (TWO, "use: [auth.web]", "/**: {respond: x}", []),
    (TWO, "use: [auth.web]", "/oauth2/callback/a: {respond: x}",
     ["POST /oauth2/callback/b", "GET /oauth2/logout", "GET /oauth2/login"]),
    (TWO, "use: [auth.web]", "GET /oauth2/**: {respond: x}", ["POST /oauth2/callback/b"]),
])
def test_routes_lead_to_where_browsers_come_back_to(tmp_path, login, top, routes, missing):
    file = tmp_path / "weir.yaml"
    file.write_text(f"version: 1\nlisten: ':0'\nauth: {{web: {{login: {login}}}}}\n{top}\nroutes:\n  "
                    + routes.replace("LOGIN", login) + "\n")
    code, _, said = run_weir("check", file)
    assert re.findall(r"no route leads to (\S+ [^\s,]+)", said) == missing, said
    assert code == (3 if missing else 0), said


def test_a_rehearsal_asks_nobody(tmp_path, provider):
    file = tmp_path / "weir.yaml"
    file.write_text(f"""
version: 1
listen: ":0"
auth: {{web: {{login: {{issuer: "{provider.issuer}", client: shop, secret: "{SECRETS[0]}"}}}}}}
use: [auth.web]
routes: {{/**: {{respond: "${{claims.sub}}"}}}}
tests:
  - {{get: /x, is: 401}}
  - {{get: /x, header: {{accept: text/html}}, is: 302}}
  - {{get: /x, claims: {{sub: u1}}, is: 200}}
  - {{get: /oauth2/login, is: 200}}
""")
    code, out, error = run_weir("test", file)
    assert code == 0, out + error
    code, out, error = run_weir("explain", "GET http://h/x", file)
    assert "credentials-missing" in out, out + error
    assert not provider.requests
