"""Files, as support and moderators see them; states are looked at here and changed by services."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from api.admin import ReadOnlyAdmin
from media import storage
from media.models import MediaAsset, MediaReference, MediaVariant, PostRefState
from media.selectors import variant_to_deliver
from media.services.processing import retry_failed
from media.services.removal import remove_by_policy
from media.tasks import enqueue_processing, enqueue_removal
from media.views import LOCKED_DOWN


@admin.register(MediaAsset)
class MediaAssetAdmin(ReadOnlyAdmin):
    """Uploaded files with what can be seen of them."""

    list_display = ["thumbnail", "id", "owner_id", "kind", "status", "failure_code", "size_bytes", "created_at"]
    list_display_links = ["id"]
    list_filter = ["status", "failure_code", "kind", "deletion_reason", "created_at"]
    search_fields = ["=id", "=owner_id", "=sha256", "original_filename"]
    date_hierarchy = "created_at"
    show_full_result_count = False
    actions = ["retry", "remove"]

    def get_urls(self) -> list[URLPattern]:
        """The admin's routes, and one for thumbnails."""
        view = self.admin_site.admin_view(self.deliver_thumbnail)
        return [path("<uuid:media_id>/thumbnail", view, name="media_asset_thumbnail"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: MediaAsset | None = None) -> list[Any]:
        """Every column below the picture."""
        return ["thumbnail", *(field.name for field in MediaAsset._meta.fields)]

    def get_readonly_fields(self, request: HttpRequest, obj: MediaAsset | None = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)

    @admin.display(description="picture")
    def thumbnail(self, asset: MediaAsset) -> SafeString | str:
        """The smallest recognisable variant."""
        if asset.status != MediaAsset.Status.READY:
            return ""
        address = reverse("admin:media_asset_thumbnail", args=[asset.pk])
        return format_html('<img src="{}" alt="" loading="lazy" style="max-height: 80px">', address)

    def deliver_thumbnail(self, request: HttpRequest, media_id: UUID) -> FileResponse:
        """The thumbnail's bytes, for staff who may look at files."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        variant = variant_to_deliver(media_id=media_id, name=MediaVariant.Name.THUMB_320)
        if variant is None:
            raise Http404
        return FileResponse(storage.open_stored(variant.storage_key), content_type=variant.mime, headers=LOCKED_DOWN)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Whether this person may take files away."""
        return request.user.has_perm("media.delete_mediaasset")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether this person may start work on files."""
        return request.user.has_perm("media.change_mediaasset")

    @admin.action(description="Process the selected failed files again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[MediaAsset]) -> None:
        """Three more attempts for each file that failed for good."""
        retried = [media_id for media_id in queryset.values_list("pk", flat=True) if retry_failed(media_id=media_id)]
        for media_id in retried:
            enqueue_processing(media_id)
        self.message_user(request, f"{len(retried)} will be processed again.")

    @admin.action(description="Remove the selected files for breaking the rules", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[MediaAsset]) -> None:
        """Delete the files, whatever uses them."""
        removed = list(queryset.values_list("pk", flat=True))
        for media_id in removed:
            remove_by_policy(media_id=media_id)
            enqueue_removal(media_id)
        self.message_user(request, f"{len(removed)} removed.")


@admin.register(MediaVariant)
class MediaVariantAdmin(ReadOnlyAdmin):
    """What was made of the files."""

    list_display = ["asset_id", "name", "mime", "width", "height", "size_bytes"]
    list_filter = ["name", "mime"]
    search_fields = ["=asset__id"]
    show_full_result_count = False


@admin.register(MediaReference)
class MediaReferenceAdmin(ReadOnlyAdmin):
    """Which posts need which files; content's word, so it is not ours to edit."""

    list_display = ["media_id", "post_id"]
    search_fields = ["=media_id", "=post_id"]
    show_full_result_count = False


@admin.register(PostRefState)
class PostRefStateAdmin(ReadOnlyAdmin):
    """How much of each post's story has arrived."""

    list_display = ["post_id", "source_sequence", "deleted"]
    list_filter = ["deleted"]
    search_fields = ["=post_id"]
    show_full_result_count = False
