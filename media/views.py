"""Media over HTTP: owners bring and look after files, signed addresses deliver what was made of them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Any
from uuid import UUID

from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.authentication import user_id_of
from api.idempotency import idempotent_after
from api.permissions import Anyone, Creator, SignedIn
from api.refusals import refuses
from api.signed_urls import SignatureExpiredError, SignatureInvalidError, sign, signed_address, verify
from media import conf, storage
from media import exceptions as rules
from media.delivery import Delivered, file_to_deliver, with_addresses
from media.models.assets import MediaAsset, MediaAssetQuerySet
from media.ranges import FilePart, asked_range, size_of
from media.selectors import announced_bytes, media_of, variant_to_deliver
from media.serializers import (
    AnnouncedOutput,
    IncomingFile,
    MediaOutput,
    SignedUrlOutput,
    UploadAnnouncement,
    UploadCompletion,
    UploadInput,
    UploadOutput,
    UploadTargetOutput,
    VariantQuery,
)
from media.services.direct_uploads import announce_upload, complete_upload, file_to_announce
from media.services.removal import cancel_upload, delete_media
from media.services.upload_addresses import new_target, present_target, receive, receive_part
from media.services.uploads import record_upload, stored_file
from media.tasks import enqueue_removal
from media.uploads import HashingUploadHandler

SHORTEST_LIFETIME = timedelta(seconds=1)  # a bucket counts in whole seconds and signs no address for none
SIGNED = [
    OpenApiParameter(name, OpenApiTypes.STR, required=True, description="As it stands in the signed address.")
    for name in ("viewer", "expires", "signature")
]


def posted_file(request: Request) -> AbstractContextManager[MediaAsset]:
    """The file in the request, put into the store."""
    form = UploadInput(data=request.data)
    form.is_valid(raise_exception=True)
    file = form.validated_data["file"]
    return stored_file(
        owner_id=user_id_of(request),
        kind=form.validated_data["kind"],
        file=file,
        sha256=file.sha256,
        filename=file.name,
        declared_mime=file.content_type or "",
    )


def announced_file(request: Request) -> AbstractContextManager[MediaAsset]:
    """The file that the request announces, for which the store is ready."""
    announced = UploadAnnouncement(data=request.data)
    announced.is_valid(raise_exception=True)
    return file_to_announce(
        owner_id=user_id_of(request),
        kind=announced.validated_data["kind"],
        filename=announced.validated_data["filename"],
        declared_mime=announced.validated_data["mime"],
        size_bytes=announced.validated_data["size"],
        sha256=announced.validated_data.get("sha256"),
    )


@contextmanager
def completed_file(request: Request, media_id: UUID) -> Iterator[MediaAsset]:
    """The brought file, checked and taken in for good: whoever dies before the answer is kept finds it so again."""
    completion = UploadCompletion(data=request.data)
    completion.is_valid(raise_exception=True)
    asset = get_object_or_404(media_of(user_id_of(request)), pk=media_id)
    yield complete_upload(media_id=asset.pk, parts=completion.validated_data.get("parts"))


@extend_schema_view(get=extend_schema(summary="My files, newest first"))
class MediaListView(ListAPIView[MediaAsset]):
    """The caller's files, and the way to add one."""

    serializer_class = MediaOutput
    parser_classes = [MultiPartParser]
    throttle_scope = {"POST": "uploads"}

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Nothing may read the body before the handler that measures it is in place."""
        request.upload_handlers = [HashingUploadHandler(request, most=conf.max_form_bytes())]
        return super().initialize_request(request, *args, **kwargs)

    def get_permissions(self) -> list[Any]:
        """Anybody has a list; only creators bring files."""
        return [Creator()] if self.request.method == "POST" else [SignedIn()]

    def get_queryset(self) -> MediaAssetQuerySet:
        """The caller's own."""
        return media_of(user_id_of(self.request))

    @extend_schema(request={"multipart/form-data": UploadInput}, responses={202: UploadOutput})
    @idempotent_after(posted_file)
    @refuses(rules.QuotaExceededError, rules.FileTooLargeError, rules.TypeNotAllowedError, rules.EmptyFileError)
    def post(self, request: Request, asset: MediaAsset) -> Response:
        """Upload a small file; it is processed behind the scenes, so ask for its status. Announce a larger one."""
        return Response(UploadOutput(record_upload(asset=asset)).data, status=status.HTTP_202_ACCEPTED)


