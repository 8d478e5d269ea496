"""What a scanner says of a file, and what only looks like its blessing."""

import io
import socket
import struct
from contextlib import contextmanager
from datetime import timedelta
from threading import Thread
from unittest.mock import Mock

import pytest

from eventbus.testing import published
from media.events import MediaProcessed, ProcessingFailure, ProcessingStatus
from media.exceptions import ScannerError
from media.models.assets import MediaAsset
from media.scanning import ClamAV, NoScanner, configured_scanner
from media.services import processing
from tests.media.factories import jpeg, png_claiming, process, scanning

Verdict = MediaAsset.ScanVerdict


class FakeClamd:
    """Speaks clamd's protocol to one client after another: reads a stream by INSTREAM and answers as it is told."""

    def __init__(self, listener: socket.socket, answer: bytes, most: int) -> None:
        self.received: list[bytes] = []
        self._listener, self._answer, self._most = listener, answer, most

    def run(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                self._answer_one(connection, stream)

    def _answer_one(self, connection: socket.socket, stream) -> None:
        assert stream.read(10) == b"zINSTREAM\0"
        content = b""
        while length := struct.unpack(">I", stream.read(4))[0]:
            content += stream.read(length)
            if len(content) > self._most:
                connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                connection.shutdown(socket.SHUT_WR)
                while stream.read(65536):
                    pass
                return
        self.received.append(content)
        connection.sendall(self._answer)


@contextmanager
def listening(listener: socket.socket, answer: bytes, most: int = 1 << 30):
    """A fake clamd behind this listener."""
    clamd = FakeClamd(listener, answer, most)
    thread = Thread(target=clamd.run)
    thread.start()
    try:
        yield clamd
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=30)


@pytest.fixture
def clamd(settings):
    """Sets up a fake clamd that answers so, and lets the settings name it."""

    def set_up(answer=b"stream: OK\0", most=1 << 30):
        listener = socket.create_server(("127.0.0.1", 0))
        settings.MEDIA_CLAMAV = f"127.0.0.1:{listener.getsockname()[1]}"
        return listening(listener, answer, most)

    return set_up


def scan(content: bytes = b"content") -> MediaAsset.ScanVerdict:
    return configured_scanner().scan(io.BytesIO(content))


def test_nothing_is_scanned_unless_a_scanner_is_configured():
    assert isinstance(configured_scanner(), NoScanner)
    assert scan() == Verdict.NONE


def test_the_scanner_sees_every_byte(clamd):
    content = bytes(range(256)) * 3000  # several chunks, the last one not full

    with clamd() as fake:
        assert scan(content) == Verdict.CLEAN

    assert fake.received == [content]


def test_a_scanner_behind_a_path_is_asked_too(tmp_path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "clamd"))
    listener.listen()

    with listening(listener, b"stream: OK\0") as fake:
        assert ClamAV(f"unix:{tmp_path / 'clamd'}").scan(io.BytesIO(b"content")) == Verdict.CLEAN

    assert fake.received == [b"content"]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"stream: Eicar-Signature FOUND\0", Verdict.INFECTED),
        (b"stream: OK FOUND\0", Verdict.INFECTED),
        (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Verdict.TOO_LARGE),
        (b"stream: Heuristics.Limits.Exceeded FOUND\0", Verdict.TOO_LARGE),
    ],
)
def test_a_verdict_is_understood(clamd, answer, verdict):
    with clamd(answer):
        assert scan() == verdict


def test_what_the_scanner_did_not_look_at_whole_is_not_clean(clamd):
    with clamd(most=1000):
        assert scan(b"x" * 5000) == Verdict.TOO_LARGE


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        b"OK\0",
        b"stream: OK",
        b"stream: OK \0 FOUND",
        b"stream: Can't allocate memory ERROR\0",
        b"PONG\0",
        b"\xff" * 5000,
    ],
)
def test_everything_else_is_no_verdict(clamd, answer):
    with clamd(answer), pytest.raises(ScannerError):
        scan()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "unix:/nowhere/clamd"])
def test_a_scanner_that_is_not_there_is_no_verdict(settings, address):
    settings.MEDIA_CLAMAV = address

    with pytest.raises(ScannerError):
        scan()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"stream: Eicar-Signature FOUND\0", Verdict.INFECTED),
        (b"stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND\0", Verdict.TOO_LARGE),
    ],
)
def test_a_file_that_is_not_clean_is_rejected_and_nothing_is_made_of_it(clamd, stored_files, answer, verdict):
    asset = scanning(jpeg())

    with clamd(answer):
        process(media_id=asset.pk)

    asset.refresh_from_db()
    [event] = published(MediaProcessed)
    assert (event.status, event.failure_code) == (ProcessingStatus.REJECTED, ProcessingFailure(verdict))
    assert (asset.status, asset.scan_verdict) == (MediaAsset.Status.REJECTED, verdict)
    assert stored_files() == [asset.storage_key]


@pytest.mark.django_db
def test_a_clean_file_is_made_fit_to_be_shown(clamd):
    content = jpeg()
    asset = scanning(content)

    with clamd() as fake:
        process(media_id=asset.pk)

    asset.refresh_from_db()
    assert fake.received == [content]
    assert (asset.status, asset.scan_verdict) == (MediaAsset.Status.READY, Verdict.CLEAN)


@pytest.mark.django_db
def test_a_scanner_without_a_verdict_is_asked_again_and_the_file_never_shown(settings, stored_files, time_machine):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    settings.MEDIA_CLAMAV = "127.0.0.1:1"
    asset = scanning()

    for attempt in range(1, 4):
        process(media_id=asset.pk)
        asset.refresh_from_db()
        assert (asset.status, asset.attempts, asset.scan_verdict) == (MediaAsset.Status.FAILED, attempt, Verdict.ERROR)
        time_machine.shift(timedelta(hours=1))

    [event] = published(MediaProcessed)
    assert (event.status, event.failure_code) == (ProcessingStatus.FAILED, ProcessingFailure.INTERNAL)
    assert stored_files() == [asset.storage_key]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "status"), [(None, MediaAsset.Status.REJECTED), (MemoryError(), MediaAsset.Status.FAILED)]
)
def test_what_the_scanner_said_is_kept_however_the_attempt_ends(clamd, error, status, monkeypatch):
    asset = scanning(png_claiming(9000, 9000))
    if error is not None:
        monkeypatch.setattr(processing, "render", Mock(side_effect=error))

    with clamd():
        process(media_id=asset.pk)

    asset.refresh_from_db()
    assert (asset.status, asset.scan_verdict) == (status, Verdict.CLEAN)


@pytest.mark.django_db
def test_what_an_earlier_attempt_heard_is_not_said_of_the_next(clamd, settings, time_machine, monkeypatch):
    time_machine.move_to("2026-05-01T12:00:00Z", tick=False)
    asset = scanning()
    with clamd(), monkeypatch.context() as patched:
        patched.setattr(processing, "render", Mock(side_effect=MemoryError))
        process(media_id=asset.pk)
    time_machine.shift(timedelta(seconds=30))
    settings.MEDIA_CLAMAV = ""
    with monkeypatch.context() as patched:
        patched.setattr(processing, "fetch", Mock(side_effect=OSError("the store is away")))
        process(media_id=asset.pk)

    asset.refresh_from_db()
    assert (asset.attempts, asset.scan_verdict) == (2, Verdict.NONE)
