"""Addresses that open for a short time."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import time_machine

from api.signed_urls import SignatureExpiredError, SignatureInvalidError, sign, verify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MEDIA = UUID("01970000-0000-7000-8000-000000000001")
VIEWER = UUID("01970000-0000-7000-8000-000000000002")
TTL = timedelta(seconds=300)


def parts(url: str) -> dict[str, str]:
    split = urlsplit(url)
    media_id, variant = split.path.removeprefix("/api/v1/media/files/").split("/")
    query = {name: values[0] for name, values in parse_qs(split.query).items()}
    return {"media_id": media_id, "variant": variant, **query}


def signed() -> dict[str, str]:
    with time_machine.travel(NOW, tick=False):
        return parts(sign(media_id=MEDIA, variant="web_1280", viewer_id=VIEWER, ttl=TTL).url)


def test_the_address_says_what_it_opens_for_whom_and_how_long():
    with time_machine.travel(NOW, tick=False):
        address = sign(media_id=MEDIA, variant="web_1280", viewer_id=VIEWER, ttl=TTL)

    assert address.expires_at == NOW + TTL
    assert address.url.startswith(f"/api/v1/media/files/{MEDIA}/web_1280?viewer={VIEWER}&expires=1780315500&signature=")


def test_it_opens_until_its_time_is_over():
    given = signed()

    with time_machine.travel(NOW + TTL - timedelta(seconds=1), tick=False):
        verify(**given)
    with time_machine.travel(NOW + TTL, tick=False), pytest.raises(SignatureExpiredError):
        verify(**given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("media_id", str(VIEWER)),
        ("variant", "web_2048"),
        ("variant", "../../secret"),
        ("viewer", str(MEDIA)),
        ("viewer", "anyone"),
        ("expires", "1780315501"),
        ("expires", "01780315500"),
        ("expires", "soon"),
        ("expires", ""),
        ("signature", ""),
    ],
)
def test_another_value_in_any_place_is_refused(name, value):
    with time_machine.travel(NOW, tick=False), pytest.raises(SignatureInvalidError):
        verify(**{**signed(), name: value})


def test_any_changed_character_of_the_signature_is_refused():
    given = signed()
    signature = given["signature"]

    with time_machine.travel(NOW, tick=False):
        for place in range(len(signature)):
            other = "A" if signature[place] != "A" else "B"
            with pytest.raises(SignatureInvalidError):
                verify(**{**given, "signature": signature[:place] + other + signature[place + 1 :]})


def test_an_address_outlives_a_change_of_key_that_keeps_the_old_one(settings):
    given = signed()
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another-key-for-tests-0123456789abcdef"

    with time_machine.travel(NOW, tick=False):
        with pytest.raises(SignatureInvalidError):
            verify(**given)
        settings.SECRET_KEY_FALLBACKS = [old]
        verify(**given)


def test_nobody_in_particular_can_be_a_viewer():
    with time_machine.travel(NOW, tick=False):
        given = parts(sign(media_id=MEDIA, variant="web_1280", viewer_id=None, ttl=TTL).url)
        verify(**given)

    assert given["viewer"] == "anyone"


def test_a_name_that_could_leave_the_path_is_never_signed():
    with pytest.raises(ValueError, match="cannot be the name of a variant"):
        sign(media_id=MEDIA, variant="../x", viewer_id=VIEWER, ttl=TTL)
