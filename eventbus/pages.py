"""What every admin page of rows that only services write has in common: it shows them, links them, and lets a person
act on them only after they were told what will happen and said why.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from eventbus.exceptions import DomainError

if TYPE_CHECKING:  # generic to the type checker only
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

MOST_AT_ONCE = 200
TAIL = 8  # the random end of a UUIDv7; its beginning is a time, alike in neighbours

Column = Callable[[Any], object]
Work = Callable[..., None]


class ReadOnlyAdmin(ModelAdmin):
    """Rows that only services write: to be looked at, never added, changed or deleted.

    `links` names, for a column that holds another row's id, the admin page of that row as `app_model`. A search for a
    UUID looks into the columns of `search_ids` by their indexes, any other search into `search_fields`. `text_ids` are
    columns of text that hold ids, for short in lists.
    """

    links: ClassVar[dict[str, str]] = {}
    text_ids: ClassVar[tuple[str, ...]] = ("key", "event_id", "causation_id", "correlation_id")
    search_ids: ClassVar[list[str]] = []
    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_search_fields(self, request: HttpRequest) -> Any:
        """Where a search for words looks; the box is shown also when only ids can be found."""
        return super().get_search_fields(request) or self.search_ids

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows of this id, or those with these words; words find nothing where there are only ids."""
        key = as_uuid(search_term)
        if key is not None and self.search_ids:
            return queryset.filter(Q.create([(name, key) for name in self.search_ids], connector=Q.OR)), False
        if search_term and not self.search_fields:
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def get_list_display(self, request: HttpRequest) -> Any:
        """The columns, ids short and linked."""
        return [self.column(name, short=True) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Every column of the table but the excluded ones, unless `fields` names them."""
        excluded = set(self.get_exclude(request, obj) or ())
        names = self.fields or [field.name for field in self.opts.concrete_fields if field.name not in excluded]
        return [self.column(name, short=False) for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All of them."""
        return self.get_fields(request, obj)

    def column(self, name: Any, *, short: bool) -> Any:
        """What to show for this name: ids as links, times to the second, anything else as Django does."""
        try:
            field = self.opts.get_field(name)
        except (FieldDoesNotExist, AttributeError):
            return name
        if name in self.links or isinstance(field, models.UUIDField) or (short and name in self.text_ids):
            return id_column(field, page=self.links.get(name), short=short)
        if isinstance(field, models.DateTimeField):
            return time_column(field)
        return name


def as_uuid(text: str) -> UUID | None:
    """The id, if the text is one."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def described(show: Column, field: Any, label: str) -> Column:
    """The column, with what the admin asks of one."""
    show.short_description = label  # type: ignore[attr-defined]  # the admin's own protocol
    show.admin_order_field = field.attname  # type: ignore[attr-defined]  # the admin's own protocol
    return show


def id_column(field: Any, *, page: str | None, short: bool) -> Column:
    """An id, linked to the page of the row it belongs to."""

    def show(row: Any) -> SafeString | str:
        return linked_id(getattr(row, field.attname), page=page, short=short)

    return described(show, field, str(field.verbose_name).removesuffix(" id"))


def found_in(page: str, key: str) -> SafeString | str:
    """A link to what that page (`app_model`) finds for the key."""
    if not key:
        return "-"
    address = f"{reverse(f'admin:{page}_changelist')}?{urlencode({'q': key})}"
    return format_html('<a href="{}" style="white-space: nowrap">{}</a>', address, key)


class EventsMixin:
    """The ways from an aggregate's page to its events; `event_key` names the column that is their key in Kafka."""

    event_key = "id"
    EVENTS: ClassVar = ("told", "untold", "unheard")

    @admin.display(description="events in the journal")
    def told(self, row: Any) -> SafeString | str:
        """What Kafka was given, each with its cause and who handled it."""
        return self._events("eventbus_journalevent", row)

    @admin.display(description="events not published yet")
    def untold(self, row: Any) -> SafeString | str:
        """What the relay has still to publish."""
        return self._events("eventbus_outboxevent", row)

    @admin.display(description="events that could not be handled")
    def unheard(self, row: Any) -> SafeString | str:
        """What is parked, in any room."""
        return self._events("eventbus_parkedevent", row)

    def _events(self, page: str, row: Any) -> SafeString | str:
        return found_in(page, str(getattr(row, self.event_key)))


def linked_id(value: Any, *, page: str | None, short: bool) -> SafeString | str:
    """The id, or its end with the whole as a hint, linked if that page exists here."""
    if value is None or value == "":
        return "-"
    text = f"…{str(value)[-TAIL:]}" if short and len(str(value)) > 2 * TAIL else str(value)
    address = address_of(page, value)
    if address is None:
        return format_html('<span title="{}" style="white-space: nowrap">{}</span>', value, text)
    return format_html('<a href="{}" title="{}" style="white-space: nowrap">{}</a>', address, value, text)


def address_of(page: str | None, key: Any) -> str | None:
    """Where that row is shown; None where its room is not installed."""
    if page is None:
        return None
    try:
        return reverse(f"admin:{page}_change", args=[key])
    except NoReverseMatch:
        return None


def time_column(field: Any) -> Column:
    """A time to the second: what happened first is what an operator asks."""

    def show(row: Any) -> SafeString | str:
        return to_the_second(getattr(row, field.attname))

    return described(show, field, str(field.verbose_name))


def to_the_second(value: datetime | None) -> SafeString | str:
    """The time in the site's time zone; a narrow column breaks it only between date and hour."""
    if value is None:
        return "-"
    local = timezone.localtime(value)
    return format_html('<span style="white-space: nowrap">{}</span> {}', f"{local:%Y-%m-%d}", f"{local:%H:%M:%S}")


def readable(payload: bytes | memoryview | None) -> SafeString:
    """A payload for a person: indented JSON, or the raw bytes when it is none."""
    raw = bytes(payload or b"")
    try:
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except ValueError:
        text = repr(raw)
    return preformatted(text)


def preformatted(text: str) -> SafeString:
    """Text whose line breaks count; long lines wrap."""
    return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0">{}</pre>', text)


class ReasonForm(forms.Form):
    """Why a person does it."""

    reason = forms.CharField(max_length=400, widget=forms.TextInput(attrs={"size": 80, "autofocus": True}))


def asks_why(
    warning: str, *, form_class: type[ReasonForm] = ReasonForm
) -> Callable[[Work], Callable[[Any, HttpRequest, QuerySet[Any]], TemplateResponse | None]]:
    """An admin action that first shows what was chosen and what will happen, and is given the person's reason.

    A form with more questions than the reason hands all its answers over by name. The confirmed rows are those shown,
    by their keys, so rows that come to match a filter meanwhile are not touched.
    """

    def decorate(work: Work) -> Callable[[Any, HttpRequest, QuerySet[Any]], TemplateResponse | None]:
        @wraps(work)
        def action(page: Any, request: HttpRequest, queryset: QuerySet[Any]) -> TemplateResponse | None:
            form = form_class(request.POST if "confirmed" in request.POST else None)
            if form.is_valid():
                work(page, request, queryset, **form.cleaned_data)
                return None
            rows = list(queryset[: MOST_AT_ONCE + 1])
            if len(rows) > MOST_AT_ONCE:
                page.message_user(
                    request, f"Choose at most {MOST_AT_ONCE} at a time; nothing was done.", messages.ERROR
                )
                return None
            return confirmation(page, request, rows=rows, form=form, action=work.__name__, warning=warning)

        return action

    return decorate


def confirmation(
    page: Any, request: HttpRequest, *, rows: list[Any], form: ReasonForm, action: str, warning: str
) -> TemplateResponse:
    """The page that asks."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": f"{page.get_actions(request)[action][2]}?",
        "warning": warning,
        "rows": rows,
        "form": form,
        "action": action,
        "checkbox": ACTION_CHECKBOX_NAME,
        "media": page.media,
    }
    request.current_app = page.admin_site.name
    return TemplateResponse(request, "eventbus/confirm_action.html", context)


def act_on_each(
    page: Any, request: HttpRequest, rows: QuerySet[Any], work: Callable[[Any], bool], *, done: str, reason: str
) -> None:
    """Do it for each row, keep who did it and why in the row's history, and tell what was and was not done.

    `work` says whether it changed anything; what a rule refuses is told and the rest goes on.
    """
    changed = unchanged = 0
    for row in rows:
        try:
            is_changed = work(row)
        except DomainError as refusal:
            page.message_user(request, f"{row}: {refusal.detail}", messages.ERROR)
            continue
        if not is_changed:
            unchanged += 1
            continue
        changed += 1
        page.log_change(request, row, f"{done}: {reason}" if reason else f"{done}.")
    if changed:
        page.message_user(request, f"{done}: {changed}.", messages.SUCCESS)
    if unchanged:
        page.message_user(request, f"Left as they were, nothing to do: {unchanged}.", messages.WARNING)
