"""The files of creators: where each stands, and what it waits for."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import Count, Exists, F, OuterRef, Q
from uuid_utils.compat import uuid7

from media.models.references import MediaReference


class MediaAssetQuerySet(models.QuerySet["MediaAsset"]):
    """Files by owner, by what they wait for, by whether anybody needs them."""

    def of(self, owner_id: UUID) -> Self:
        """This owner's files, without the deleted ones."""
        return self.filter(owner_id=owner_id).alive()

    def alive(self) -> Self:
        """All but the deleted ones."""
        return self.exclude(status=MediaAsset.Status.DELETED)

    def due(self, now: datetime) -> Self:
        """Waiting for a worker: new, to be tried again, or left behind by a worker that died."""
        return self.filter(status__in=MediaAsset.IN_WORK, next_attempt_at__lte=now)

    def at_work(self, now: datetime) -> Self:
        """Held by a worker that has been heard of."""
        return self.filter(status=MediaAsset.Status.PROCESSING, next_attempt_at__gt=now)

    def claimable(self, now: datetime, *, kinds: Collection[str], share: int) -> Self:
        """Due files of these kinds whose owners have fewer than their share of such files at work."""
        at_work = MediaAsset.objects.at_work(now).filter(kind__in=kinds).values("owner_id").annotate(files=Count("pk"))
        full = at_work.filter(files__gte=share).order_by().values("owner_id")
        return self.due(now).filter(kind__in=kinds).exclude(owner_id__in=full)

    def collectable(self, now: datetime) -> Self:
        """Needed by no post for long enough."""
        references = MediaReference.objects.filter(media_id=OuterRef("pk"))
        return self.brought().filter(collect_after__lte=now).exclude(Exists(references))

    def with_files_left(self) -> Self:
        """Deleted or never brought, with bytes that may still be in the store."""
        return self.filter(status__in=MediaAsset.GONE, files_removed_at__isnull=True)

    def overdue(self, now: datetime) -> Self:
        """Announced and not brought in time."""
        return self.filter(status=MediaAsset.Status.PENDING_UPLOAD, upload_expires_at__lte=now)

    def brought(self) -> Self:
        """There as files: neither awaited nor gone."""
        return self.with_files().exclude(status=MediaAsset.Status.PENDING_UPLOAD)

    def with_files(self) -> Self:
        """Whose bytes must stay in the store."""
        return self.exclude(status__in=MediaAsset.GONE)

    def locked(self, ids: Iterable[UUID]) -> list["MediaAsset"]:
        """These files under their locks, taken in one order so that two callers cannot wait for each other."""
        return list(self.select_for_update().filter(pk__in=ids).order_by("pk"))


