"""What subscriptions reads and shows; inputs and outputs apart."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import (
    AmountField,
    ClosedSerializer,
    CurrencyField,
    PlainTextField,
    StrictBooleanField,
    StrictIntegerField,
)
from subscriptions.events import CancelMode, CancelReason, RefundPolicy
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Interval, Tier, TierPrice
from subscriptions.services.tier_change import Quote
from subscriptions.services.tiers import PriceTerms

MAX_RANK = 32_767
MAX_CAP = 2_147_483_647
MAX_PRICES = 24
MAX_TRIAL_DAYS = 90

# What a person may give as a reason; the others are the system's own.
REASONS = [
    CancelReason.TOO_EXPENSIVE,
    CancelReason.LOW_QUALITY,
    CancelReason.MISSING_FEATURES,
    CancelReason.UNUSED,
    CancelReason.SWITCHED_SERVICE,
    CancelReason.CUSTOMER_SERVICE,
    CancelReason.CREATOR_CLOSED,
    CancelReason.ACCOUNT_CLOSED,
    CancelReason.OTHER,
]


class PriceInput(ClosedSerializer):
    """A price to offer."""

    interval = serializers.ChoiceField(choices=Interval.choices)
    interval_count = StrictIntegerField(min_value=1, max_value=12, default=1)
    amount = AmountField()
    currency = CurrencyField()

    def to_internal_value(self, data: Any) -> PriceTerms:
        """The terms."""
        return PriceTerms(**super().to_internal_value(data))


class TierTextInput(ClosedSerializer):
    """What a creator may change about a tier."""

    name = PlainTextField(max_length=50)
    description = PlainTextField(max_length=2000, multiline=True, required=False, allow_blank=True)
    benefits = serializers.ListField(child=PlainTextField(max_length=140), max_length=Tier.MAX_BENEFITS, required=False)
    rank = StrictIntegerField(min_value=0, max_value=MAX_RANK, required=False)
    trial_days = StrictIntegerField(min_value=0, max_value=MAX_TRIAL_DAYS, required=False)
    is_public = StrictBooleanField(required=False)
    max_subscribers = StrictIntegerField(min_value=1, max_value=MAX_CAP, required=False, allow_null=True)


class TierInput(TierTextInput):
    """A new tier."""

    prices = serializers.ListField(child=PriceInput(), min_length=1, max_length=MAX_PRICES)


class SubscriptionInput(ClosedSerializer):
    """What to subscribe to, and the price that was shown."""

    tier_id = serializers.UUIDField()
    price_id = serializers.UUIDField()
    expected_amount = AmountField()
    expected_currency = CurrencyField()
    payment_method_id = serializers.UUIDField(required=False, allow_null=True)
    trial = StrictBooleanField(
        required=False,
        allow_null=True,
        help_text="Whether to begin with the tier's trial; by default as it offers. Who has had theirs sends false.",
    )


class CancelInput(ClosedSerializer):
    """How to cancel; a subscriber cancels at the end of the period."""

    mode = serializers.ChoiceField(choices=[mode.value for mode in CancelMode], default=CancelMode.AT_PERIOD_END.value)
    reason = serializers.ChoiceField(choices=[reason.value for reason in REASONS], default=CancelReason.OTHER.value)
    comment = PlainTextField(max_length=500, multiline=True, required=False, allow_blank=True)
    refund_policy = serializers.ChoiceField(
        choices=[policy.value for policy in RefundPolicy], default=RefundPolicy.NONE.value
    )


class ChangeInput(ClosedSerializer):
    """The price to change to, as it was shown; the present one calls a waiting change off."""

    price_id = serializers.UUIDField()
    expected_amount = AmountField()
    payment_method_id = serializers.UUIDField(required=False, allow_null=True)


class ChangeFilters(ClosedSerializer):
    """The price that a change would be to."""

    price_id = serializers.UUIDField()


class PayWithInput(ClosedSerializer):
    """What to pay with from now on."""

    payment_method_id = serializers.UUIDField()


class SubscriptionFilters(serializers.Serializer[Any]):
    """What a list of one's subscriptions can be narrowed to."""

    status = serializers.ChoiceField(choices=Subscription.Status.choices, required=False)
    creator = serializers.UUIDField(required=False)


