"""Sessions of logins over their lives: refresh tokens, logouts, gateways that share a store."""

import contextlib
import json
import threading
import time

import grpc
import pytest
import websocket_client
from gateway import wait_for
from grpc_peer import SERVICE, GrpcService, channel
from h2_client import Connection as H2Connection
from issuer import Key
from login_browser import NAVIGATION, Browser
from login_site import provider, reason, site  # noqa: F401 (fixtures)
from oidc_provider import LOGOUT_EVENT
from redis_server import Cluster, RedisServer
from websocket_service import WebSocketService


def due(shop, expires_in=3600):
    """Logs in with tokens that end at once; those that come after last for `expires_in`."""
    shop.provider.expires_in = 1
    shop.log_in()
    shop.provider.expires_in = expires_in
    end = time.time() + 2
    wait_for(lambda: time.time() > end, what="the tokens to be due")
    return shop.browser


def ask_together(browsers, url):
    """One request of each at a time: the answers."""
    answers = [None] * len(browsers)

    def ask(i):
        answers[i] = browsers[i].ask(url, navigates=False)
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(browsers))]
    [thread.start() for thread in threads]
    return threads, answers


def test_tokens_are_renewed(site):
    shop = site()
    browser = due(shop)
    session = shop.provider.sessions[0]
    session.user["name"] = "Ada L."
    old, token = shop.cookies["weir"].value, session.refresh_token
    for _ in range(3):
        assert browser.ask(f"{shop.url}/x", navigates=False).status == 200
        assert shop.service.requests[-1].header("X-Name") == "Ada L."
    assert shop.provider.refreshes == 1 and session.refresh_token != token and not shop.provider.problems
    assert shop.cookies["weir"].value != old and shop.counted("renewed") == 1


def test_many_requests_at_a_time(site):
    """The provider takes each refresh token once, and ends the session when one comes again."""
    shop = site()
    browser = due(shop)
    gate = shop.provider.gate = threading.Event()
    browsers = [browser.copy() for _ in range(12)]
    threads, answers = ask_together(browsers, f"{shop.url}/x")
    wait_for(lambda: any(path == "/token" for _, path, _, form, _ in shop.provider.requests if "refresh_token" in form),
             what="a request to the provider")
    assert not shop.service.requests, "nobody gets by"
    gate.set()
    [thread.join(60) for thread in threads]
    assert [answer.status for answer in answers] == [200] * 12
    # And who comes with the old cookie still, since the answer with the new one got lost.
    assert browser.copy().ask(f"{shop.url}/x", navigates=False).status == 200
    assert shop.provider.refreshes == 1 and not shop.provider.problems


def test_tokens_are_renewed_ahead_of_time(site):
    """While they are good, nobody waits but who asks for new ones."""
    shop = site()
    shop.provider.expires_in = 300  # due after 240
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200 and shop.provider.refreshes == 0


def test_a_browser_that_goes_away(site):
    """What it has asked for ends, but not the renewal, whose result would be lost."""
    shop = site(options="timeout: 60s")
    browser = due(shop)
    gate = shop.provider.gate = threading.Event()
    asked = len(shop.provider.requests)
    with H2Connection(shop.gateway.address) as connection:
        connection.send_request("GET", "/x", {"Cookie": f"weir={shop.cookies['weir'].value}"})
        wait_for(lambda: len(shop.provider.requests) > asked, what="a request to the provider")
    assert shop.gateway.log_line("/x")["reason"] == "client-closed"
    gate.set()
    wait_for(lambda: shop.counted("renewed") == 1, what="the end of the renewal")
    assert browser.ask(f"{shop.url}/y", navigates=False).status == 200
    assert shop.provider.refreshes == 1 and not shop.provider.problems


def test_the_provider_has_ended_it(site):
    shop = site()
    browser = due(shop)
    shop.provider.sessions[0].is_over = True
    other = browser.copy()
    assert reason(browser.ask(f"{shop.url}/x", navigates=False)) == (401, "credentials-missing")
    assert shop.counted("ended-by-provider") == 1
    assert other.ask(f"{shop.url}/x", navigates=False).status == 401 and len(shop.provider.problems) == 1
    assert browser.get(f"{shop.url}/x").status == 200 and len(shop.provider.sessions) == 2


