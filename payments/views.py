"""Payments over HTTP: parse, call one function, serialise."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from uuid import UUID

from django.db.models import OuterRef, QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from accounts.models import Role, User
from api.exceptions import AmountOutOfRangeError, BlockedError, CurrencyNotSupportedError
from api.idempotency import idempotent, idempotent_after
from api.pagination import in_groups, in_parts, page_found
from api.parsers import bounded
from api.permissions import Anyone, Creator, SignedIn
from api.refusals import refuses
from payments import exceptions as rules
from payments import selectors
from payments.gateways.base import MethodDetails
from payments.models.ledger import LedgerEntry
from payments.models.methods import PaymentMethod
from payments.models.orders import PaymentOrder
from payments.models.refunds import Refund
from payments.models.sales import PostPurchase, Tip
from payments.serializers import (
    EarningsOutput,
    LedgerEntryOutput,
    LedgerFilter,
    PaymentFilter,
    PaymentMethodInput,
    PaymentMethodOutput,
    PaymentOutput,
    PostPurchaseInput,
    PostPurchaseOutput,
    RefundInput,
    RefundOutput,
    StatementFilter,
    TipFilter,
    TipInput,
    TipOutput,
)
from payments.services.charging import confirm_payment
from payments.services.methods import add_method, describe_token, remove_method
from payments.services.orders import cancel_payment
from payments.services.purchases import buy_post
from payments.services.refunds import refund_payment
from payments.services.tips import send_tip
from payments.services.webhooks import receive_webhook
from payments.statements import statement_lines


def user_id_of(request: Request) -> UUID:
    """Who asks; the permission has seen that somebody does."""
    return cast("UUID", request.user.pk)


def parsed(serializer: Any) -> dict[str, Any]:
    """The validated values, or a 400 that names what is wrong."""
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


@dataclass(frozen=True, slots=True)
class DescribedToken:
    """A token, and what the gateway says of it."""

    token: str
    details: MethodDetails


@contextmanager
def described_token(request: Request) -> Iterator[DescribedToken]:
    """The token of the request, which the gateway knows."""
    token = parsed(PaymentMethodInput(data=request.data))["token"]
    yield DescribedToken(token=token, details=describe_token(owner_id=user_id_of(request), token=token))


class PaymentMethodViewSet(ListModelMixin, GenericViewSet[PaymentMethod]):
    """The signed-in user's ways to pay."""

    permission_classes = [SignedIn]
    serializer_class = PaymentMethodOutput
    queryset = PaymentMethod.objects.none()
    lookup_value_converter = "uuid"
    throttle_scope = {"create": "payment_methods"}

    def get_queryset(self) -> QuerySet[PaymentMethod]:
        """The user's own."""
        return selectors.methods_of(user_id_of(self.request))

    @extend_schema(request=PaymentMethodInput, responses={201: PaymentMethodOutput})
    @idempotent_after(described_token)
    @refuses(rules.InvalidTokenError, rules.TooManyDeclinesError)
    def create(self, request: Request, described: DescribedToken) -> Response:
        """Store a token; the gateway is asked about it once per key, before any transaction is open."""
        method = add_method(owner_id=user_id_of(request), token=described.token, details=described.details)
        return Response(PaymentMethodOutput(method).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    @refuses(rules.MethodInUseError)
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Forget a method that nothing relies on."""
        method = get_object_or_404(self.get_queryset(), pk=pk)
        remove_method(owner_id=user_id_of(request), method_id=method.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(retrieve=extend_schema(summary="A tip that I sent or received"))
class TipViewSet(RetrieveModelMixin, GenericViewSet[Tip]):
    """Tips sent and received."""

    permission_classes = [SignedIn]
    serializer_class = TipOutput
    queryset = Tip.objects.none()
    lookup_value_converter = "uuid"
    throttle_scope = {"create": "payments"}

    def get_queryset(self) -> QuerySet[Tip]:
        """Those the user is a party to."""
        return selectors.tips_of(user_id_of(self.request))

    @extend_schema(parameters=[TipFilter])
    def list(self, request: Request) -> Response:
        """One direction's tips, newest first."""
        direction = parsed(TipFilter(data=request.query_params))["direction"]
        of = selectors.tips_sent_by if direction == "sent" else selectors.tips_received_by
        page = self.paginate_queryset(of(user_id_of(request)))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=TipInput, responses={201: TipOutput})
    @idempotent
    @refuses(
        BlockedError,
        rules.SelfTipError,
        rules.RecipientCannotReceiveError,
        rules.PostMismatchError,
        AmountOutOfRangeError,
        CurrencyNotSupportedError,
        rules.MethodNotUsableError,
        rules.TooManyDeclinesError,
    )
    def create(self, request: Request) -> Response:
        """Send a tip; its status tells when the money has come."""
        tip = send_tip(sender_id=user_id_of(request), **parsed(TipInput(data=request.data)))
        return Response(self.get_serializer(tip).data, status=status.HTTP_201_CREATED)


