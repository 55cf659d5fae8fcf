"""What `weir status` says of who knows clients: keys of issuers, files of consumers and users, passwords being
checked, and what others have said."""

import base64
import hashlib
import json
import subprocess

import pytest
from gateway import run_weir, wait_for
from issuer import Issuer, Key, bearer
from oauth_server import CLIENT, SECRET, OAuthServer


def hashed(name, password):
    made = subprocess.run(["htpasswd", "-nbB", "-C", "4", name, password], capture_output=True, text=True, check=True)
    return made.stdout.strip()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "users").write_text(hashed("alice", "open sesame") + "\n")
    digest = hashlib.sha256(b"key of acme").hexdigest()
    (tmp_path / "consumers").write_text(json.dumps({"name": "acme", "sha256": digest}) + "\n")
    return tmp_path


def configuration(service, folder, issuer, identity):
    return f"""
        version: 1
        listen: {{http: "127.0.0.1:0"}}
        workers: 2
        auth:
          shop:
            jwt: {{issuer: "{issuer.url}", patience: 60s, refresh: 1s}}
            introspection: {{at: "http://{identity.at}/introspect", client: "{CLIENT}", secret: "{SECRET}", remember: 1h}}
            keys: {folder}/consumers
            basic: {{file: {folder}/users, patience: 60s}}
        services: {{back: "{service}"}}
        use: [auth.shop]
        routes: {{/**: back}}
        """


def test_what_identity_rests_on(start, serve, folder):
    key = Key("2026-11", "ES256")
    with Issuer(key) as issuer, OAuthServer() as identity:
        gateway = start(configuration(serve().at, folder, issuer, identity))
        identity.worth = {"opaque": {"active": True, "sub": "u2"}}
        password = base64.b64encode(b"alice:open sesame").decode()
        assert gateway.get("/x", bearer(issuer.token(key))).status == 200
        gateway.get("/x", bearer("opaque"))
        assert gateway.get("/x", {"X-API-Key": "key of acme"}).status == 200
        assert gateway.get("/x", {"Authorization": f"Basic {password}"}).status == 200
        status = gateway.status()
        (ring,) = status["keyrings"]
        assert ring["source"] == issuer.url and ring["keys"] == ["2026-11"] and ring["trouble"] is None
        assert ring["fetched"].startswith("20")
        files = {file["of"]: file for file in status["files"]}
        assert {name: file["entries"] for name, file in files.items()} == {"API keys": 1, "users": 1}
        assert files["users"]["file"] == f"{folder}/users" and files["users"]["trouble"] is None
        (pool,) = status["password_pool"]
        assert (pool["threads"], pool["waiting"], pool["waiting_max"]) == (2, 0, 64)
        (recall,) = status["recalls"]
        assert recall["of"] == "introspection" and recall["at"] == f"http://{identity.at}/introspect"
        assert recall["entries"] == len(identity.forms) == 1 and 0 < recall["bytes"] < recall["bytes_max"]
        assert gateway.metric("weir_password_checks_total", outcome="checked") == 1
        assert gateway.metric("weir_password_checks_waiting") == 0

        # Troubles are shown as long as they last.
        issuer.status = 500
        (folder / "users").write_text("alice:secret\n")
        troubles = wait_for(lambda: [thing["trouble"] for thing in gateway.status()["keyrings"] + gateway.status()["files"]
                                     if thing["trouble"]][1:], what="two troubles")
        assert len(troubles) == 1
        _, shown, _ = run_weir("status", "--control", gateway.control)
        assert f"keys of {issuer.url}: 1, fetched 20" in shown and "trouble: it answers 500" in shown
        assert f"users in {folder}/users: 1, read 20" in shown and "trouble: line 1 has a hash" in shown
        assert "passwords: 0 being checked, 0 of 64 wait" in shown
        whole = json.dumps(gateway.status()) + shown
        assert not any(word in whole for word in (SECRET, "open sesame", "key of acme", "$2y$"))
        issuer.status = 200
        (folder / "users").write_text(hashed("bob", "x") + "\n")
        wait_for(lambda: not any(thing["trouble"] for thing in gateway.status()["keyrings"] + gateway.status()["files"]),
                 what="no troubles")
