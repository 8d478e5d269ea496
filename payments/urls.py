"""Routes of payments, relative to /api/v1/."""

from rest_framework.routers import SimpleRouter

from payments.views import PaymentMethodViewSet, PaymentViewSet, PostPurchaseViewSet, TipViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("tips", TipViewSet, basename="tip")
router.register("post-purchases", PostPurchaseViewSet, basename="post-purchase")
router.register("payment-methods", PaymentMethodViewSet, basename="payment-method")
router.register("payments", PaymentViewSet, basename="payment")

urlpatterns = router.urls
