"""Either store keeps a file whole or not at all, however large it is."""

import io
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from django.core.files.base import ContentFile, File

from media import s3, storage
from tests.media.test_direct_uploads import stored

KEY = "2026/05/a-file/variants/mp4_1080"
PART = 5 * s3.MEGABYTE


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """As little as the services take in one part, so that a file of several is soon made."""
    parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
    monkeypatch.setattr(s3, "TRANSFER", parts)


class Broken(io.BytesIO):
    """A file whose second part cannot be read."""

    def read(self, size=-1):
        if self.tell() >= PART:
            raise OSError("the disk is gone")
        return super().read(size)


def test_a_file_of_many_parts_comes_whole(store):
    content = bytes(range(256)) * (11 * s3.MEGABYTE // 256)

    storage.store(KEY, ContentFile(content))

    assert stored(KEY) == content
    bucket = storage.bucket()
    if bucket is not None:
        tag = bucket.client.head_object(Bucket=bucket.bucket, Key=KEY)["ETag"]
        assert tag.strip('"').endswith("-3")


def test_a_file_that_breaks_off_leaves_nothing(store, keys):
    with pytest.raises(OSError, match="the disk is gone"):
        storage.store(KEY, File(Broken(bytes(2 * PART)), name="clip"))

    assert keys() == []
    bucket = storage.bucket()
    assert bucket is None or list(bucket.unfinished("")) == []


def test_what_is_stored_again_takes_the_place_of_what_was(store, keys):
    for content in (b"the first", bytes(PART + 1), b"the last"):
        storage.store(KEY, content)

        assert stored(KEY) == content
        assert keys() == [KEY]


def test_a_part_that_comes_while_the_parts_are_joined_is_left_out_and_leaves_nothing(stored_files, monkeypatch):
    upload_id = storage.open_parts(KEY)
    storage.private_storage.keep_part(KEY, upload_id, 1, ContentFile(b"one"))
    parts = storage.parts_of(KEY, upload_id)
    folder = Path(storage.private_storage.path(storage.parts_folder(KEY, upload_id)))
    make_folder = storage.make_folder

    def late(path):
        folder.replace(folder.with_name(folder.name + storage.CLOSED))  # as the request does that joins them
        monkeypatch.setattr(storage, "make_folder", make_folder)
        make_folder(path)

    monkeypatch.setattr(storage, "make_folder", late)
    storage.private_storage.keep_part(KEY, upload_id, 1, ContentFile(b"another one"))

    storage.join_parts(KEY, upload_id, parts)

    assert stored(KEY) == b"one"
    assert stored_files() == [KEY]
    assert not folder.parent.exists()
