"""What providers give besides a session: tokens for services, userinfo; and the ways to ask them for it."""

import json
import time
import urllib.parse

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from gateway import run_weir, wait_for
from issuer import Key
from login_browser import Browser
from login_site import SECRETS, provider, reason, site  # noqa: F401 (fixtures)
from oidc_provider import OidcProvider
from test_login_sessions import due


def sent(shop):
    """What the service got last as Authorization."""
    return shop.service.requests[-1].header("Authorization")


# --- tokens for services


@pytest.mark.parametrize("word", ["access-token", "id-token"])
def test_a_token_for_the_service(site, word):
    shop = site(options=f"bearer: {word}")
    assert shop.browser.get(f"{shop.url}/").status == 200
    kind, token = sent(shop).split(" ")
    assert kind == "Bearer"
    if word == "access-token":
        assert [token] == shop.provider.sessions[0].access_tokens
    else:
        claims = jwt.decode(token, shop.provider.key.private.public_key(), ["ES256"], audience="shop")
        assert claims["sub"] == "u1"
    # What the browser's side says in its place does not count.
    assert shop.browser.ask(f"{shop.url}/x", headers={"Authorization": "Bearer forged"}).status == 200
    assert sent(shop) == f"Bearer {token}"
    assert token not in json.dumps(shop.gateway.status()) + shop.gateway.metrics() + shop.gateway.stderr
    shop.gateway.log_lines(4)
    assert token not in shop.gateway.log_path.read_text()


def test_no_token_without_asking(site):
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200 and sent(shop) is None
    assert shop.browser.ask(f"{shop.url}/x", headers={"Authorization": "Bearer mine"}).status == 200
    assert sent(shop) == "Bearer mine"


def test_strangers_cannot_say_whose_token(site):
    shop = site(options="bearer: access-token", optional="optional: true")
    assert shop.browser.ask(f"{shop.url}/x", headers={"Authorization": "Bearer forged"}).status == 200
    assert sent(shop) is None


def test_the_token_is_renewed_first(site):
    shop = site(options="bearer: access-token")
    browser = due(shop)
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 200
    session = shop.provider.sessions[0]
    assert len(session.access_tokens) == 2 and sent(shop) == f"Bearer {session.access_tokens[1]}"


def test_an_id_token_is_renewed_by_its_own_time(site):
    """However long the access token lasts."""
    shop = site(options="bearer: id-token")
    end = int(time.time()) + 2
    shop.provider.id_claims = {"exp": end}
    shop.log_in()
    shop.provider.id_claims = {}
    wait_for(lambda: time.time() > end + 1, what="the ID token to end")
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200 and shop.provider.refreshes == 1
    claims = jwt.decode(sent(shop).split(" ")[1], shop.provider.key.private.public_key(), ["ES256"], audience="shop")
    assert claims["exp"] > end


def test_a_token_that_has_ended_goes_to_nobody(site):
    shop = site(options="bearer: access-token")
    browser = due(shop)
    shop.provider.token_status = 503
    assert reason(browser.ask(f"{shop.url}/x", navigates=False)) == (503, "login-unavailable")
    assert not shop.service.requests
    shop.provider.token_status = None
    wait_for(lambda: browser.ask(f"{shop.url}/x", navigates=False).status == 200, what="it to be asked again")


def test_a_token_that_nobody_renews_ends_the_session(site):
    shop = site(options="bearer: access-token")
    shop.provider.gives_refresh_token = False
    browser = due(shop)
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 401 and not shop.service.requests
    assert browser.get(f"{shop.url}/x").status == 200 and len(shop.provider.sessions) == 2


@pytest.mark.parametrize("change", [{"token_type": "DPoP"}, {"access_token": "a b"}, {"access_token": None}, {"access_token": ""}])
def test_access_tokens_that_are_no_bearer(site, change):
    shop = site(options="bearer: access-token")
    shop.provider.changes, shop.provider.id_claims = change, {"at_hash": None}
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and "no access token" in json.loads(answer.body)["detail"]


