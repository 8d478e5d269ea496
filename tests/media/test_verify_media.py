"""Rows and objects agree: what is lost is named and kept, what is left over goes, whatever died on the way."""

import shutil
from contextlib import suppress
from datetime import timedelta
from functools import partial
from unittest.mock import patch

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventbus.testing import published
from media import storage, tasks
from media.events import MediaDeleted
from media.models.assets import MediaAsset
from media.models.references import MediaReference
from media.models.variants import MediaVariant
from media.services import verification
from media.services.direct_uploads import announce_upload, complete_upload, file_to_announce
from media.services.processing import begin_processing
from media.services.removal import delete_media, drop_stray_parts, sweep_strays
from media.services.verification import verify_all, verify_files
from media.tasks import collect_garbage, expire_uploads
from tests.media.clip_files import mp4
from tests.media.factories import jpeg, process, processed, scanning, upload
from tests.media.test_direct_uploads import stored

pytestmark = pytest.mark.django_db

Status = MediaAsset.Status
LIVES = 1000  # touches of the store that no step comes to
TWO_DAYS = timedelta(days=2)


def aged():
    """Let two days go by for every row."""
    MediaAsset.objects.update(updated_at=F("updated_at") - TWO_DAYS)


@pytest.mark.parametrize("lost", ["original", "variants/blur"])
def test_a_row_whose_bytes_are_lost_is_named_and_marked_and_stays(store, capsys, lost):
    kept, asset = processed(), processed()
    key = f"{asset.folder}/{lost}"
    content = stored(key)
    storage.remove(key)

    with pytest.raises(CommandError, match="1 files lack bytes; restore them from a backup"):
        call_command("verify_media")

    out, err = capsys.readouterr()
    asset.refresh_from_db()
    kept.refresh_from_db()
    assert out == "2 files looked at, 0 left-over objects removed.\n"
    assert err.splitlines()[-1] == f"{asset.pk} lacks {key}"
    assert (asset.status, kept.files_missing_since) == (Status.READY, None)
    assert asset.files_missing_since is not None
    assert published(MediaDeleted) == []
    marked = asset.files_missing_since
    verify_all()
    asset.refresh_from_db()
    assert asset.files_missing_since == marked
    storage.store(key, content)
    call_command("verify_media")
    asset.refresh_from_db()
    assert asset.files_missing_since is None


def test_the_daily_look_goes_by_steps_that_no_time_limit_cuts(monkeypatch):
    for asset in [processed() for _ in range(3)]:
        storage.remove(asset.storage_key)
    asked = []
    monkeypatch.setattr(verification, "BATCH", 2)
    monkeypatch.setattr(tasks.verify_stored_files, "delay", asked.append)

    lost = [tasks.verify_stored_files()]
    while asked:
        lost.append(tasks.verify_stored_files(asked.pop()))

    assert lost == [2, 1, 0]
    assert MediaAsset.objects.filter(files_missing_since=None).count() == 0


def test_what_no_row_names_goes_when_nobody_can_be_writing_it(keys):
    asset = processed()
    named = keys()
    storage.store(asset.incoming_key, jpeg())
    storage.store(asset.variant_key("web_2048"), jpeg())

    assert verify_all().removed == 0
    aged()
    assert verify_all().removed == 2
    assert keys() == named


def test_the_segments_of_a_clip_belong_to_it(stored_files):
    asset = processed(mp4(320, 240, "3"), kind="video")
    before = stored_files()
    assert any(name.endswith(".ts") for name in before)
    aged()

    assert verify_files(media_id=asset.pk) is None
    assert stored_files() == before


@pytest.mark.parametrize("lost", ["hls_480.m3u8", "hls_480_00000.ts"])
def test_a_lost_part_of_a_clip_is_found_out(lost):
    asset = processed(mp4(320, 240, "3"), kind="video")
    key = asset.variant_key(lost)
    storage.remove(key)

    finding = verify_files(media_id=asset.pk)

    asset.refresh_from_db()
    assert (finding.missing, finding.removed) == ((key,), ())
    assert asset.files_missing_since is not None


def test_a_file_that_may_be_tried_again_keeps_what_it_has(stored_files):
    asset = scanning()
    storage.store(asset.variant_key("blur"), jpeg())
    aged()

    assert verify_files(media_id=asset.pk) is None
    assert len(stored_files()) == 2


def test_a_file_deleted_while_it_is_looked_at_is_not_reported_lost(caplog):
    asset = processed()
    real = storage.keys_in

    def deleted_meanwhile(folder):
        delete_media(media_id=asset.pk)
        storage.remove_folder(folder)
        return real(folder)

    with patch.object(storage, "keys_in", deleted_meanwhile):
        assert verify_files(media_id=asset.pk) is None
    assert "lacks" not in caplog.text
    asset.refresh_from_db()
    assert asset.files_missing_since is None


