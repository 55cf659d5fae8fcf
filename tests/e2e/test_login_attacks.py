"""What attackers do to logins, one test each."""

import re
import time
import urllib.parse

import pytest
from gateway import wait_for
from login_browser import Browser, Cookie
from login_site import CLIENT_SECRET, SECRETS, provider, reason, site, tls_site  # noqa: F401 (fixtures)
from oidc_provider import OidcProvider
from test_login_sessions import tell


def put(browser, url, name, value):
    """Plants a cookie, or changes one."""
    browser.cookies(url)[name] = Cookie(f"{name}={value}; Path=/; HttpOnly; SameSite=Lax")


# --- where browsers are sent to


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/%5Cevil.example", "\\\\evil.example", "evil",
                                "/%0d%0aSet-Cookie:x=y", "/%09/evil.example", "%2F%2Fevil.example", "javascript:alert(1)",
                                "%5C%5Cevil.example", "/%5C/evil.example", "///evil.example", "%20//evil.example", "/%00/x"])
def test_no_open_redirection(site, to):
    shop = site()
    answer = shop.browser.get(f"{shop.url}/oauth2/login?to={to}")
    assert answer.status == 200 and shop.browser.visits[-1] == f"{shop.url}/"


def test_a_path_that_looks_like_a_host(site):
    shop = site()
    shop.browser.get(f"{shop.url}//evil.example/x")
    assert all(urllib.parse.urlsplit(url).netloc in (shop.url[7:], shop.provider.address) for url in shop.browser.visits)
    assert shop.browser.visits[-1] == f"{shop.url}/"


# --- answers of another browser, another login, another provider


def test_an_answer_for_another_browser(site):
    """Login CSRF: a thief's code in a victim's browser."""
    shop = site()
    thief, victim = Browser(), Browser()
    stolen = thief.get(f"{shop.url}/", until="/oauth2/callback")
    assert reason(victim.ask(stolen)) == (400, "login-stray")
    victim.get(f"{shop.url}/", until="/authorize")  # has begun a login of its own
    assert reason(victim.ask(stolen)) == (400, "login-stray")
    assert shop.counted("stray") == 2 and shop.counted("completed") == 0
    # Changed in any way, its own is none, too.
    own = thief.copy()
    for changed in (stolen.replace("state=0", "state=1"), stolen.replace("state=", "state=x"), stolen.split("?")[0],
                    re.sub("state=[^&]*", "state=" + "0" * 44, stolen), re.sub("state=[^&]*", "state=%00", stolen)):
        assert reason(own.ask(changed)) == (400, "login-stray"), changed
    assert thief.get(stolen).status == 200
    # And is good once.
    assert reason(thief.ask(stolen)) == (400, "login-stray")


def test_a_code_that_comes_again(site):
    """Who still has the cookie of the attempt: the provider takes each code once."""
    shop = site()
    back = shop.browser.get(f"{shop.url}/", until="/oauth2/callback")
    before = shop.browser.copy()
    assert shop.browser.get(back).status == 200
    assert reason(before.ask(back)) == (502, "login-failed") and not before.cookies(shop.url)
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200 and len(shop.provider.sessions) == 1


def test_a_code_of_another_attempt(site):
    """Injected: the thief's browser has begun a login, and brings a victim's code with its own state."""
    shop = site()
    victim, thief = Browser(), Browser()
    code = re.search("code=([^&]*)", victim.get(f"{shop.url}/", until="/oauth2/callback")).group(1)
    back = thief.get(f"{shop.url}/", until="/oauth2/callback")
    assert reason(thief.ask(re.sub("code=[^&]*", f"code={code}", back))) == (502, "login-failed")
    assert "the verifier does not fit the challenge" in shop.provider.problems and not shop.provider.sessions


def test_mixed_up_providers(site):
    """RFC 9207: an answer that names another issuer, or none where one must be named; errors, too."""
    shop = site()
    for error in (None, "access_denied"):
        shop.provider.error = error
        for change in (lambda url: re.sub("iss=[^&]*", "iss=https%3A%2F%2Fevil.example", url),
                       lambda url: re.sub("&iss=[^&]*", "", url)):
            browser = Browser()
            back = browser.get(f"{shop.url}/", until="/oauth2/callback")
            answer = browser.ask(change(back))
            assert reason(answer) == (502, "login-failed") and b"another provider" in answer.body
    assert not shop.provider.asked("/token")


