"""Stripe: PaymentIntents for charges, SetupIntents for cards, refunds, disputes and signed webhooks.

A client's token is the id of a PaymentMethod that Stripe's own form made (`pm_...`). It is tied to a customer at once,
for a card without one can be charged only once; what we store and charge is `customer/payment method`.

Every charge carries our key, as idempotency key and in its metadata. Stripe forgets idempotency keys after a day and
its search is behind by up to a minute; together they never miss a charge: while the search may be behind, the key
holds.

A declined PaymentIntent could still be paid by whoever has its client secret. So it is canceled before its decline is
told: what we call declined never becomes money.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import stripe
from django.conf import settings

from payments.gateways.base import (
    AboutDispute,
    AboutPayment,
    AboutRefund,
    ActionRequired,
    Captured,
    Charge,
    Declined,
    DisputeFacts,
    GatewayUnavailableError,
    MethodDetails,
    Outcome,
    RefundAnswer,
    Refunded,
    RefundFailed,
    RefundPending,
    RefundRefused,
    Reversal,
    StillProcessing,
    Subject,
    TokenRefusedError,
    Voided,
    WebhookNotice,
)
from payments.gateways.notices import notice_of
from payments.gateways.signatures import require_signature

SIGNATURE_HEADER = "Stripe-Signature"
KEY = "tributary_key"
TIMEOUT_SECONDS = 20
NETWORK_RETRIES = 2
LIVE_KEYS = ("sk_live_", "rk_live_")
# Before a dispute there may be an inquiry, which moves no money: its statuses begin so.
INQUIRY = "warning_"
FEE = ["latest_charge.balance_transaction"]

Answer = TypeVar("Answer")

# Stripe's decline codes in the words of our events; what is not listed is a plain refusal that may be tried again.
DECLINES: Mapping[str, tuple[str, str]] = {
    "insufficient_funds": ("insufficient_funds", "soft"),
    "authentication_required": ("authentication_required", "soft"),
    "payment_intent_authentication_failure": ("authentication_failed", "soft"),
    "processing_error": ("processing_error", "soft"),
    "expired_card": ("expired_card", "hard"),
    **dict.fromkeys(
        ["fraudulent", "lost_card", "stolen_card", "pickup_card", "merchant_blacklist", "restricted_card"],
        ("fraud_suspected", "hard"),
    ),
    **dict.fromkeys(
        [
            "incorrect_number",
            "invalid_account",
            "invalid_number",
            "card_not_supported",
            "currency_not_supported",
            "new_account_information_available",
            "revocation_of_authorization",
            "revocation_of_all_authorizations",
            "stop_payment_order",
        ],
        ("invalid_method", "hard"),
    ),
}
DISPUTES: Mapping[str, str] = {
    "needs_response": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "prevented": "won",
    "lost": "lost",
}


def answered(question: Callable[[], Answer]) -> Answer:
    """What Stripe says; raises GatewayUnavailableError where it says nothing of whether the money moved."""
    try:
        return question()
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except stripe.StripeError as error:
        raise GatewayUnavailableError(f"stripe did not answer: {type(error).__name__}") from error


class StripeGateway:
    """Gateway for real cards; in test mode for Stripe's test cards."""

    name = "stripe"

    def __init__(self, http_client: stripe.HTTPClient | None = None) -> None:
        addresses: Any = {"api": settings.STRIPE_API_BASE} if settings.STRIPE_API_BASE else {}
        self.client = stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            base_addresses=addresses,
            max_network_retries=NETWORK_RETRIES,
            http_client=http_client or stripe.RequestsClient(timeout=TIMEOUT_SECONDS),
        )

    @property
    def livemode(self) -> bool:
        """Whether the secret key is a live one."""
        return str(settings.STRIPE_SECRET_KEY).startswith(LIVE_KEYS)

    @property
    def webhook_secrets(self) -> Sequence[str]:
        """Setting STRIPE_WEBHOOK_SECRETS."""
        secrets: list[str] = settings.STRIPE_WEBHOOK_SECRETS
        return secrets

    def describe(self, token: str) -> MethodDetails:
        """Tie the card to a customer, let its bank look at it, and say what may be shown of it."""
        try:
            method = answered(lambda: self.client.v1.payment_methods.retrieve(token))
            if method.type != "card" or method.card is None:
                raise TokenRefusedError("it is no card")
            customer = self.customer_of(method)
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            raise TokenRefusedError(error.user_message or "stripe does not know this token") from error
        return MethodDetails(
            brand=method.card.brand[:30],
            last4=method.card.last4,
            exp_month=method.card.exp_month,
            exp_year=method.card.exp_year,
            charge_token=f"{customer}/{token}",
        )

    def customer_of(self, method: stripe.PaymentMethod) -> str:
        """The customer the card is tied to; a new one is made, and the card set up for it, when there is none."""
        if method.customer is not None:
            return method.customer if isinstance(method.customer, str) else method.customer.id
        customer = answered(
            lambda: self.client.v1.customers.create({}, {"idempotency_key": f"tributary-customer-{method.id}"})
        )
        params: Any = {
            "customer": customer.id,
            "payment_method": method.id,
            "payment_method_types": ["card"],
            "usage": "off_session",
            "confirm": True,
        }
        answered(
            lambda: self.client.v1.setup_intents.create(params, {"idempotency_key": f"tributary-setup-{method.id}"})
        )
        return customer.id

    def create_payment(self, charge: Charge) -> Outcome:
        """Confirm a PaymentIntent; a payer who is away cannot be asked to prove who they are."""
        customer, _, method = charge.token.partition("/")
        params: Any = {
            "amount": charge.amount,
            "currency": charge.currency.lower(),
            "customer": customer,
            "payment_method": method,
            "payment_method_types": ["card"],
            "confirm": True,
            "metadata": {KEY: charge.key},
            "expand": FEE,
        }
        if charge.payer_is_present:
            # A card whose set-up its bank did not finish is set up by its first payment.
            params["setup_future_usage"] = "off_session"
            if settings.STRIPE_RETURN_URL:
                params["return_url"] = settings.STRIPE_RETURN_URL
        else:
            params["off_session"] = True
        try:
            intent = answered(lambda: self.client.v1.payment_intents.create(params, {"idempotency_key": charge.key}))
        except stripe.CardError as error:
            refused = error.error and error.error.payment_intent
            return self.settled(refused) if refused else declined(error.error)
        except stripe.InvalidRequestError as error:
            return Declined(failure_code="processing_error", decline_type="none", message=str(error)[:200])
        return self.settled(intent)

    def settled(self, intent: stripe.PaymentIntent) -> Outcome:
        """The state of a PaymentIntent as an answer, made final when it was declined."""
        if intent.status != "requires_payment_method":
            return outcome_of(intent)
        try:
            answered(lambda: self.client.v1.payment_intents.cancel(intent.id))
        except stripe.InvalidRequestError:  # somebody was quicker: what is true now?
            return outcome_of(answered(lambda: self.client.v1.payment_intents.retrieve(intent.id, {"expand": FEE})))
        return declined(getattr(intent, "last_payment_error", None))

    def confirm(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome:
        """The payer has acted with Stripe itself, so its word is all that is needed."""
        return self.retrieve(key, gateway_payment_id=gateway_payment_id) or StillProcessing()

    def cancel(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome:
        """Cancel the PaymentIntent unless it is too late; the answer says what is true now."""
        intent = self.intent_of(key, gateway_payment_id)
        if intent is None:  # the search is behind: it exists, or we would not have been told of it
            raise GatewayUnavailableError(f"stripe does not find {key} yet")
        try:
            return outcome_of(answered(lambda: self.client.v1.payment_intents.cancel(intent.id)))
        except stripe.InvalidRequestError:
            return outcome_of(answered(lambda: self.client.v1.payment_intents.retrieve(intent.id, {"expand": FEE})))

    def retrieve(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome | None:
        """What became of a charge, found by its id, otherwise by its key."""
        intent = self.intent_of(key, gateway_payment_id)
        return None if intent is None else self.settled(intent)

    def intent_of(self, key: str, gateway_payment_id: str | None) -> stripe.PaymentIntent | None:
        """The PaymentIntent that carries this key; the id of another attempt of the order is passed over."""
        if gateway_payment_id:
            try:
                intent = answered(lambda: self.client.v1.payment_intents.retrieve(gateway_payment_id, {"expand": FEE}))
            except stripe.InvalidRequestError:
                intent = None
            if intent is not None and key_of(intent) == key:
                return intent
        query = f"metadata['{KEY}']:'{key}'"
        expand = [f"data.{path}" for path in FEE]
        found = answered(lambda: self.client.v1.payment_intents.search({"query": query, "expand": expand}))
        return next((intent for intent in found.data if key_of(intent) == key), None)

    def refund(self, reversal: Reversal) -> RefundAnswer:
        """Refund the PaymentIntent once per key: one that was made and not heard of is found in its list."""
        made = answered(
            lambda: self.client.v1.refunds.list({"payment_intent": reversal.gateway_payment_id, "limit": 100})
        )
        refund = next((refund for refund in made.data if key_of(refund) == reversal.key), None)
        if refund is None:
            try:
                refund = answered(
                    lambda: self.client.v1.refunds.create(
                        {
                            "payment_intent": reversal.gateway_payment_id,
                            "amount": reversal.amount,
                            "metadata": {KEY: reversal.key},
                        },
                        {"idempotency_key": reversal.key},
                    )
                )
            except stripe.InvalidRequestError as error:
                return RefundRefused(code=error.code or "invalid_request")
        return answer_of(refund)

    def retrieve_refund(self, gateway_refund_id: str) -> RefundAnswer | None:
        """What is true of a refund now."""
        try:
            return answer_of(answered(lambda: self.client.v1.refunds.retrieve(gateway_refund_id)))
        except stripe.InvalidRequestError:
            return None

    def retrieve_dispute(self, gateway_dispute_id: str) -> DisputeFacts | None:
        """What is true of a dispute; None for an inquiry, which is none yet."""
        try:
            dispute = answered(
                lambda: self.client.v1.disputes.retrieve(gateway_dispute_id, {"expand": ["payment_intent"]})
            )
        except stripe.InvalidRequestError:
            return None
        intent, status = dispute.payment_intent, DISPUTES.get(dispute.status)
        if status is None or intent is None or isinstance(intent, str):
            return None
        return DisputeFacts(
            gateway_dispute_id=dispute.id,
            charge_key=key_of(intent) or "",
            amount=dispute.amount,
            currency=dispute.currency.upper(),
            status=status,
            reason=dispute.reason,
        )

    def read_webhook(self, raw: bytes, headers: Mapping[str, str]) -> WebhookNotice:
        """The event of a signed body; stripe's own check would let a time far in the future pass."""
        require_signature(raw, header=headers.get(SIGNATURE_HEADER, ""), secrets=self.webhook_secrets)
        return notice_of(raw)

    def subject_of(self, event_type: str, payload: dict[str, Any]) -> Subject | None:
        """The charge, refund or dispute that an event is about; what another product on the account did has no key."""
        match payload.get("data"):
            case {
                "object": {"object": "payment_intent", "id": str(intent_id), "metadata": {"tributary_key": str(key)}}
            }:
                return AboutPayment(key=key, gateway_payment_id=intent_id)
            case {"object": {"object": "refund", "id": str(refund_id), "metadata": {"tributary_key": str(key)}}}:
                return AboutRefund(key=key, gateway_refund_id=refund_id)
            case {"object": {"object": "dispute", "id": str(dispute_id), "status": str(status)}}:
                return None if status.startswith(INQUIRY) else AboutDispute(gateway_dispute_id=dispute_id)
            case _:
                return None


def key_of(thing: stripe.PaymentIntent | stripe.Refund) -> str | None:
    """Our key on something of Stripe's."""
    metadata = thing.metadata
    return metadata[KEY] if metadata is not None and KEY in metadata else None


def answer_of(refund: stripe.Refund) -> RefundAnswer:
    """A refund's state as an answer; even one that was called done may fail when the payer's bank sends it back."""
    match refund.status:
        case "succeeded":
            return Refunded(gateway_refund_id=refund.id)
        case "failed" | "canceled":
            reason = getattr(refund, "failure_reason", None) or refund.status
            return RefundFailed(gateway_refund_id=refund.id, code=reason)
        case _:
            return RefundPending(gateway_refund_id=refund.id)


def outcome_of(intent: stripe.PaymentIntent) -> Outcome:
    """A PaymentIntent's state as an answer."""
    match intent.status:
        case "succeeded":
            return Captured(
                gateway_payment_id=intent.id,
                amount=intent.amount_received,
                currency=intent.currency.upper(),
                processor_fee=fee_of(intent),
            )
        case "requires_action":
            return ActionRequired(gateway_payment_id=intent.id, next_action=action_of(intent))
        case "requires_payment_method":
            return declined(getattr(intent, "last_payment_error", None))
        case "canceled":
            error = getattr(intent, "last_payment_error", None)
            return declined(error) if error else Voided()
        case _:
            return StillProcessing()


def fee_of(intent: stripe.PaymentIntent) -> int:
    """What Stripe keeps, if it has said so and in the payment's own currency."""
    charge = getattr(intent, "latest_charge", None)
    balance = None if charge is None or isinstance(charge, str) else getattr(charge, "balance_transaction", None)
    if balance is None or isinstance(balance, str) or balance.currency != intent.currency:
        return 0
    return int(balance.fee)


def action_of(intent: stripe.PaymentIntent) -> dict[str, Any]:
    """What the payer does next: go to an address, or let Stripe's script in the client go on with the secret."""
    redirect = getattr(intent.next_action, "redirect_to_url", None)
    if redirect:
        return {"type": "redirect", "url": redirect.url}
    return {"type": "use_stripe_sdk", "client_secret": intent.client_secret}


def declined(error: Any) -> Declined:
    """Stripe's refusal in the words of our events; its own words stay here."""
    codes = [str(getattr(error, name, None)) for name in ("decline_code", "code")]
    failure_code, decline_type = next((DECLINES[code] for code in codes if code in DECLINES), ("card_declined", "soft"))
    message = getattr(error, "message", None) or ""
    return Declined(failure_code=failure_code, decline_type=decline_type, message=message[:200])
