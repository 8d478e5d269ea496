"""Routes of payments, relative to /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from payments.views import (
    EarningsLedgerView,
    EarningsStatementView,
    EarningsSummaryView,
    PaymentMethodViewSet,
    PaymentViewSet,
    PostPurchaseViewSet,
    TipViewSet,
    WebhookView,
)

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("tips", TipViewSet, basename="tip")
router.register("post-purchases", PostPurchaseViewSet, basename="post-purchase")
router.register("payment-methods", PaymentMethodViewSet, basename="payment-method")
router.register("payments", PaymentViewSet, basename="payment")

urlpatterns = [
    *router.urls,
    path("webhooks/<slug:gateway>", WebhookView.as_view(), name="webhook"),
    path("me/earnings/summary", EarningsSummaryView.as_view(), name="earnings-summary"),
    path("me/earnings/ledger", EarningsLedgerView.as_view(), name="earnings-ledger"),
    path("me/earnings/statement", EarningsStatementView.as_view(), name="earnings-statement"),
]
