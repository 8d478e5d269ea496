"""How people's payment methods come and go."""

from uuid import UUID

from django.db import transaction

from payments.encryption import encrypt, fingerprint, reencrypt
from payments.exceptions import InvalidTokenError, MethodInUseError, MethodNotUsableError
from payments.gateways.base import MethodDetails, TokenRefusedError
from payments.gateways.registry import current_gateway
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.projections import SubscriptionRef
from payments.services.velocity import refuse_card_testing

REENCRYPT_BATCH = 500
Status = PaymentMethod.Status


def describe_token(*, owner_id: UUID, token: str) -> MethodDetails:
    """Ask the gateway what the token stands for, unless its owner seems to try cards out; not inside a transaction."""
    refuse_card_testing(payer_id=owner_id)
    try:
        return current_gateway().describe(token)
    except TokenRefusedError as error:
        raise InvalidTokenError from error


@transaction.atomic
def add_method(*, owner_id: UUID, token: str, details: MethodDetails) -> PaymentMethod:
    """Store a token for its owner; the same token again is the same method, back if it had been removed."""
    gateway = current_gateway().name
    fresh = PaymentMethod(
        owner_id=owner_id,
        gateway=gateway,
        encrypted_token=encrypt(details.charge_token or token),
        token_fingerprint=fingerprint(token),
        brand=details.brand,
        last4=details.last4,
        exp_month=details.exp_month,
        exp_year=details.exp_year,
    )
    PaymentMethod.objects.bulk_create([fresh], ignore_conflicts=True)
    method = PaymentMethod.objects.select_for_update().get(
        owner_id=owner_id, gateway=gateway, token_fingerprint=fresh.token_fingerprint
    )
    if method.status == Status.INVALID:
        raise InvalidTokenError("This card was refused for good; use another")
    if method.status == Status.REMOVED:
        method.status = Status.ACTIVE
        method.save(update_fields=["status"])
    return method


@transaction.atomic
def remove_method(*, owner_id: UUID, method_id: UUID) -> None:
    """Forget a method unless something open or live relies on it; raises PaymentMethod.DoesNotExist for another's."""
    method = PaymentMethod.objects.shown_to(owner_id).select_for_update().get(pk=method_id)
    if method.orders.filter(status__in=PaymentOrder.OPEN).exists():
        raise MethodInUseError("A payment with this method is not decided yet")
    relying = SubscriptionRef.objects.filter(payment_method_id=method.id).exclude(status__in=SubscriptionRef.TERMINAL)
    if relying.exists():
        raise MethodInUseError("A subscription is paid with this method")
    method.status = Status.REMOVED
    method.save(update_fields=["status"])


def method_to_charge(*, payer_id: UUID, method_id: UUID) -> PaymentMethod:
    """The payer's own usable method, locked so that it cannot be removed meanwhile."""
    method = PaymentMethod.objects.usable_by(payer_id).select_for_update().filter(pk=method_id).first()
    if method is None:
        raise MethodNotUsableError
    return method


def reencrypt_tokens() -> int:
    """Bring every stored token under the current key, in small transactions; the number of rows."""
    count, last = reencrypt_batch(last=None)
    total = count
    while last is not None:
        count, last = reencrypt_batch(last=last)
        total += count
    return total


@transaction.atomic
def reencrypt_batch(*, last: UUID | None) -> tuple[int, UUID | None]:
    """Bring the next rows after `last` under the current key: how many, and the last of them."""
    rows = PaymentMethod.objects.order_by("pk").select_for_update()
    if last is not None:
        rows = rows.filter(pk__gt=last)
    methods = list(rows[:REENCRYPT_BATCH])
    for method in methods:
        method.encrypted_token = reencrypt(method.encrypted_token)
    PaymentMethod.objects.bulk_update(methods, ["encrypted_token"])
    return len(methods), methods[-1].id if methods else None
