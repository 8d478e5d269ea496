"""When the store was held against the rows."""

from typing import ClassVar

from django.db import models


class StoreVerification(models.Model):
    """A whole look at every file has ended; without a row nobody knows of what is lost."""

    ended_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-ended_at", "-id"]

    def __str__(self) -> str:
        return f"whole look that ended at {self.ended_at:%Y-%m-%d %H:%M:%S}"
