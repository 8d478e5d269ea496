"""What payments reads from clients and shows them; no token, no gateway id and no gateway's text leaves."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import (
    AmountField,
    ClosedSerializer,
    CurrencyField,
    MoneyField,
    PlainTextField,
    StrictBooleanField,
)
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip

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


class PaymentFilter(ClosedSerializer):
    """Which payments to list."""

    reference = serializers.UUIDField(required=False, help_text="The subscription, tip or purchase that was paid.")


class TipFilter(serializers.Serializer[Any]):
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

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_payment_method_id(self, order: PaymentOrder) -> str | None:
        """What it is paid with."""
        return str(order.payment_method_id) if order.payment_method_id and self.is_payer(order) else None


class RefundInput(ClosedSerializer):
    """How much to give back, and why; all that is left when no amount is named."""

    amount = AmountField(required=False, allow_null=True, default=None, min_value=1)
    reason = serializers.ChoiceField(choices=GIVEN_REASONS)
    revoke_access = StrictBooleanField(required=False, default=True)


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


def money(amount: int, currency: str) -> dict[str, Any]:
    """Money as the API writes it."""
    return {"amount": amount, "currency": currency}


def viewer_of(serializer: serializers.BaseSerializer[Any]) -> UUID:
    """Who reads the answer."""
    viewer: UUID = serializer.context["request"].user.pk
    return viewer
