"""Money to look at; what may be done by hand is an action, and every action calls a service."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import Role, User
from api.admin import ReadOnlyAdmin
from api.authentication import user_id_of
from api.money import shown_money
from eventbus.exceptions import DomainError
from eventbus.pages import EventsMixin, act_on_each, asks_why, linked_id
from payments.admin_inlines import AttemptInline, DisputeInline, EntryInline, LedgerTransactionInline, RefundInline
from payments.exceptions import GatewayMismatchError
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerAccount, LedgerEntry, LedgerTransaction
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentAttempt, PaymentOrder
from payments.models.projections import PostOffer, SubscriptionRef
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.models.sandbox import SandboxCharge, SandboxDispute, SandboxRefund
from payments.models.webhooks import GatewayEvent
from payments.services.charging import reconcile
from payments.services.dunning import retry_order
from payments.services.refunds import refund_payment
from payments.services.webhooks import handle_again

REFERENCES = {
    PaymentOrder.Kind.SUBSCRIPTION: "subscriptions_subscription",
    PaymentOrder.Kind.TIP: "payments_tip",
    PaymentOrder.Kind.POST_PURCHASE: "payments_postpurchase",
}


@admin.register(PaymentMethod)
class PaymentMethodAdmin(ReadOnlyAdmin):
    """Cards, as far as they may be shown: neither token nor fingerprint."""

    list_display = ["id", "owner_id", "gateway", "brand", "last4", "status", "created_at"]
    list_filter = ["status", "gateway", "brand"]
    links: ClassVar[dict[str, str]] = {"owner_id": "accounts_user"}
    search_fields = ["last4__exact"]
    search_ids: ClassVar[list[str]] = ["id", "owner_id"]
    exclude = ["encrypted_token", "token_fingerprint"]


@admin.register(PaymentOrder)
class PaymentOrderAdmin(EventsMixin, ReadOnlyAdmin):
    """Payments, their attempts and refunds."""

    list_display = [
        "id",
        "kind",
        "amount",
        "status",
        "payer_id",
        "payee_id",
        "created_at",
        "completed_at",
    ]
    list_filter = ["status", "kind", "currency", "gateway", "failure_code", "captured_late"]
    links: ClassVar[dict[str, str]] = {
        "payer_id": "accounts_user",
        "payee_id": "accounts_user",
        "post_id": "content_post",
        "payment_method": "payments_paymentmethod",
    }
    money: ClassVar[dict[str, str]] = dict.fromkeys(
        ["amount", "platform_fee_amount", "processor_fee_amount", "creator_net_amount", "refunded_amount"], "currency"
    )
    search_fields = ["gateway_payment_id__exact"]
    search_ids: ClassVar[list[str]] = ["id", "reference_id", "payer_id", "payee_id", "post_id", "billing_request_id"]
    date_hierarchy = "created_at"
    event_key = "reference_id"
    fields: ClassVar = [
        *("reference" if field.name == "reference_id" else field.name for field in PaymentOrder._meta.concrete_fields),
        *EventsMixin.EVENTS,
    ]
    inlines = [AttemptInline, RefundInline, DisputeInline, LedgerTransactionInline]
    actions = ["refund_all", "ask_gateway", "charge_again"]

    @admin.display(description="reference")
    def reference(self, order: PaymentOrder) -> SafeString | str:
        """What it pays: a subscription, a tip or a purchase."""
        return linked_id(order.reference_id, page=REFERENCES[PaymentOrder.Kind(order.kind)], short=False)

    @admin.action(description="Give all that is left back, and take access away", permissions=["refund"])
    @asks_why("All that is left of these payments goes back, and the payers lose what they paid for.")
    def refund_all(self, request: HttpRequest, queryset: QuerySet[PaymentOrder], reason: str) -> None:
        """Refund each chosen payment, and say which could not be."""

        def refunded(order: PaymentOrder) -> bool:
            refund_payment(
                order_id=order.pk,
                amount=None,
                reason=Refund.Reason.OTHER,
                revoke_access=True,
                source=Refund.Source.STAFF,
                requested_by=user_id_of(request),
            )
            return True

        act_on_each(self, request, queryset, refunded, done="Refund on its way", reason=reason)

    @admin.action(description="Ask the gateway what became of it", permissions=["refund"])
    def ask_gateway(self, request: HttpRequest, queryset: QuerySet[PaymentOrder]) -> None:
        """Reconcile each chosen payment that has been at the gateway for long."""

        def answered(order: PaymentOrder) -> bool:
            before = order.status
            try:
                reconcile(order_id=order.pk)
            except GatewayMismatchError as mismatch:
                raise DomainError(str(mismatch)) from mismatch
            order.refresh_from_db()
            return order.status != before

        act_on_each(self, request, queryset, answered, done="The gateway answered", reason="")

    @admin.action(description="Charge again now", permissions=["refund"])
    @asks_why("The payment methods of these declined renewals are charged again at once.")
    def charge_again(self, request: HttpRequest, queryset: QuerySet[PaymentOrder], reason: str) -> None:
        """Retry each chosen payment that waits for its next attempt."""

        def retried(order: PaymentOrder) -> bool:
            retry_order(order_id=order.pk)
            return True

        act_on_each(self, request, queryset, retried, done="Charged again", reason=reason)

    def has_refund_permission(self, request: HttpRequest) -> bool:
        """Finance staff and superusers."""
        user = request.user
        return isinstance(user, User) and (user.is_superuser or user.has_role(Role.STAFF_FINANCE))


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(ReadOnlyAdmin):
    """Questions to the gateways and their answers."""

    list_display = ["gateway_idempotency_key", "order_id", "number", "status", "decline_code", "created_at"]
    list_filter = ["status", "decline_code"]
    links: ClassVar[dict[str, str]] = {"order_id": "payments_paymentorder"}
    search_fields = ["gateway_idempotency_key__exact"]
    search_ids: ClassVar[list[str]] = ["id", "order_id"]


@admin.register(Tip)
class TipAdmin(ReadOnlyAdmin):
    """Tips."""

    list_display = ["id", "sender_id", "recipient_id", "amount", "status", "is_anonymous", "created_at"]
    list_filter = ["status", "currency", "is_anonymous"]
    links: ClassVar[dict[str, str]] = {
        "sender_id": "accounts_user",
        "recipient_id": "accounts_user",
        "post_id": "content_post",
        "order": "payments_paymentorder",
    }
    money: ClassVar[dict[str, str]] = {"amount": "currency"}
    search_ids: ClassVar[list[str]] = ["id", "order_id", "sender_id", "recipient_id", "post_id"]


@admin.register(PostPurchase)
class PostPurchaseAdmin(ReadOnlyAdmin):
    """Posts bought singly."""

    list_display = ["id", "buyer_id", "post_id", "amount", "price_version", "status", "created_at"]
    list_filter = ["status", "currency"]
    links: ClassVar[dict[str, str]] = {
        "buyer_id": "accounts_user",
        "creator_id": "accounts_user",
        "post_id": "content_post",
        "order": "payments_paymentorder",
    }
    money: ClassVar[dict[str, str]] = {"amount": "currency"}
    search_ids: ClassVar[list[str]] = ["id", "order_id", "buyer_id", "creator_id", "post_id"]


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """Money on its way back."""

    list_display = ["id", "order_id", "amount_shown", "reason", "source", "status", "refusal", "created_at"]
    list_select_related = ["order"]
    list_filter = ["status", "reason", "source", "revoke_access"]
    links: ClassVar[dict[str, str]] = {"order_id": "payments_paymentorder", "requested_by": "accounts_user"}
    search_fields = ["gateway_refund_id__exact"]
    search_ids: ClassVar[list[str]] = ["id", "order_id", "requested_by"]

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, refund: Refund) -> str:
        """In the currency of its order."""
        return shown_money(refund.amount, refund.order.currency)


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    """Payments that their payers contest."""

    list_display = ["gateway_dispute_id", "order_id", "amount_shown", "status", "reason", "opened_at", "closed_at"]
    list_select_related = ["order"]
    list_filter = ["status", "reason"]
    links: ClassVar[dict[str, str]] = {
        "order_id": "payments_paymentorder",
        "order": "payments_paymentorder",
        "refund": "payments_refund",
    }
    search_fields = ["gateway_dispute_id__exact"]
    search_ids: ClassVar[list[str]] = ["id", "order_id"]

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, dispute: Dispute) -> str:
        """In the currency of its payment."""
        return shown_money(dispute.amount, dispute.order.currency)


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    """The pots that money lies in."""

    list_display = ["id", "kind", "owner_id", "currency"]
    list_filter = ["kind", "currency"]
    links: ClassVar[dict[str, str]] = {"owner_id": "accounts_user"}
    search_ids: ClassVar[list[str]] = ["id", "owner_id"]


@admin.register(LedgerTransaction)
class LedgerTransactionAdmin(ReadOnlyAdmin):
    """The books: nobody changes them, not even the database's owner."""

    list_display = ["id", "kind", "source_type", "source_id", "order_id", "created_at"]
    list_filter = ["kind", "source_type"]
    links: ClassVar[dict[str, str]] = {"order_id": "payments_paymentorder", "order": "payments_paymentorder"}
    search_ids: ClassVar[list[str]] = ["id", "source_id", "order_id"]
    date_hierarchy = "created_at"
    inlines = [EntryInline]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    """The lines of the books."""

    list_display = ["id", "transaction", "account", "amount_shown", "created_at"]
    list_select_related = ["transaction", "account"]
    list_filter = ["account__kind", "account__currency"]
    links: ClassVar[dict[str, str]] = {
        "transaction": "payments_ledgertransaction",
        "account": "payments_ledgeraccount",
    }
    search_ids: ClassVar[list[str]] = ["id", "transaction_id", "account_id"]

    @admin.display(description="amount", ordering="amount")
    def amount_shown(self, entry: LedgerEntry) -> str:
        """In the currency of its account."""
        return shown_money(entry.amount, entry.account.currency)