def test_the_provider_is_down_for_a_while(site):
    shop = site()
    browser = due(shop)
    shop.provider.token_status = 503
    for _ in range(3):
        assert browser.ask(f"{shop.url}/x", navigates=False).status == 200
    assert 1 <= shop.counted("not-renewed") < 3, "it is not left alone for a while"
    shop.provider.token_status = None
    wait_for(lambda: browser.ask(f"{shop.url}/x", navigates=False).status == 200 and shop.counted("renewed") == 1,
             what="it to be asked again")


@pytest.mark.parametrize("claims", [{"sub": "u2"}, {"nonce": "another"}])
def test_tokens_of_another_user(site, claims):
    shop = site()
    browser = due(shop)
    shop.provider.id_claims = claims
    assert browser.ask(f"{shop.url}/x", navigates=False).status == 401 and not shop.service.requests


def test_a_provider_that_gives_no_refresh_tokens(site):
    shop = site()
    shop.provider.gives_refresh_token = False
    assert due(shop).ask(f"{shop.url}/x", navigates=False).status == 200
    assert shop.provider.refreshes == 0


# --- the end


def test_a_logout_ends_copies_too(site):
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    stolen = shop.browser.copy()
    assert stolen.ask(f"{shop.url}/x", navigates=False).status == 200
    shop.browser.get(f"{shop.url}/oauth2/logout")
    assert stolen.ask(f"{shop.url}/x", navigates=False).status == 401
    assert shop.browser.get(f"{shop.url}/x").status == 200, "a new login is another session"


def tell(shop, token, kind="application/x-www-form-urlencoded", path="/oauth2/backchannel-logout"):
    body = f"logout_token={token}".encode()
    return shop.gateway.request("POST", path, {"Content-Type": kind}, body)


@pytest.mark.parametrize("by", ["sid", "sub"])
def test_the_back_channel(site, by):
    shop = site()
    other = Browser()
    assert shop.browser.get(f"{shop.url}/").status == 200
    shop.provider.user = {**shop.provider.user, "sub": "u2"}
    assert other.get(f"{shop.url}/").status == 200
    session = shop.provider.sessions[0]
    answer = tell(shop, shop.provider.logout_token(**({"sid": session.sid} if by == "sid" else {"sub": "u1"})))
    assert answer.status == 200 and answer.header("Cache-Control") == "no-store"
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 401
    assert other.ask(f"{shop.url}/x", navigates=False).status == 200
    assert shop.counted("logged-out-by-provider") == 1


def test_logout_tokens_that_are_not_good(site):
    shop = site()
    assert shop.browser.get(f"{shop.url}/").status == 200
    sid, now = shop.provider.sessions[0].sid, int(time.time())
    make = shop.provider.logout_token
    id_token = shop.provider.sign({"iss": shop.provider.issuer, "aud": "shop", "sub": "u1", "iat": now, "exp": now + 60})
    for token in (make(), make(sid=sid, nonce="n"), make(sid=sid, events=None), make(sid=sid, events={}),
                  make(sid=sid, events={LOGOUT_EVENT: 1}), make(sid=sid, aud="other"), make(sid=sid, iss="https://evil.example"),
                  make(sid=sid, jti=None), make(sid=sid, iat=now - 4000, exp=None), make(sid=sid, exp=now - 1000),
                  make(sid=sid, key=Key("first", "ES256")), make(sid=sid, kind="at+jwt"), id_token, "", "x.y.z"):
        answer = tell(shop, token)
        assert (answer.status, json.loads(answer.body)) == (400, {"error": "invalid_request"}), token
        assert answer.header("Cache-Control") == "no-store"
    assert tell(shop, make(sid=sid), kind="application/json").status == 400
    assert tell(shop, make(sid=sid), path="/oauth2/backchannel-logout/other").status == 401
    assert shop.gateway.get("/oauth2/backchannel-logout").status == 401
    assert shop.counted("logout-refused") == 16
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 200
    assert tell(shop, make(sid=sid, exp=None, kind="JWT")).status == 200
    assert shop.browser.ask(f"{shop.url}/x", navigates=False).status == 401


