"""What an order's page in the admin shows beside it."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest

from api.money import shown_money
from eventbus.pages import described
from payments.models.disputes import Dispute
from payments.models.ledger import LedgerEntry, LedgerTransaction
from payments.models.orders import PaymentAttempt
from payments.models.refunds import Refund

if TYPE_CHECKING:  # generic to the type checker only
    Inline = admin.TabularInline[Any, Any]
else:
    Inline = admin.TabularInline


class ReadOnlyInline(Inline):
    """Rows to be looked at; `money` names columns of minor units, `priced_by` the row whose currency they are in."""

    money: ClassVar[tuple[str, ...]] = ()
    priced_by: ClassVar[str] = "order"
    extra = 0
    can_delete = False
    show_change_link = True

    def __init__(self, parent_model: type[models.Model], admin_site: admin.AdminSite) -> None:
        """Every column but the row they stand beside, money as people read it."""
        super().__init__(parent_model, admin_site)
        columns = [field for field in self.opts.concrete_fields if field.editable]
        self.columns = [self.column(field.name) for field in columns if field.related_model is not parent_model]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All columns."""
        return self.columns

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All columns."""
        return self.columns

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows, with those whose currency they are in."""
        return super().get_queryset(request).select_related(self.priced_by)

    def column(self, name: Any) -> Any:
        """What to show for this name."""
        if name not in self.money:
            return name
        field: Any = self.opts.get_field(name)

        def show(row: Any) -> str:
            return shown_money(getattr(row, field.attname), getattr(row, self.priced_by).currency)

        return described(show, field, str(field.verbose_name))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class AttemptInline(ReadOnlyInline):
    """What the gateway was asked."""

    model = PaymentAttempt


class RefundInline(ReadOnlyInline):
    """What went back."""

    model = Refund
    money = ("amount", "creator_share", "platform_share", "processor_share")


class DisputeInline(ReadOnlyInline):
    """Whether and how it is contested."""

    model = Dispute
    money = ("amount", "held_amount", "creator_share", "platform_share", "processor_share")


class LedgerTransactionInline(ReadOnlyInline):
    """What it moved in the books."""

    model = LedgerTransaction


class EntryInline(ReadOnlyInline):
    """The lines of a transaction."""

    model = LedgerEntry
    money = ("amount",)
    priced_by = "account"
