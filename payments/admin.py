"""Money to look at; what may be done by hand is an action, and every action calls a service."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Role, User
from api.admin import ReadOnlyAdmin
from eventbus.exceptions import DomainError
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.models.sandbox import SandboxCharge, SandboxRefund
from payments.services.charging import reconcile
from payments.services.refunds import refund_payment

if TYPE_CHECKING:  # generic to the type checker only
    Inline = admin.TabularInline[Any, PaymentOrder]
else:
    Inline = admin.TabularInline


class ReadOnlyInline(Inline):
    """Rows beside their order, to be looked at."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class AttemptInline(ReadOnlyInline):
    """What the gateway was asked."""

    model = PaymentAttempt


class RefundInline(ReadOnlyInline):
    """What went back."""

    model = Refund


@admin.register(PaymentMethod)
class PaymentMethodAdmin(ReadOnlyAdmin):
    """Cards, as far as they may be shown: neither token nor fingerprint."""

    list_display = ["id", "owner_id", "gateway", "brand", "last4", "status", "created_at"]
    list_filter = ["status", "gateway", "brand"]
    search_fields = ["id", "owner_id", "last4"]
    exclude = ["encrypted_token", "token_fingerprint"]


@admin.register(PaymentOrder)
class PaymentOrderAdmin(ReadOnlyAdmin):
    """Payments, their attempts and refunds."""

    list_display = ["id", "kind", "amount", "currency", "status", "payer_id", "payee_id", "created_at", "completed_at"]
    list_filter = ["status", "kind", "currency", "gateway", "failure_code", "captured_late"]
    search_fields = ["id", "reference_id", "payer_id", "payee_id", "post_id", "gateway_payment_id"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    inlines = [AttemptInline, RefundInline]
    actions = ["refund_all", "ask_gateway"]

    @admin.action(description="Give all that is left back, and take access away", permissions=["refund"])
    def refund_all(self, request: HttpRequest, queryset: QuerySet[PaymentOrder]) -> None:
        """Refund each chosen payment, and say which could not be."""
        for order in queryset:
            try:
                refund_payment(
                    order_id=order.pk,
                    amount=None,
                    reason=Refund.Reason.OTHER,
                    revoke_access=True,
                    source=Refund.Source.STAFF,
                    requested_by=request.user.pk,
                )
            except DomainError as error:
                self.message_user(request, f"{order.pk}: {error.detail}", messages.ERROR)

    @admin.action(description="Ask the gateway what became of it", permissions=["refund"])
    def ask_gateway(self, request: HttpRequest, queryset: QuerySet[PaymentOrder]) -> None:
        """Reconcile each chosen payment that has been at the gateway for long."""
        for order in queryset:
            reconcile(order_id=order.pk)

    def has_refund_permission(self, request: HttpRequest) -> bool:
        """Finance staff and superusers."""
        user = request.user
        return isinstance(user, User) and (user.is_superuser or user.has_role(Role.STAFF_FINANCE))


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(ReadOnlyAdmin):
    """Questions to the gateways and their answers."""

    list_display = ["gateway_idempotency_key", "order_id", "number", "status", "decline_code", "created_at"]
    list_filter = ["status", "decline_code"]
    search_fields = ["gateway_idempotency_key", "order__id"]
    show_full_result_count = False


@admin.register(Tip)
class TipAdmin(ReadOnlyAdmin):
    """Tips."""

    list_display = ["id", "sender_id", "recipient_id", "amount", "currency", "status", "is_anonymous", "created_at"]
    list_filter = ["status", "currency", "is_anonymous"]
    search_fields = ["id", "sender_id", "recipient_id", "post_id"]
    show_full_result_count = False


@admin.register(PostPurchase)
class PostPurchaseAdmin(ReadOnlyAdmin):
    """Posts bought singly."""

    list_display = ["id", "buyer_id", "post_id", "amount", "currency", "price_version", "status", "created_at"]
    list_filter = ["status", "currency"]
    search_fields = ["id", "buyer_id", "creator_id", "post_id"]
    show_full_result_count = False


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """Money on its way back."""

    list_display = ["id", "order_id", "amount", "reason", "source", "status", "refusal", "created_at"]
    list_filter = ["status", "reason", "source", "revoke_access"]
    search_fields = ["id", "order__id", "requested_by", "gateway_refund_id"]
    show_full_result_count = False


@admin.register(PostOffer)
class PostOfferAdmin(ReadOnlyAdmin):
    """What payments knows of posts."""

    list_display = ["post_id", "creator_id", "on_sale", "amount", "currency", "price_version", "deleted_at"]
    list_filter = ["on_sale", "currency"]
    search_fields = ["post_id", "creator_id"]
    show_full_result_count = False


@admin.register(SubscriptionRef)
class SubscriptionRefAdmin(ReadOnlyAdmin):
    """What payments knows of subscriptions."""

    list_display = ["subscription_id", "subscriber_id", "creator_id", "status", "access_until", "cancels_at"]
    list_filter = ["status"]
    search_fields = ["subscription_id", "subscriber_id", "creator_id"]
    show_full_result_count = False


@admin.register(SandboxCharge)
class SandboxChargeAdmin(ReadOnlyAdmin):
    """The sandbox's books."""

    list_display = ["gateway_payment_id", "idempotency_key", "token", "amount", "currency", "status", "created_at"]
    list_filter = ["status", "token"]
    search_fields = ["gateway_payment_id", "idempotency_key"]


@admin.register(SandboxRefund)
class SandboxRefundAdmin(ReadOnlyAdmin):
    """What the sandbox gave back."""

    list_display = ["idempotency_key", "charge_id", "amount", "created_at"]
    list_filter = ["created_at"]
    search_fields = ["idempotency_key", "charge__gateway_payment_id"]
