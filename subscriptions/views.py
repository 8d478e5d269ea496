"""Tiers as creators offer them, subscriptions as their two parties see them."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.selectors import display_names
from api.authentication import user_id_of, viewer_id_of
from api.concurrency import required_version, with_version
from api.idempotency import idempotent
from api.permissions import Anyone, Creator, SignedIn
from subscriptions import selectors
from subscriptions.events import CancelledBy, CancelMode, CancelReason, RefundPolicy
from subscriptions.models.subscriptions import Subscription
from subscriptions.models.tiers import Tier
from subscriptions.serializers import (
    AccessOutput,
    CancelInput,
    ChangeFilters,
    ChangeInput,
    ChangePreviewOutput,
    PayWithInput,
    PriceInput,
    PriceOutput,
    SubscriberFilters,
    SubscriberOutput,
    SubscriptionFilters,
    SubscriptionInput,
    SubscriptionOutput,
    TierInput,
    TierOutput,
    TierTextInput,
)
from subscriptions.services.cancellation import cancel, resume
from subscriptions.services.checkout import subscribe
from subscriptions.services.payment_method import change_payment_method, retry_payment
from subscriptions.services.tier_change import change_price, preview_change
from subscriptions.services.tiers import (
    add_price,
    archive_tier,
    create_tier,
    deactivate_price,
    restore_tier,
    update_tier,
)

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, required=True, description='The version, as `"3"`.'
)
PARTY_OUTPUT = PolymorphicProxySerializer(
    component_name="SubscriptionAsSeen",
    serializers=[SubscriptionOutput, SubscriberOutput],
    resource_type_field_name=None,
)


def accepted(serializer: type[Any], data: Any, **kwargs: Any) -> Any:
    """The validated input."""
    given = serializer(data=data, **kwargs)
    given.is_valid(raise_exception=True)
    return given.validated_data


def tier_response(tier: Tier, *, code: int = status.HTTP_200_OK) -> Response:
    """The tier, and its version as ETag."""
    return with_version(Response(TierOutput(tier).data, status=code), tier.version)


def own_tier(request: Request, tier_id: UUID) -> Tier:
    """The actor's tier of that id."""
    return get_object_or_404(selectors.own_tiers(user_id_of(request)), pk=tier_id)


class CreatorTiersView(generics.ListAPIView[Tier]):
    """What a creator offers."""

    permission_classes = [Anyone]
    serializer_class = TierOutput

    def get_queryset(self) -> Any:
        """The tiers that the viewer finds."""
        if getattr(self, "swagger_fake_view", False):
            return Tier.objects.none()
        return selectors.tiers_of_creator(self.kwargs["creator_id"], viewer_id=viewer_id_of(self.request))


class AccessView(APIView):
    """What I may see of a creator."""

    permission_classes = [SignedIn]

    @extend_schema(responses=AccessOutput)
    def get(self, request: Request, creator_id: UUID) -> Response:
        """Whether I have access to a creator's posts for subscribers, through which tiers and until when."""
        access = selectors.access_to(creator_id, viewer_id=user_id_of(request))
        return Response(AccessOutput(access).data)


class TiersView(APIView):
    """New tiers."""

    permission_classes = [Creator]

    @extend_schema(request=TierInput, responses={201: TierOutput})
    def post(self, request: Request) -> Response:
        """Offer a new tier."""
        tier = create_tier(creator_id=user_id_of(request), **accepted(TierInput, request.data))
        return tier_response(tier, code=status.HTTP_201_CREATED)


class TierView(APIView):
    """One tier."""

    def get_permissions(self) -> list[Any]:
        """Anyone may look, its creator may change it."""
        return [Creator()] if self.request.method == "PATCH" else [Anyone()]

    @extend_schema(responses=TierOutput)
    def get(self, request: Request, tier_id: UUID) -> Response:
        """A tier that can be chosen, or that is mine or held by me."""
        return tier_response(get_object_or_404(selectors.readable_tiers(viewer_id=viewer_id_of(request)), pk=tier_id))

    @extend_schema(request=TierTextInput, responses=TierOutput, parameters=[IF_MATCH])
    def patch(self, request: Request, tier_id: UUID) -> Response:
        """Change my tier's text, place or cap."""
        tier = own_tier(request, tier_id)
        version = required_version(request)
        changes = accepted(TierTextInput, request.data, partial=True)
        return tier_response(update_tier(tier_id=tier.pk, version=version, changes=changes))


class TierPricesView(APIView):
    """The prices of a tier."""

    permission_classes = [Creator]

    @extend_schema(request=PriceInput, responses={201: PriceOutput})
    def post(self, request: Request, tier_id: UUID) -> Response:
        """Offer my tier at one more price."""
        tier = own_tier(request, tier_id)
        price = add_price(tier_id=tier.pk, terms=accepted(PriceInput, request.data))
        return Response(PriceOutput(price).data, status=status.HTTP_201_CREATED)


class DeactivatePriceView(APIView):
    """Prices withdrawn."""

    permission_classes = [Creator]

    @extend_schema(request=None, responses=PriceOutput)
    def post(self, request: Request, tier_id: UUID, price_id: UUID) -> Response:
        """Offer a price no longer; who came at it keeps it."""
        price = get_object_or_404(own_tier(request, tier_id).prices, pk=price_id)
        return Response(PriceOutput(deactivate_price(tier_id=tier_id, price_id=price.pk)).data)


class ArchiveTierView(APIView):
    """Tiers withdrawn."""

    permission_classes = [Creator]

    @extend_schema(request=None, responses=TierOutput)
    def post(self, request: Request, tier_id: UUID) -> Response:
        """Let nobody new into my tier."""
        return tier_response(archive_tier(tier_id=own_tier(request, tier_id).pk))


class RestoreTierView(APIView):
    """Tiers offered again."""

    permission_classes = [Creator]

    @extend_schema(request=None, responses=TierOutput)
    def post(self, request: Request, tier_id: UUID) -> Response:
        """Offer my archived tier again."""
        return tier_response(restore_tier(tier_id=own_tier(request, tier_id).pk))


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
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Take back the cancellation of my subscription while its period runs."""
        subscription = self.own(request, subscription_id)
        return Response(SubscriptionOutput(resume(subscription_id=subscription.pk)).data)


class ChangePreviewView(OwnView):
    """What a change of price would mean."""

    @extend_schema(parameters=[ChangeFilters], responses=ChangePreviewOutput)
    def get(self, request: Request, subscription_id: UUID) -> Response:
        """When a change of my subscription to this price would hold, and what it would cost now."""
        subscription = self.own(request, subscription_id)
        wanted = accepted(ChangeFilters, request.query_params)
        return Response(ChangePreviewOutput(preview_change(subscription=subscription, **wanted)).data)


class ChangeView(OwnView):
    """Changes of price."""

    @extend_schema(request=ChangeInput, responses=SubscriptionOutput)
    @idempotent
    def post(self, request: Request, subscription_id: UUID) -> Response:
        """Change to another price: a dearer one for the same span once its difference is paid, others at renewal."""
        subscription = self.own(request, subscription_id)
        wanted = accepted(ChangeInput, request.data)
        return Response(SubscriptionOutput(change_price(subscription_id=subscription.pk, **wanted)).data)


class PaymentMethodView(OwnView):
    """What is paid with."""

    @extend_schema(request=PayWithInput, responses={202: SubscriptionOutput})
    @idempotent
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