@pytest.fixture
def two(start, serve, provider, free_port):
    """A gateway with an honest provider and one that is not, which does not name itself in answers: (url, the other)."""
    with OidcProvider({"shop": "evil"}, sub="u1") as evil:
        evil.more = {"authorization_response_iss_parameter_supported": False}
        port = free_port()
        start(f"""
            version: 1
            listen: "127.0.0.1:{port}"
            services: {{back: "{serve().at}"}}
            auth:
              web:
                login:
                  providers:
                    honest: {{issuer: "{provider.issuer}", client: shop, client-secret: "{CLIENT_SECRET}"}}
                    evil: {{issuer: "{evil.issuer}", client: shop, client-secret: evil}}
                  secret: "{SECRETS[0]}"
                  url: "http://127.0.0.1:{port}"
            use: [auth.web]
            routes: {{/**: back}}
            """)
        yield f"http://127.0.0.1:{port}", evil


def test_the_mix_up_attack(two, provider):
    """The browser has begun a login at the evil provider, which sends it on to the honest one with the evil one's state: the code
    of the honest one must not get to the evil one's token endpoint."""
    url, evil = two
    victim = Browser()
    asked = urllib.parse.urlsplit(victim.get(f"{url}/oauth2/login/evil", until="/authorize"))
    back = victim.get(f"{provider.issuer}/authorize?{asked.query}", until="/oauth2/callback")
    assert "/callback/evil" in back and "code=" in back
    answer = victim.ask(back)
    assert reason(answer) == (502, "login-failed") and b"another provider" in answer.body
    assert not evil.asked("/token") and not provider.asked("/token")
    # Nor is it an answer to what the honest one was asked.
    victim.get(f"{url}/oauth2/login/evil", until="/authorize")
    assert reason(victim.ask(back.replace("/callback/evil", "/callback/honest"))) == (400, "login-stray")


# --- cookies


def test_a_session_that_somebody_has_planted(site):
    """Fixation: who logs in gets a session of his own, whatever the browser had before."""
    shop = site()
    thief, victim = Browser(), Browser()
    shop.provider.user = {**shop.provider.user, "sub": "thief", "text": "x" * 5000}
    assert thief.get(f"{shop.url}/").status == 200
    planted = {name: cookie.value for name, cookie in thief.cookies(shop.url).items()}
    assert len(planted) > 1
    shop.provider.user = {"sub": "victim", "name": "V", "roles": []}
    for name, value in planted.items():
        put(victim, shop.url, name, value)
    assert victim.get(f"{shop.url}/oauth2/login?to=/x").status == 200
    assert shop.service.requests[-1].header("X-User") == "victim" and list(victim.cookies(shop.url)) == ["weir"]
    assert thief.ask(f"{shop.url}/x", navigates=False).status == 200
    assert shop.service.requests[-1].header("X-User") == "thief", "what the thief has is still the thief's own"


def test_cookies_that_were_changed(site):
    shop = site()
    shop.provider.user["text"] = "x" * 5000
    assert shop.browser.get(f"{shop.url}/").status == 200
    good = {name: cookie.value for name, cookie in shop.cookies.items()}
    assert sorted(good) == ["weir", "weir.1", "weir.2"]
    head, part = good["weir"], good["weir.1"]
    bad = [{"weir": head[:i] + ("A" if head[i] != "A" else "B") + head[i + 1:]} for i in (0, 2, 3, 10, 40, 100, len(head) - 1)]
    bad += [{"weir": head[:i]} for i in (0, 1, 2, 3, 30, 60, len(head) - 1)] + [{"weir": head + "A"}, {"weir": head + head[:100]}]
    bad += [{"weir.1": part[:-1]}, {"weir.1": part + "A"}, {"weir.1": good["weir.2"], "weir.2": part}, {"weir.1": None}]
    bad += [{"weir": "1." + head[2:]}, {"weir": "9." + head[2:]}, {"weir": "2." + head[2:]}, {"weir": head.replace("3.", "3.%", 1)}]
    asked = len(shop.service.requests)
    for change in bad:
        browser = Browser()
        for name, value in {**good, **change}.items():
            if value is not None:
                put(browser, shop.url, name, value)
        assert reason(browser.ask(f"{shop.url}/x", navigates=False)) == (401, "credentials-missing"), change
    assert len(shop.service.requests) == asked
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200


