"""What payments asks of any gateway, and every answer it understands.

A method either returns one of the answers or raises GatewayUnavailableError, which says nothing about what happened:
the caller then asks `retrieve` by the same key, and never guesses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from eventbus.exceptions import EventBusError


class GatewayUnavailableError(EventBusError):
    """The gateway did not answer; the money may or may not have moved."""


class TokenRefusedError(EventBusError):
    """The gateway does not know this token."""


@dataclass(frozen=True, slots=True)
class MethodDetails:
    """What may be shown of a card; `charge_token` is what to charge it by when that is not the client's token."""

    brand: str
    last4: str
    exp_month: int | None
    exp_year: int | None
    charge_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Charge:
    """One capture to make; the same key twice is one capture. A payer who is away cannot be asked to act."""

    key: str
    amount: int
    currency: str
    token: str = field(repr=False)
    payer_is_present: bool = True


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is here."""

    gateway_payment_id: str
    amount: int
    currency: str
    processor_fee: int = 0


@dataclass(frozen=True, slots=True)
class Declined:
    """No money will come of this attempt; `failure_code` and `decline_type` in the words of our events."""

    failure_code: str
    decline_type: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The payer has to do something first, for instance prove who they are at `next_action["url"]`."""

    gateway_payment_id: str
    next_action: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Voided:
    """The attempt was called off before any money moved."""


@dataclass(frozen=True, slots=True)
class StillProcessing:
    """The gateway has it and does not know yet."""


Outcome = Captured | Declined | ActionRequired | Voided | StillProcessing


@dataclass(frozen=True, slots=True)
class Reversal:
    """One refund to make; the same key twice is one refund."""

    key: str
    charge_key: str
    gateway_payment_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The money went back."""

    gateway_refund_id: str


@dataclass(frozen=True, slots=True)
class RefundPending:
    """The gateway has taken the refund on, and the payer's bank has not decided."""

    gateway_refund_id: str


@dataclass(frozen=True, slots=True)
class RefundFailed:
    """The refund was taken on, perhaps called done, and the money came back from the payer's bank."""

    gateway_refund_id: str
    code: str


@dataclass(frozen=True, slots=True)
class RefundRefused:
    """The gateway has not taken the refund on."""

    code: str


RefundAnswer = Refunded | RefundPending | RefundFailed | RefundRefused
CHARGE_DISPUTED = "charge_disputed"  # the code of a refusal that ends with the dispute


@dataclass(frozen=True, slots=True)
class DisputeFacts:
    """What the gateway knows of a dispute; `status` in the words of our Dispute, `charge_key` that of its attempt."""

    gateway_dispute_id: str
    charge_key: str
    amount: int
    currency: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WebhookNotice:
    """What a checked webhook says; `external_id` is the gateway's own, the same each time it is sent."""

    external_id: str
    type: str
    livemode: bool
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AboutPayment:
    """An event about the charge of this key."""

    key: str
    gateway_payment_id: str | None = None


@dataclass(frozen=True, slots=True)
class AboutDispute:
    """An event about this dispute."""

    gateway_dispute_id: str


@dataclass(frozen=True, slots=True)
class AboutRefund:
    """An event about the refund of this key."""

    key: str
    gateway_refund_id: str


Subject = AboutPayment | AboutDispute | AboutRefund


class Gateway(Protocol):
    """A company that moves money. No method is called inside a database transaction of ours.

    A charge is named by its key; `gateway_payment_id` is what the gateway called it, as far as we know, and may be the
    id of another attempt of the same order. `livemode` says whether the money is real; with no `webhook_secrets` its
    webhooks are not taken.
    """

    name: str

    @property
    def livemode(self) -> bool:
        """Whether the money is real."""

    @property
    def webhook_secrets(self) -> Sequence[str]:
        """What its webhooks may be signed with; while one is changed there are two."""

    def describe(self, token: str) -> MethodDetails:
        """What may be shown of the card behind the token; raises TokenRefusedError."""

    def create_payment(self, charge: Charge) -> Outcome:
        """Capture, or say why not; idempotent by the charge's key."""

    def confirm(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome:
        """Go on with a payment whose payer has acted."""

    def cancel(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome:
        """Call a payment off if no money has moved; the answer says what is true now."""

    def retrieve(self, key: str, *, gateway_payment_id: str | None = None) -> Outcome | None:
        """What became of a charge, found by the gateway's id if known; None when the gateway never saw its key."""

    def retrieve_dispute(self, gateway_dispute_id: str) -> DisputeFacts | None:
        """What is true of a dispute now; None when the gateway knows none of this id."""

    def retrieve_refund(self, gateway_refund_id: str) -> RefundAnswer | None:
        """What is true of a refund now; None when the gateway knows none of this id."""

    def read_webhook(self, raw: bytes, headers: Mapping[str, str]) -> WebhookNotice:
        """A webhook whose signature is right; raises BadSignatureError, StaleWebhookError, MalformedWebhookError."""

    def subject_of(self, event_type: str, payload: dict[str, Any]) -> Subject | None:
        """What a stored event is about; None when nothing follows from it."""

    def refund(self, reversal: Reversal) -> RefundAnswer:
        """Give money back; idempotent by the reversal's key."""
