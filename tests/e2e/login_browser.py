"""A browser for logins, without a window: keeps cookies as RFC 6265 says, follows redirections, and shows all that it did."""

import contextlib
import html
import re
import urllib.parse

from authority import SecureConnection
from http_client import Connection

NAVIGATION = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Sec-Fetch-Mode": "navigate",
              "Sec-Fetch-Site": "same-origin"}


class Cookie:
    def __init__(self, text):
        pair, *attributes = (part.strip() for part in text.split(";"))
        self.name, self.value = pair.split("=", 1)
        self.attributes = {}
        for attribute in attributes:
            name, _, value = attribute.partition("=")
            self.attributes[name.lower()] = value
        assert len(text) <= 4096, "browsers keep no cookie over 4 KB"
        if self.name.startswith("__Host-"):
            assert "secure" in self.attributes and self.attributes["path"] == "/" and "domain" not in self.attributes
        if self.name.startswith("__Secure-"):
            assert "secure" in self.attributes


class Browser:
    """`jar` has the cookies by place ("127.0.0.1:8080") and name; `visits` the URLs in order."""

    def __init__(self, context=None):
        self.context, self.jar, self.visits, self.seen = context, {}, [], []

    def cookies(self, url):
        return self.jar.setdefault(urllib.parse.urlsplit(url).netloc, {})

    def ask(self, url, method="GET", headers=None, body=b"", navigates=True, crosses=False):
        """One request, with the cookies of the place. `crosses`: another site has posted it."""
        parts = urllib.parse.urlsplit(url)
        fields = {"Host": parts.netloc, **(NAVIGATION if navigates else {}), **(headers or {})}
        cookies = self.cookies(url)
        sent = {name: cookie for name, cookie in cookies.items() if not crosses or cookie.attributes["samesite"] == "None"}
        if sent:
            fields["Cookie"] = "; ".join(f"{name}={cookie.value}" for name, cookie in sent.items())
        address = (parts.hostname, parts.port)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        opened = SecureConnection(address, self.context, parts.hostname) if parts.scheme == "https" else Connection(address)
        with contextlib.closing(opened.socket):
            answer = opened.request(method, path, fields, body)
        self.visits.append(url)
        for text in answer.all("Set-Cookie"):
            cookie = Cookie(text)
            self.seen.append(cookie)
            if cookie.attributes.get("max-age") == "0":
                cookies.pop(cookie.name, None)
            else:
                is_elsewhere = cookie.attributes["samesite"] == "None"
                assert "secure" in cookie.attributes if is_elsewhere or parts.scheme == "https" else "secure" not in cookie.attributes
                cookies[cookie.name] = cookie
        return answer

    def get(self, url, until=None, **more):
        """Follows redirections, at most ten; stops before a URL that has `until` in it, and gives that."""
        for _ in range(10):
            answer = self.ask(url, **more)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = urllib.parse.urljoin(url, answer.header("Location"))
            if until and until in url:
                return url
            more = {}
        raise AssertionError(f"redirected too often: {self.visits}")

    def submit(self, page):
        """Presses the button of a page with one form that posts to another site."""
        action = html.unescape(re.search(r'action="([^"]*)"', page.body.decode()).group(1))
        fields = re.findall(r'name="([^"]*)" value="([^"]*)"', page.body.decode())
        form = urllib.parse.urlencode({name: html.unescape(value) for name, value in fields})
        return self.ask(action, "POST", {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"},
                        form.encode(), crosses=True)

    def copy(self):
        """Another with the same cookies: who has stolen them, or the same one at another time."""
        other = Browser(self.context)
        other.jar = {place: dict(cookies) for place, cookies in self.jar.items()}
        return other


