"""What payments reads from clients and shows them; no token, no gateway id and no gateway's text leaves."""

from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.money import EXPONENTS, require_currency
from api.pagination import NewestFirstPagination
from api.serializers import (
    AmountField,
    ClosedSerializer,
    CurrencyField,
    MoneyField,
    PlainTextField,
    StrictBooleanField,
)
from payments.models.ledger import LedgerEntry
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip

SIGNED_MONEY = {
    "type": "object",
    "required": ["amount", "currency"],
    "properties": {
        "amount": {"type": "integer", "description": "In minor units, such as cents; negative when it left."},
        "currency": {"type": "string", "enum": list(EXPONENTS)},
    },
    "example": {"amount": -1299, "currency": "USD"},
}
GIVEN_REASONS = ("requested_by_customer", "duplicate", "fraudulent", "dispute_prevention", "other")


class PaymentMethodInput(ClosedSerializer):
    """A token that the gateway's own form gave the client."""

    token = serializers.CharField(max_length=255, trim_whitespace=False)


class PaymentMethodOutput(serializers.ModelSerializer[PaymentMethod]):
    """What may be shown of a card."""

    class Meta:
        model = PaymentMethod
        fields = ["id", "brand", "last4", "exp_month", "exp_year", "status", "created_at"]
        read_only_fields = fields


class TipInput(ClosedSerializer):
    """A tip to send."""

    recipient_id = serializers.UUIDField()
    amount = AmountField()
    currency = CurrencyField()
    payment_method_id = serializers.UUIDField()
    post_id = serializers.UUIDField(required=False, allow_null=True, default=None)
    message = PlainTextField(max_length=500, multiline=True, required=False, allow_blank=True, default="")
    is_anonymous = StrictBooleanField(required=False, default=False)


