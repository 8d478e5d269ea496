"""OpenAPI out of the views: problems and the Idempotency-Key are written down once, here."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_bearer_security_scheme_object

from api.errors import PROBLEM
from api.idempotency import HEADER, KEY
from api.money import EXPONENTS

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
ANY_PROBLEM = {
    "description": "A problem; see its `code`.",
    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class ProblemAutoSchema(AutoSchema):
    """Every operation may answer with a problem, and some want an Idempotency-Key."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation, with what all operations share."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
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

    def is_idempotent(self) -> bool:
        """Whether the handler behind this operation is wrapped in @idempotent."""
        name = getattr(self.view, "action", None) or self.method.lower()
        return bool(getattr(getattr(self.view, name, None), "idempotent", False))


def declare_problem(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: FBT001 - drf-spectacular calls it so
    """Put the problem that every operation refers to into the components."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    components.setdefault("responses", {})["Problem"] = ANY_PROBLEM
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
