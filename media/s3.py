"""The store on any S3-compatible service: one private bucket, credentials from boto3's own chain."""

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import IO, Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError
from django.core.files import File

from media.parts import StoredPart

COPY_BUFFER = 8 * 1024 * 1024  # what is read from the service stays in memory up to here, then goes to a temporary file
MISSING = ("404", "NoSuchKey", "NotFound", "NoSuchUpload")
MEGABYTE = 1024 * 1024
# The services take 5 gigabytes at once, and four hours of video may be more. One part after another is held in memory,
# by the caller's own thread: what it reads may ask the database something.
TRANSFER = TransferConfig(multipart_threshold=16 * MEGABYTE, multipart_chunksize=16 * MEGABYTE, use_threads=False)
# A service that hangs may hold up a request for so long, and no longer.
CONFIG = Config(signature_version="s3v4", connect_timeout=5, read_timeout=30, retries={"max_attempts": 3})


class S3Store:
    """What `media.storage` asks of a store, by boto3."""

    least_part_bytes = 5 * MEGABYTE  # the services refuse smaller ones, but for the last

    def __init__(self, *, bucket: str, endpoint: str | None, region: str) -> None:
        self.bucket = bucket
        self.client: Any = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=CONFIG)

    def keep(self, key: str, content: "File[Any]") -> None:
        """Put the bytes under the key, in parts if they are many; the service shows them whole or not at all."""
        content.seek(0)
        self.client.upload_fileobj(content, self.bucket, key, Config=TRANSFER)

    def open(self, key: str) -> IO[bytes]:
        """A seekable copy of the bytes; raises FileNotFoundError."""
        copy: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=COPY_BUFFER)  # noqa: SIM115 - the caller closes it
        try:
            self.client.download_fileobj(self.bucket, key, copy)
        except ClientError as error:
            copy.close()
            raise missing_or(error, key) from error
        copy.seek(0)
        return copy

    def size_of(self, key: str) -> int | None:
        """How many bytes are under the key; None when nothing is."""
        try:
            return int(self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"])
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise

    def move(self, key: str, to: str) -> None:
        """Give the bytes another key, inside the service."""
        try:
            self.client.copy_object(Bucket=self.bucket, Key=to, CopySource={"Bucket": self.bucket, "Key": key})
        except ClientError as error:
            raise missing_or(error, key) from error
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def remove(self, key: str) -> None:
        """Remove what is under the key; nothing there is no error."""
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def remove_folder(self, folder: str) -> None:
        """Remove every object whose key begins with the folder, and the parts of those that were never joined."""
        for upload in self.unfinished(f"{folder}/"):
            self.drop_parts(upload["Key"], upload["UploadId"])
        for entry in self.entries(f"{folder}/"):
            self.remove(entry["Key"])

    def keys_in(self, folder: str) -> set[str]:
        """The keys of what is under the folder."""
        return {entry["Key"] for entry in self.entries(f"{folder}/")}

    def folders_older_than(self, age: timedelta, *, now: datetime) -> Iterator[str]:
        """The folders of files in which the newest object is older than this, in the order of their names."""
        folder, newest = "", now
        for entry in self.entries(""):
            owner = "/".join(entry["Key"].split("/")[:3])
            if owner != folder:
                if folder and newest < now - age:
                    yield folder
                folder, newest = owner, entry["LastModified"]
            newest = max(newest, entry["LastModified"])
        if folder and newest < now - age:
            yield folder

    def entries(self, prefix: str) -> Iterator[Any]:
        """What the bucket holds under the prefix, sorted by key, page by page."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def open_parts(self, key: str) -> str:
        """Begin an object that comes in parts; its upload's id."""
        return str(self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"])

    def address_of_part(self, key: str, upload_id: str, *, number: int, size_bytes: int, ttl: timedelta) -> str:
        """A signed address that takes this part only, with exactly this size."""
        part = {"Key": key, "UploadId": upload_id, "PartNumber": number, "ContentLength": size_bytes}
        return str(
            self.client.generate_presigned_url(
                "upload_part", Params={"Bucket": self.bucket, **part}, ExpiresIn=int(ttl.total_seconds())
            )
        )

    def parts_of(self, key: str, upload_id: str) -> list[StoredPart]:
        """The parts that have come, by number; raises FileNotFoundError when the upload is joined or dropped."""
        pages = self.client.get_paginator("list_parts").paginate(Bucket=self.bucket, Key=key, UploadId=upload_id)
        try:
            return [
                StoredPart(part["PartNumber"], part["Size"], part["ETag"].strip('"'))
                for page in pages
                for part in page.get("Parts", [])
            ]
        except ClientError as error:
            raise missing_or(error, key) from error

    def join_parts(self, key: str, upload_id: str, parts: list[StoredPart]) -> None:
        """Make the object of its parts, inside the service; raises FileNotFoundError when the upload is over."""
        named = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        try:
            self.client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": named}
            )
        except ClientError as error:
            raise missing_or(error, key) from error

    def drop_parts(self, key: str, upload_id: str) -> None:
        """Give the upload up with what has come of it; again is no error."""
        try:
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if code_of(error) not in MISSING:
                raise

    def unfinished_older_than(self, age: timedelta, *, now: datetime) -> Iterator[tuple[str, str]]:
        """The key and id of each upload in parts that began longer ago than this and is not over."""
        for upload in self.unfinished(""):
            if upload["Initiated"] < now - age:
                yield upload["Key"], upload["UploadId"]

    def unfinished(self, prefix: str) -> Iterator[Any]:
        """The uploads in parts under the prefix that are not over, page by page."""
        pages = self.client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            yield from page.get("Uploads", [])

    def form_for(self, key: str, *, size_bytes: int, ttl: timedelta) -> tuple[str, dict[str, str]]:
        """Where a browser posts a file of at most this size, and the signed fields before it."""
        form = self.client.generate_presigned_post(
            self.bucket, key, Conditions=[["content-length-range", 1, size_bytes]], ExpiresIn=int(ttl.total_seconds())
        )
        return str(form["url"]), dict(form["fields"])

    def address_of(self, key: str, *, mime: str, headers: dict[str, str], ttl: timedelta) -> str:
        """A signed address that opens this object only, with a type and headers that its holder cannot change."""
        named = {
            "Bucket": self.bucket,
            "Key": key,
            "ResponseContentType": mime,
            "ResponseContentDisposition": headers["Content-Disposition"],
            "ResponseCacheControl": headers["Cache-Control"],
        }
        return str(self.client.generate_presigned_url("get_object", Params=named, ExpiresIn=int(ttl.total_seconds())))


def code_of(error: ClientError) -> str:
    """The service's own name of what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def missing_or(error: ClientError, key: str) -> Exception:
    """FileNotFoundError when that is what the service means; otherwise its own error."""
    return FileNotFoundError(key) if code_of(error) in MISSING else error
