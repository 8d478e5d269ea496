"""Tiers and subscriptions for the staff: to look at, with actions that call the services."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from api.admin import ReadOnlyAdmin
from eventbus.exceptions import DomainError
from subscriptions.events import CancelledBy, CancelMode
from subscriptions.models.history import ReceivedPayment, SubscriptionPeriod, SubscriptionTransition
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier, TierPrice
from subscriptions.services.cancellation import cancel
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


def each(request: HttpRequest, queryset: QuerySet[Any], work: Callable[[Any], object]) -> None:
    """Do the work for every row; what a rule refuses is told, the rest goes on."""
    for row in queryset:
        try:
            work(row)
        except DomainError as refusal:
            messages.error(request, f"{row}: {refusal.detail}")
        else:
            messages.success(request, f"{row}: done")


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
    search_fields = ["=id", "=creator_id", "name"]
    inlines = [TierPriceInline]
    actions = ["archive", "restore"]
    show_full_result_count = False

    @admin.action(description="Archive", permissions=["operate"])
    def archive(self, request: HttpRequest, queryset: QuerySet[Tier]) -> None:
        """Let nobody new in."""
        each(request, queryset, lambda tier: archive_tier(tier_id=tier.pk))

    @admin.action(description="Restore", permissions=["operate"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Tier]) -> None:
        """Offer again."""
        each(request, queryset, lambda tier: restore_tier(tier_id=tier.pk))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may change tiers may use the services; the form stays closed."""
        return request.user.has_perm("subscriptions.change_tier")


@admin.register(TierPrice)
class TierPriceAdmin(ReadOnlyAdmin):
    """Prices, active and withdrawn."""

    list_display = ["tier", "amount", "currency", "interval", "interval_count", "active", "created_at"]
    list_filter = ["active", "currency", "interval"]
    list_select_related = ["tier"]
    search_fields = ["=id", "=tier__id", "tier__name"]
    show_full_result_count = False


class PeriodInline(RowsInline):
    """The cycles that were granted."""

    model = SubscriptionPeriod
    fields = ("cycle_number", "period_start", "period_end", "payment", "refunded")
    readonly_fields = fields


class TransitionInline(RowsInline):
    """The story of the subscription."""

    model = SubscriptionTransition
    fields = ("sequence", "from_status", "to_status", "change", "actor", "causation_event_id", "at")
    readonly_fields = fields


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Subscriptions with their story; cancelling goes through the service."""

    list_display = ["id", "subscriber_id", "creator_id", "tier", "status", "access_until", "created_at"]
    list_filter = ["status", "cancel_at_period_end", "end_reason"]
    list_select_related = ["tier"]
    search_fields = ["=id", "=subscriber_id", "=creator_id"]
    inlines = [PeriodInline, TransitionInline]
    actions = ["cancel_at_period_end", "cancel_at_once"]
    show_full_result_count = False

    @admin.action(description="Cancel at the end of the period", permissions=["operate"])
    def cancel_at_period_end(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        """Let the present period be the last."""
        each(request, queryset, lambda row: cancel_for_staff(row, CancelMode.AT_PERIOD_END))

    @admin.action(description="Cancel at once", permissions=["operate"])
    def cancel_at_once(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        """End it and its access now, without a refund."""
        each(request, queryset, lambda row: cancel_for_staff(row, CancelMode.IMMEDIATE))

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may change subscriptions may use the services; the form stays closed."""
        return request.user.has_perm("subscriptions.change_subscription")


def cancel_for_staff(subscription: Subscription, mode: CancelMode) -> Subscription:
    """Cancel on behalf of the staff."""
    return cancel(subscription_id=subscription.pk, cancelled_by=CancelledBy.STAFF, mode=mode)


@admin.register(SubscriptionPeriod)
class SubscriptionPeriodAdmin(ReadOnlyAdmin):
    """Granted cycles."""

    list_display = ["subscription_id", "cycle_number", "period_start", "period_end", "payment_id", "refunded"]
    list_filter = ["refunded"]
    search_fields = ["=subscription__id", "=payment__id"]
    show_full_result_count = False


@admin.register(ReceivedPayment)
class ReceivedPaymentAdmin(ReadOnlyAdmin):
    """The payments heard of, and what became of them."""

    list_display = ["id", "subscription_id", "outcome", "refunded_at", "access_revoked", "received_at"]
    list_filter = ["outcome", "access_revoked"]
    search_fields = ["=id", "=subscription__id"]
    show_full_result_count = False


@admin.register(SubscriptionTransition)
class SubscriptionTransitionAdmin(ReadOnlyAdmin):
    """Every change, as it was told."""

    list_display = ["subscription_id", "sequence", "from_status", "to_status", "change", "actor", "at"]
    list_filter = ["change"]
    search_fields = ["=subscription__id", "=causation_event_id"]
    show_full_result_count = False