def test_mirrors_get_no_token(site, serve, start):
    """Another service gets a copy of the request, but not what lets it act in the user's name."""
    shadow = serve()
    shop = site(options="bearer: access-token")
    assert shop.browser.get(f"{shop.url}/").status == 200
    service = f'{{at: "{shop.service.at}", mirror: shadow}}, shadow: "{shadow.at}"'
    assert shop.gateway.reload(shop.config(service=service))[0] == 200
    assert shop.browser.ask(f"{shop.url}/x").status == 200 and sent(shop).startswith("Bearer ")
    wait_for(lambda: shadow.requests, what="a copy")
    assert shadow.requests[0].header("Authorization") is None and shadow.requests[0].header("X-User") == "u1"


# --- userinfo


def test_userinfo(site):
    shop = site(options="userinfo: true")
    shop.provider.userinfo = {"name": "another", "groups": ["a", "b"], "iss": "https://evil.example", "locale": "de", "azp": "x"}
    extra = "send: {X-Groups: claims.groups, X-Locale: claims.locale, X-Issuer: claims.iss, X-Name: claims.name, X-User: claims.sub, X-Party: claims.azp}"
    assert shop.gateway.reload(shop.config().replace("send: {X-User: claims.sub, X-Name: claims.name}", extra))[0] == 200
    assert shop.browser.get(f"{shop.url}/").status == 200
    for _ in range(2):
        seen = shop.service.requests[-1]
        assert (seen.header("X-User"), seen.header("X-Name"), seen.header("X-Locale")) == ("u1", "Ada", "de")
        assert seen.header("X-Issuer") == shop.provider.issuer and seen.header("X-Party") is None and "b" in seen.header("X-Groups")
        assert shop.browser.ask(f"{shop.url}/again").status == 200
    assert len(shop.provider.asked("/userinfo")) == 1 and not shop.provider.problems


def test_userinfo_is_asked_again_with_a_renewal(site):
    shop = site(options="userinfo: true")
    shop.provider.user.pop("name")
    shop.provider.userinfo = {"name": "Grace"}
    browser = due(shop)
    shop.provider.userinfo = {"name": "Grace H."}
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 200
    assert shop.service.requests[-1].header("X-Name") == "Grace H."


def test_userinfo_fails_at_a_renewal(site):
    """The refresh token is spent by then, so the session goes on with what was known."""
    shop = site(options="userinfo: true")
    shop.provider.user.pop("name")
    shop.provider.userinfo = {"name": "Grace"}
    browser = due(shop)
    shop.provider.userinfo_status = 503
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 200
    assert shop.service.requests[-1].header("X-Name") == "Grace" and not shop.provider.problems


def test_userinfo_of_another_user(site):
    shop = site(options="userinfo: true")
    shop.provider.userinfo = {"sub": "u2"}
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and "another user" in json.loads(answer.body)["detail"]
    shop.provider.userinfo = {}
    browser = due(shop)
    shop.provider.userinfo = {"sub": "u2"}
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 401 and not shop.service.requests


@pytest.mark.parametrize("status, expected", [(500, (503, "login-unavailable")), (403, (502, "login-failed"))])
def test_userinfo_fails(site, status, expected):
    shop = site(options="userinfo: true")
    shop.provider.userinfo_status = status
    assert reason(shop.browser.get(f"{shop.url}/")) == expected


# --- by a form


def test_an_answer_by_a_form(site):
    shop = site(options="response-mode: form_post")
    page = shop.browser.get(f"{shop.url}/orders?page=2")
    attempt = shop.cookies["weir.login0"]
    assert attempt.attributes["samesite"] == "None" and "secure" in attempt.attributes and "httponly" in attempt.attributes
    stolen = shop.browser.copy()
    answer = shop.browser.submit(page)
    assert answer.status == 303 and answer.header("Location") == "/orders?page=2"
    assert shop.cookies["weir"].attributes["samesite"] == "Lax" and shop.session_parts() == ["weir"]
    assert shop.browser.get(f"{shop.url}/orders?page=2").status == 200 and shop.counted("completed") == 1
    # The code is good once, and for the browser that has begun.
    assert reason(Browser().submit(page)) == (400, "login-stray")
    assert reason(stolen.submit(page)) == (502, "login-failed")
    lines = shop.gateway.log_path.read_text()
    assert all(code not in lines for code in shop.provider.codes)