@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("by", ["back channel", "browser"])
def test_a_logout_outlasts_the_gateway(site, start, tmp_path, by, how):
    """Without Redis, too, if there is a file for what is to be remembered."""
    shop = site(more=f"state: {tmp_path}/state.db")
    other = Browser()
    assert shop.browser.get(f"{shop.url}/").status == 200 and other.get(f"{shop.url}/").status == 200
    stolen = shop.browser.copy()
    if by == "browser":
        shop.browser.get(f"{shop.url}/oauth2/logout")
    else:
        assert tell(shop, shop.provider.logout_token(sid=shop.provider.sessions[0].sid)).status == 200
    if how == "kill":
        shop.gateway.check = False
        shop.gateway.process.kill()
        shop.gateway.process.wait(60)
    else:
        assert shop.gateway.stop() == 0
    again = start(shop.config())
    for path in "/x", "/y", "/z":
        assert stolen.ask(f"{shop.url}{path}", navigates=False).status == 401
    assert other.ask(f"{shop.url}/x", navigates=False).status == 200
    assert again.metric("weir_auth_requests_total", outcome="missing") == 3


# --- several gateways


@pytest.fixture
def pair(site, start, tmp_path, free_port):
    """Two gateways with one Redis: (the first's site, the second, Redis)."""
    with contextlib.ExitStack() as stack:
        def run(*words, options="", servers=None):
            redis = servers or stack.enter_context(RedisServer(tmp_path, free_port(), "--save", "", *words))
            where = f"cluster: {servers.text}" if servers else f'at: "127.0.0.1:{redis.port}"'
            more = f"redis: {{{where}, timeout: 5s}}\n"
            shop = site(options=options, more=more)
            second = start(shop.config(port_of_listener=0))
            for gateway in (shop.gateway, second):
                wait_for(lambda: gateway.status()["redis"]["state"] == "up", what="redis")  # noqa: B023
            return shop, second, redis
        yield run


def asked(gateway, shop, path="/x"):
    cookies = "; ".join(f"{name}={cookie.value}" for name, cookie in shop.cookies.items())
    return gateway.get(path, {"Cookie": cookies})


def test_gateways_renew_once(pair):
    shop, second, _ = pair()
    due(shop)
    gate = shop.provider.gate = threading.Event()
    answers = []
    threads = [threading.Thread(target=lambda gateway=gateway: answers.append(asked(gateway, shop).status))
               for gateway in [shop.gateway, second] * 4]
    [thread.start() for thread in threads]
    wait_for(lambda: shop.provider.requests[-1][1] == "/token", what="a request to the provider")
    gate.set()
    [thread.join(60) for thread in threads]
    assert answers == [200] * 8 and shop.provider.refreshes == 1 and not shop.provider.problems


def test_gateways_take_turns_in_renewing(pair):
    """The browser never gets the new cookie, and the provider ends the session when a refresh token comes again."""
    shop, second, _ = pair()
    shop.provider.expires_in = 1
    shop.log_in()
    for gateway in (shop.gateway, second, shop.gateway, second):
        end = time.time() + 2
        wait_for(lambda: time.time() > end, what="the tokens to be due")  # noqa: B023
        assert asked(gateway, shop).status == 200
    assert shop.provider.refreshes >= 4 and not shop.provider.problems


def test_gateways_hear_of_logouts(pair):
    shop, second, _ = pair()
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert asked(second, shop).status == 200
    assert tell(shop, shop.provider.logout_token(sid=shop.provider.sessions[0].sid)).status == 200
    wait_for(lambda: asked(second, shop).status == 401, what="the other gateway to hear of it")
    wait_for(lambda: asked(shop.gateway, shop).status == 401, what="its workers to hear of it")


def wait_for_listeners(servers):
    """That both gateways can be told."""
    def count():
        name = next(name for server in servers for name in server.ask("PUBSUB", "CHANNELS").split() if name.startswith("weir:login:"))
        return sum(int(server.ask("PUBSUB", "NUMSUB", name).split()[1]) for server in servers)
    wait_for(lambda: any(server.ask("PUBSUB", "CHANNELS") for server in servers) and count() == 2, 60, "both to listen")


def logs_out_everywhere(shop, second):
    """That a session that the other gateway has just seen is over there as soon as it was told."""
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert asked(second, shop).status == 200
    heard = second.metric("weir_store_messages_total", result="heard")
    assert tell(shop, shop.provider.logout_token(sid=shop.provider.sessions[-1].sid)).status == 200
    wait_for(lambda: second.metric("weir_store_messages_total", result="heard") == heard + 1, 60, "the message")
    assert asked(second, shop).status == 401


