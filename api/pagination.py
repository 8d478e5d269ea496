"""Lists by keyset: a page starts where the last one ended, whatever was inserted meanwhile."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from django.contrib.postgres.expressions import ArraySubquery
from django.core import signing
from django.core.exceptions import FieldDoesNotExist
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field, Func, Model, Q
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from api.exceptions import InvalidCursorError

NEXT, PREVIOUS = "n", "p"


class Head(Protocol):
    """The first rows of a queryset behind the page's beginning, in its order: unless said, a page of them and one."""

    def __call__(self, queryset: Any, most: int | None = None) -> Any:
        """Those rows."""


Finder = Callable[[Head], Any]  # a query for the ids of all that may stand on the page, by the heads of smaller lists


class NewestFirstPagination(BasePagination):
    """Newest first, id breaking ties; subclass with another `ordering` of columns that never change or are null.

    The last column of `ordering` must be unique, or rows that tie across a page's edge would be lost.
    """

    ordering: tuple[str, ...] = ("-created_at", "-id")
    page_size = 20
    max_page_size = 100
    cursor_param = "cursor"
    size_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The page that the cursor asks for; one row more is read to know whether another page follows."""
        return self.page_of(request, queryset.model, lambda head: head(queryset))

    def paginate_found(self, whole: Any, request: Request, first: Finder, *others: Finder) -> list[Any]:
        """The same of a list that no index holds in order, by the heads of those that it is made of.

        Each of them is read in order by an index of its own; all that a condition over several finds would be sorted.
        Of several finders the first that fills the page is enough: each finds the nearest of what the next one finds.
        """

        def found_by(finder: Finder) -> Callable[[Head], Any]:
            return lambda head: head(whole.filter(pk__in=finder(head)))

        return self.page_of(request, whole.model, *[found_by(finder) for finder in (first, *others)])

    def page_of(self, request: Request, model: type[Model], *attempts: Callable[[Head], Any]) -> list[Any]:
        """The rows of a page, in its order, by the first attempt that fills it or by the last."""
        self.request = request
        size = self.size_of(request)
        direction, position = self.position_of(request, model)
        ordering = self.ordering if direction == NEXT else tuple(flipped(name) for name in self.ordering)
        behind = Q() if position is None else after(ordering, position)

        def head(queryset: Any, most: int | None = None) -> Any:
            return queryset.filter(behind).order_by(*ordering)[: most or size + 1]

        page: list[Any] = []
        for rows in attempts:
            page = list(rows(head))
            if len(page) > size:
                break
        more = len(page) > size
        page = page[:size]
        if direction == PREVIOUS:
            page.reverse()
        self.page = page
        self.has_next = more if direction == NEXT else True
        self.has_previous = more if direction == PREVIOUS else position is not None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """The page with the addresses of its neighbours; there is no count, for counting reads every row."""
        return Response({"next": self.next_link(), "previous": self.previous_link(), "results": data})

    def next_link(self) -> str | None:
        """The address of the page after this one."""
        if not self.has_next:
            return None
        return self.link(NEXT, self.page[-1]) if self.page else self.first_link()

    def previous_link(self) -> str | None:
        """The address of the page before this one."""
        if not self.has_previous:
            return None
        return self.link(PREVIOUS, self.page[0]) if self.page else self.first_link()

    def link(self, direction: str, row: Model) -> str:
        """The address of the page beside this row."""
        position = [written(getattr(row, name.lstrip("-"))) for name in self.ordering]
        cursor = self.signer().sign_object([direction, position])
        return replace_query_param(self.request.build_absolute_uri(), self.cursor_param, cursor)

    def first_link(self) -> str:
        """The address of the list's beginning."""
        return remove_query_param(self.request.build_absolute_uri(), self.cursor_param)

    def size_of(self, request: Request) -> int:
        """How many rows the client wants, at most max_page_size."""
        wanted = request.query_params.get(self.size_param)
        if wanted is None:
            return self.page_size
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 20 and int(wanted) > 0):  # noqa: PLR2004 - any number a client may write
            raise ValidationError({self.size_param: ["A positive whole number is required."]})
        return min(int(wanted), self.max_page_size)

    def position_of(self, request: Request, model: type[Model]) -> tuple[str, list[Any] | None]:
        """Where the page starts: a direction and the values of the row beside it."""
        cursor = request.query_params.get(self.cursor_param)
        if cursor is None:
            return NEXT, None
        try:
            direction, written_position = self.signer().unsign_object(cursor)
            return direction, [
                value_of(model, name.lstrip("-"), value)
                for name, value in zip(self.ordering, written_position, strict=True)
            ]
        except (signing.BadSignature, ValueError, DjangoValidationError) as error:
            raise InvalidCursorError from error

    def signer(self) -> signing.Signer:
        """A cursor of one ordering says nothing in a list of another."""
        return signing.Signer(salt=f"api.pagination:{','.join(self.ordering)}")

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """OpenAPI's description of a page."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """OpenAPI's description of the query."""
        return [
            {
                "name": self.cursor_param,
                "in": "query",
                "required": False,
                "description": "From `next` or `previous`; opaque.",
                "schema": {"type": "string"},
            },
            {
                "name": self.size_param,
                "in": "query",
                "required": False,
                "description": f"Rows in a page; {self.page_size} unless said, at most {self.max_page_size}.",
                "schema": {"type": "integer", "minimum": 1, "default": self.page_size},
            },
        ]


def page_found(view: Any, whole: Any, first: Finder, *others: Finder) -> list[Any]:
    """`paginate_found` for a generic view, whose own `paginate_queryset` knows whole querysets only."""
    return cast("NewestFirstPagination", view.paginator).paginate_found(whole, view.request, first, *others)


def in_parts(*parts: Any) -> Finder:
    """Finds what stands in any of these querysets."""

    def find(head: Head) -> Any:
        first, *others = [head(part).values("pk") for part in parts]
        return first.union(*others, all=True)

    return find


def in_groups(groups: Any, rows: Any) -> Finder:
    """Finds what stands in `rows` of any of the groups; it names its group's column as OuterRef."""

    def find(head: Head) -> Any:
        of_group = Func(ArraySubquery(head(rows).values("pk")), function="unnest")
        return groups.values(of_group=of_group)

    return find


def after(ordering: tuple[str, ...], position: list[Any]) -> Q:
    """The rows behind the position: equal in the first columns and beyond in the next.

    The plain bound on the first column says nothing new; it lets PostgreSQL enter the index there.
    """
    first, bound = ordering[0], position[0]
    behind = Q()
    equal = Q()
    for name, value in zip(ordering, position, strict=True):
        column, beyond = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        behind |= equal & Q(**{f"{column}__{beyond}": value})
        equal &= Q(**{column: value})
    return Q(**{f"{first.lstrip('-')}__{'lte' if first.startswith('-') else 'gte'}": bound}) & behind


def flipped(name: str) -> str:
    """The same column the other way round."""
    return name[1:] if name.startswith("-") else f"-{name}"


def written(value: Any) -> Any:
    """A column's value as JSON, to the last microsecond."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, int | str) else str(value)


def value_of(model: type[Model], column: str, value: Any) -> Any:
    """The column's value again."""
    try:
        field = model._meta.get_field(column)
    except FieldDoesNotExist:  # an annotation: the database compares it as written
        return value
    return field.to_python(value) if isinstance(field, Field) else value