def test_an_attempt_that_was_changed(site):
    shop = site()
    back = shop.browser.get(f"{shop.url}/", until="/oauth2/callback")
    value = shop.cookies["weir.login0"].value
    for changed in (value[:-1], value[:2], value + "A", value[:50] + ("A" if value[50] != "A" else "B") + value[51:]):
        browser = Browser()
        put(browser, shop.url, "weir.login0", changed)
        assert reason(browser.ask(back)) == (400, "login-stray"), changed
    assert shop.browser.get(back).status == 200


def test_cookies_of_another_kind(site):
    """What an attempt is sealed in is no session, nor the other way round."""
    shop = site()
    back = shop.browser.get(f"{shop.url}/", until="/oauth2/callback")
    attempt = shop.cookies["weir.login0"].value
    assert shop.browser.copy().get(back).status == 200
    browser = Browser()
    put(browser, shop.url, "weir", attempt)
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 401
    assert shop.browser.get(back.split("?")[0], navigates=False).status == 400
    whole = Browser()
    assert whole.get(f"{shop.url}/").status == 200
    put(browser, shop.url, "weir.login0", whole.cookies(shop.url)["weir"].value)
    assert reason(browser.ask(back)) == (400, "login-stray")


def test_sessions_of_other_logins(start, serve, provider, free_port):
    """One secret, one cookie's name: a login of another client, and one of another provider, know nothing of the session."""
    service, port = serve(), free_port()
    with OidcProvider() as other:
        provider.clients["admin"] = "s2"
        login = f'secret: "{SECRETS[0]}", url: "http://127.0.0.1:{port}"'
        start(f"""
            version: 1
            listen: "127.0.0.1:{port}"
            services: {{back: "{service.at}"}}
            auth:
              web: {{login: {{issuer: "{provider.issuer}", client: shop, client-secret: "{CLIENT_SECRET}", {login}}}}}
              admin: {{login: {{issuer: "{provider.issuer}", client: admin, client-secret: s2, path: /admin/id, {login}}}}}
              far: {{login: {{issuer: "{other.issuer}", client: shop, client-secret: "{CLIENT_SECRET}", path: /far/id, {login}}}}}
            routes:
              /**: {{to: back, use: [auth.web]}}
              /admin/**: {{to: back, use: [auth.admin]}}
              /far/**: {{to: back, use: [auth.far]}}
            """)
        browser, url = Browser(), f"http://127.0.0.1:{port}"
        assert browser.get(f"{url}/").status == 200
        assert [browser.ask(f"{url}{path}", navigates=False).status for path in ("/x", "/admin/x", "/far/x")] == [200, 401, 401]
        assert len(service.requests) == 2


def test_plain_cookies_are_none_over_tls(tls_site):
    """Other hosts can set cookies without the prefix, and plain connections: they count for nothing."""
    browser, url = tls_site
    assert browser.get(f"{url}/x").status == 200
    value = browser.cookies(url).pop("__Host-weir").value
    put(browser, url, "weir", value)
    assert browser.ask(f"{url}/x", navigates=False).status == 401


# --- tokens for something else


def test_a_logout_token_that_comes_again(site):
    """It has ended what there was; who has logged in since stays."""
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    token = shop.provider.logout_token(sub="u1")
    assert tell(shop, token).status == 200
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 401
    ended = int(time.time())
    wait_for(lambda: int(time.time()) > ended, what="the next second, from which on sessions are newer")
    newer = shop.log_in()
    assert tell(shop, token).status == 400 and shop.counted("logout-refused") == 1
    assert newer.ask(f"{shop.url}/x", navigates=False).status == 200
    assert tell(shop, shop.provider.logout_token(sub="u1")).status == 200
    assert newer.ask(f"{shop.url}/x", navigates=False).status == 401


def test_a_logout_token_is_no_id_token(site):
    shop = site()
    for more in ({}, {"nonce": "n"}):
        shop.provider.changes = {"id_token": shop.provider.logout_token(sub="u1", **more)}
        assert reason(Browser().get(f"{shop.url}/")) == (502, "login-failed")
    assert not shop.service.requests


@pytest.mark.parametrize("options, change", [("bearer: access-token", {"access_token": "a" * 16000}),
                                             ("", {"refresh_token": "r" * 22000})])
def test_tokens_that_are_too_large(site, options, change):
    shop = site(options=options)
    shop.provider.changes, shop.provider.id_claims = change, {"at_hash": None, "text": "x" * 6000}
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and b"too large" in answer.body and not shop.cookies
