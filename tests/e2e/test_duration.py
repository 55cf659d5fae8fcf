"""What the log says about time."""


def test_waiting_for_a_client_that_goes_on_sending_is_not_part_of_the_answer(start):
    """The answer to a refused upload is out at once; reading what still comes, so that it is not lost, takes a while."""
    gateway = start("""
        version: 1
        listen: "127.0.0.1:0"
        routes: {POST /up: {respond: "no", body-limit: 1KiB}}
        """)
    with gateway.connect() as connection:
        connection.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome")
        assert connection.read_answer().status == 413
        line_of_refusal = gateway.log_lines(1)[0]
    assert line_of_refusal["reason"] == "body-too-large"
    assert line_of_refusal["duration"] < 1
