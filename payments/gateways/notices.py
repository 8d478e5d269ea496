"""Reading the body of a webhook whose signature is right; the gateways we know agree on these names."""

from typing import Any

from api.exceptions import MalformedJsonError
from api.parsers import loads
from payments.exceptions import MalformedWebhookError
from payments.gateways.base import WebhookNotice

LONGEST_ID = 255
LONGEST_TYPE = 100


def notice_of(raw: bytes) -> WebhookNotice:
    """The event of a body `{"id": ..., "type": ..., "livemode": ..., ...}`; raises MalformedWebhookError."""
    try:
        event: Any = loads(raw)
    except MalformedJsonError as error:
        raise MalformedWebhookError(error.detail) from error
    match event:
        case {"id": str(external_id), "type": str(event_type), "livemode": bool(livemode)} if (
            0 < len(external_id) <= LONGEST_ID and 0 < len(event_type) <= LONGEST_TYPE
        ):
            return WebhookNotice(external_id=external_id, type=event_type, livemode=livemode, payload=event)
        case _:
            raise MalformedWebhookError("An event has an id, a type and a livemode")