class Crash(BaseException):
    """The process is gone: no handler of errors runs in earnest."""


def closed(answer):
    """What a dead process had open is open no more."""
    if hasattr(answer, "close"):
        answer.close()


class Crashing:
    """The store of a process that dies at its n-th touch, before or after it took effect."""

    TOUCHES = ("store", "open_stored", "move", "remove", "remove_folder", "open_parts", "join_parts", "drop_parts")

    def __init__(self, monkeypatch):
        self.left, self.after = None, False
        for name in self.TOUCHES:
            monkeypatch.setattr(storage, name, self.counted(getattr(storage, name)))

    def counted(self, touch):
        def call(*args, **kwargs):
            if self.left is None:
                return touch(*args, **kwargs)
            if self.left < 0:  # dead already: what cleans up after an error does nothing
                raise Crash
            self.left -= 1
            if self.left >= 0:
                return touch(*args, **kwargs)
            if self.after:
                closed(touch(*args, **kwargs))
            raise Crash

        return call

    def run(self, work, left, after):
        """Do the work in a process that dies at that touch, if it comes so far."""
        self.left, self.after = left, after
        try:
            work()
        except Crash:
            pass
        finally:
            self.left = None


def announced(size):
    with file_to_announce(
        owner_id=MediaAsset().pk, kind="image", filename="", declared_mime="", size_bytes=size, sha256=None
    ) as asset:
        return announce_upload(asset=asset)


def bring(asset):
    content = jpeg()
    if not asset.part_bytes:
        storage.store(asset.incoming_key, content)
        return
    for number, start in enumerate(range(0, len(content), asset.part_bytes), start=1):
        part = content[start : start + asset.part_bytes]
        with suppress(FileNotFoundError):  # a request that died has joined the parts already
            storage.private_storage.keep_part(asset.incoming_key, asset.multipart_id, number, ContentFile(part))


def work_at(name, which):
    """One step of the story of some file, as a request or a worker does it."""
    chosen = list(MediaAsset.objects.order_by("pk"))
    asset = chosen[which % len(chosen)] if chosen else None
    if name == "upload":
        upload()
    elif name == "upload of no image":
        upload(jpeg()[:400])
    elif name == "announce":
        announced(len(jpeg()))
    elif asset is None:
        return
    elif name == "bring" and asset.is_pending:
        bring(asset)
        MediaAsset.objects.filter(pk=asset.pk).update(upload_checked_until=None)
        complete_upload(media_id=asset.pk)
    elif name == "process" and asset.status not in (Status.PENDING_UPLOAD, *MediaAsset.GONE):
        begin_processing(media_id=asset.pk)
        MediaAsset.objects.filter(pk=asset.pk, next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
        process(media_id=asset.pk)
    elif name == "delete":
        delete_media(media_id=asset.pk)
    elif name == "collect":
        collect_garbage()


steps = st.tuples(
    st.sampled_from(
        ["upload", "upload of no image", "announce", "bring", "bring", "process", "process", "delete", "collect"]
    ),
    st.integers(0, 3),
    st.one_of(st.just(LIVES), st.integers(0, 6)),
    st.booleans(),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(steps, min_size=1, max_size=9), in_parts=st.booleans())
def test_after_every_history_rows_and_objects_agree(in_parts, history, settings, stored_files):
    for model in (MediaReference, MediaVariant, MediaAsset):
        model.objects.all().delete()
    shutil.rmtree(settings.MEDIA_ROOT)
    settings.MEDIA_ROOT.mkdir()
    settings.MEDIA_PART_BYTES = 300 if in_parts else 10**6

    with pytest.MonkeyPatch.context() as monkeypatch:
        process_that = Crashing(monkeypatch)
        for name, which, left, after in history:
            process_that.run(partial(work_at, name, which), left, after)

    MediaAsset.objects.filter(status=Status.PENDING_UPLOAD).update(upload_expires_at=timezone.now())
    expire_uploads()
    collect_garbage()
    drop_stray_parts(now=timezone.now() + TWO_DAYS)
    sweep_strays(now=timezone.now() + TWO_DAYS)
    aged()
    report = verify_all()

    named = set()
    for asset in MediaAsset.objects.with_files():
        named |= {asset.storage_key, *asset.variants.values_list("storage_key", flat=True)}
    unsettled = {asset.folder for asset in MediaAsset.objects.filter(status__in=MediaAsset.IN_WORK)}
    present = {key for key in stored_files() if "/".join(key.split("/")[:3]) not in unsettled or key in named}
    assert report.lost == []
    assert present == named
