"""Finding out whether a Prefect server answers."""

import pytest
from answering import answering

from flows.prefect_server import answers

SOMETHING_ELSE = (b"", b"220 mail.example.org ESMTP\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200)
NO_ADDRESS = ("http://127.0.0.1:port/api", f"http://{'a' * 70}.org/api", "http://[::1/api", "there")


@pytest.mark.parametrize("words", SOMETHING_ELSE)
def test_who_answers_something_else_than_http_is_no_prefect_server(words):
    with answering(words) as port:
        assert not answers(f"http://127.0.0.1:{port}/api")


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_at_what_is_no_address_nobody_answers(url):
    assert not answers(url)