class SubscriberFilters(serializers.Serializer[Any]):
    """What a list of one's subscribers can be narrowed to."""

    status = serializers.ChoiceField(choices=Subscription.Status.choices, required=False)
    tier = serializers.UUIDField(required=False)


class PriceOutput(serializers.ModelSerializer[TierPrice]):
    """A price, active or kept for those who came at it."""

    class Meta:
        model = TierPrice
        fields = ["id", "interval", "interval_count", "amount", "currency", "active", "created_at"]


class TierOutput(serializers.ModelSerializer[Tier]):
    """A tier with the prices at which it can be chosen."""

    benefits = serializers.ListField(child=serializers.CharField())
    prices = serializers.SerializerMethodField()

    class Meta:
        model = Tier
        fields = [
            "id",
            "creator_id",
            "name",
            "description",
            "benefits",
            "rank",
            "trial_days",
            "status",
            "is_public",
            "max_subscribers",
            "prices",
            "version",
            "created_at",
            "updated_at",
            "archived_at",
        ]

    @extend_schema_field(PriceOutput(many=True))
    def get_prices(self, tier: Tier) -> Any:
        """The active prices, oldest first; filtered here because they were read with the tiers in one query."""
        return PriceOutput([price for price in tier.prices.all() if price.active], many=True).data


class SubscribedPriceOutput(serializers.Serializer[Subscription]):
    """The price at which a subscription was begun."""

    id = serializers.UUIDField(source="price_id")
    interval = serializers.ChoiceField(choices=Interval.choices)
    interval_count = serializers.IntegerField()
    amount = serializers.IntegerField()
    currency = serializers.CharField()


class SubscriptionSummaryOutput(serializers.ModelSerializer[Subscription]):
    """What both parties may know of a subscription."""

    tier_name = serializers.CharField(source="tier.name")
    price = SubscribedPriceOutput(source="*")

    class Meta:
        model = Subscription
        fields = [
            "id",
            "subscriber_id",
            "creator_id",
            "tier_id",
            "tier_name",
            "price",
            "status",
            "cycle_number",
            "current_period_start",
            "current_period_end",
            "trial_end_at",
            "access_until",
            "cancel_at_period_end",
            "started_at",
            "ended_at",
            "end_reason",
            "created_at",
        ]


class SubscriptionOutput(SubscriptionSummaryOutput):
    """A subscription as its subscriber sees it."""

    class Meta(SubscriptionSummaryOutput.Meta):
        fields = [
            *SubscriptionSummaryOutput.Meta.fields,
            "payment_due_at",
            "grace_until",
            "payment_method_id",
            "pending_price_id",
            "cancel_requested_at",
            "cancel_reason",
            "replaces_subscription_id",
        ]


class SubscriberOutput(SubscriptionSummaryOutput):
    """A subscription as its creator sees it: nothing of how it is paid; `names` in the context holds who it is."""

    subscriber_name = serializers.SerializerMethodField()

    class Meta(SubscriptionSummaryOutput.Meta):
        fields = [*SubscriptionSummaryOutput.Meta.fields, "subscriber_name"]

    def get_subscriber_name(self, subscription: Subscription) -> str:
        """The name to show; empty when the account is gone."""
        names: dict[UUID, str] = self.context["names"]
        return names.get(subscription.subscriber_id, "")


class ChangePreviewOutput(serializers.Serializer[Quote]):
    """What a change would mean now: `amount_due` at once, after `credit` for the time that is paid and unused."""

    price = PriceOutput()
    is_immediate = serializers.BooleanField()
    effective_at = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    credit = serializers.IntegerField()
    amount_due = serializers.IntegerField()
    currency = serializers.CharField(source="price.currency")


class AccessOutput(serializers.Serializer[Any]):
    """What I may see of a creator; `until` null with access means without end."""

    has_access = serializers.BooleanField()
    tiers = serializers.ListField(child=serializers.UUIDField())
    until = serializers.DateTimeField(allow_null=True)
