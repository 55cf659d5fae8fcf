"""What happens at the gateway's own limits."""

from gateway import wait_for


def test_connections_over_the_limit_are_refused_and_counted(start):
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        workers: 1
        http: {connections-max: 3}
        routes: {/**: {respond: "ok"}}
        """)
    kept = [gateway.connect() for _ in range(3)]
    for connection in kept:
        assert connection.request("GET", "/").status == 200
    with gateway.connect() as one_more:
        answer = one_more.read_answer()
        assert answer.status == 503
        assert answer.header("Connection") == "close"
        assert one_more.is_closed()
    assert gateway.metric("weir_client_connections_refused_total") == 1
    assert kept[0].request("GET", "/").status == 200
    kept[0].close()
    assert wait_for(lambda: gateway.metric("weir_client_connections") == 2)
    assert gateway.get("/").status == 200
