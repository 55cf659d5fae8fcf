"""Secrets that stand in files: read with the configuration, read again when they change, and shown nowhere."""

import re
import signal

import jwt
from gateway import replace_file, wait_for
from issuer import bearer, good
from oauth_server import CLIENT, SECRET, OAuthServer
from test_webhooks import signed

JWT_SECRETS = ("the first secret, of at least 32 bytes", "the second one, which has as many bytes")


def configuration(service, folder, token):
    return f"""
        version: 1
        listen: {{http: "127.0.0.1:0"}}
        workers: 2
        auth: {{shop: {{jwt: {{issuer: "https://id.example", secret: {{file: {folder}/jwt}}}}, audience: shop-api}}}}
        webhooks: {{ci: {{form: github, secret: [{{file: {folder}/old}}, {{file: {folder}/new}}], remember: 0s}}}}
        credentials: {{pay: {{token: "{token}", client: "{CLIENT}", secret: {{file: {folder}/client}}}}}}
        services: {{back: "{service}"}}
        routes:
          /jwt: {{to: back, use: [auth.shop]}}
          POST /hook: {{to: back, use: [webhooks.ci]}}
          /pay: {{to: back, use: [credentials.pay]}}
        """


def test_secrets_from_files(start, serve, tmp_path):
    service = serve()
    replace_file(tmp_path / "jwt", JWT_SECRETS[0] + "\n")
    replace_file(tmp_path / "old", "of the old days")
    replace_file(tmp_path / "new", "of the new days\r\n")
    replace_file(tmp_path / "client", SECRET + "\n")
    with OAuthServer() as identity:
        gateway = start(configuration(service.at, tmp_path, f"http://{identity.at}/token"))

        def jwt_status(secret):
            return gateway.get("/jwt", bearer(jwt.encode(good(), secret, "HS256"))).status

        def hook_status(secret):
            return gateway.request("POST", "/hook", signed("github", b"{}", secret=secret), b"{}").status

        assert [jwt_status(secret) for secret in JWT_SECRETS] == [200, 401]
        assert [hook_status(f"of the {age} days") for age in ("old", "new", "next")] == [200, 200, 401]
        assert gateway.get("/pay").status == 200
        assert service.requests[-1].header("Authorization") == "Bearer service-token-1"

        # Nobody reloads: the files are looked at.
        replace_file(tmp_path / "jwt", JWT_SECRETS[1])
        wait_for(lambda: jwt_status(JWT_SECRETS[1]) == 200, what="the new secret of tokens")
        assert jwt_status(JWT_SECRETS[0]) == 401  # remembered or not
        replace_file(tmp_path / "old", "of the next days\n")
        wait_for(lambda: hook_status("of the next days") == 200, what="the new secret of webhooks")
        assert [hook_status(f"of the {age} days") for age in ("old", "new", "next")] == [401, 200, 200]

        # One that is empty changes nothing, and is told of.
        replace_file(tmp_path / "old", "\n")
        wait_for(lambda: f'the secret\'s file "{tmp_path}/old" is empty' in gateway.stderr, what="the complaint")
        assert hook_status("of the next days") == 200
        replace_file(tmp_path / "old", "of the last days")
        wait_for(lambda: hook_status("of the last days") == 200, what="the secret after the mistake")

        shown = [gateway.stderr, gateway.metrics()] + [gateway.control_request("GET", path).body.decode()
                                                       for path in ("/v1/status", "/v1/config")]
        for secret in (*JWT_SECRETS, "of the old days", "of the new days", "of the last days", SECRET):
            assert not any(secret in text for text in shown), secret


def test_no_complaint_shows_a_secret(start, serve):
    """Neither on the line of another mistake, nor when it is the mistake itself."""
    good = configuration(serve().at, "/nowhere", "http://127.0.0.1:1/token")
    good = re.sub(r"\{file: /nowhere/(\w+)\}", r'"the secret \1 of at least 32 bytes"', good)
    gateway = start(good)
    for bad in [good.replace("remember: 0s", "remembr: 0s"), good.replace("the secret jwt of at least 32 bytes", "the secret jwt")]:
        assert bad != good
        seen = len(gateway.stderr)
        gateway.write_config(bad)
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: "^^^" in gateway.stderr[seen:], what="the complaint")
        assert "***" in gateway.stderr[seen:] and "the secret" not in gateway.stderr
