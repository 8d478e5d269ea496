"""Routes of subscriptions, relative to /api/v1/."""

from django.urls import path

from subscriptions import tier_views, views

urlpatterns = [
    path("creators/<uuid:creator_id>/tiers", tier_views.CreatorTiersView.as_view(), name="creator-tiers"),
    path("creators/<uuid:creator_id>/access", views.AccessView.as_view(), name="creator-access"),
    path("tiers", tier_views.TiersView.as_view(), name="tiers"),
    path("tiers/<uuid:tier_id>", tier_views.TierView.as_view(), name="tier"),
    path("tiers/<uuid:tier_id>/prices", tier_views.TierPricesView.as_view(), name="tier-prices"),
    path(
        "tiers/<uuid:tier_id>/prices/<uuid:price_id>/deactivate",
        tier_views.DeactivatePriceView.as_view(),
        name="tier-price-deactivate",
    ),
    path("tiers/<uuid:tier_id>/archive", tier_views.ArchiveTierView.as_view(), name="tier-archive"),
    path("tiers/<uuid:tier_id>/restore", tier_views.RestoreTierView.as_view(), name="tier-restore"),
    path("subscriptions", views.SubscriptionsView.as_view(), name="subscriptions"),
    path("subscriptions/<uuid:subscription_id>", views.SubscriptionView.as_view(), name="subscription"),
    path("subscriptions/<uuid:subscription_id>/cancel", views.CancelView.as_view(), name="subscription-cancel"),
    path("subscriptions/<uuid:subscription_id>/resume", views.ResumeView.as_view(), name="subscription-resume"),
    path("subscriptions/<uuid:subscription_id>/change", views.ChangeView.as_view(), name="subscription-change"),
    path(
        "subscriptions/<uuid:subscription_id>/change-preview",
        views.ChangePreviewView.as_view(),
        name="subscription-change-preview",
    ),
    path(
        "subscriptions/<uuid:subscription_id>/payment-method",
        views.PaymentMethodView.as_view(),
        name="subscription-payment-method",
    ),
    path(
        "subscriptions/<uuid:subscription_id>/retry-payment",
        views.RetryPaymentView.as_view(),
        name="subscription-retry-payment",
    ),
    path("me/subscribers", views.SubscribersView.as_view(), name="my-subscribers"),
]
