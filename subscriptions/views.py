"""Subscriptions as their two parties see them."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.selectors import display_names
from api.authentication import user_id_of
from api.exceptions import BlockedError
from api.idempotency import idempotent
from api.permissions import Creator, SignedIn
from api.refusals import refuses
from api.serializers import accepted
from subscriptions import exceptions as rules
from subscriptions import selectors
from subscriptions.events import CancelledBy, CancelMode, CancelReason, RefundPolicy
from subscriptions.models.subscriptions import Subscription
from subscriptions.serializers import (
    AccessOutput,
    CancelInput,
    ChangeFilters,
    ChangeInput,
    ChangePreviewOutput,
    PayWithInput,
    SubscriberFilters,
    SubscriberOutput,
    SubscriptionFilters,
    SubscriptionInput,
    SubscriptionOutput,
)
from subscriptions.services.cancellation import cancel, resume
from subscriptions.services.checkout import subscribe
from subscriptions.services.payment_method import change_payment_method, retry_payment
from subscriptions.services.tier_change import change_price, preview_change

PARTY_OUTPUT = PolymorphicProxySerializer(
    component_name="SubscriptionAsSeen",
    serializers=[SubscriptionOutput, SubscriberOutput],
    resource_type_field_name=None,
)


class AccessView(APIView):
    """What I may see of a creator."""

    permission_classes = [SignedIn]

    @extend_schema(responses=AccessOutput)
    def get(self, request: Request, creator_id: UUID) -> Response:
        """Whether I have access to a creator's posts for subscribers, through which tiers and until when."""
        access = selectors.access_to(creator_id, viewer_id=user_id_of(request))
        return Response(AccessOutput(access).data)


class SubscriptionsView(generics.ListAPIView[Subscription]):
    """My subscriptions."""

    permission_classes = [SignedIn]
    serializer_class = SubscriptionOutput
    throttle_scope = {"POST": "subscriptions"}

    def get_queryset(self) -> Any:
        """What I subscribed to, narrowed as asked."""
        if getattr(self, "swagger_fake_view", False):
            return Subscription.objects.none()
        wanted = accepted(SubscriptionFilters, self.request.query_params)
        queryset = selectors.subscriptions_of(user_id_of(self.request))
        if "status" in wanted:
            queryset = queryset.filter(status=wanted["status"])
        if "creator" in wanted:
            queryset = queryset.filter(creator_id=wanted["creator"])
        return queryset

    @extend_schema(parameters=[SubscriptionFilters])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What I subscribed to, newest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=SubscriptionInput, responses={201: SubscriptionOutput})
    @idempotent
    @refuses(
        BlockedError,
        rules.PaymentMethodRequiredError,
        rules.AlreadySubscribedError,
        rules.PriceChangedError,
        rules.TierNotAvailableError,
        rules.OwnTierError,
        rules.TierFullError,
        rules.TrialNotOfferedError,
        rules.TrialAlreadyUsedError,
    )
    def post(self, request: Request) -> Response:
        """Subscribe; while money is due the subscription is `incomplete` and gives no access."""
        wanted = accepted(SubscriptionInput, request.data)
        subscription = subscribe(subscriber_id=user_id_of(request), **wanted)
        return Response(SubscriptionOutput(subscription).data, status=status.HTTP_201_CREATED)


class PartyView(APIView):
    """Base of what the parties of a subscription, and the staff, see and do."""

    permission_classes = [SignedIn]

    def subscription(self, request: Request, subscription_id: UUID) -> Subscription:
        """The subscription, if the actor may know of it."""
        if getattr(request.user, "is_staff", False):
            return get_object_or_404(selectors.all_subscriptions(), pk=subscription_id)
        return get_object_or_404(selectors.visible_subscriptions(user_id_of(request)), pk=subscription_id)

    def party(self, request: Request, subscription: Subscription) -> CancelledBy:
        """As whom the actor acts."""
        if subscription.subscriber_id == user_id_of(request):
            return CancelledBy.SUBSCRIBER
        if subscription.creator_id == user_id_of(request):
            return CancelledBy.CREATOR
        return CancelledBy.STAFF

    def as_seen(self, request: Request, subscription: Subscription) -> Response:
        """The subscription, whole for its subscriber and reduced for others."""
        if self.party(request, subscription) is CancelledBy.SUBSCRIBER:
            return Response(SubscriptionOutput(subscription).data)
        names = display_names([subscription.subscriber_id])
        return Response(SubscriberOutput(subscription, context={"names": names}).data)


class SubscriptionView(PartyView):
    """One subscription."""

    @extend_schema(responses=PARTY_OUTPUT)
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """A subscription of mine, or to me."""
        return self.as_seen(request, self.subscription(request, subscription_id))


