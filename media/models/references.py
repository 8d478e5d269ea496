"""Which posts need which files."""

from typing import ClassVar

from django.db import models


class MediaReference(models.Model):
    """A post needs a file. `media_id` is what the post said, be the file known here or not."""

    media_id = models.UUIDField()
    post_id = models.UUIDField()

    class Meta:
        ordering: ClassVar = ["post_id", "media_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["media_id", "post_id"], name="a_post_refers_to_a_file_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["post_id"], name="media_references_of_post")]

    def __str__(self) -> str:
        return f"{self.post_id} needs {self.media_id}"


class PostRefState(models.Model):
    """How much of a post's story is known; a deleted post stays as a tombstone, so a late event revives nothing."""

    post_id = models.UUIDField(primary_key=True)
    source_sequence = models.PositiveIntegerField(default=0)
    deleted = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["post_id"]

    def __str__(self) -> str:
        return f"post {self.post_id} at {self.source_sequence}"
