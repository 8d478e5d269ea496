"""Routes of media, relative to /api/v1/."""

from django.urls import path

from media.views import MediaFileView, MediaListView, MediaUrlView, MediaView

urlpatterns = [
    path("media", MediaListView.as_view(), name="media-list"),
    path("media/<uuid:media_id>", MediaView.as_view(), name="media-detail"),
    path("media/<uuid:media_id>/url", MediaUrlView.as_view(), name="media-url"),
    path("media/files/<uuid:media_id>/<slug:variant>", MediaFileView.as_view(), name="media-file"),
]
