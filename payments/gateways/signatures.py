"""Signed webhooks: `t=1700000000,v1=<hex>`, HMAC-SHA256 over time, dot and raw body, as Stripe made it common.

A header may carry several v1 and we may hold several secrets: while a secret is being changed either side has two.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Sequence

from payments.exceptions import BadSignatureError, StaleWebhookError

TOLERANCE_SECONDS = 300
TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)


def signed(raw: bytes, *, secret: str, at: int) -> str:
    """The header for a body sent at this second since 1970."""
    return f"t={at},v1={digest(raw, secret=secret, at=str(at))}"


def require_signature(raw: bytes, *, header: str, secrets: Sequence[str]) -> None:
    """Let the body pass when one of the secrets signed it within the last five minutes.

    Raises BadSignatureError, and StaleWebhookError for a right signature of another time: a body that was caught and is
    sent again, or a clock that is wrong.
    """
    at, signatures = parsed(header)
    pairs = [(digest(raw, secret=secret, at=at), signature) for secret in secrets for signature in signatures]
    # Every pair is compared, so that the time it takes says nothing.
    if not any([hmac.compare_digest(expected, signature) for expected, signature in pairs]):  # noqa: C419
        raise BadSignatureError
    age = time.time() - int(at)
    if abs(age) > TOLERANCE_SECONDS:
        raise StaleWebhookError(f"Signed {abs(age):.0f} seconds {'ago' if age > 0 else 'ahead'}; check both clocks")


def parsed(header: str) -> tuple[str, list[str]]:
    """The time and the signatures of a header; raises BadSignatureError for one that is no such header."""
    fields = [tuple(part.strip().partition("=")[::2]) for part in header.split(",")]
    times = [value for name, value in fields if name == "t"]
    signatures = [value for name, value in fields if name == "v1" and SIGNATURE.fullmatch(value)]
    if len(times) != 1 or not TIME.fullmatch(times[0]) or not signatures:
        raise BadSignatureError
    return times[0], signatures


def digest(raw: bytes, *, secret: str, at: str) -> str:
    """The signature itself."""
    return hmac.new(secret.encode(), at.encode() + b"." + raw, hashlib.sha256).hexdigest()
