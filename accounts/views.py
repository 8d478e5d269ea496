"""Registration, log-in and log-out, oneself, and creators as anyone sees them."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.contrib.auth import authenticate, login, logout, update_session_auth_hash
from django.http import Http404
from django.middleware.csrf import get_token
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import exceptions as rules
from accounts import selectors, services, tokens
from accounts.models import Block, CreatorProfile, User
from accounts.serializers import (
    BlockOutput,
    CreatorOutput,
    CreatorProfileInput,
    CredentialsInput,
    MeOutput,
    OwnProfileOutput,
    PasswordInput,
    RefreshInput,
    RegisterInput,
    TokenPairOutput,
    UserInput,
)
from accounts.throttling import LoginThrottle
from api.authentication import user_id_of
from api.exceptions import AccountSuspendedError, CurrencyNotSupportedError
from api.permissions import Anyone, Creator, SignedIn
from api.refusals import refuses
from api.serializers import accepted

NO_CONTENT = OpenApiResponse(description="Done.")


def signed_in(request: Request) -> User:
    """Whoever these credentials belong to; a suspended account is told so only after the right password."""
    values = accepted(CredentialsInput, request.data)
    user = authenticate(request._request, username=values["email"], password=values["password"])
    if not isinstance(user, User):
        raise rules.InvalidCredentialsError
    if user.is_suspended:
        raise AccountSuspendedError
    return user


class RegisterView(APIView):
    """New accounts."""

    permission_classes = [Anyone]
    authentication_classes = []
    throttle_scope = "register"

    @extend_schema(request=RegisterInput, responses={201: MeOutput})
    @refuses(rules.EmailTakenError)
    def post(self, request: Request) -> Response:
        """Make an account."""
        user = services.register(**accepted(RegisterInput, request.data))
        return Response(MeOutput(user).data, status=status.HTTP_201_CREATED)


class TokenView(APIView):
    """Log-in for programs and apps."""

    permission_classes = [Anyone]
    authentication_classes = []
    throttle_classes = [LoginThrottle]

    @extend_schema(request=CredentialsInput, responses={200: TokenPairOutput})
    @refuses(rules.InvalidCredentialsError, AccountSuspendedError)
    def post(self, request: Request) -> Response:
        """Exchange e-mail address and password for a pair of tokens."""
        return Response(tokens.sign_in(signed_in(request)))


class TokenRefreshView(APIView):
    """Renewal of a pair of tokens."""

    permission_classes = [Anyone]
    authentication_classes = []
    throttle_scope = "tokens"

    @extend_schema(request=RefreshInput, responses={200: TokenPairOutput})
    @refuses(HTTPStatus.UNAUTHORIZED, AccountSuspendedError)
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for a new pair; the old one ends."""
        return Response(tokens.renew(accepted(RefreshInput, request.data)["refresh"]))


