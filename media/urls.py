"""Routes of media, relative to /api/v1/."""

from django.urls import path

from media.views import (
    IncomingFileView,
    IncomingPartView,
    MediaFileView,
    MediaListView,
    MediaUrlView,
    MediaView,
    UploadCompletionView,
    UploadListView,
    UploadView,
)

urlpatterns = [
    path("media", MediaListView.as_view(), name="media-list"),
    path("media/uploads", UploadListView.as_view(), name="upload-list"),
    path("media/uploads/<uuid:media_id>/file", IncomingFileView.as_view(), name="upload-file"),
    path("media/uploads/<uuid:media_id>/parts/<int:number>", IncomingPartView.as_view(), name="upload-part"),
    path("media/<uuid:media_id>/complete", UploadCompletionView.as_view(), name="upload-complete"),
    path("media/<uuid:media_id>/upload", UploadView.as_view(), name="upload-detail"),
    path("media/<uuid:media_id>", MediaView.as_view(), name="media-detail"),
    path("media/<uuid:media_id>/url", MediaUrlView.as_view(), name="media-url"),
    path("media/files/<uuid:media_id>/<slug:variant>", MediaFileView.as_view(), name="media-file"),
]