class TipOutput(serializers.ModelSerializer[Tip]):
    """A tip as one of its two parties sees it: the sender of an anonymous one is null to the other."""

    amount = MoneyField(source="*", read_only=True)
    sender_id = serializers.SerializerMethodField()
    payment_id = serializers.SerializerMethodField()

    class Meta:
        model = Tip
        fields = [
            "id",
            "payment_id",
            "sender_id",
            "recipient_id",
            "post_id",
            "amount",
            "message",
            "is_anonymous",
            "status",
            "completed_at",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_sender_id(self, tip: Tip) -> str | None:
        """Who sent it, unless that is hidden from the reader."""
        return None if tip.is_anonymous and tip.sender_id != viewer_of(self) else str(tip.sender_id)

    @extend_schema_field(serializers.UUIDField())
    def get_payment_id(self, tip: Tip) -> str:
        """The payment to watch."""
        return str(tip.order_id)


class PostPurchaseInput(ClosedSerializer):
    """A post to buy, at the price the buyer saw."""

    post_id = serializers.UUIDField()
    expected_amount = AmountField()
    expected_currency = CurrencyField()
    payment_method_id = serializers.UUIDField()


class PostPurchaseOutput(serializers.ModelSerializer[PostPurchase]):
    """A purchase as its buyer sees it."""

    amount = MoneyField(source="*", read_only=True)
    payment_id = serializers.UUIDField(source="order_id", read_only=True)

    class Meta:
        model = PostPurchase
        fields = [
            "id",
            "payment_id",
            "post_id",
            "creator_id",
            "amount",
            "price_version",
            "status",
            "completed_at",
            "revoked_at",
            "created_at",
        ]
        read_only_fields = fields


class ListFilter(ClosedSerializer):
    """What narrows a list, beside the pagination's own parameters."""

    def unknown_errors(self, data: Any) -> dict[str, Any]:
        """One error for each name that neither the filter nor the pagination has."""
        unknown = super().unknown_errors(data)
        paging = (NewestFirstPagination.cursor_param, NewestFirstPagination.size_param)
        return {name: errors for name, errors in unknown.items() if name not in paging}


class PaymentFilter(ListFilter):
    """Which payments to list."""

    reference = serializers.UUIDField(required=False, help_text="The subscription, tip or purchase that was paid.")


class TipFilter(ListFilter):
    """Which tips to list."""

    direction = serializers.ChoiceField(choices=["sent", "received"])


class PaymentOutput(serializers.ModelSerializer[PaymentOrder]):
    """A payment as one of its two parties sees it.

    Only the payer sees what to do next and why it failed; only the payee sees how the money is shared.
    """

    role = serializers.SerializerMethodField()
    payer_id = serializers.SerializerMethodField()
    amount = MoneyField(source="*", read_only=True)
    refunded = MoneyField(source="*", amount="refunded_amount", read_only=True)
    creator_net = serializers.SerializerMethodField()
    next_action = serializers.SerializerMethodField()
    failure_code = serializers.SerializerMethodField()
    next_attempt_at = serializers.SerializerMethodField()
    payment_method_id = serializers.SerializerMethodField()

    class Meta:
        model = PaymentOrder
        fields = [
            "id",
            "role",
            "kind",
            "reference_id",
            "post_id",
            "payer_id",
            "payee_id",
            "amount",
            "refunded",
            "creator_net",
            "status",
            "next_action",
            "failure_code",
            "next_attempt_at",
            "payment_method_id",
            "cycle_number",
            "expires_at",
            "completed_at",
            "created_at",
        ]
        read_only_fields = fields

    def is_payer(self, order: PaymentOrder) -> bool:
        """Whether the reader is the one who pays."""
        return order.payer_id == viewer_of(self)

    @extend_schema_field(serializers.ChoiceField(choices=["payer", "payee"]))
    def get_role(self, order: PaymentOrder) -> str:
        """Which party the reader is."""
        return "payer" if self.is_payer(order) else "payee"

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_payer_id(self, order: PaymentOrder) -> str | None:
        """Who pays, unless it is an anonymous tip and somebody else reads."""
        tip = getattr(order, "tip", None)
        return None if tip and tip.is_anonymous and not self.is_payer(order) else str(order.payer_id)

    @extend_schema_field(MoneyField(allow_null=True))
    def get_creator_net(self, order: PaymentOrder) -> dict[str, Any] | None:
        """What the payee keeps."""
        return None if self.is_payer(order) else money(order.creator_net_amount, order.currency)

    @extend_schema_field({"type": "object", "additionalProperties": True, "nullable": True})
    def get_next_action(self, order: PaymentOrder) -> dict[str, Any] | None:
        """What the payer has to do before the money can move."""
        return order.next_action if self.is_payer(order) else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_failure_code(self, order: PaymentOrder) -> str | None:
        """Why no money moved."""
        return order.failure_code if self.is_payer(order) else None

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_next_attempt_at(self, order: PaymentOrder) -> datetime | None:
        """When a declined cycle is tried again; null while it waits for another method."""
        is_waiting = order.status == PaymentOrder.Status.RETRY_SCHEDULED
        return order.next_attempt_at if is_waiting and self.is_payer(order) else None

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_payment_method_id(self, order: PaymentOrder) -> str | None:
        """What it is paid with."""
        return str(order.payment_method_id) if order.payment_method_id and self.is_payer(order) else None


class RefundInput(ClosedSerializer):
    """How much to give back, and why: all that is left when no amount is named.

    Access goes with the last of the money, unless `revoke_access` says otherwise.
    """

    amount = AmountField(required=False, allow_null=True, default=None, min_value=1)
    reason = serializers.ChoiceField(choices=GIVEN_REASONS)
    revoke_access = StrictBooleanField(required=False, allow_null=True, default=None)


class RefundOutput(serializers.ModelSerializer[Refund]):
    """A refund as those see it who gave it."""

    payment_id = serializers.UUIDField(source="order_id", read_only=True)
    amount = serializers.SerializerMethodField()

    class Meta:
        model = Refund
        fields = ["id", "payment_id", "amount", "reason", "source", "revoke_access", "status", "created_at"]
        read_only_fields = fields

    @extend_schema_field(MoneyField())
    def get_amount(self, refund: Refund) -> dict[str, Any]:
        """What goes back."""
        return money(refund.amount, refund.order.currency)


class EarningsOutput(serializers.Serializer[Any]):
    """What a creator has in one currency."""

    currency = serializers.CharField(read_only=True)
    pending = MoneyField(source="*", amount="pending", read_only=True, help_text="May still go back to payers.")
    payable = MoneyField(source="*", amount="payable", read_only=True, help_text="Cleared.")
    held = MoneyField(source="*", amount="held", read_only=True, help_text="Held while a payment is disputed.")
    total = MoneyField(source="*", amount="total", read_only=True, help_text="All three.")


class LedgerEntryOutput(serializers.ModelSerializer[LedgerEntry]):
    """One line of a creator's books; a negative amount left the account."""

    movement = serializers.CharField(source="transaction.kind", read_only=True)
    account = serializers.CharField(source="account.kind", read_only=True)
    payment_id = serializers.UUIDField(source="transaction.order_id", read_only=True)
    payment_kind = serializers.CharField(source="transaction.order.kind", read_only=True)
    amount = serializers.SerializerMethodField()

    class Meta:
        model = LedgerEntry
        fields = ["id", "created_at", "movement", "account", "payment_id", "payment_kind", "amount"]
        read_only_fields = fields

    @extend_schema_field(SIGNED_MONEY)
    def get_amount(self, entry: LedgerEntry) -> dict[str, Any]:
        """What the line moves."""
        return money(entry.amount, entry.account.currency)


class LedgerFilter(ListFilter):
    """Which lines to list."""

    currency = CurrencyField(required=False)
    payment = serializers.UUIDField(required=False, help_text="The payment that the lines are about.")


class StatementFilter(ClosedSerializer):
    """Which statement to write."""

    currency = CurrencyField()
    month = serializers.RegexField(r"^(?!0000)\d{4}-(0[1-9]|1[0-2])$", help_text="Such as 2026-11, in UTC.")

    def validate_currency(self, currency: str) -> str:
        """One that we handle; raises CurrencyNotSupportedError."""
        return require_currency(currency)

    def validate_month(self, month: str) -> tuple[datetime, datetime]:
        """The month's first moment and that of the next one."""
        year, number = map(int, month.split("-"))
        if year == MAXYEAR:
            raise serializers.ValidationError("There is no statement of that year.")
        start = datetime(year, number, 1, tzinfo=UTC)
        return start, (start + timedelta(days=31)).replace(day=1)


def money(amount: int, currency: str) -> dict[str, Any]:
    """Money as the API writes it."""
    return {"amount": amount, "currency": currency}


def viewer_of(serializer: serializers.BaseSerializer[Any]) -> UUID:
    """Who reads the answer."""
    viewer: UUID = serializer.context["request"].user.pk
    return viewer