class CancelView(PartyView):
    """Cancellations."""

    throttle_scope = "subscriptions"

    @extend_schema(request=CancelInput, responses=PARTY_OUTPUT)
    @idempotent
    @refuses(rules.CancelNotAllowedError, rules.InvalidTransitionError)
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Cancel at the end of the period; at once while nothing is paid, or if the creator or the staff say so."""
        subscription = self.subscription(request, subscription_id)
        wanted = accepted(CancelInput, request.data)
        cancelled = cancel(
            subscription_id=subscription.pk,
            cancelled_by=self.party(request, subscription),
            mode=CancelMode(wanted["mode"]),
            reason=CancelReason(wanted["reason"]),
            comment=wanted.get("comment", ""),
            refund_policy=RefundPolicy(wanted["refund_policy"]),
        )
        return self.as_seen(request, cancelled)


class OwnView(APIView):
    """Base of what the subscriber alone does."""

    permission_classes = [SignedIn]
    throttle_scope: Any = "subscriptions"

    def own(self, request: Request, subscription_id: UUID) -> Subscription:
        """The actor's subscription."""
        return get_object_or_404(selectors.subscriptions_of(user_id_of(request)), pk=subscription_id)


class ResumeView(OwnView):
    """Cancellations taken back."""

    @extend_schema(request=None, responses=SubscriptionOutput)
    @refuses(BlockedError, rules.NotCancellingError, rules.InvalidTransitionError)
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Take back the cancellation of my subscription while its period runs."""
        subscription = self.own(request, subscription_id)
        return Response(SubscriptionOutput(resume(subscription_id=subscription.pk)).data)


class ChangePreviewView(OwnView):
    """What a change of price would mean."""

    @extend_schema(parameters=[ChangeFilters], responses=ChangePreviewOutput)
    @refuses(
        BlockedError,
        rules.SamePriceError,
        rules.RenewalInProgressError,
        rules.InvalidTransitionError,
        rules.TierNotAvailableError,
        rules.CurrencyDiffersError,
    )
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """When a change of my subscription to this price would hold, and what it would cost now."""
        subscription = self.own(request, subscription_id)
        wanted = accepted(ChangeFilters, request.query_params)
        return Response(ChangePreviewOutput(preview_change(subscription=subscription, **wanted)).data)


class ChangeView(OwnView):
    """Changes of price."""

    @extend_schema(request=ChangeInput, responses=SubscriptionOutput)
    @idempotent
    @refuses(
        BlockedError,
        rules.PaymentMethodRequiredError,
        rules.PriceChangedError,
        rules.SamePriceError,
        rules.ChangeLimitError,
        rules.RenewalInProgressError,
        rules.InvalidTransitionError,
        rules.TierNotAvailableError,
        rules.TierFullError,
        rules.CurrencyDiffersError,
    )
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Change to another price: a dearer one for the same span once its difference is paid, others at renewal."""
        subscription = self.own(request, subscription_id)
        wanted = accepted(ChangeInput, request.data)
        return Response(SubscriptionOutput(change_price(subscription_id=subscription.pk, **wanted)).data)


class PaymentMethodView(OwnView):
    """What is paid with."""

    @extend_schema(request=PayWithInput, responses={202: SubscriptionOutput})
    @idempotent
    @refuses(BlockedError, rules.InvalidTransitionError)
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Pay with another method from now on; what is past due is tried with it at once."""
        subscription = self.own(request, subscription_id)
        changed = change_payment_method(subscription_id=subscription.pk, **accepted(PayWithInput, request.data))
        return Response(SubscriptionOutput(changed).data, status=status.HTTP_202_ACCEPTED)


class RetryPaymentView(OwnView):
    """Payments tried again."""

    throttle_scope = "payments"

    @extend_schema(request=None, responses={202: SubscriptionOutput})
    @idempotent
    @refuses(BlockedError, rules.NotPastDueError)
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Try at once to pay what is past due."""
        subscription = retry_payment(subscription_id=self.own(request, subscription_id).pk)
        return Response(SubscriptionOutput(subscription).data, status=status.HTTP_202_ACCEPTED)


class SubscribersView(generics.ListAPIView[Subscription]):
    """Who subscribes to me."""

    permission_classes = [Creator]
    serializer_class = SubscriberOutput

    def get_queryset(self) -> Any:
        """Subscriptions to me that ever gave access, narrowed as asked."""
        if getattr(self, "swagger_fake_view", False):
            return Subscription.objects.none()
        wanted = accepted(SubscriberFilters, self.request.query_params)
        queryset = selectors.subscribers_of(user_id_of(self.request))
        if "status" in wanted:
            queryset = queryset.filter(status=wanted["status"])
        if "tier" in wanted:
            queryset = queryset.filter(tier_id=wanted["tier"])
        return queryset

    @extend_schema(parameters=[SubscriberFilters])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """My subscribers, newest first, with their names."""
        page = self.paginate_queryset(self.get_queryset()) or []
        names = display_names(subscription.subscriber_id for subscription in page)
        return self.get_paginated_response(SubscriberOutput(page, many=True, context={"names": names}).data)
