"""A multipart body on its way to disk: measured and hashed as it passes, never held in memory, cut off at the limit."""

import hashlib
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.http import HttpRequest

from media.exceptions import FileTooLargeError

FORM_OVERHEAD = 64 * 1024  # boundaries, headers and the small fields around the file


class HashedUpload(TemporaryUploadedFile):
    """An uploaded file that knows its digest.

    As text it is its name and digest, so that whoever compares two requests by their text tells two files apart.
    """

    sha256 = ""

    def __str__(self) -> str:
        return f"{self.name} sha256:{self.sha256}"


class HashingUploadHandler(TemporaryFileUploadHandler):
    """Writes each file to a temporary one; raises FileTooLargeError as soon as one has more than `most` bytes."""

    def __init__(self, request: HttpRequest, *, most: int) -> None:
        super().__init__(request)
        self.most = most

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any) -> None:  # noqa: N803 - Django's signature
        """Refuse what announces itself as too large before the first byte is read."""
        if content_length > self.most + FORM_OVERHEAD:
            raise FileTooLargeError(f"This form takes {self.most} bytes")

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Start a file."""
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file: HashedUpload = HashedUpload(
            self.file_name or "", self.content_type, 0, self.charset, self.content_type_extra
        )
        self.digest = hashlib.sha256()
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Take one chunk."""
        self.received += len(raw_data)
        if self.received > self.most:
            self.file.close()
            raise FileTooLargeError(f"This form takes {self.most} bytes")
        self.digest.update(raw_data)
        self.file.write(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[Any] | None":
        """Finish a file."""
        self.file.sha256 = self.digest.hexdigest()
        return super().file_complete(file_size)
