"""What the tests of HTTPS share: a gateway with certificates, and ways to ask it."""

import json
import subprocess

from authority import SecureConnection

HTTPS = """
    version: 1
    listen: {{https: {{address: "127.0.0.1:0"{listener}}}, http: {{address: "127.0.0.1:0", redirect: true}}}}
    workers: 2
    tls: {tls}
    services: {{back: "{service}"}}
    routes:
      /**: back
      /facts: {{respond: "${{scheme}} ${{tls.version}} ${{tls.sni}}"}}
      /who: {{respond: "${{client.cert.subject else 'nobody'}}"}}
      /.well-known/acme-challenge/**: {{respond: "proof"}}
    {more}
    """


def split(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def pair(issued, **more):
    return json.dumps({"cert": issued.cert, "key": issued.key, **more})


def pairs(*issued):
    return "[" + ", ".join(map(pair, issued)) + "]"


def shown(address, context, name):
    """The certificate that is shown for a name (DER)."""
    with SecureConnection(address, context, name) as connection:
        return connection.socket.getpeercert(True)


def ask(gateway, context, path="/", name="localhost", **more):
    with SecureConnection(gateway.secure, context, name) as connection:
        return connection.request("GET", path, **more)


def s_client(gateway, *arguments, name="localhost", input="", timeout=20):
    """What `openssl s_client` says."""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % gateway.secure, "-servername", name, *arguments],
                          input=input, capture_output=True, text=True, timeout=timeout)
    return done.stdout + done.stderr
