"""Tiers and subscriptions for the staff: to look at, with actions that call the services."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from api.admin import ReadOnlyAdmin
from api.money import shown_money
from eventbus.pages import EventsMixin, act_on_each, asks_why, found_in, linked_id
from subscriptions.events import CancelledBy, CancelMode
from subscriptions.models.history import (
    ReceivedPayment,
    RequestedPayment,
    SubscriptionPeriod,
    SubscriptionTransition,
    TrialUse,
)
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice
from subscriptions.services.cancellation import cancel, resume
from subscriptions.services.payment_method import retry_payment
from subscriptions.services.tiers import archive_tier, restore_tier

if TYPE_CHECKING:  # generic to the type checker only
    TabularInline = admin.TabularInline[Any, Any]
else:
    TabularInline = admin.TabularInline


class RowsInline(TabularInline):
    """Rows that only services write, shown beside what they belong to."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class TierPriceInline(RowsInline):
    """A tier's prices, which never change."""

    model = TierPrice
    fields = ("interval", "interval_count", "amount", "currency", "active", "created_at")
    readonly_fields = fields


@admin.register(Tier)
class TierAdmin(ReadOnlyAdmin):
    """Tiers; archiving and restoring go through the services."""

    list_display = ["name", "creator_id", "status", "is_public", "rank", "created_at"]
    list_filter = ["status", "is_public"]
    links: ClassVar[dict[str, str]] = {"creator_id": "accounts_user"}
    search_fields = ["name"]
    search_ids: ClassVar[list[str]] = ["id", "creator_id"]
    inlines = [TierPriceInline]
    actions = ["archive", "restore"]

    @admin.action(description="Archive the selected tiers", permissions=["operate"])
    @asks_why("Nobody new can subscribe to these tiers; who is in stays.")
    def archive(self, request: HttpRequest, queryset: QuerySet[Tier], reason: str) -> None:
        """Let nobody new in."""
        act_on_each(self, request, queryset, archived, done="Archived", reason=reason)

    @admin.action(description="Offer the selected tiers again", permissions=["operate"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Tier]) -> None:
        """Offer again."""
        act_on_each(self, request, queryset, restored, done="Restored", reason="")

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may change tiers may use the services; the form stays closed."""
        return request.user.has_perm("subscriptions.change_tier")


def archived(tier: Tier) -> bool:
    """Archive on behalf of the staff."""
    archive_tier(tier_id=tier.pk)
    return True


def restored(tier: Tier) -> bool:
    """Restore on behalf of the staff."""
    restore_tier(tier_id=tier.pk)
    return True


@admin.register(TierPrice)
class TierPriceAdmin(ReadOnlyAdmin):
    """Prices, active and withdrawn."""

    list_display = ["tier", "amount", "interval", "interval_count", "active", "created_at"]
    list_filter = ["active", "currency", "interval"]
    list_select_related = ["tier"]
    money: ClassVar[dict[str, str]] = {"amount": "currency"}
    search_fields = ["tier__name"]
    search_ids: ClassVar[list[str]] = ["id", "tier_id"]


class PeriodInline(RowsInline):
    """The cycles that were granted."""

    model = SubscriptionPeriod
    fields = ("cycle_number", "period_start", "period_end", "payment", "refunded")
    readonly_fields = fields


class RequestedPaymentInline(RowsInline):
    """What was asked for."""

    model = RequestedPayment
    fields = ("id", "reason", "cycle_number", "shown_amount", "due_at", "expires_at", "state", "answered_at")
    readonly_fields = fields

    @admin.display(description="amount")
    def shown_amount(self, row: RequestedPayment) -> str:
        """As people read it."""
        return shown_money(row.amount, row.currency)


class ReceivedPaymentInline(RowsInline):
    """What came, and what became of it; the payment's own story is one link away."""

    model = ReceivedPayment
    fields = ("payment", "outcome", "refunded_at", "access_revoked", "revoke_reason", "received_at")
    readonly_fields = fields

    @admin.display(description="payment")
    def payment(self, row: ReceivedPayment) -> SafeString | str:
        """The way to the payment."""
        return linked_id(row.pk, page="payments_paymentorder", short=False)


class TransitionInline(RowsInline):
    """The story of the subscription: every step, who took it, and the event that caused it."""

    model = SubscriptionTransition
    fields = ("sequence", "from_status", "to_status", "change", "by", "cause", "at")
    readonly_fields = fields

    @admin.display(description="actor")
    def by(self, row: SubscriptionTransition) -> SafeString | str:
        """The way to the person; empty where the clock or an event acted."""
        return linked_id(row.actor or None, page="accounts_user", short=False)

    @admin.display(description="caused by the event")
    def cause(self, row: SubscriptionTransition) -> SafeString | str:
        """The way to the event among those that were handled."""
        return found_in("eventbus_inboxevent", row.causation_event_id)