class UploadListView(APIView):
    """Files on their way straight to the store."""

    permission_classes = [Creator]
    throttle_scope = "uploads"

    @extend_schema(request=UploadAnnouncement, responses={201: AnnouncedOutput})
    @idempotent_after(announced_file)
    @refuses(rules.QuotaExceededError, rules.FileTooLargeError, rules.TypeNotAllowedError, rules.EmptyFileError)
    def post(self, request: Request, asset: MediaAsset) -> Response:
        """Announce a file; the answer says how to bring it, a large one in parts. Complete the upload afterwards."""
        announce_upload(asset=asset)
        answer = AnnouncedOutput({"id": asset.pk, "status": asset.status, "upload": new_target(asset=asset)})
        return Response(answer.data, status=status.HTTP_201_CREATED)


class IncomingFileView(APIView):
    """Where forms are posted when there is no bucket; the signed policy is the permission, as it is there."""

    authentication_classes = []
    permission_classes = [Anyone]
    parser_classes = [MultiPartParser]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Nothing may read the body before the handler that measures it is in place: nothing is taken unannounced."""
        most = announced_bytes(media_id=kwargs["media_id"])
        request.upload_handlers = [HashingUploadHandler(request, most=most)]
        return super().dispatch(request, *args, **kwargs)

    @extend_schema(request={"multipart/form-data": IncomingFile}, responses={204: None}, auth=[])
    @refuses(rules.UploadRefusedError, rules.AlreadyUploadedError, rules.UploadExpiredError, rules.FileTooLargeError)
    def post(self, request: Request, media_id: UUID) -> Response:
        """Bring an announced file."""
        form = IncomingFile(data=request.data)
        form.is_valid(raise_exception=True)
        receive(media_id=media_id, policy=form.validated_data["policy"], file=form.validated_data["file"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class IncomingPartView(APIView):
    """Where parts are put when there is no bucket; the signed policy is the permission, as it is there."""

    authentication_classes = []
    permission_classes = [Anyone]

    @extend_schema(
        parameters=[OpenApiParameter("policy", OpenApiTypes.STR, required=True, description="As it was issued.")],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: OpenApiResponse(description="The part is kept; `ETag` names it.")},
        auth=[],
    )
    @refuses(rules.UploadRefusedError, rules.AlreadyUploadedError, rules.SizeMismatchError, rules.UploadExpiredError)
    def put(self, request: Request, media_id: UUID, number: int) -> Response:
        """Bring one part of an announced file; again replaces it."""
        policy = request.query_params.get("policy", "")
        etag = receive_part(media_id=media_id, number=number, policy=policy, stream=request)
        return Response(headers={"ETag": f'"{etag}"'})


class UploadCompletionView(APIView):
    """The end of an upload."""

    permission_classes = [SignedIn]

    @extend_schema(request=UploadCompletion, responses={202: UploadOutput})
    @idempotent_after(completed_file)
    @refuses(
        rules.NotUploadedError,
        rules.SizeMismatchError,
        rules.ChecksumMismatchError,
        rules.PartsMissingError,
        rules.PartMismatchError,
        rules.UploadBusyError,
        rules.UploadExpiredError,
        rules.TypeNotAllowedError,
    )
    def post(self, request: Request, asset: MediaAsset) -> Response:
        """Have the brought file checked and processed; under another key it answers with where the file stands."""
        return Response(UploadOutput(asset).data, status=status.HTTP_202_ACCEPTED)


class UploadView(APIView):
    """An upload on its way."""

    permission_classes = [SignedIn]

    @extend_schema(responses={200: UploadTargetOutput})
    @refuses(rules.AlreadyUploadedError, rules.UploadExpiredError)
    def get(self, request: Request, media_id: UUID) -> Response:
        """What has come of an announced file, with fresh addresses for the rest of it."""
        asset = get_object_or_404(media_of(user_id_of(request)), pk=media_id)
        answer = UploadTargetOutput(present_target(asset=asset))
        return Response(answer.data, headers={"Cache-Control": "private, no-store"})

    @extend_schema(responses={204: None})
    @refuses(rules.AlreadyUploadedError)
    def delete(self, request: Request, media_id: UUID) -> Response:
        """Give an announced file up; what has come of it is removed."""
        asset = get_object_or_404(media_of(user_id_of(request)), pk=media_id)
        cancel_upload(media_id=asset.pk)
        enqueue_removal(asset.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MediaView(APIView):
    """One of the caller's files."""

    permission_classes = [SignedIn]

    @extend_schema(responses={200: MediaOutput})
    def get(self, request: Request, media_id: UUID) -> Response:
        """Where the file stands and what can be shown of it."""
        return Response(MediaOutput(get_object_or_404(media_of(user_id_of(request)), pk=media_id)).data)

    @extend_schema(responses={202: None})
    @refuses(rules.MediaInUseError)
    def delete(self, request: Request, media_id: UUID) -> Response:
        """Delete a file that no post uses."""
        asset = get_object_or_404(media_of(user_id_of(request)), pk=media_id)
        delete_media(media_id=asset.pk)
        enqueue_removal(asset.pk)
        return Response(status=status.HTTP_202_ACCEPTED)