def test_an_answer_in_the_wrong_way(site):
    """What is to come by a form is not taken from a URL, nor the other way round."""
    shop = site(options="response-mode: form_post")
    page = shop.browser.get(f"{shop.url}/")
    fields = dict(part.split('" value="') for part in page.body.decode().replace('name="', "\n").split("\n")[1:] for part in [part.split('">')[0]])
    answer = shop.browser.ask(f"{shop.url}/oauth2/callback?{urllib.parse.urlencode(fields)}", navigates=False)
    assert answer.status == 401 and shop.counted("completed") == 0
    assert reason(shop.browser.ask(f"{shop.url}/oauth2/callback", "POST", {"Content-Type": "text/plain"}, b"x")) == (400, "login-stray")
    assert shop.browser.submit(page).status == 303
    other = site()
    back = other.browser.get(f"{other.url}/", until="/oauth2/callback")
    form = urllib.parse.urlsplit(back).query.encode()
    posted = other.browser.ask(f"{other.url}/oauth2/callback", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, form)
    assert posted.status == 401 and other.counted("completed") == 0


# --- what ID tokens are signed with


def test_tokens_signed_with_the_client_s_secret(site):
    shop = site(options="signed-with: client-secret")
    shop.provider.signs_with_secret = True
    assert shop.browser.get(f"{shop.url}/").status == 200 and shop.service.requests[-1].header("X-User") == "u1"
    token = shop.provider.logout_token(sid=shop.provider.sessions[0].sid)
    answer = shop.gateway.request("POST", "/oauth2/backchannel-logout", {"Content-Type": "application/x-www-form-urlencoded"},
                                  f"logout_token={token}".encode())
    assert answer.status == 200 and shop.browser.ask(f"{shop.url}/x", navigates=False).status == 401


@pytest.mark.parametrize("wants, signs", [(False, True), (True, False)])
def test_a_token_does_not_choose_how_it_is_verified(site, wants, signs):
    shop = site(options="signed-with: client-secret" if wants else "")
    shop.provider.signs_with_secret = signs
    answer = shop.browser.get(f"{shop.url}/")
    assert reason(answer) == (502, "login-failed") and "key of its own" in json.loads(answer.body)["detail"]


@pytest.mark.parametrize("algorithm, status", [("HS256", 200), ("HS384", 502), ("HS512", 502)])
def test_only_hs256_by_a_secret(site, provider, algorithm, status):
    secret = "a secret of a client that would be long enough for every digest there is"
    provider.clients["shop"] = secret
    provider.sign = lambda claims, *_: jwt.encode(claims, secret, algorithm)
    provider.id_claims = {"at_hash": None}
    shop = site(options=f'signed-with: client-secret\n          client-secret: "{secret}"', has_secret=False)
    assert shop.browser.get(f"{shop.url}/").status == status


# --- who the gateway is at the token endpoint


def test_a_public_client(site, provider):
    provider.clients["shop"] = None
    shop = site(has_secret=False)
    assert shop.browser.get(f"{shop.url}/").status == 200
    form, fields, _ = provider.asked("/token")[0]
    assert form["client_id"] == "shop" and "client_secret" not in form and "authorization" not in fields


@pytest.mark.parametrize("method", ["basic", "post"])
def test_a_method_that_the_file_says(site, provider, method):
    """Whatever the provider's document says."""
    provider.more = {"token_endpoint_auth_methods_supported": ["client_secret_post" if method == "basic" else "client_secret_basic"]}
    shop = site(options=f"client-auth: {method}")
    assert shop.browser.get(f"{shop.url}/").status == 200
    form, fields, _ = provider.asked("/token")[0]
    assert ("client_secret" in form, "authorization" in fields) == (method == "post", method == "basic")