@admin.register(Subscription)
class SubscriptionAdmin(EventsMixin, ReadOnlyAdmin):
    """Subscriptions with their story; cancelling goes through the service."""

    list_display = ["id", "subscriber_id", "creator_id", "tier", "amount", "status", "access_until", "created_at"]
    list_filter = ["status", "cancel_at_period_end", "end_reason", "interval"]
    list_select_related = ["tier"]
    links: ClassVar[dict[str, str]] = {
        "subscriber_id": "accounts_user",
        "creator_id": "accounts_user",
        "payment_method_id": "payments_paymentmethod",
    }
    money: ClassVar[dict[str, str]] = {"amount": "currency"}
    search_ids: ClassVar[list[str]] = ["id", "subscriber_id", "creator_id", "tier_id", "payments__id"]
    fields: ClassVar = [*(field.name for field in Subscription._meta.concrete_fields), *EventsMixin.EVENTS]
    inlines = [PeriodInline, RequestedPaymentInline, ReceivedPaymentInline, TransitionInline]
    actions = ["cancel_at_period_end", "cancel_at_once", "resume", "retry_payment"]

    @admin.action(description="Cancel at the end of the period", permissions=["operate"])
    @asks_why("These subscriptions will not be renewed. What has no paid period left to run ends at once.")
    def cancel_at_period_end(self, request: HttpRequest, queryset: QuerySet[Subscription], reason: str) -> None:
        """Let the present period be the last."""
        self.cancel_each(request, queryset, mode=CancelMode.AT_PERIOD_END, done="Cancelled", reason=reason)

    @admin.action(description="Cancel at once, without a refund", permissions=["operate"])
    @asks_why("These subscriptions and their access end now, and no money is given back. This cannot be undone.")
    def cancel_at_once(self, request: HttpRequest, queryset: QuerySet[Subscription], reason: str) -> None:
        """End it and its access now, without a refund."""
        self.cancel_each(request, queryset, mode=CancelMode.IMMEDIATE, done="Cancelled at once", reason=reason)

    @admin.action(description="Take the cancellation back", permissions=["operate"])
    @asks_why("These subscriptions go on, and will be charged, as if they had not been cancelled.")
    def resume(self, request: HttpRequest, queryset: QuerySet[Subscription], reason: str) -> None:
        """Let it go on after its period."""
        act_on_each(self, request, queryset, resumed, done="Goes on", reason=reason)

    @admin.action(description="Try the payment that is past due again", permissions=["operate"])
    @asks_why("The payment methods of these subscriptions are charged at once.")
    def retry_payment(self, request: HttpRequest, queryset: QuerySet[Subscription], reason: str) -> None:
        """Charge now what is past due."""
        act_on_each(self, request, queryset, retried, done="Tried again", reason=reason)

    def cancel_each(
        self, request: HttpRequest, queryset: QuerySet[Subscription], *, mode: CancelMode, done: str, reason: str
    ) -> None:
        """Cancel on behalf of the staff."""

        def cancelled(subscription: Subscription) -> bool:
            cancel(subscription_id=subscription.pk, cancelled_by=CancelledBy.STAFF, mode=mode)
            return True

        act_on_each(self, request, queryset, cancelled, done=done, reason=reason)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may change subscriptions may use the services; the form stays closed."""
        return request.user.has_perm("subscriptions.change_subscription")


def resumed(subscription: Subscription) -> bool:
    """Take the cancellation back on behalf of the staff."""
    resume(subscription_id=subscription.pk)
    return True


def retried(subscription: Subscription) -> bool:
    """Try again on behalf of the staff."""
    retry_payment(subscription_id=subscription.pk)
    return True


@admin.register(SubscriptionPeriod)
class SubscriptionPeriodAdmin(ReadOnlyAdmin):
    """Granted cycles."""

    list_display = ["id", "subscription_id", "cycle_number", "period_start", "period_end", "payment_id", "refunded"]
    list_filter = ["refunded", "period_end"]
    links: ClassVar[dict[str, str]] = {
        "subscription_id": "subscriptions_subscription",
        "payment_id": "payments_paymentorder",
    }
    search_ids: ClassVar[list[str]] = ["subscription_id", "payment_id"]
    ordering = ["-id"]


@admin.register(RequestedPayment)
class RequestedPaymentAdmin(ReadOnlyAdmin):
    """What payments was asked for, and whether it came."""

    list_display = ["id", "subscription_id", "reason", "cycle_number", "amount", "due_at", "expires_at", "state"]
    list_filter = ["state", "reason", "due_at"]
    links: ClassVar[dict[str, str]] = {"subscription_id": "subscriptions_subscription"}
    money: ClassVar[dict[str, str]] = {"amount": "currency"}
    search_ids: ClassVar[list[str]] = ["id", "subscription_id"]


@admin.register(ReceivedPayment)
class ReceivedPaymentAdmin(ReadOnlyAdmin):
    """The payments heard of, and what became of them."""

    list_display = ["id", "subscription_id", "outcome", "refunded_at", "revoke_reason", "received_at"]
    list_filter = ["outcome", "access_revoked", "revoke_reason", "received_at"]
    links: ClassVar[dict[str, str]] = {"subscription_id": "subscriptions_subscription"}
    search_ids: ClassVar[list[str]] = ["id", "subscription_id"]


@admin.register(SubscriptionTransition)
class SubscriptionTransitionAdmin(ReadOnlyAdmin):
    """Every change, as it was told."""

    list_display = ["id", "subscription_id", "sequence", "from_status", "to_status", "change", "actor", "at"]
    list_filter = ["to_status", "change"]
    links: ClassVar[dict[str, str]] = {"subscription_id": "subscriptions_subscription"}
    search_fields = ["causation_event_id__exact"]
    search_ids: ClassVar[list[str]] = ["subscription_id"]
    ordering = ["-id"]


@admin.register(TrialUse)
class TrialUseAdmin(ReadOnlyAdmin):
    """Who has had their trial of whose work."""

    list_display = ["subscriber_id", "creator_id", "subscription_id", "used_at"]
    links: ClassVar[dict[str, str]] = {
        "subscriber_id": "accounts_user",
        "creator_id": "accounts_user",
        "subscription_id": "subscriptions_subscription",
    }
    search_ids: ClassVar[list[str]] = ["subscriber_id", "creator_id", "subscription_id"]