@extend_schema_view(retrieve=extend_schema(summary="A post that I bought"))
class PostPurchaseViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[PostPurchase]):
    """Posts bought singly."""

    permission_classes = [SignedIn]
    serializer_class = PostPurchaseOutput
    queryset = PostPurchase.objects.none()
    lookup_value_converter = "uuid"
    throttle_scope = {"create": "payments"}

    def get_queryset(self) -> QuerySet[PostPurchase]:
        """The user's own."""
        return selectors.purchases_of(user_id_of(self.request))

    @extend_schema(request=PostPurchaseInput, responses={201: PostPurchaseOutput})
    @idempotent
    @refuses(
        HTTPStatus.NOT_FOUND,
        rules.AlreadyOwnedError,
        rules.PurchasePendingError,
        rules.PriceChangedError,
        rules.PostUnavailableError,
        rules.NotForSaleError,
        rules.OwnPostError,
        rules.IncludedInYourTierError,
        rules.MethodNotUsableError,
        rules.TooManyDeclinesError,
    )
    def create(self, request: Request) -> Response:
        """Buy a post; its status tells when the money has come."""
        values = parsed(PostPurchaseInput(data=request.data))
        buyer_id = user_id_of(request)
        get_object_or_404(selectors.posts_within_reach_of(buyer_id), pk=values["post_id"])
        purchase = buy_post(buyer_id=buyer_id, **values)
        return Response(self.get_serializer(purchase).data, status=status.HTTP_201_CREATED)