def test_a_private_key(site, provider, tmp_path):
    key = Key("one", "ES256")
    file = tmp_path / "client.pem"
    file.write_bytes(key.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
    provider.clients["shop"] = key.private.public_key()
    shop = site(options=f'client-key: "{file}"\n          client-key-id: one', has_secret=False)
    browser = due(shop)
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 200 and provider.refreshes == 1
    forms = [form for form, _, _ in provider.asked("/token")]
    assert len(forms) == 2 == len(provider.assertions) and not provider.problems
    assert jwt.get_unverified_header(forms[0]["client_assertion"]) == {"alg": "ES256", "kid": "one"}
    assert all("client_secret" not in form for form in forms)


def test_mistakes_about_clients(tmp_path):
    rsa = tmp_path / "rsa.pem"
    rsa.write_bytes(Key("x", "RS256").private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    rows = [({"client-auth": "basic"}, "cannot show one"), ({"client-auth": "private-key"}, "go together"),
            ({"client-key": str(rsa)}, "no private key for ES256"), ({"client-key": "/nowhere.pem"}, "nowhere.pem"),
            ({"client-key": str(rsa), "client-auth": "post", "client-secret": "x"}, "go together"),
            ({"signed-with": "client-secret"}, "no `client-secret`"),
            ({"signed-with": "client-secret", "client-secret": "short"}, "at least 32 bytes"),
            ({"response-mode": "fragment"}, "form_post"), ({"bearer": "yes"}, "access-token")]
    file = tmp_path / "weir.yaml"
    for change, says in rows:
        login = {"issuer": "https://id.example", "client": "shop", "secret": SECRETS[0], **change}
        file.write_text(f"version: 1\nlisten: ':0'\nauth: {{web: {{login: {json.dumps(login)}}}}}\nuse: [auth.web]\n"
                        "routes: {/**: {respond: hello}}\n")
        code, _, said = run_weir("check", file)
        assert code == 3 and says in said, (change, said)


# --- where the endpoints are


def test_endpoints_at_another_host(site, provider):
    provider.more = {name: f"{provider.elsewhere}/{path}" for name, path in (("token_endpoint", "token"), ("userinfo_endpoint", "userinfo"))}
    shop = site(options="userinfo: true")
    browser = due(shop)
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 200
    hosts = [fields["host"] for path in ("/token", "/userinfo") for _, fields, _ in provider.asked(path)]
    assert set(hosts) == {provider.elsewhere[7:]} and len(hosts) == 4 and provider.refreshes == 1
    assert shop.gateway.metric("weir_inquiries_total", policy="auth.web", outcome="2xx") == 4


def test_nobody_is_at_the_other_host(site, provider, free_port):
    provider.more = {"token_endpoint": f"http://127.0.0.1:{free_port()}/token"}
    shop = site()
    assert reason(shop.browser.get(f"{shop.url}/")) == (503, "login-unavailable")
    assert shop.gateway.metric("weir_inquiries_total", policy="auth.web", outcome="failed") == 1


def test_a_provider_with_an_authority_of_its_own(site, authority):
    """All of its endpoints are trusted by `ca`, at its host and at another."""
    for is_elsewhere in (False, True):
        with OidcProvider(tls=authority.issue("localhost")) as one:
            one.more = {"token_endpoint": f"{one.elsewhere}/token"} if is_elsewhere else {}
            shop = site(issuer=one.issuer, options=f'ca: "{authority.file}"')
            browser = Browser(authority.context())
            assert browser.get(f"{shop.url}/").status == 200 and len(one.sessions) == 1
            stranger = site(issuer=one.issuer, options="timeout: 100ms")
            assert reason(Browser(authority.context()).get(f"{stranger.url}/")) == (503, "login-unavailable")
