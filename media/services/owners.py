"""What is counted for an owner is counted by one transaction at a time."""

from uuid import UUID

from django.db import connection


def lock_owner(*, space: int, owner_id: UUID) -> None:
    """Wait for whoever counts the same of this owner, and let nobody else until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [space, str(owner_id)])
