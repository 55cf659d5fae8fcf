"""A gateway with one limit that it counts in Redis, for the tests of Redis."""

from gateway import wait_for

PATIENT = "timeout: 60s, connect-timeout: 60s"  # what is counted must not depend on how busy the machine is


def config(redis, limit="{rate: 10/h, per: header.x-user}", more="workers: 2"):
    return f"""
        version: 1
        listen: "127.0.0.1:0"
        {more}
        redis: {redis}
        limits: {{plan: {limit}}}
        routes: {{/**: {{respond: "ok", use: [limits.plan]}}}}
        """


def wait_until(gateway, word):
    """That it is so for all workers."""
    def is_so():
        now = gateway.status()
        return now["redis"]["state"] == word and now["redis"]["connections"] == (now["workers"] if word == "up" else 0)
    wait_for(is_so, 60, f"redis to be {word}")


def ask(gateway, user="ann"):
    return gateway.get("/", {"X-User": user}, timeout=60).status


def commands(gateway, result):
    return gateway.metric("weir_redis_commands_total", result=result)


def alone(gateway):
    return gateway.metric("weir_limit_unavailable_total", limit="limits.plan")
