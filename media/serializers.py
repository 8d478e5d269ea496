"""What goes in and out of media's API."""

from typing import Any

from rest_framework import serializers

from api.serializers import ClosedSerializer
from media.models import MediaAsset, MediaVariant


class UploadInput(ClosedSerializer):
    """One file."""

    file = serializers.FileField(
        allow_empty_file=True,
        help_text="JPEG, PNG, WebP, GIF; MP4, QuickTime, WebM, Matroska; MP3, M4A, FLAC, WAV, Ogg.",
    )
    kind = serializers.CharField(max_length=20, default="image", help_text="`image`, `video` or `audio`.")


class VariantQuery(ClosedSerializer):
    """Which variant an address is wanted for."""

    variant = serializers.ChoiceField(choices=MediaVariant.Name.choices)


class VariantOutput(serializers.ModelSerializer[MediaVariant]):
    """One rendition."""

    class Meta:
        model = MediaVariant
        fields = ["name", "mime", "width", "height", "duration_ms", "size_bytes"]
        read_only_fields = fields


class MediaOutput(serializers.ModelSerializer[MediaAsset]):
    """A file as its owner sees it."""

    variants = VariantOutput(many=True, read_only=True)

    class Meta:
        model = MediaAsset
        fields = [
            "id",
            "kind",
            "status",
            "progress",
            "failure_code",
            "original_filename",
            "detected_mime",
            "size_bytes",
            "width",
            "height",
            "duration_ms",
            "variants",
            "created_at",
        ]
        read_only_fields = fields


class UploadOutput(serializers.ModelSerializer[MediaAsset]):
    """A file that has just come."""

    class Meta:
        model = MediaAsset
        fields = ["id", "kind", "status", "created_at"]
        read_only_fields = fields


class SignedUrlOutput(serializers.Serializer[Any]):
    """A short-lived address."""

    url = serializers.CharField()
    expires_at = serializers.DateTimeField()
