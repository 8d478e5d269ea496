"""Let the database decide who came first, and say it in the domain's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from eventbus.exceptions import DomainError


@contextmanager
def refused_by(constraint: str, refusal: type[DomainError]) -> Iterator[None]:
    """Run the writes of the block in a savepoint; a violation of this constraint becomes this refusal."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if violated_constraint(error) != constraint:
            raise
        raise refusal from error


def violated_constraint(error: IntegrityError) -> str:
    """The name of the constraint that PostgreSQL says was violated; empty when it says none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None) or ""
