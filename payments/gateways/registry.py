"""Which gateways there are, and which one takes new payments (setting PAYMENT_GATEWAY)."""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from payments.gateways.base import Gateway
from payments.gateways.sandbox import SandboxGateway


def current_gateway() -> Gateway:
    """The gateway of new payments."""
    return gateway_named(settings.PAYMENT_GATEWAY)


def gateway_named(name: str) -> Gateway:
    """The gateway that an order or a method names; raises ImproperlyConfigured for one that may not be used here."""
    if name not in GATEWAYS:
        raise ImproperlyConfigured(f"PAYMENT_GATEWAY is {name!r}; there are: {', '.join(sorted(GATEWAYS))}")
    return GATEWAYS[name]()


def sandbox() -> Gateway:
    """The sandbox, where nobody could mistake it for real money."""
    if not (settings.DEBUG or settings.ALLOW_SANDBOX_GATEWAY):
        raise ImproperlyConfigured(
            "The sandbox gateway takes no real money: set ALLOW_SANDBOX_GATEWAY to use it anyway"
        )
    return SandboxGateway()


def stripe() -> Gateway:
    """Stripe, where its secret key is known; its library is loaded by who uses it, for it is large."""
    if not settings.STRIPE_SECRET_KEY:
        raise ImproperlyConfigured("The stripe gateway needs STRIPE_SECRET_KEY")
    from payments.gateways.stripe import StripeGateway

    return StripeGateway()


GATEWAYS: Mapping[str, Callable[[], Gateway]] = {"sandbox": sandbox, "stripe": stripe}
