"""What goes in and out of media's API."""

from typing import Any

from rest_framework import serializers

from api.serializers import ClosedSerializer
from media.models.assets import MediaAsset
from media.models.variants import MediaVariant
from media.parts import MOST_PARTS


class UploadInput(ClosedSerializer):
    """One file."""

    file = serializers.FileField(
        allow_empty_file=True,
        help_text="JPEG, PNG, WebP, GIF; MP4, QuickTime, WebM, Matroska; MP3, M4A, FLAC, WAV, Ogg.",
    )
    kind = serializers.CharField(max_length=20, default="image", help_text="`image`, `video` or `audio`.")


class UploadAnnouncement(ClosedSerializer):
    """A file to be brought straight to the store."""

    filename = serializers.CharField(max_length=10_000, allow_blank=True, default="", help_text="For show only.")
    mime = serializers.CharField(max_length=1000, allow_blank=True, default="", help_text="The bytes decide, not this.")
    size = serializers.IntegerField(min_value=0, help_text="In bytes; no byte more is taken.")
    sha256 = serializers.RegexField(
        "^[0-9a-f]{64}$", required=False, help_text="Hexadecimal; if given, other bytes are refused."
    )
    kind = serializers.CharField(max_length=20, default="image", help_text="`image`, `video` or `audio`.")


class IncomingFile(ClosedSerializer):
    """The form of an announced file."""

    policy = serializers.CharField(max_length=500, help_text="As it was issued.")
    file = serializers.FileField(allow_empty_file=True)


class PartOutput(serializers.Serializer[Any]):
    """One part: put its bytes to the address. `etag` names what has come of it, null when nothing has."""

    number = serializers.IntegerField()
    size = serializers.IntegerField(source="size_bytes", help_text="In bytes; neither more nor fewer are taken.")
    url = serializers.CharField()
    etag = serializers.CharField(allow_null=True)


class UploadTargetOutput(serializers.Serializer[Any]):
    """How to bring the file.

    `POST`: post `fields`, and after them the bytes as `file`, to `url` as multipart/form-data. `PUT`: put each part of
    `parts` to its own address, in any order, several at once; one that failed again.
    """

    method = serializers.ChoiceField(choices=["POST", "PUT"])
    url = serializers.CharField(allow_null=True)
    fields = serializers.DictField(child=serializers.CharField(), allow_null=True)  # type: ignore[assignment]  # the wire's name
    parts = PartOutput(many=True)
    received_bytes = serializers.IntegerField()
    expires_at = serializers.DateTimeField()


class NamedPart(ClosedSerializer):
    """A part as its uploader knows it."""

    number = serializers.IntegerField(min_value=1, max_value=MOST_PARTS)
    etag = serializers.CharField(max_length=100, help_text="As the answer to the part's upload named it.")


class UploadCompletion(ClosedSerializer):
    """The end of an upload."""

    parts = serializers.ListField(
        child=NamedPart(),
        required=False,
        max_length=MOST_PARTS,
        help_text="If given: all parts of the file; a part in the store with another tag is refused.",
    )

    def validate_parts(self, value: list[dict[str, Any]]) -> dict[int, str]:
        """The tags by the parts' numbers, as a store writes them or without their quotes."""
        tags = {part["number"]: part["etag"].strip('"') for part in value}
        if len(tags) < len(value):
            raise serializers.ValidationError("A part is named twice.")
        return tags


class AnnouncedOutput(serializers.Serializer[Any]):
    """An announced file."""

    id = serializers.UUIDField()
    status = serializers.CharField()
    upload = UploadTargetOutput()


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
            "upload_expires_at",
            "upload_refusal",
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
