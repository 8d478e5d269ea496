"""Files, as support and moderators see them; states are looked at here and changed by services."""

from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.filters import EmptyFieldListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from api.admin import ReadOnlyAdmin
from eventbus.pages import EventsMixin, act_on_each, asks_why, linked_id
from media import storage
from media.conf import LOCKED_DOWN
from media.models.assets import MediaAsset
from media.models.references import MediaReference, PostRefState
from media.models.variants import MediaVariant
from media.models.verifications import StoreVerification
from media.selectors import picture_to_deliver
from media.services.processing import retry_failed
from media.services.removal import remove_by_policy
from media.tasks import enqueue_processing, enqueue_removal

if TYPE_CHECKING:  # generic to the type checker only
    TabularInline = admin.TabularInline[Any, Any]
else:
    TabularInline = admin.TabularInline

# A file's story in its order; every column of the table has its place.
CHAPTERS = {
    "The file": (
        "thumbnail",
        *("id", "owner_id", "kind", "status", "original_filename", "declared_mime", "detected_mime"),
        *("size_bytes", "sha256", "width", "height", "duration_ms", "storage_key", "sequence", "updated_at"),
    ),
    "Upload": (
        *("created_at", "upload_expires_at", "upload_checked_until", "upload_refusal", "part_bytes", "multipart_id"),
    ),
    "Scan and processing": (
        *("scan_verdict", "attempts", "progress", "last_attempt_at", "next_attempt_at"),
        *("failure_code", "files_missing_since"),
    ),
    "Use and end": (*("posts", "orphaned_at", "collect_after", "deletion_reason", "deleted_at", "files_removed_at"),),
    "Events": EventsMixin.EVENTS,
}
POSTS_SHOWN = 50


class VariantInline(TabularInline):
    """What was made of the file."""

    model = MediaVariant
    extra = 0
    can_delete = False
    fields = ("name", "mime", "width", "height", "duration_ms", "size_bytes", "storage_key")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(MediaAsset)
class MediaAssetAdmin(EventsMixin, ReadOnlyAdmin):
    """Uploaded files with what can be seen of them, and the story of each on its page."""

    list_display = ["id", "thumbnail", "owner_id", "status", "failure_code", "size", "created_at"]
    list_filter = [
        "status",
        "failure_code",
        "kind",
        "deletion_reason",
        ("files_missing_since", EmptyFieldListFilter),
        "created_at",
    ]
    links: ClassVar[dict[str, str]] = {"owner_id": "accounts_user"}
    search_fields = ["sha256__exact", "original_filename"]
    search_ids: ClassVar[list[str]] = ["id", "owner_id"]
    date_hierarchy = "created_at"
    inlines = [VariantInline]
    actions = ["retry", "remove"]

    def get_urls(self) -> list[URLPattern]:
        """The admin's routes, and one for thumbnails."""
        view = self.admin_site.admin_view(self.deliver_thumbnail)
        return [path("<uuid:media_id>/thumbnail", view, name="media_asset_thumbnail"), *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: MediaAsset | None = None) -> list[Any]:
        """The chapters of the file's story."""
        return [
            (title, {"fields": [self.column(name, short=False) for name in names]}) for title, names in CHAPTERS.items()
        ]

    @admin.display(description="posts that need it")
    def posts(self, asset: MediaAsset) -> SafeString | str:
        """The way to each post, the first ones of many."""
        needed = MediaReference.objects.filter(media_id=asset.pk).order_by("post_id")[:POSTS_SHOWN]
        links = ((linked_id(reference.post_id, page="content_post", short=False),) for reference in needed)
        return format_html_join(", ", "{}", links) or "-"

    @admin.display(description="size", ordering="size_bytes")
    def size(self, asset: MediaAsset) -> str:
        """In kilobytes or megabytes."""
        return filesizeformat(asset.size_bytes)

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
        variant = picture_to_deliver(media_id=media_id)
        if variant is None:
            raise Http404
        try:
            picture = storage.open_stored(variant.storage_key)
        except FileNotFoundError as error:  # lost, as the file's page says
            raise Http404 from error
        return FileResponse(picture, content_type=variant.mime, headers=LOCKED_DOWN)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Whether this person may take files away."""
        return request.user.has_perm("media.delete_mediaasset")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether this person may start work on files."""
        return request.user.has_perm("media.change_mediaasset")

    @admin.action(description="Process the selected failed files again", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[MediaAsset]) -> None:
        """Three more attempts for each file that failed for good."""

        def retried(asset: MediaAsset) -> bool:
            if not retry_failed(media_id=asset.pk):
                return False
            enqueue_processing(asset.kind)
            return True

        act_on_each(self, request, queryset, retried, done="To be processed again", reason="")

    @admin.action(description="Remove the selected files for breaking the rules", permissions=["remove"])
    @asks_why("These files are deleted for ever and vanish from every post that uses them. This cannot be undone.")
    def remove(self, request: HttpRequest, queryset: QuerySet[MediaAsset], reason: str) -> None:
        """Delete the files, whatever uses them."""

        def removed(asset: MediaAsset) -> bool:
            if asset.is_deleted:
                return False
            remove_by_policy(media_id=asset.pk)
            enqueue_removal(asset.pk)
            return True

        act_on_each(self, request, queryset, removed, done="Removed", reason=reason)


@admin.register(MediaVariant)
class MediaVariantAdmin(ReadOnlyAdmin):
    """What was made of the files."""

    list_display = ["id", "asset_id", "name", "mime", "width", "height", "size_bytes"]
    links: ClassVar[dict[str, str]] = {"asset_id": "media_mediaasset"}
    list_filter = ["name", "mime"]
    search_ids: ClassVar[list[str]] = ["asset_id"]


@admin.register(MediaReference)
class MediaReferenceAdmin(ReadOnlyAdmin):
    """Which posts need which files; content's word, so it is not ours to edit."""

    list_display = ["id", "media_id", "post_id"]
    links: ClassVar[dict[str, str]] = {"media_id": "media_mediaasset", "post_id": "content_post"}
    search_ids: ClassVar[list[str]] = ["media_id", "post_id"]


@admin.register(PostRefState)
class PostRefStateAdmin(ReadOnlyAdmin):
    """How much of each post's story has arrived."""

    list_display = ["post_id", "source_sequence", "deleted"]
    list_filter = ["deleted"]
    search_ids: ClassVar[list[str]] = ["post_id"]


@admin.register(StoreVerification)
class StoreVerificationAdmin(ReadOnlyAdmin):
    """When every file had been held against the store."""

    list_display = ["ended_at"]