@admin.register(GatewayEvent)
class GatewayEventAdmin(ReadOnlyAdmin):
    """What gateways told us; their words about people stay out."""

    list_display = ["external_id", "gateway", "type", "received_at", "handled_at", "attempts", "last_error"]
    list_filter = ["gateway", ("handled_at", admin.EmptyFieldListFilter), "type"]
    search_fields = ["external_id__exact"]
    search_ids: ClassVar[list[str]] = ["id"]
    exclude = ["payload"]
    actions = ["handle_again"]

    @admin.action(description="Handle again", permissions=["handle"])
    @asks_why("The gateway is asked again what these events are about; those that were handled stay as they are.")
    def handle_again(self, request: HttpRequest, queryset: QuerySet[GatewayEvent], reason: str) -> None:
        """Have each chosen event that is not handled handled."""

        def asked(event: GatewayEvent) -> bool:
            return handle_again(event_id=event.pk).handled_at is None

        act_on_each(self, request, queryset, asked, done="Handled again", reason=reason)

    def has_handle_permission(self, request: HttpRequest) -> bool:
        """Finance staff and superusers."""
        user = request.user
        return isinstance(user, User) and (user.is_superuser or user.has_role(Role.STAFF_FINANCE))


@admin.register(PostOffer)
class PostOfferAdmin(ReadOnlyAdmin):
    """What payments knows of posts."""

    list_display = ["post_id", "creator_id", "on_sale", "amount", "price_version", "deleted_at"]
    list_filter = ["on_sale", "currency"]
    links: ClassVar[dict[str, str]] = {"creator_id": "accounts_user"}
    money: ClassVar[dict[str, str]] = {"amount": "currency"}
    search_ids: ClassVar[list[str]] = ["post_id", "creator_id"]