class MediaUrlView(APIView):
    """The owner's look at a variant, in a post or not."""

    permission_classes = [SignedIn]
    throttle_scope = "signed_urls"

    @extend_schema(parameters=[VariantQuery], responses={200: SignedUrlOutput})
    @refuses(rules.MediaNotReadyError)
    def get(self, request: Request, media_id: UUID) -> Response:
        """A short-lived address of one variant."""
        query = VariantQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        name = query.validated_data["variant"]
        asset = get_object_or_404(media_of(user_id_of(request)), pk=media_id)
        if variant_to_deliver(media_id=asset.pk, name=name) is None:
            raise rules.MediaNotReadyError
        signed = sign(media_id=asset.pk, variant=name, viewer_id=user_id_of(request), ttl=conf.url_lifetime())
        return Response(SignedUrlOutput(signed).data, headers={"Cache-Control": "private, no-store"})


def whole_or_part(request: Request, stream: IO[bytes], found: Delivered) -> HttpResponseBase:
    """The file, or the range of it that is asked for; players seek by ranges, and some play by nothing else."""
    size = size_of(stream)
    headers = {**found.headers, "Accept-Ranges": "bytes"}
    try:
        part = asked_range(request, size=size)
    except rules.RangeNotSatisfiableError:
        stream.close()
        raise
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    file = FilePart(stream, part or range(size))
    headers["Content-Length"] = str(len(file.part))
    code = status.HTTP_200_OK if part is None else status.HTTP_206_PARTIAL_CONTENT
    return StreamingHttpResponse(file, status=code, content_type=found.mime, headers=headers)


class MediaFileView(APIView):
    """The bytes of a variant for whoever holds a signed address; originals have none."""

    authentication_classes = []  # the signature is the permission, and an <img> sends no token
    permission_classes = [Anyone]

    @extend_schema(
        parameters=SIGNED,
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
        },
        auth=[],
    )
    @refuses(SignatureInvalidError, SignatureExpiredError, rules.RangeNotSatisfiableError)
    def get(self, request: Request, media_id: UUID, variant: str) -> HttpResponseBase:
        """Deliver one variant or a range of it, or send its reader on to the bucket while this address works."""
        asked = {name: request.query_params.get(name, "") for name in ("viewer", "expires")}
        signature = request.query_params.get("signature", "")
        verify(media_id=media_id, variant=variant, **asked, signature=signature)
        found = file_to_deliver(media_id=media_id, name=variant)
        if found is None:
            raise Http404
        bucket = storage.bucket()
        if bucket is not None and not found.is_playlist:
            left = max(datetime.fromtimestamp(int(asked["expires"]), UTC) - timezone.now(), SHORTEST_LIFETIME)
            address = bucket.address_of(found.storage_key, mime=found.mime, headers=found.headers, ttl=left)
            return HttpResponseRedirect(address, headers=found.headers)
        try:
            stream = storage.open_stored(found.storage_key)
        except FileNotFoundError as error:  # deleted between the two lines above
            raise Http404 from error
        if not found.is_playlist:
            return whole_or_part(request, stream, found)
        with stream:
            text = stream.read().decode()
        addressed = with_addresses(text, lambda part: signed_address(media_id=media_id, variant=part, **asked))
        return HttpResponse(addressed, content_type=found.mime, headers=found.headers)
