"""A gateway that moves no money and does what the token says.

    tok_ok                 captured
    tok_decline_soft       declined, another try may help (insufficient funds)
    tok_decline_hard       declined for good (expired card)
    tok_3ds                the payer must confirm; then captured
    tok_3ds_fail           the payer must confirm; then declined
    tok_timeout_then_ok    captured, but the answer is lost
    tok_timeout_then_fail  declined, but the answer is lost
    tok_refund_waits       captured; a refund waits for the payer's bank, `decide_refund` says how it ends
    tok_dispute            captured, then contested by the cardholder; `decide_dispute` says how it ends

Where SANDBOX_WEBHOOK_SECRETS names one, what happens to a charge or a dispute is also told by a signed webhook.
A suffix makes another card of the same behaviour: `tok_ok:second`. Its books are tables, so that every process sees the
same gateway, and each call commits on its own as a remote system would.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import celery
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from uuid_utils.compat import uuid7

from api.background import after_commit
from payments.gateways.base import (
    CHARGE_DISPUTED,
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
    Subject,
    TokenRefusedError,
    Voided,
    WebhookNotice,
)
from payments.gateways.notices import notice_of
from payments.gateways.signatures import require_signature, signed
from payments.models.sandbox import SandboxCharge, SandboxDispute, SandboxRefund

SIGNATURE_HEADER = "Sandbox-Signature"
DELIVERY = "payments.tasks.deliver_sandbox_webhook"  # the network between the sandbox and us
REFUND_PREFIX = "sandbox_refund_"
Status = SandboxCharge.Status


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a token makes of a charge: at first, and after the payer has confirmed."""

    status: Status
    decline_code: str = ""
    confirmed: Status = Status.CAPTURED
    answer_is_lost: bool = False
    is_disputed: bool = False
    refunds: str = SandboxRefund.Status.SUCCEEDED


BEHAVIOURS = {
    "tok_ok": Behaviour(Status.CAPTURED),
    "tok_decline_soft": Behaviour(Status.DECLINED, "insufficient_funds"),
    "tok_decline_hard": Behaviour(Status.DECLINED, "expired_card"),
    "tok_3ds": Behaviour(Status.REQUIRES_ACTION),
    "tok_3ds_fail": Behaviour(Status.REQUIRES_ACTION, confirmed=Status.DECLINED),
    "tok_refund_waits": Behaviour(Status.CAPTURED, refunds=SandboxRefund.Status.PENDING),
    "tok_dispute": Behaviour(Status.CAPTURED, is_disputed=True),
    "tok_timeout_then_ok": Behaviour(Status.CAPTURED, answer_is_lost=True),
    "tok_timeout_then_fail": Behaviour(Status.DECLINED, "card_declined", answer_is_lost=True),
}
DECLINE_TYPES = {"insufficient_funds": "soft", "card_declined": "soft", "expired_card": "hard"}


def behaviour_of(token: str) -> Behaviour:
    """What the token stands for; raises TokenRefusedError."""
    behaviour = BEHAVIOURS.get(token.partition(":")[0])
    if behaviour is None:
        raise TokenRefusedError("the sandbox does not know this token")
    return behaviour