@pytest.mark.parametrize("words", [(), ("--rename-command", "HELLO", "")])
def test_gateways_tell_each_other_of_logouts(pair, words):
    shop, second, redis = pair(*words)
    wait_for_listeners([redis])
    assert [gateway.status()["redis"]["messages"] for gateway in (shop.gateway, second)] == ["up"] * 2
    logs_out_everywhere(shop, second)
    assert second.reload()[0] == 200
    wait_for_listeners([redis])
    logs_out_everywhere(shop, second)


def test_gateways_that_could_not_listen_listen_again(pair):
    shop, second, redis = pair()
    wait_for_listeners([redis])
    for _ in range(3):
        redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
    wait_for_listeners([redis])
    logs_out_everywhere(shop, second)


def test_gateways_tell_each_other_through_a_cluster(pair, tmp_path, free_port):
    with contextlib.ExitStack() as stack:
        cluster = Cluster(tmp_path, free_port, stack)
        shop, second, _ = pair(servers=cluster)
        wait_for_listeners(cluster.nodes)
        logs_out_everywhere(shop, second)


def test_who_may_not_listen_finds_out_later(pair):
    may = "~weir:* +@read +@write +@connection +@scripting +time +cluster|slots +publish".split()
    shop, second, redis = pair("--user", "default", "on", "nopass", *may, "+acl|setuser")
    wait_for(lambda: second.status()["redis"]["messages"] == "down" and
             second.status()["redis"]["trouble"].startswith("NOPERM"), 60, "the trouble to be shown")
    assert shop.browser.get(f"{shop.url}/").status == 200
    assert asked(second, shop).status == 200
    assert tell(shop, shop.provider.logout_token(sid=shop.provider.sessions[0].sid)).status == 200
    wait_for(lambda: asked(second, shop).status == 401, 60, "the note to be found")
    redis.ask("ACL", "SETUSER", "default", "allcommands", "allchannels")
    wait_for_listeners([redis])
    logs_out_everywhere(shop, second)


@pytest.mark.parametrize("choice", ["local", "refuse"])
def test_redis_is_gone(pair, choice):
    shop, second, redis = pair(options=f"if-unavailable: {choice}")
    assert shop.browser.get(f"{shop.url}/").status == 200
    redis.kill()
    if choice == "local":
        assert asked(second, shop).status == 200
        token = shop.provider.logout_token(sid=shop.provider.sessions[0].sid)
        assert reason(tell(shop, token)) == (503, "store-unavailable")  # not all gateways know
        wait_for(lambda: asked(shop.gateway, shop).status == 401, what="its own workers to know")
    else:
        assert reason(asked(second, shop)) == (503, "store-unavailable")


# --- by every protocol


def test_every_protocol_knows_the_session(site, start):
    """HTTP/2, gRPC and WebSockets bring the cookie; without it they are not sent to log in."""
    with GrpcService() as orders, WebSocketService(None) as chat:
        shop = site()
        assert shop.browser.get(f"{shop.url}/").status == 200
        cookie = {"Cookie": f"weir={shop.cookies['weir'].value}"}
        with H2Connection(shop.gateway.address) as connection:
            assert connection.request("GET", "/x", cookie).status == 200
            assert connection.request("GET", "/x", {"Accept": "text/html"}).status == 302
            assert connection.request("GET", "/x", {"Accept": "*/*"}).status == 401
        calls = start(shop.config(port_of_listener=0, service=json.dumps(f"h2c://{orders.at}")))
        with channel(calls.address) as made:
            call = made.unary_unary(f"/{SERVICE}/Get")
            with pytest.raises(grpc.RpcError) as failure:
                call(b"x")
            assert failure.value.code() is grpc.StatusCode.UNAUTHENTICATED
            call(b"x", metadata=[("cookie", cookie["Cookie"])])
        talks = start(shop.config(port_of_listener=0, service=json.dumps(chat.at)))
        assert talks.get("/chat", {**websocket_client.HANDSHAKE, **NAVIGATION}).status == 401
        websocket_client.Raw(talks, "/chat", cookie).connection.close()
