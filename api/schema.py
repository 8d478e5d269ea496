"""OpenAPI out of the views: an example of every problem, and the Idempotency-Key, once for all of them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object

from api.idempotency import HEADER, KEY
from api.money import EXPONENTS
from api.refusals import EVERYWHERE, KEY_REFUSALS, Refusal, by_status, of_access, of_input, response
from api.throttling import ScopedThrottle

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and for programs; `trace_id` is what to quote when asking for help.",
    "required": ["type", "title", "status", "code", "detail", "trace_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": True, "description": "By field, with validation_error."},
        "trace_id": {"type": "string"},
    },
}
ANY_PROBLEM = response(map(Refusal.of, EVERYWHERE), description="A problem; see its `code`.")


class ProblemAutoSchema(AutoSchema):
    """Every operation may answer with a problem, and some want an Idempotency-Key."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation, with what all operations share."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        operation["responses"].update(by_status(self.refusals(operation)))
        operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
        if self.is_idempotent():
            operation.setdefault("parameters", []).append(
                {
                    "name": HEADER,
                    "in": "header",
                    "required": True,
                    "description": "The same key again is answered with the first answer, for 72 hours.",
                    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
                }
            )
        return operation

    def get_tags(self) -> list[str]:
        """The room that answers."""
        return [type(self.view).__module__.partition(".")[0]]

    def get_summary(self) -> str | None:
        """Written beside the view, or else the beginning of its docstring's first sentence."""
        written: str | None = super().get_summary()
        first = self.get_description().partition("\n")[0]
        return written or first.partition("; ")[0].removesuffix(".") or None

    def refusals(self, operation: dict[str, Any]) -> list[Refusal]:
        """What the operation may be refused for: by HTTP for what it asks, by the room's rules as its view says."""
        return [
            *of_input(operation),
            *of_access(self.view, self.method),
            *([Refusal.of(HTTPStatus.NOT_FOUND)] if "{" in self.path else []),
            *(map(Refusal.of, KEY_REFUSALS) if self.is_idempotent() else []),
            *([Refusal.of(HTTPStatus.TOO_MANY_REQUESTS)] if self.is_throttled() else []),
            *map(Refusal.of, getattr(self.handler(), "refuses", ())),
        ]

    def is_throttled(self) -> bool:
        """Whether there is a rate for this action or method, as ScopedThrottle looks for it, or another throttle."""
        scope = getattr(self.view, "throttle_scope", None)
        if isinstance(scope, Mapping):
            scope = scope.get(getattr(self.view, "action", None) or "") or scope.get(self.method)
        return scope is not None or any(type(each) is not ScopedThrottle for each in self.view.get_throttles())

    def is_idempotent(self) -> bool:
        """Whether the handler behind this operation is wrapped in @idempotent."""
        return bool(getattr(self.handler(), "idempotent", False))

    def handler(self) -> Any:
        """The view's method that answers, if it is one of its own."""
        return getattr(self.view, getattr(self.view, "action", None) or self.method.lower(), None)


def declare_problem(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: FBT001 - drf-spectacular calls it so
    """Put the problem that every operation refers to into the components."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components.setdefault("responses", {})["Problem"] = ANY_PROBLEM
    return result


def let_shapes_overlap(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: FBT001 - drf-spectacular calls it so
    """Say `anyOf` of alternative shapes: one that tells more fits those that tell less, and `oneOf` would refuse it."""
    for schema in result["components"]["schemas"].values():
        if "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")
    return result


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's registry
    """How a bearer token is sent."""

    target_class = "api.authentication.TokenAuthentication"
    name = "bearerAuth"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """A JWT in Authorization."""
        definition: dict[str, Any] = build_bearer_security_scheme_object(
            header_name="Authorization",
            token_prefix="Bearer",  # noqa: S106 - the scheme's name
            bearer_format="JWT",
        )
        return definition


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's registry
    """How the admin's cookie is sent."""

    target_class = "api.authentication.SessionAuthentication"
    name = "cookieAuth"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Django's session cookie."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class MoneySchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # drf-spectacular's registry
    """How money is written."""

    target_class = "api.serializers.MoneyField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """An object of amount and currency."""
        return {
            "type": "object",
            "required": ["amount", "currency"],
            "properties": {
                "amount": {"type": "integer", "minimum": 0, "description": "In minor units, such as cents."},
                "currency": {"type": "string", "enum": list(EXPONENTS)},
            },
            "example": {"amount": 1299, "currency": "USD"},
        }