class TokenBlacklistView(APIView):
    """Log-out for programs and apps."""

    permission_classes = [Anyone]
    authentication_classes = []
    throttle_scope = "tokens"

    @extend_schema(request=RefreshInput, responses={204: NO_CONTENT})
    def post(self, request: Request) -> Response:
        """End a refresh token."""
        tokens.end(accepted(RefreshInput, request.data)["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


@method_decorator(csrf_protect, name="dispatch")
class SessionView(APIView):
    """Log-in and log-out by cookie, for pages served from our own origin."""

    # AllowAny, not Anyone: a suspended user may still leave.
    permission_classes = [AllowAny]
    throttle_classes = [LoginThrottle]

    def get_throttles(self) -> list[Any]:
        """Only trying a password is counted."""
        return super().get_throttles() if self.request.method == "POST" else []

    @method_decorator(never_cache)
    @extend_schema(responses={204: NO_CONTENT})
    def get(self, request: Request) -> Response:
        """Hand out the CSRF cookie that the log-in needs."""
        get_token(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=CredentialsInput, responses={200: MeOutput})
    @refuses(rules.InvalidCredentialsError, AccountSuspendedError)
    def post(self, request: Request) -> Response:
        """Start a session."""
        user = signed_in(request)
        login(request._request, user)
        return Response(MeOutput(user).data)

    @extend_schema(responses={204: NO_CONTENT})
    def delete(self, request: Request) -> Response:
        """End the session, if there is one."""
        logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """Oneself."""

    permission_classes = [SignedIn]

    @extend_schema(responses=MeOutput)
    def get(self, request: Request) -> Response:
        """Who I am."""
        return Response(MeOutput(selectors.user(user_id_of(request))).data)

    @extend_schema(request=UserInput, responses=MeOutput)
    def patch(self, request: Request) -> Response:
        """Change my name."""
        changes = accepted(UserInput, request.data, partial=True)
        return Response(MeOutput(services.update_user(user_id=user_id_of(request), changes=changes)).data)


class PasswordView(APIView):
    """One's own password."""

    permission_classes = [SignedIn]
    throttle_scope = "account"

    @extend_schema(request=PasswordInput, responses={204: NO_CONTENT})
    @refuses(rules.WrongPasswordError)
    def put(self, request: Request) -> Response:
        """Change my password; every token and every other session ends."""
        user = services.change_password(user_id=user_id_of(request), **accepted(PasswordInput, request.data))
        update_session_auth_hash(request._request, user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MyCreatorProfileView(APIView):
    """Becoming and being a creator."""

    throttle_scope = {"POST": "account", "PATCH": "account"}

    def get_permissions(self) -> list[Any]:
        """Anyone signed in may become a creator; only a creator has a profile to change."""
        return [Creator()] if self.request.method == "PATCH" else [SignedIn()]

    @extend_schema(request=CreatorProfileInput, responses={201: OwnProfileOutput})
    @refuses(rules.AlreadyCreatorError, rules.HandleTakenError, CurrencyNotSupportedError)
    def post(self, request: Request) -> Response:
        """Become a creator."""
        profile = services.become_creator(user_id=user_id_of(request), **accepted(CreatorProfileInput, request.data))
        return Response(OwnProfileOutput(profile).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=CreatorProfileInput, responses=OwnProfileOutput)
    @refuses(rules.NotCreatorError, rules.HandleTakenError, CurrencyNotSupportedError)
    def patch(self, request: Request) -> Response:
        """Change my creator profile."""
        changes = accepted(CreatorProfileInput, request.data, partial=True)
        return Response(
            OwnProfileOutput(services.update_creator_profile(user_id=user_id_of(request), changes=changes)).data
        )


class BlocksView(generics.ListAPIView[Block]):
    """Whom I block."""

    permission_classes = [SignedIn]
    serializer_class = BlockOutput

    def get_queryset(self) -> Any:
        """My own blocks."""
        if getattr(self, "swagger_fake_view", False):
            return Block.objects.none()
        return selectors.blocks_of(user_id_of(self.request))

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Whom I block, newest first; nobody is told who blocks them."""
        return super().get(request, *args, **kwargs)


class BlockView(APIView):
    """My block of one user."""

    permission_classes = [SignedIn]
    throttle_scope = "blocks"

    @extend_schema(request=None, responses=BlockOutput)
    @refuses(rules.SelfBlockError, rules.UserNotFoundError)
    def put(self, request: Request, user_id: UUID) -> Response:
        """Block a user; a second time changes nothing."""
        return Response(BlockOutput(services.block_user(blocker_id=user_id_of(request), blocked_id=user_id)).data)

    @extend_schema(responses={204: NO_CONTENT})
    def delete(self, request: Request, user_id: UUID) -> Response:
        """Take my block back; without one nothing changes."""
        services.unblock_user(blocker_id=user_id_of(request), blocked_id=user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class CreatorView(APIView):
    """A creator as anyone sees them."""

    permission_classes = [Anyone]

    @extend_schema(responses=CreatorOutput)
    def get(self, request: Request, handle_or_id: str) -> Response:
        """The public profile, by handle or by id."""
        try:
            profile = selectors.creator_profile(handle_or_id)
        except CreatorProfile.DoesNotExist as error:
            raise Http404 from error
        return Response(CreatorOutput(profile).data)
