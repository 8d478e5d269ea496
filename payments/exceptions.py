"""What payments refuses.

DomainError
├── MethodNotUsableError           422  the payment method is unknown, another's, invalid or removed
├── InvalidTokenError              422
├── MethodInUseError               409
├── SelfTipError                   422
├── RecipientCannotReceiveError    422
├── PostMismatchError              422
├── NotForSaleError                422
├── OwnPostError                   422
├── IncludedInYourTierError        422
├── PostUnavailableError           410
├── PriceChangedError              409
├── AlreadyOwnedError              409
├── PurchasePendingError           409
├── TooManyDeclinesError           429
├── InvalidTransitionError         409
├── PaymentExpiredError            410
├── AlreadyRefundedError           409
├── DisputedError                  409
├── RefundExceedsBalanceError      422
├── OutsideRefundWindowError       422
├── BadSignatureError              401  a webhook that its gateway did not sign
├── StaleWebhookError              400
├── MalformedWebhookError          400
├── LivemodeMismatchError          400
├── WebhookOffError                404  the gateway is off, or has no secret to check by
├── UnknownPaymentError            404  an event asks to refund what was never charged here
└── InvalidBillingRequestError     422  an event asks to charge what cannot be charged
EventBusError
└── GatewayMismatchError                the gateway captured something else than was asked
"""

from eventbus.exceptions import DomainError, EventBusError


class MethodNotUsableError(DomainError):
    """It is not among the payer's active payment methods."""

    code = "payment_method_not_usable"
    status = 422
    title = "This payment method cannot be used"


class InvalidTokenError(DomainError):
    """The gateway does not accept the token."""

    code = "invalid_token"
    status = 422
    title = "The gateway does not accept this token"


class MethodInUseError(DomainError):
    """An open payment or a live subscription relies on the method."""

    code = "method_in_use"
    title = "This payment method is in use"


class SelfTipError(DomainError):
    """Nobody tips themselves."""

    code = "self_tip"
    status = 422
    title = "You cannot tip yourself"


class RecipientCannotReceiveError(DomainError):
    """Only creators who may act receive tips."""

    code = "recipient_cannot_receive"
    status = 422
    title = "This user cannot receive tips"


class PostMismatchError(DomainError):
    """The post does not belong to the tip's recipient."""

    code = "post_mismatch"
    status = 422
    title = "The post is not one of the recipient's"


class NotForSaleError(DomainError):
    """The post is not sold singly now."""

    code = "not_for_sale"
    status = 422
    title = "This post is not for sale"


class OwnPostError(DomainError):
    """Creators do not buy from themselves."""

    code = "own_post"
    status = 422
    title = "You cannot buy your own post"


class IncludedInYourTierError(DomainError):
    """The buyer's subscription opens the post already."""

    code = "included_in_your_tier"
    status = 422
    title = "Your subscription includes this post"


class PostUnavailableError(DomainError):
    """The post was deleted."""

    code = "post_unavailable"
    status = 410
    title = "This post is no longer available"


class PriceChangedError(DomainError):
    """The price is not the one the buyer saw."""

    code = "price_changed"
    title = "The price has changed"


class AlreadyOwnedError(DomainError):
    """A post is bought once."""

    code = "already_owned"
    title = "You own this post already"


class PurchasePendingError(DomainError):
    """The payment of an earlier purchase is not decided yet."""

    code = "purchase_pending"
    title = "Your purchase of this post is still being paid"


class TooManyDeclinesError(DomainError):
    """So many cards were declined that this looks like somebody testing stolen ones."""

    code = "too_many_declines"
    status = 429
    title = "Too many payments were declined; try again later"

    def __init__(self, detail: str = "", *, retry_after: int = 0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class InvalidTransitionError(DomainError):
    """The payment is not in a state where this is possible."""

    code = "invalid_transition"
    title = "The payment's state does not allow this"


class PaymentExpiredError(DomainError):
    """The time to act is over."""

    code = "expired"
    status = 410
    title = "The time to confirm this payment is over"


class AlreadyRefundedError(DomainError):
    """Nothing is left to give back."""

    code = "already_refunded"
    title = "This payment has been given back already"


class OwnPaymentError(DomainError):
    """Whoever paid decides nothing about their refund, in whatever office."""

    code = "own_payment"
    status = 403
    title = "You paid this yourself; somebody else has to give it back"


class DisputedError(DomainError):
    """The payer contests the payment: the bank decides whether the money goes back."""

    code = "disputed"
    title = "This payment is disputed; it cannot be given back until the bank has decided"


class RefundExceedsBalanceError(DomainError):
    """More was asked than is left of the payment."""

    code = "refund_exceeds_balance"
    status = 422
    title = "The refund exceeds what is left of the payment"


class OutsideRefundWindowError(DomainError):
    """A payee may give back for so long; after that, staff."""

    code = "outside_window"
    status = 422
    title = "The time for refunds of this payment is over"


class BadSignatureError(DomainError):
    """None of the secrets we hold made this signature."""

    code = "bad_signature"
    status = 401
    title = "The signature is missing or wrong"


class StaleWebhookError(DomainError):
    """The signature is right and of another time: a webhook caught and sent again, or a wrong clock."""

    code = "stale_webhook"
    status = 400
    title = "The webhook was signed too long ago, or in the future"


class MalformedWebhookError(DomainError):
    """Signed, and still no event."""

    code = "malformed_webhook"
    status = 400
    title = "The webhook is not an event that can be read"


class LivemodeMismatchError(DomainError):
    """Test money knocked where real money is handled, or the other way round."""

    code = "livemode_mismatch"
    status = 400
    title = "The event is of the other mode, test or live"


class WebhookOffError(DomainError):
    """There is no such door; it looks like any other address that nobody serves."""

    code = "not_found"
    status = 404
    title = "Not Found"


class UnknownPaymentError(DomainError):
    """A refund was asked for a payment that was never made here."""

    code = "unknown_payment"
    status = 404
    title = "There is no such payment"


class InvalidBillingRequestError(DomainError):
    """A billing request names no positive amount, no known currency, or the same person twice."""

    code = "invalid_billing_request"
    status = 422
    title = "This cannot be charged"


class GatewayMismatchError(EventBusError):
    """The gateway's amount or currency is not the order's; a person has to look, nothing is recorded."""