class SandboxGateway:
    """Gateway for development, tests and demonstrations."""

    name = "sandbox"
    livemode = False

    @property
    def webhook_secrets(self) -> Sequence[str]:
        """Setting SANDBOX_WEBHOOK_SECRETS, the one to sign with first."""
        secrets: list[str] = settings.SANDBOX_WEBHOOK_SECRETS
        return secrets

    def describe(self, token: str) -> MethodDetails:
        """Every known token is the same test card."""
        behaviour_of(token)
        return MethodDetails(brand="visa", last4="4242", exp_month=12, exp_year=2034)

    def create_payment(self, charge: Charge) -> Outcome:
        """Do what the token says, once per key."""
        behaviour = behaviour_of(charge.token)
        made = SandboxCharge(
            idempotency_key=charge.key,
            gateway_payment_id=f"sandbox_{uuid7().hex}",
            token=charge.token,
            amount=charge.amount,
            currency=charge.currency,
            status=behaviour.status,
            decline_code=behaviour.decline_code,
        )
        SandboxCharge.objects.bulk_create([made], ignore_conflicts=True)
        kept = SandboxCharge.objects.get(pk=charge.key)
        is_new = kept.gateway_payment_id == made.gateway_payment_id
        if is_new:
            self.tell(f"payment.{kept.status}", {"key": kept.idempotency_key})
        if behaviour.is_disputed and is_new:
            contested = SandboxDispute.objects.create(
                gateway_dispute_id=f"sandbox_dispute_{uuid7().hex}", charge=kept, amount=kept.amount
            )
            self.tell("dispute.created", {"dispute": contested.gateway_dispute_id})
        if behaviour.answer_is_lost and is_new:
            raise GatewayUnavailableError("the sandbox did not answer in time")
        return outcome_of(kept)

    @transaction.atomic
    def confirm(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome:
        """The payer has confirmed."""
        charge = SandboxCharge.objects.select_for_update().get(pk=key)
        if charge.status == Status.REQUIRES_ACTION:
            charge.status = behaviour_of(charge.token).confirmed
            charge.decline_code = "" if charge.status == Status.CAPTURED else "authentication_failed"
            charge.save(update_fields=["status", "decline_code"])
            self.tell(f"payment.{charge.status}", {"key": key})
        return outcome_of(charge)

    @transaction.atomic
    def cancel(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome:
        """Void what waits for its payer."""
        charge = SandboxCharge.objects.select_for_update().filter(pk=key).first()
        if charge is None:
            return Voided()
        if charge.status == Status.REQUIRES_ACTION:
            charge.status = Status.CANCELLED
            charge.save(update_fields=["status"])
            self.tell(f"payment.{charge.status}", {"key": key})
        return outcome_of(charge)

    def retrieve(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome | None:
        """What the books say."""
        charge = SandboxCharge.objects.filter(pk=key).first()
        return outcome_of(charge) if charge else None

    def retrieve_dispute(self, gateway_dispute_id: str) -> DisputeFacts | None:
        """What the books say."""
        dispute = SandboxDispute.objects.select_related("charge").filter(pk=gateway_dispute_id).first()
        if dispute is None:
            return None
        return DisputeFacts(
            gateway_dispute_id=gateway_dispute_id,
            charge_key=dispute.charge.idempotency_key,
            amount=dispute.amount,
            currency=dispute.charge.currency,
            status=dispute.status,
            reason="fraudulent",
        )

    def decide_dispute(self, gateway_dispute_id: str, status: str) -> None:
        """Let the cardholder's bank move on."""
        SandboxDispute.objects.filter(pk=gateway_dispute_id).update(status=status)
        self.tell("dispute.updated", {"dispute": gateway_dispute_id})

    def retrieve_refund(self, gateway_refund_id: str) -> RefundAnswer | None:
        """What the books say."""
        refund = SandboxRefund.objects.filter(pk=gateway_refund_id.removeprefix(REFUND_PREFIX)).first()
        return answer_of(refund) if refund else None

    def decide_refund(self, key: str, status: str) -> None:
        """Let the payer's bank take a refund, or send it back."""
        SandboxRefund.objects.filter(pk=key).update(status=status)
        self.tell("refund.updated", {"refund": key})

    def tell(self, event_type: str, subject: dict[str, str]) -> None:
        """Send a signed webhook when what happened is committed, if there is a secret to sign with."""
        if not self.webhook_secrets:
            return
        event = {"id": f"evt_{uuid7().hex}", "type": event_type, "livemode": False, "data": subject}
        body = json.dumps(event)
        signature = signed(body.encode(), secret=self.webhook_secrets[0], at=int(time.time()))
        deliver = celery.signature(DELIVERY, args=(body, signature))
        after_commit(deliver.delay)

    def read_webhook(self, raw: bytes, headers: Mapping[str, str]) -> WebhookNotice:
        """The event of a signed body."""
        require_signature(raw, header=headers.get(SIGNATURE_HEADER, ""), secrets=self.webhook_secrets)
        return notice_of(raw)

    def subject_of(self, event_type: str, payload: dict[str, Any]) -> Subject | None:
        """What the event is about."""
        match payload.get("data"):
            case {"key": str(key)} if event_type.startswith("payment."):
                return AboutPayment(key=key)
            case {"refund": str(key)} if event_type.startswith("refund."):
                return AboutRefund(key=key, gateway_refund_id=f"{REFUND_PREFIX}{key}")
            case {"dispute": str(dispute_id)} if event_type.startswith("dispute."):
                return AboutDispute(gateway_dispute_id=dispute_id)
            case _:
                return None

    @transaction.atomic
    def refund(self, reversal: Reversal) -> RefundAnswer:
        """Give back at most what was captured, once per key."""
        known = SandboxRefund.objects.filter(pk=reversal.key).first()
        if known:
            return answer_of(known)
        charge = (
            SandboxCharge.objects.select_for_update().filter(pk=reversal.charge_key, status=Status.CAPTURED).first()
        )
        if charge is None:
            return RefundRefused(code="charge_not_captured")
        if charge.disputes.exclude(status="won").exists():
            return RefundRefused(code=CHARGE_DISPUTED)
        given = charge.refunds.exclude(status="failed").aggregate(total=Sum("amount"))["total"] or 0
        if given + reversal.amount > charge.amount:
            return RefundRefused(code="more_than_captured")
        refund = SandboxRefund(idempotency_key=reversal.key, charge=charge, amount=reversal.amount)
        refund.status = behaviour_of(charge.token).refunds
        refund.save(force_insert=True)
        return answer_of(refund)


def answer_of(refund: SandboxRefund) -> RefundAnswer:
    """The books' word on a refund as an answer."""
    refund_id = f"{REFUND_PREFIX}{refund.pk}"
    match refund.status:
        case SandboxRefund.Status.SUCCEEDED:
            return Refunded(gateway_refund_id=refund_id)
        case SandboxRefund.Status.FAILED:
            return RefundFailed(gateway_refund_id=refund_id, code="sent_back")
        case _:
            return RefundPending(gateway_refund_id=refund_id)


def outcome_of(charge: SandboxCharge) -> Outcome:
    """The books' word as an answer."""
    match charge.status:
        case Status.CAPTURED:
            return Captured(
                gateway_payment_id=charge.gateway_payment_id, amount=charge.amount, currency=charge.currency
            )
        case Status.DECLINED:
            return Declined(
                failure_code=charge.decline_code,
                decline_type=DECLINE_TYPES.get(charge.decline_code, "none"),
                message="declined by the sandbox",
            )
        case Status.REQUIRES_ACTION:
            url = f"https://sandbox.invalid/confirm/{charge.gateway_payment_id}"
            return ActionRequired(
                gateway_payment_id=charge.gateway_payment_id, next_action={"type": "redirect", "url": url}
            )
        case _:
            return Voided()
