"""What views read of money; every queryset starts from who asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum

from accounts.selectors import blocked_with
from payments.models.ledger import LedgerAccount, LedgerEntry
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.projections import PostOffer
from payments.models.sales import PostPurchase, Tip


def methods_of(user_id: UUID) -> QuerySet[PaymentMethod]:
    """The user's own methods."""
    return PaymentMethod.objects.shown_to(user_id)


def payments_of(user_id: UUID) -> QuerySet[PaymentOrder]:
    """What the user pays or is paid, with the tips whose senders may be hidden."""
    return PaymentOrder.objects.of_party(user_id).select_related("tip")


def payments_by(user_id: UUID) -> QuerySet[PaymentOrder]:
    """What the user pays."""
    return PaymentOrder.objects.filter(payer_id=user_id)


def payments_received_by(user_id: UUID) -> QuerySet[PaymentOrder]:
    """What the user is paid."""
    return PaymentOrder.objects.filter(payee_id=user_id)


def refundable_by(user_id: UUID, *, is_staff_finance: bool) -> QuerySet[PaymentOrder]:
    """What the user may give back: their own sales, or as finance staff anybody's but what they paid themselves."""
    if is_staff_finance:
        return PaymentOrder.objects.exclude(payer_id=user_id)
    return payments_received_by(user_id)


def tips_of(user_id: UUID) -> QuerySet[Tip]:
    """The tips the user sent or was sent; of the latter only those that were paid."""
    return Tip.objects.filter(Q(sender_id=user_id) | received(user_id)).select_related("order")


def tips_sent_by(user_id: UUID) -> QuerySet[Tip]:
    """The tips the user sent, whatever became of them."""
    return Tip.objects.filter(sender_id=user_id).select_related("order")


def tips_received_by(user_id: UUID) -> QuerySet[Tip]:
    """The tips the user was paid."""
    return Tip.objects.filter(received(user_id)).select_related("order")


def received(user_id: UUID) -> Q:
    """A tip whose money came."""
    return Q(recipient_id=user_id, completed_at__isnull=False)


def purchases_of(user_id: UUID) -> QuerySet[PostPurchase]:
    """The posts the user bought."""
    return PostPurchase.objects.filter(buyer_id=user_id).select_related("order")


def posts_within_reach_of(user_id: UUID) -> QuerySet[PostOffer]:
    """The posts that content has told of, but those that a block hides from the user."""
    return PostOffer.objects.exclude(creator_id__in=blocked_with(user_id))


@dataclass(frozen=True, slots=True)
class Earnings:
    """What a creator has in one currency, in its minor units."""

    currency: str
    pending: int
    payable: int
    held: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.pending + self.payable + self.held


def earnings_of(creator_id: UUID) -> list[Earnings]:
    """The creator's balances, a currency each; the sums of their entries and nothing else."""
    sums = (
        LedgerAccount.objects.filter(owner_id=creator_id)
        .order_by("currency", "kind")
        .values_list("currency", "kind")
        .annotate(total=Sum("entries__amount", default=0))
    )
    balances: dict[str, dict[str, int]] = {}
    for currency, kind, total in sums:
        balances.setdefault(currency, {})[kind] = int(total)
    return [
        Earnings(
            currency=currency,
            pending=by_kind.get(LedgerAccount.Kind.CREATOR_PENDING, 0),
            payable=by_kind.get(LedgerAccount.Kind.CREATOR_PAYABLE, 0),
            held=by_kind.get(LedgerAccount.Kind.DISPUTE_HOLD, 0),
        )
        for currency, by_kind in balances.items()
    ]


def entries_of(creator_id: UUID) -> QuerySet[LedgerEntry]:
    """The lines of the creator's accounts, with what they are about."""
    return LedgerEntry.objects.of_creator(creator_id).select_related("account", "transaction__order")


def accounts_of(creator_id: UUID, *, currency: str | None) -> QuerySet[LedgerAccount]:
    """The creator's accounts: three for every currency, or for this one."""
    return LedgerAccount.objects.filter(owner_id=creator_id, **({"currency": currency} if currency else {}))


def balance_before(creator_id: UUID, *, currency: str, moment: datetime) -> int:
    """What the creator had in all accounts of this currency just before a moment."""
    entries = LedgerEntry.objects.of_creator(creator_id)
    return entries.filter(account__currency=currency, created_at__lt=moment).total()


def statement_of(creator_id: UUID, *, currency: str, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
    """The creator's lines of one currency from `start` to before `end`, oldest first, read in pages."""
    entries = LedgerEntry.objects.of_creator(creator_id).filter(
        account__currency=currency, created_at__gte=start, created_at__lt=end
    )
    return (
        entries.order_by("created_at", "id")
        .values(
            "created_at",
            "amount",
            account_kind=F("account__kind"),
            movement=F("transaction__kind"),
            payment_id=F("transaction__order_id"),
            payment_kind=F("transaction__order__kind"),
        )
        .iterator(chunk_size=2000)
    )
