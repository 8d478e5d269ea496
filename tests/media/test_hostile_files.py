"""Files that mean harm: each gets its answer, in time and in memory, and leaves nothing of itself behind."""

import resource
import time
from pathlib import Path

import pytest

from media import storage
from media.models.assets import MediaAsset
from tests.media.clip_files import mp4
from tests.media.factories import MARK, jpeg, process, upload
from tests.media.hostile_files import CORPUS, READY

pytestmark = pytest.mark.django_db

SECONDS = 60  # the most that any of them may take on a machine that does other things too
MEGABYTES = 1024


def waiting(content: bytes, kind: str) -> MediaAsset:
    """A file that a worker will find, whatever an upload's first look would say of it."""
    asset = upload(jpeg() if kind == "image" else mp4(), kind="image" if kind == "image" else "video")
    MediaAsset.objects.filter(pk=asset.pk).update(
        kind=kind, status=MediaAsset.Status.SCANNING, next_attempt_at=asset.created_at
    )
    storage.store(asset.storage_key, content)
    return asset


def variants_of(asset: MediaAsset) -> list[bytes]:
    """Every byte that could be served of a file."""
    folder = f"{asset.folder}/variants"
    try:
        _, names = storage.private_storage.listdir(folder)
    except FileNotFoundError:
        return []
    return [Path(storage.private_storage.path(f"{folder}/{name}")).read_bytes() for name in names]


@pytest.mark.parametrize("hostile", CORPUS, ids=str)
def test_a_hostile_file_gets_its_answer_and_leaves_nothing_behind(hostile, django_capture_on_commit_callbacks):
    asset = waiting(hostile.make(), hostile.kind)
    started = time.monotonic()

    with django_capture_on_commit_callbacks(execute=True):
        process(media_id=asset.pk)

    asset.refresh_from_db()
    served = variants_of(asset)
    assert (asset.failure_code or asset.status) == hostile.answer
    assert asset.status == (MediaAsset.Status.READY if hostile.answer == READY else MediaAsset.Status.REJECTED)
    assert bool(served) is (hostile.answer == READY)
    assert [content for content in served if MARK in content or b"<script" in content or b"root:" in content] == []
    assert time.monotonic() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MEGABYTES * 1024


def test_the_corpus_is_as_large_as_it_says():
    assert len({hostile.name for hostile in CORPUS}) == len(CORPUS) >= 60
