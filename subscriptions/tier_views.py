"""Tiers as creators offer them and fans find them."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.authentication import user_id_of, viewer_id_of
from api.concurrency import IF_MATCH, required_version, with_version
from api.exceptions import CurrencyNotSupportedError
from api.permissions import Anyone, Creator
from api.refusals import refuses
from api.serializers import accepted
from subscriptions import exceptions as rules
from subscriptions import selectors
from subscriptions.models.tiers import Tier
from subscriptions.serializers import PriceInput, PriceOutput, TierInput, TierOutput, TierTextInput
from subscriptions.services.tiers import (
    add_price,
    archive_tier,
    create_tier,
    deactivate_price,
    restore_tier,
    update_tier,
)


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


class TiersView(APIView):
    """New tiers."""

    permission_classes = [Creator]

    @extend_schema(request=TierInput, responses={201: TierOutput})
    @refuses(
        rules.TierNameTakenError,
        rules.PriceExistsError,
        rules.TooManyTiersError,
        CurrencyNotSupportedError,
        rules.PriceOutOfRangeError,
        rules.FreeAndPaidPricesError,
    )
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
    @refuses(rules.TierNameTakenError, rules.TierArchivedError)
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
    @refuses(
        rules.PriceExistsError,
        rules.TierArchivedError,
        CurrencyNotSupportedError,
        rules.PriceOutOfRangeError,
        rules.FreeAndPaidPricesError,
    )
    def post(self, request: Request, tier_id: UUID) -> Response:
        """Offer my tier at one more price."""
        tier = own_tier(request, tier_id)
        price = add_price(tier_id=tier.pk, terms=accepted(PriceInput, request.data))
        return Response(PriceOutput(price).data, status=status.HTTP_201_CREATED)


class DeactivatePriceView(APIView):
    """Prices withdrawn."""

    permission_classes = [Creator]

    @extend_schema(request=None, responses=PriceOutput)
    @refuses(rules.PriceInactiveError)
    def post(self, request: Request, tier_id: UUID, price_id: UUID) -> Response:
        """Offer a price no longer; who came at it keeps it."""
        price = get_object_or_404(own_tier(request, tier_id).prices, pk=price_id)
        return Response(PriceOutput(deactivate_price(tier_id=tier_id, price_id=price.pk)).data)


class ArchiveTierView(APIView):
    """Tiers withdrawn."""

    permission_classes = [Creator]

    @extend_schema(request=None, responses=TierOutput)
    @refuses(rules.TierArchivedError)
    def post(self, request: Request, tier_id: UUID) -> Response:
        """Let nobody new into my tier."""
        return tier_response(archive_tier(tier_id=own_tier(request, tier_id).pk))


class RestoreTierView(APIView):
    """Tiers offered again."""

    permission_classes = [Creator]

    @extend_schema(request=None, responses=TierOutput)
    @refuses(rules.TierNotArchivedError, rules.TierNameTakenError, rules.TooManyTiersError)
    def post(self, request: Request, tier_id: UUID) -> Response:
        """Offer my archived tier again."""
        return tier_response(restore_tier(tier_id=own_tier(request, tier_id).pk))
