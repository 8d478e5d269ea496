"""Constraints that several tables share."""

from collections.abc import Sequence

from django.db import models
from django.db.models import Q


def known(field: str, values: Sequence[str], name: str) -> models.CheckConstraint:
    """The constraint that a column holds one of these values."""
    return models.CheckConstraint(condition=Q(**{f"{field}__in": list(values)}), name=name)
