"""What can be shown of a file."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from media.models.assets import MediaAsset


class MediaVariant(models.Model):
    """One rendition made from the pixels and sounds of a file; `size_bytes` counts its segments too."""

    class Name(models.TextChoices):
        THUMB_320 = "thumb_320"
        WEB_1280 = "web_1280"
        WEB_2048 = "web_2048"
        BLUR = "blur"
        POSTER = "poster"
        PREVIEW_15S = "preview_15s"
        MP4_480 = "mp4_480"
        MP4_720 = "mp4_720"
        MP4_1080 = "mp4_1080"
        HLS = "hls"
        MP3_128 = "mp3_128"
        WAVEFORM = "waveform"

    RECOGNISABLE = (Name.THUMB_320, Name.POSTER, Name.WAVEFORM)  # of each kind the smallest picture

    asset = models.ForeignKey(MediaAsset, on_delete=models.CASCADE, related_name="variants")
    name = models.CharField(max_length=20, choices=Name.choices)
    mime = models.CharField(max_length=100)
    storage_key = models.CharField(max_length=200, unique=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveBigIntegerField(null=True)
    size_bytes = models.BigIntegerField()

    class Meta:
        ordering: ClassVar = ["asset_id", "width", "name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["asset", "name"], name="one_media_variant_per_name"),
            models.CheckConstraint(
                condition=Q(size_bytes__gt=0)
                & (Q(width__gt=0, height__gt=0) | Q(width__isnull=True, height__isnull=True, duration_ms__gt=0)),
                name="media_variant_is_not_empty",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.asset_id}"
