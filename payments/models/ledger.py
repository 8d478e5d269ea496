"""The books: every movement of money as a transaction whose entries sum to zero.

A positive entry is owed to the account's owner or kept by the platform; what the payers have paid in is negative on
`payer_clearing`. The database refuses to change or delete any of these rows, and at each commit it refuses a
transaction that does not balance.
"""

from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Q, Sum
from django.utils import timezone
from uuid_utils.compat import uuid7

from payments.models.constraints import known
from payments.models.orders import PaymentOrder


class LedgerAccount(models.Model):
    """One pot in one currency; a creator has three of each, the platform one."""

    class Kind(models.TextChoices):
        PAYER_CLEARING = "payer_clearing", "paid in by payers"
        CREATOR_PENDING = "creator_pending", "a creator's, may still go back"
        CREATOR_PAYABLE = "creator_payable", "a creator's, cleared"
        DISPUTE_HOLD = "dispute_hold", "a creator's, held while a payment is disputed"
        PLATFORM_REVENUE = "platform_revenue", "the platform's"
        PROCESSOR_FEE = "processor_fee", "the processor's"

    CREATORS = (Kind.CREATOR_PENDING, Kind.CREATOR_PAYABLE, Kind.DISPUTE_HOLD)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    owner_id = models.UUIDField(null=True)
    currency = models.CharField(max_length=3)

    class Meta:
        ordering: ClassVar = ["kind", "currency", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["owner_id", "currency", "kind"], name="one_account_of_a_kind", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["creator_pending", "creator_payable", "dispute_hold"], owner_id__isnull=False)
                | Q(kind__in=["payer_clearing", "platform_revenue", "processor_fee"], owner_id__isnull=True),
                name="creators_own_their_accounts",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="account_currency_is_a_code"),
            known(
                "kind",
                [
                    "payer_clearing",
                    "creator_pending",
                    "creator_payable",
                    "dispute_hold",
                    "platform_revenue",
                    "processor_fee",
                ],
                "ledger_account_kind_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.currency}"


class LedgerTransaction(models.Model):
    """One movement of money, told by its source: an order, a refund or a dispute; each source moves once a kind."""

    class SourceType(models.TextChoices):
        ORDER = "order", "payment"
        REFUND = "refund", "refund"
        DISPUTE = "dispute", "dispute"

    class Kind(models.TextChoices):
        CAPTURE = "capture", "paid"
        CLEARING = "clearing", "cleared"
        REFUND = "refund", "given back"
        REFUND_FAILED = "refund_failed", "sent back by the payer's bank"
        DISPUTE_OPENED = "dispute_opened", "held for a dispute"
        DISPUTE_WON = "dispute_won", "dispute won"
        DISPUTE_LOST = "dispute_lost", "dispute lost"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    source_type = models.CharField(max_length=10, choices=SourceType.choices)
    source_id = models.UUIDField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="ledger_transactions")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["source_type", "source_id", "kind"], name="a_source_moves_money_once_a_kind"
            ),
            known("source_type", ["order", "refund", "dispute"], "ledger_source_type_is_known"),
            known(
                "kind",
                ["capture", "clearing", "refund", "refund_failed", "dispute_opened", "dispute_won", "dispute_lost"],
                "ledger_transaction_kind_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.source_type} {self.source_id}"


class LedgerEntryQuerySet(models.QuerySet["LedgerEntry"]):
    """Questions about the lines of the books."""

    def of_creator(self, creator_id: UUID) -> Self:
        """The lines of this creator's accounts."""
        return self.filter(account__owner_id=creator_id)

    def total(self) -> int:
        """What the lines add up to; they must be of one currency."""
        total: dict[str, Any] = self.aggregate(total=Sum("amount"))
        return int(total["total"] or 0)


class LedgerEntry(models.Model):
    """One line: so many minor units into an account, or out of it when negative."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    transaction = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, related_name="entries")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="entries", db_index=False)
    amount = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    objects = LedgerEntryQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["transaction", "account"], name="an_account_moves_once_in_a_transaction"),
            models.CheckConstraint(condition=~Q(amount=0), name="an_entry_moves_something"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-created_at", "-id"], include=["amount"], name="entries_of_account"),
        ]

    def __str__(self) -> str:
        return f"{self.amount:+d}"
