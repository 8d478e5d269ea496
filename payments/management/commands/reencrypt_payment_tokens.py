"""manage.py reencrypt_payment_tokens: after a new key was put first in TRIBUTARY_TOKEN_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand

from payments.services.methods import reencrypt_tokens


class Command(BaseCommand):
    """Bring every stored gateway token under the current key; the old one may go when this is done."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say for how many."""
        self.stdout.write(f"{reencrypt_tokens()} tokens are under the current key")
