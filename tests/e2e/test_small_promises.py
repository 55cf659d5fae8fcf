"""What headers and the guide say in half a sentence."""


def test_whoever_is_refused_together_is_not_sent_back_together(start):
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        routes: {/**: {respond: "in", limit: {rate: 1/h}}}
        """)
    assert gateway.get("/").status == 200
    waits = [int(gateway.get("/").header("Retry-After")) for _ in range(12)]
    assert min(waits) >= 3590 and max(waits) <= 3600 * 5 // 4
    assert max(waits) - min(waits) > 30, waits


def test_services_see_no_disguised_forwarding_fields(shop):
    """Services that make variables of fields read X_Forwarded_For as X-Forwarded-For."""
    gateway, service = shop
    gateway.get("/", {"X_Forwarded_For": "6.6.6.6", "X-Forwarded_Proto": "https", "X-Forwarded-For": "6.6.6.6"})
    names = [name.lower().replace("_", "-") for name, _ in service.requests[0].headers]
    assert names.count("x-forwarded-for") == names.count("x-forwarded-proto") == 1
    assert service.requests[0].header("X-Forwarded-For") == "127.0.0.1"


def test_reasons_are_counted_apart_where_all_else_is_the_same(start):
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        workers: 1
        routes: {/there: {respond: "here"}}
        """)
    for _ in range(3):
        for field in (b"Content-Length: x", b"Bad Field: x"):
            with gateway.connect() as connection:
                connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + field + b"\r\n\r\n")
                assert connection.read_answer().status == 400
    gateway.log_lines(6)
    assert gateway.metric("weir_http_reasons_total", reason="bad-framing") == 3
    assert gateway.metric("weir_http_reasons_total", reason="bad-field") == 3