@extend_schema_view(retrieve=extend_schema(summary="A payment that I make or receive"))
class PaymentViewSet(RetrieveModelMixin, GenericViewSet[PaymentOrder]):
    """Payments the user makes or receives."""

    permission_classes = [SignedIn]
    serializer_class = PaymentOutput
    queryset = PaymentOrder.objects.none()
    lookup_value_converter = "uuid"
    throttle_scope = {"confirm": "payments", "refund": "payments"}

    def get_queryset(self) -> QuerySet[PaymentOrder]:
        """Those the user is a party to."""
        return selectors.payments_of(user_id_of(self.request))

    @extend_schema(parameters=[PaymentFilter])
    def list(self, request: Request) -> Response:
        """The user's payments, newest first; of one subscription, tip or purchase with `reference`."""
        reference = parsed(PaymentFilter(data=request.query_params)).get("reference")
        payments, me = self.get_queryset(), user_id_of(request)
        if reference:
            page = self.paginate_queryset(payments.filter(reference_id=reference))
        else:
            both = in_parts(selectors.payments_by(me), selectors.payments_received_by(me))
            page = page_found(self, payments, both)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=None, responses={200: PaymentOutput})
    @action(detail=True, methods=["post"])
    @idempotent
    @refuses(rules.InvalidTransitionError, rules.PaymentExpiredError)
    def confirm(self, request: Request, pk: UUID) -> Response:
        """Say that the payer has done what `next_action` asked."""
        order = get_object_or_404(selectors.payments_by(user_id_of(request)), pk=pk)
        return self.show(confirm_payment(order_id=order.pk))

    @extend_schema(request=None, responses={200: PaymentOutput})
    @action(detail=True, methods=["post"])
    @refuses(rules.InvalidTransitionError)
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Call a payment off that has not gone to the gateway."""
        order = get_object_or_404(selectors.payments_by(user_id_of(request)), pk=pk)
        return self.show(cancel_payment(order_id=order.pk))

    @extend_schema(request=RefundInput, responses={201: RefundOutput})
    @action(detail=True, methods=["post"], url_path="refunds")
    @idempotent
    @refuses(
        rules.InvalidTransitionError,
        rules.AlreadyRefundedError,
        rules.DisputedError,
        rules.RefundExceedsBalanceError,
        rules.OutsideRefundWindowError,
    )
    def refund(self, request: Request, pk: UUID) -> Response:
        """Give money back, as its payee or as finance staff."""
        is_finance = is_staff_finance(request)
        payments = selectors.refundable_by(user_id_of(request), is_staff_finance=is_finance)
        order = get_object_or_404(payments, pk=pk)
        is_payee = order.payee_id == user_id_of(request)
        refund = refund_payment(
            order_id=order.pk,
            source=Refund.Source.PAYEE if is_payee and not is_finance else Refund.Source.STAFF,
            requested_by=user_id_of(request),
            **parsed(RefundInput(data=request.data)),
        )
        return Response(RefundOutput(refund).data, status=status.HTTP_201_CREATED)

    def show(self, order: PaymentOrder) -> Response:
        """The payment as it is now."""
        return Response(self.get_serializer(order).data)


class WebhookView(APIView):
    """Where gateways tell what happened; the signature is the permission."""

    permission_classes = [Anyone]
    authentication_classes = []
    throttle_scope = "webhooks"

    @extend_schema(
        request={"application/json": OpenApiTypes.OBJECT},
        responses={
            202: OpenApiResponse(description="Stored, and handled soon."),
            200: OpenApiResponse(description="It was stored before."),
        },
        auth=[],
    )
    @refuses(rules.MalformedWebhookError, rules.StaleWebhookError, rules.LivemodeMismatchError, rules.BadSignatureError)
    def post(self, request: Request, gateway: str) -> Response:
        """Take a signed event of a gateway; it is read from the raw body, of at most 256 KiB."""
        is_new = receive_webhook(gateway=gateway, raw=bounded(request._request), headers=request.headers)
        return Response(status=status.HTTP_202_ACCEPTED if is_new else status.HTTP_200_OK)


class EarningsSummaryView(generics.GenericAPIView[Any]):
    """What I have earned."""

    permission_classes = [Creator]
    serializer_class = EarningsOutput
    pagination_class = None

    @extend_schema(responses={200: EarningsOutput(many=True)})
    def get(self, request: Request) -> Response:
        """My balances, one for each currency I was ever paid in."""
        return Response(EarningsOutput(selectors.earnings_of(user_id_of(request)), many=True).data)


class EarningsLedgerView(generics.ListAPIView[LedgerEntry]):
    """Every line that changed what I have."""

    permission_classes = [Creator]
    serializer_class = LedgerEntryOutput
    queryset = LedgerEntry.objects.none()

    @extend_schema(parameters=[LedgerFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The lines of my accounts, newest first."""
        wanted = parsed(LedgerFilter(data=request.query_params))
        entries, currency = selectors.entries_of(user_id_of(request)), wanted.get("currency")
        if "payment" in wanted:
            of_payment = entries.filter(transaction__order_id=wanted["payment"])
            page = self.paginate_queryset(of_payment.filter(account__currency=currency) if currency else of_payment)
        else:
            accounts = selectors.accounts_of(user_id_of(request), currency=currency)
            by_account = in_groups(accounts, entries.filter(account_id=OuterRef("pk")))
            page = page_found(self, entries, by_account)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class EarningsStatementView(generics.GenericAPIView[Any]):
    """A month as a file."""

    permission_classes = [Creator]

    @extend_schema(parameters=[StatementFilter], responses={(200, "text/csv"): OpenApiTypes.STR})
    @refuses(CurrencyNotSupportedError)
    def get(self, request: Request) -> StreamingHttpResponse:
        """My statement of one month and currency as CSV: opening balance, every line, closing balance."""
        wanted = parsed(StatementFilter(data=request.query_params))
        creator_id, currency, (start, end) = user_id_of(request), wanted["currency"], wanted["month"]
        opening = selectors.balance_before(creator_id, currency=currency, moment=start)
        lines = selectors.statement_of(creator_id, currency=currency, start=start, end=end)
        return StreamingHttpResponse(
            statement_lines(lines, opening=opening, currency=currency, start=start, end=end),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="statement-{start:%Y-%m}-{currency}.csv"',
                "Cache-Control": "private, no-store",
            },
        )


def is_staff_finance(request: Request) -> bool:
    """Whether the one who asks works in finance."""
    return isinstance(request.user, User) and request.user.has_role(Role.STAFF_FINANCE)