@admin.register(SubscriptionRef)
class SubscriptionRefAdmin(ReadOnlyAdmin):
    """What payments knows of subscriptions."""

    list_display = ["subscription_id", "subscriber_id", "creator_id", "status", "access_until", "cancels_at"]
    list_filter = ["status"]
    links: ClassVar[dict[str, str]] = {
        "subscriber_id": "accounts_user",
        "creator_id": "accounts_user",
        "tier_id": "subscriptions_tier",
        "payment_method_id": "payments_paymentmethod",
    }
    search_ids: ClassVar[list[str]] = ["subscription_id", "subscriber_id", "creator_id", "tier_id", "payment_method_id"]


@admin.register(SandboxCharge)
class SandboxChargeAdmin(ReadOnlyAdmin):
    """The sandbox's books."""

    list_display = ["gateway_payment_id", "token", "amount", "status", "created_at"]
    list_filter = ["status", "decline_code"]
    search_fields = ["gateway_payment_id__exact", "idempotency_key__startswith"]
    money: ClassVar[dict[str, str]] = {"amount": "currency"}


@admin.register(SandboxDispute)
class SandboxDisputeAdmin(ReadOnlyAdmin):
    """What the sandbox's cardholders contest."""

    list_display = ["gateway_dispute_id", "charge", "amount", "status", "created_at"]
    list_select_related = ["charge"]
    list_filter = ["status"]
    search_fields = ["gateway_dispute_id__exact", "charge__gateway_payment_id__exact"]


@admin.register(SandboxRefund)
class SandboxRefundAdmin(ReadOnlyAdmin):
    """What the sandbox gave back."""

    list_display = ["idempotency_key", "charge", "amount", "created_at"]
    list_select_related = ["charge"]
    list_filter = ["created_at"]
    search_fields = ["idempotency_key__startswith", "charge__gateway_payment_id__exact"]
