"""Every refusal of subscriptions: what the client reads, and what a dead letter says."""

from typing import ClassVar

from eventbus.exceptions import DomainError


class SubscriptionsError(DomainError):
    """Base of this room's refusals."""


class TierNameTakenError(SubscriptionsError):
    """Two active tiers of a creator would have the same name."""

    code: ClassVar[str] = "tier_name_taken"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "You already have an active tier of that name"


class TooManyTiersError(SubscriptionsError):
    """The creator has as many active tiers as one may have."""

    code: ClassVar[str] = "too_many_tiers"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "You have as many active tiers as a creator may have"


class TierArchivedError(SubscriptionsError):
    """An archived tier is not edited: restore it first."""

    code: ClassVar[str] = "tier_archived"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The tier is archived"


class TierNotArchivedError(SubscriptionsError):
    """Only an archived tier can be restored."""

    code: ClassVar[str] = "tier_not_archived"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The tier is not archived"


class PriceExistsError(SubscriptionsError):
    """The tier already has an active price for that period and currency."""

    code: ClassVar[str] = "price_exists"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The tier already has an active price for that period and currency"


class PriceInactiveError(SubscriptionsError):
    """The price is already withdrawn."""

    code: ClassVar[str] = "price_inactive"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The price is no longer offered"


class PriceOutOfRangeError(SubscriptionsError):
    """The price is neither zero nor an amount that is accepted in its currency."""

    code: ClassVar[str] = "price_out_of_range"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The price is out of range"


class FreeAndPaidPricesError(SubscriptionsError):
    """A tier is free in all its prices or in none."""

    code: ClassVar[str] = "free_and_paid_prices"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "A tier is either free in all its prices or in none"


class TierNotAvailableError(SubscriptionsError):
    """This tier at this price cannot be subscribed to."""

    code: ClassVar[str] = "tier_not_available"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The tier is not available"


class OwnTierError(SubscriptionsError):
    """Creators do not subscribe to themselves."""

    code: ClassVar[str] = "own_tier"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "You cannot subscribe to your own tier"


class TierFullError(SubscriptionsError):
    """Every place of a capped tier is taken."""

    code: ClassVar[str] = "tier_full"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The tier has no place left"


class TrialNotOfferedError(SubscriptionsError):
    """A trial was asked for where there is none."""

    code: ClassVar[str] = "trial_not_offered"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The tier offers no trial"


class TrialAlreadyUsedError(SubscriptionsError):
    """One trial of a creator's work for each fan, for ever."""

    code: ClassVar[str] = "trial_already_used"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "You have had your trial; subscribe with trial set to false to pay at once"


class PriceChangedError(SubscriptionsError):
    """The price is not what the buyer was shown."""

    code: ClassVar[str] = "price_changed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The price has changed; read the tier again"


class PaymentMethodRequiredError(SubscriptionsError):
    """A paid tier needs something to charge."""

    code: ClassVar[str] = "payment_method_required"
    status: ClassVar[int] = 402
    title: ClassVar[str] = "A payment method is required"


class AlreadySubscribedError(SubscriptionsError):
    """One live subscription to a creator at a time."""

    code: ClassVar[str] = "already_subscribed"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "You already have a subscription to this creator"


class InvalidTransitionError(SubscriptionsError):
    """The subscription cannot go from where it stands to there."""

    code: ClassVar[str] = "invalid_transition"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The subscription's state does not allow that"


class NotCancellingError(SubscriptionsError):
    """There is no scheduled cancellation to take back."""

    code: ClassVar[str] = "not_cancelling"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The subscription is not about to be cancelled"


class SamePriceError(SubscriptionsError):
    """The subscription costs that already, or will."""

    code: ClassVar[str] = "same_price"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The subscription has that price already"


class ChangeLimitError(SubscriptionsError):
    """Who changes back and forth would live on credits."""

    code: ClassVar[str] = "change_limit"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "The price was changed as often as a period allows"


class RenewalInProgressError(SubscriptionsError):
    """What a subscription costs does not move under an open payment."""

    code: ClassVar[str] = "renewal_in_progress"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "A payment of this subscription is being decided; try again after it"


class CurrencyDiffersError(SubscriptionsError):
    """A subscription stays in its currency."""

    code: ClassVar[str] = "currency_differs"
    status: ClassVar[int] = 422
    title: ClassVar[str] = "The price is in another currency than the subscription"


class NotPastDueError(SubscriptionsError):
    """There is nothing to try again."""

    code: ClassVar[str] = "not_past_due"
    status: ClassVar[int] = 409
    title: ClassVar[str] = "No payment of the subscription is past due"


class CancelNotAllowedError(SubscriptionsError):
    """Ending at once, and giving money back, is for the creator and the staff."""

    code: ClassVar[str] = "cancel_not_allowed"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "You can only cancel at the end of the period"


class PaymentWithoutSubscriptionError(SubscriptionsError):
    """A subscription payment that names no subscription can never be handled."""

    code: ClassVar[str] = "payment_without_subscription"
    title: ClassVar[str] = "The payment does not name a subscription"
