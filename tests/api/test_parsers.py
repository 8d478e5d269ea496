import pytest

from api.exceptions import MalformedJsonError
from api.parsers import MAX_DEPTH, loads

pytestmark = pytest.mark.urls("tests.api.probe")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'{"a": ["x", {"b": "\\u0000"}]}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": 1} {"b": 2}',
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"1" * 5000,
    ],
)
def test_what_two_readers_could_read_differently_is_refused(body):
    with pytest.raises(MalformedJsonError):
        loads(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
    ],
)
def test_what_is_plain_json_is_read(body, value):
    assert value is None or loads(body) == value
    loads(body)


def test_a_body_may_have_256_kib_and_not_a_byte_more(client, db):
    limit = 256 * 1024
    fits = b'"' + b"a" * (limit - 2) + b'"'

    accepted = client.post("/api/v1/probe/plain", fits, content_type="application/json")
    refused = client.post("/api/v1/probe/plain", fits + b" ", content_type="application/json")

    assert accepted.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