class MediaAsset(models.Model):
    """One uploaded file. Its bytes are private: only variants made from its pixels are ever served."""

    class Kind(models.TextChoices):
        IMAGE = "image"
        VIDEO = "video"
        AUDIO = "audio"

    class Status(models.TextChoices):
        PENDING_UPLOAD = "pending_upload", "its owner may bring it"
        EXPIRED = "expired", "never brought"
        UPLOADED = "uploaded"
        SCANNING = "scanning", "handed to the workers"
        PROCESSING = "processing", "a worker has it"
        READY = "ready"
        REJECTED = "rejected", "rejected: not fit to be shown"
        FAILED = "failed", "failed: not the file's fault"
        DELETED = "deleted"

    class Failure(models.TextChoices):
        TYPE_MISMATCH = "type_mismatch"
        INFECTED = "infected"
        TOO_LARGE = "too_large"
        TOO_MANY_PIXELS = "too_many_pixels"
        TOO_LONG = "too_long", "too many frames, or too many seconds"
        CORRUPT = "corrupt"
        UNSUPPORTED = "unsupported"
        TIMEOUT = "timeout"
        INTERNAL = "internal"

    class ScanVerdict(models.TextChoices):
        NONE = "none", "none: nobody looked"
        CLEAN = "clean"
        INFECTED = "infected"
        TOO_LARGE = "too_large", "too large: the scanner did not look at all of it"
        ERROR = "error", "error: the scanner gave no verdict"

    class DeletionReason(models.TextChoices):
        OWNER_REQUEST = "owner_request"
        ORPHANED = "orphaned"
        POST_DELETED = "post_deleted"
        POLICY = "policy"
        ACCOUNT_CLOSED = "account_closed"

    IN_WORK = (Status.SCANNING, Status.PROCESSING, Status.FAILED)
    IMAGES = (Kind.IMAGE,)
    CLIPS = (Kind.VIDEO, Kind.AUDIO)
    GONE = (Status.EXPIRED, Status.DELETED)
    MAX_ATTEMPTS = 3

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.UPLOADED)
    original_filename = models.CharField(max_length=255, blank=True)
    declared_mime = models.CharField(max_length=100)
    detected_mime = models.CharField(max_length=100, null=True)
    size_bytes = models.BigIntegerField(help_text="As announced while the upload is pending, then as measured.")
    sha256 = models.CharField(max_length=64, null=True, help_text="As announced, if it was, then as measured.")
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveBigIntegerField(null=True)
    storage_key = models.CharField(max_length=200, unique=True)
    failure_code = models.CharField(max_length=20, choices=Failure.choices, null=True)
    scan_verdict = models.CharField(max_length=10, choices=ScanVerdict.choices, default=ScanVerdict.NONE)
    progress = models.PositiveSmallIntegerField(default=0)
    upload_expires_at = models.DateTimeField(null=True)
    part_bytes = models.PositiveIntegerField(null=True, help_text="Of all parts but the last, if it comes in parts.")
    multipart_id = models.CharField(max_length=1024, blank=True, help_text="The store's id of the upload in parts.")
    upload_refusal = models.CharField(max_length=40, null=True, help_text="Why it was not taken in when last brought.")
    upload_checked_until = models.DateTimeField(null=True, help_text="Somebody checks what was brought.")
    attempts = models.PositiveSmallIntegerField(default=0)
    last_attempt_at = models.DateTimeField(null=True, help_text="When a worker last took it up.")
    next_attempt_at = models.DateTimeField(null=True)
    orphaned_at = models.DateTimeField(null=True)
    collect_after = models.DateTimeField(null=True)
    deletion_reason = models.CharField(max_length=20, choices=DeletionReason.choices, null=True)
    deleted_at = models.DateTimeField(null=True)
    files_removed_at = models.DateTimeField(null=True)
    files_missing_since = models.DateTimeField(null=True, help_text="Bytes that should be in the store are not.")
    sequence = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(auto_now=True)

    objects = MediaAssetQuerySet.as_manager()

    ATTEMPT_FIELDS: ClassVar[list[str]] = [
        "status",
        "attempts",
        "progress",
        "last_attempt_at",
        "next_attempt_at",
        "updated_at",
    ]
    OUTCOME_FIELDS: ClassVar[list[str]] = [
        "status",
        "failure_code",
        "detected_mime",
        "width",
        "height",
        "duration_ms",
        "scan_verdict",
        "progress",
        "next_attempt_at",
        "sequence",
        "updated_at",
    ]
    ARRIVAL_FIELDS: ClassVar[list[str]] = [
        "status",
        "size_bytes",
        "sha256",
        "upload_expires_at",
        "upload_checked_until",
        "multipart_id",
        "upload_refusal",
        "collect_after",
        "updated_at",
    ]
    ORPHAN_FIELDS: ClassVar[list[str]] = ["orphaned_at", "collect_after", "deletion_reason", "updated_at"]
    DELETION_FIELDS: ClassVar[list[str]] = [
        "status",
        "deleted_at",
        "next_attempt_at",
        "sequence",
        *ORPHAN_FIELDS,
    ]

    class Meta:
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    status__in=(
                        "pending_upload",
                        "expired",
                        "uploaded",
                        "scanning",
                        "processing",
                        "ready",
                        "rejected",
                        "failed",
                        "deleted",
                    )
                ),
                name="media_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=("image", "video", "audio")), name="media_kind_is_one_we_process"
            ),
            models.CheckConstraint(condition=Q(progress__lte=100), name="media_progress_is_a_percentage"),
            models.CheckConstraint(
                condition=Q(scan_verdict__in=("none", "clean")) | ~Q(status="ready"),
                name="ready_media_is_not_known_to_be_harmful",
            ),
            models.CheckConstraint(
                condition=Q(status="pending_upload", upload_expires_at__isnull=False)
                | (~Q(status="pending_upload") & Q(upload_expires_at__isnull=True, upload_checked_until__isnull=True)),
                name="only_a_pending_upload_runs_out",
            ),
            models.CheckConstraint(
                condition=Q(multipart_id="") | Q(status="pending_upload", part_bytes__gt=0),
                name="only_a_pending_upload_has_parts",
            ),
            models.CheckConstraint(
                condition=Q(sha256__isnull=False) | Q(status__in=("pending_upload", "expired")),
                name="media_that_came_has_a_digest",
            ),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="media_file_is_not_empty"),
            models.CheckConstraint(
                condition=Q(status="deleted", deleted_at__isnull=False, deletion_reason__isnull=False)
                | (~Q(status="deleted") & Q(deleted_at__isnull=True)),
                name="media_is_deleted_at_a_time_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(files_removed_at__isnull=True) | Q(status__in=("expired", "deleted")),
                name="media_files_go_after_the_deletion",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("scanning", "processing"), next_attempt_at__isnull=False)
                | Q(status="failed")
                | (~Q(status__in=("scanning", "processing", "failed")) & Q(next_attempt_at__isnull=True)),
                name="only_media_in_work_is_due",
            ),
            models.CheckConstraint(
                condition=~Q(status="ready")
                | Q(kind="image", width__gt=0, height__gt=0)
                | Q(kind="video", width__gt=0, height__gt=0, duration_ms__gt=0)
                | Q(kind="audio", duration_ms__gt=0),
                name="ready_media_has_its_measures",
            ),
            models.CheckConstraint(
                condition=Q(status__in=("rejected", "failed"), failure_code__isnull=False)
                | Q(status="deleted")
                | (~Q(status__in=("rejected", "failed")) & Q(failure_code__isnull=True)),
                name="media_that_ended_badly_says_why",
            ),
            models.CheckConstraint(
                condition=Q(orphaned_at__isnull=True, collect_after__isnull=True)
                | Q(collect_after__gte=F("orphaned_at"), deletion_reason__isnull=False),
                name="orphaned_media_has_a_time_and_a_reason",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["owner_id", "-created_at", "-id"], name="media_of_owner_newest_first"),
            models.Index(
                fields=["next_attempt_at"], condition=Q(next_attempt_at__isnull=False), name="media_due_for_work"
            ),
            models.Index(
                fields=["owner_id", "-last_attempt_at"],
                condition=Q(kind="image", last_attempt_at__isnull=False),
                name="media_last_turn_images",
            ),
            models.Index(
                fields=["owner_id", "-last_attempt_at"],
                condition=Q(kind__in=("video", "audio"), last_attempt_at__isnull=False),
                name="media_last_turn_clips",
            ),
            models.Index(
                fields=["files_missing_since"], condition=Q(files_missing_since__isnull=False), name="media_lost"
            ),
            models.Index(
                fields=["collect_after"],
                condition=Q(collect_after__isnull=False) & ~Q(status="deleted"),
                name="media_due_for_collection",
            ),
            models.Index(
                fields=["deleted_at"],
                condition=Q(status__in=("expired", "deleted"), files_removed_at__isnull=True),
                name="media_with_files_left",
            ),
            models.Index(
                fields=["upload_expires_at"],
                condition=Q(upload_expires_at__isnull=False),
                name="media_uploads_that_run_out",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk} ({self.status})"

    @property
    def kinds_beside(self) -> tuple["MediaAsset.Kind", ...]:
        """The kinds that wait in the same queue: clips take hours, and images wait for none of them."""
        return self.IMAGES if self.kind in self.IMAGES else self.CLIPS

    @property
    def is_deleted(self) -> bool:
        """Whether it is gone for ever."""
        return self.status == self.Status.DELETED

    @property
    def is_pending(self) -> bool:
        """Whether its owner may still bring it."""
        return self.status == self.Status.PENDING_UPLOAD

    @property
    def incoming_key(self) -> str:
        """Where a direct upload puts the bytes; from the moment they are checked nobody reads there."""
        return f"{self.folder}/incoming"

    @property
    def folder(self) -> str:
        """Under which everything of this file is stored."""
        return self.storage_key.rpartition("/")[0]

    def variant_key(self, name: str) -> str:
        """Where the variant of this name is stored."""
        return f"{self.folder}/variants/{name}"
