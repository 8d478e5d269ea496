"""Views that show one habit of the API each, and the URLconf that serves them."""

from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import OperationalError
from django.http import Http404
from django.urls import include, path
from rest_framework import generics, serializers
from rest_framework.exceptions import NotFound, Throttled
from rest_framework.parsers import FormParser
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from api.concurrency import require_version, required_version, with_version
from api.idempotency import idempotent
from api.pagination import NewestFirstPagination
from api.permissions import Anyone, Creator, FinanceStaff, Moderator, SignedIn
from api.serializers import AmountField, ClosedSerializer, CurrencyField, MoneyField, PlainTextField
from eventbus.context import current_context
from eventbus.exceptions import DomainError


class TeapotError(DomainError):
    code = "teapot"
    status = 418
    title = "I am a teapot"


FAILURES: dict[str, Any] = {
    "domain": TeapotError("It holds tea"),
    "missing": Http404("Post 7 of somebody else"),
    "not-found": NotFound("Post 7 of somebody else"),
    "forbidden": PermissionDenied("secret"),
    "django-validation": DjangoValidationError({"name": ["Too long."]}),
    "validation": serializers.ValidationError("Broken."),
    "throttled": Throttled(wait=4.2),
    "database": OperationalError("connection lost"),
    "unforeseen": RuntimeError("secret"),
}


class Failing(APIView):
    permission_classes = [Anyone]

    def get(self, request, name):
        raise FAILURES[name]


class Plain(APIView):
    permission_classes = [Anyone]
    throttle_scope = {"PUT": "probe"}

    def get(self, request):
        context = current_context()
        return Response(
            {"correlation": context.correlation_id, "actor": context.actor, "traceparent": context.traceparent}
        )

    def post(self, request):
        return Response({"data": request.data})

    def put(self, request):
        return Response({})


class Form(APIView):
    permission_classes = [Anyone]
    parser_classes = [FormParser]

    def post(self, request):
        return Response({})


class Closed(APIView):
    def get(self, request):
        return Response({"secret": True})


class Inner(ClosedSerializer):
    name = PlainTextField(max_length=5)


class Input(ClosedSerializer):
    id = serializers.UUIDField(read_only=True)
    title = PlainTextField(max_length=5)
    body = PlainTextField(max_length=20, multiline=True, required=False, allow_blank=True)
    price = MoneyField(required=False)
    amount = AmountField(required=False)
    currency = CurrencyField(required=False)
    inner = Inner(required=False)


class Kept(APIView):
    permission_classes = [SignedIn]

    @idempotent
    def post(self, request, name="x"):
        """Makes a group: a row that shows whether the work was done, once or not at all."""
        wanted = request.data.get("name", name)
        group = Group.objects.create(name=wanted)
        if request.data.get("refuse"):
            raise TeapotError
        status = request.data.get("status", 201)
        return Response({"b": group.pk, "a": wanted}, status=status, headers={"ETag": '"1"', "X-Other": "1"})

    @idempotent
    def delete(self, request):
        return Response(status=204)


class Versioned(APIView):
    permission_classes = [SignedIn]

    def patch(self, request):
        require_version(actual=3, expected=required_version(request))
        return with_version(Response({}), 4)


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["display_name"]


class Listing(generics.ListAPIView):
    permission_classes = [Anyone]
    serializer_class = UserSerializer
    queryset = User.objects.all()


class ByNamePagination(NewestFirstPagination):
    ordering = ("display_name", "id")


class ByName(Listing):
    pagination_class = ByNamePagination


class ForCreators(Plain):
    permission_classes = [Creator]


class ForModerators(Plain):
    permission_classes = [Moderator]


class ForFinance(Plain):
    permission_classes = [FinanceStaff]


probes = [
    path("fail/<str:name>", Failing.as_view()),
    path("plain", Plain.as_view()),
    path("form", Form.as_view()),
    path("closed", Closed.as_view()),
    path("kept", Kept.as_view()),
    path("kept/<str:name>", Kept.as_view()),
    path("versioned", Versioned.as_view()),
    path("list", Listing.as_view()),
    path("by-name", ByName.as_view()),
    path("creators-only", ForCreators.as_view()),
    path("moderators-only", ForModerators.as_view()),
    path("finance-only", ForFinance.as_view()),
]
urlpatterns = [path("api/v1/probe/", include(probes)), path("", include("config.urls"))]

handler400 = "api.errors.handler400"
handler403 = "api.errors.handler403"
handler404 = "api.errors.handler404"
handler500 = "api.errors.handler500"
