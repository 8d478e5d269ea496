"""Gateway tokens at rest: encrypted to be used, fingerprinted to be recognised.

TRIBUTARY_TOKEN_KEYS lists the encryption secrets, the current one first; older ones still read what they wrote, and
`manage.py reencrypt_payment_tokens` moves those rows to the current one. TRIBUTARY_FINGERPRINT_KEY never changes: a
fingerprint under another key would no longer recognise a card that is stored already.
"""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def encrypt(token: str) -> str:
    """The token under the current key."""
    return cipher().encrypt(token.encode()).decode()


def decrypt(encrypted: str) -> str:
    """The token; raises cryptography's InvalidToken when no listed key wrote it."""
    return cipher().decrypt(encrypted.encode()).decode()


def reencrypt(encrypted: str) -> str:
    """The same token under the current key."""
    return cipher().rotate(encrypted.encode()).decode()


def fingerprint(token: str) -> str:
    """What is the same for the same token and tells nothing of it."""
    key = settings.TRIBUTARY_FINGERPRINT_KEY
    if not key:
        raise ImproperlyConfigured("TRIBUTARY_FINGERPRINT_KEY is empty: payment methods cannot be stored")
    return hmac.new(key.encode(), token.encode(), hashlib.sha256).hexdigest()


def cipher() -> MultiFernet:
    """All listed keys, the current one first."""
    keys = [key for key in settings.TRIBUTARY_TOKEN_KEYS if key]
    if not keys:
        raise ImproperlyConfigured("TRIBUTARY_TOKEN_KEYS is empty: payment methods cannot be stored")
    return MultiFernet([Fernet(derived(key)) for key in keys])


def derived(secret: str) -> bytes:
    """A Fernet key out of a secret of any length."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"tributary payment tokens:" + secret.encode()).digest())
