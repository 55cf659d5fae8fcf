"""A login in Debian's chromium: what browsers make of the cookies and the redirections."""

import contextlib

import pytest
from gateway import wait_for
from login_site import provider, site  # noqa: F401 (fixtures)
from test_demo import CHROMIUM, Browser

PAGE = (b"<!doctype html><title>Shop</title><button onclick=\"fetch('/api').then(a => a.text().then(t => "
        b"document.title = a.status + ' ' + t))\">Ask</button>")


@pytest.fixture
def chromium(tmp_path):
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    one = Browser(tmp_path)
    yield one
    one.close()


def shows(chromium, title):
    def is_there():
        with contextlib.suppress(AssertionError):  # it has just left the page that it was asked about
            return chromium.evaluate("document.readyState + document.title") == f"complete{title}"
    wait_for(is_there, 60, f"a page {title}")


def test_a_login_in_a_browser(site, chromium):  # noqa: F811
    shop = site(options="after-logout: /bye", service=answer)
    shop.provider.asks = True
    chromium.command("Page.navigate", url=f"{shop.url}/orders?page=2")
    shows(chromium, "Provider")
    chromium.click("Log in")
    shows(chromium, "Shop")
    assert chromium.evaluate("location.href") == f"{shop.url}/orders?page=2"
    assert chromium.evaluate("document.cookie") == "", "scripts see nothing of it"
    cookies = chromium.command("Network.getCookies", urls=[shop.url])["cookies"]
    assert [(cookie["name"], cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [("weir", True, "Lax")]
    chromium.click("Ask")  # a script's request carries the session
    shows(chromium, "200 u1")
    # Without a session a script hears so, and is not sent anywhere.
    chromium.command("Network.clearBrowserCookies")
    assert chromium.evaluate("fetch('/api').then(a => a.status)") == 401
    assert chromium.evaluate("location.pathname") == "/orders"
    # The provider still knows who it is; then a logout ends all.
    chromium.command("Page.navigate", url=f"{shop.url}/again")
    shows(chromium, "Provider")
    chromium.click("Log in")
    shows(chromium, "Shop")
    chromium.command("Page.navigate", url=f"{shop.url}/oauth2/logout")
    shows(chromium, "Bye")
    assert not chromium.command("Network.getCookies", urls=[shop.url])["cookies"]
    assert not shop.provider.problems and shop.provider.ended == [shop.provider.sessions[1].sid]


def answer(peer):
    while True:
        request = peer.read_request()
        body = request.header("X-User", "nobody").encode() if request.target == "/api" else PAGE
        kind = "text/plain" if request.target == "/api" else "text/html"
        peer.answer(body, headers=[("Content-Type", kind)])


def test_two_tabs_in_a_browser(site, chromium):  # noqa: F811
    """Both begin before one comes back."""
    shop = site(service=answer)
    shop.provider.asks = True
    chromium.command("Page.navigate", url=f"{shop.url}/one")
    shows(chromium, "Provider")
    first, chromium.session = chromium.session, {}
    target = chromium.command("Target.createTarget", url=f"{shop.url}/two")["targetId"]
    second = {"sessionId": chromium.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
    chromium.session = second
    shows(chromium, "Provider")
    for session, path in ((first, "/one"), (second, "/two")):
        chromium.session = session
        chromium.evaluate("document.querySelector('button').click()")
        shows(chromium, "Shop")
        assert chromium.evaluate("location.pathname") == path
    assert shop.counted("completed") == 2 and not shop.provider.problems


def test_an_answer_by_a_form_in_a_browser(site, chromium):  # noqa: F811
    """Another site posts it: the browser brings the cookie of the attempt, and then the session."""
    shop = site(options="response-mode: form_post", service=answer)
    chromium.command("Page.navigate", url=f"{shop.url}/orders?page=2")
    shows(chromium, "Provider")
    cookies = chromium.command("Network.getCookies", urls=[shop.url])["cookies"]
    assert [(cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) for cookie in cookies] == [
        ("weir.login0", True, True, "None")]
    chromium.click("Log in")
    shows(chromium, "Shop")
    assert chromium.evaluate("location.href") == f"{shop.url}/orders?page=2"
    assert shop.counted("completed") == 1 and not shop.provider.problems
