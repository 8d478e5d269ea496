"""Work for after the commit, handed to Celery by name: tasks import services, so services cannot import tasks."""

from uuid import UUID

from celery import signature

from api.background import after_commit

CHARGE = "payments.tasks.charge_order"
CONFIRM = "payments.tasks.confirm_order"
VOID = "payments.tasks.void_attempt"
REFUND = "payments.tasks.send_refund"
HANDLE = "payments.tasks.handle_gateway_event"
REFUND_DUE = "payments.tasks.refund_due"


def soon(task: str, *row_ids: UUID) -> None:
    """Run a task for a row once this transaction is committed; if that call is lost, a sweeper finds the row."""
    arguments = tuple(str(row_id) for row_id in row_ids)
    after_commit(lambda: signature(task, args=arguments).delay())
