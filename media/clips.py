"""From a video or a recording that a stranger sent to clips that may be played, encoded anew from what was decoded."""

from collections.abc import Callable
from pathlib import Path

from media import conf, ffmpeg
from media.containers import HEAD_BYTES, MP3, MP4, Container, container_of
from media.delivery import PLAYLIST
from media.exceptions import UnfitMediaError
from media.ffmpeg import AUDIO_CODECS, FEW_PACKETS, VIDEO_CODECS, Measured, Stream
from media.models.assets import MediaAsset
from media.models.variants import MediaVariant
from media.products import Made, Product
from media.rendering import render

Failure = MediaAsset.Failure
Kind = MediaAsset.Kind
Name = MediaVariant.Name
Report = Callable[[int], None]

# The shorter side of each rung of the ladder, and what it may take in kilobits a second.
RUNGS = {Name.MP4_480: (480, 1500), Name.MP4_720: (720, 3000), Name.MP4_1080: (1080, 6000)}
LOWEST = 480
SMALLEST_SIDE = 16
POSTER_SIDE = 1280
PREVIEW_SECONDS = 15
SOUND_KILOBITS = 128
WAVEFORM_SIZE = (1024, 128)
SEGMENT_SECONDS = 4
ENCODED = 90  # of a hundred, when the ladder is done
NOTHING_ELSE = ["-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]
PICTURES = [
    *("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-flags:v", "+bitexact"),
    *("-force_key_frames", f"expr:gte(t,n_forced*{SEGMENT_SECONDS})", "-threads", str(ffmpeg.THREADS)),
]
SOUND = ["-c:a", "aac", "-b:a", f"{SOUND_KILOBITS}k", "-ac", "2", "-ar", "48000", "-flags:a", "+bitexact"]
WHOLE = ["-movflags", "+faststart"]


def make_clips(source: Path, kind: str, *, folder: Path, report: Report) -> Made:
    """All variants of a clip, as files in the folder; raises UnfitMediaError when it must not or cannot be played."""
    with source.open("rb") as stream:
        container = container_of(stream.read(HEAD_BYTES))
    if container is None or not container.holds(kind):
        raise UnfitMediaError(Failure.TYPE_MISMATCH, f"the bytes are not those of {kind}")
    measured = ffmpeg.measure(source, container, folder=folder)
    refuse_wrong_streams(measured, kind)
    report(1)
    if kind == Kind.AUDIO:
        return make_recording(source, container, measured, folder=folder, report=report)
    return make_video(source, container, measured, folder=folder, report=report)


def refuse_wrong_streams(measured: Measured, kind: str) -> None:
    """A video has pictures that can be decoded, a recording has sound and none; and neither is empty."""
    pictures, sound = measured.first("video"), measured.first("audio")
    if (kind == Kind.VIDEO) is (pictures is None):
        raise UnfitMediaError(Failure.TYPE_MISMATCH, f"its streams are not those of {kind}")
    if pictures is None and sound is None:
        raise UnfitMediaError(Failure.CORRUPT, "it has no streams")
    if pictures and pictures.codec not in VIDEO_CODECS:
        raise UnfitMediaError(Failure.UNSUPPORTED, f"pictures as {pictures.codec}")
    if sound and sound.codec not in AUDIO_CODECS:
        raise UnfitMediaError(Failure.UNSUPPORTED, f"sound as {sound.codec}")
    if not measured.duration_ms:
        raise UnfitMediaError(Failure.CORRUPT, "it lasts no time")


def refuse_unplayable(pictures: Stream) -> None:
    """What the packets and the headers of a video amount to, before more than one picture is decoded."""
    if max(pictures.width, pictures.height) > conf.max_video_side():
        raise UnfitMediaError(Failure.TOO_MANY_PIXELS, f"{pictures.width}x{pictures.height}")
    if min(pictures.width, pictures.height) < SMALLEST_SIDE:
        raise UnfitMediaError(Failure.UNSUPPORTED, f"{pictures.width}x{pictures.height}")
    if pictures.packets > FEW_PACKETS + pictures.seconds * conf.max_frame_rate():
        raise UnfitMediaError(Failure.UNSUPPORTED, f"more than {conf.max_frame_rate()} pictures a second")


def make_recording(source: Path, container: Container, measured: Measured, *, folder: Path, report: Report) -> Made:
    """A recording as MP3, and a drawing of how loud it is."""
    seconds = measured.duration_ms / 1000
    limits = conf.clip_limits(seconds)
    sound, waveform = folder / "mp3_128", folder / "waveform"
    as_mp3 = ["-c:a", "libmp3lame", "-b:a", f"{SOUND_KILOBITS}k", "-ac", "2", "-ar", "44100", "-id3v2_version", "0"]
    opened = ffmpeg.opened(source, container)
    ffmpeg.run(
        ["-progress", "pipe:1", *opened, "-map", "0:a:0", "-vn", *NOTHING_ELSE, *as_mp3, "-f", "mp3", sound],
        folder=folder,
        limits=limits,
        on_line=telling(report, seconds),
    )
    width, height = WAVEFORM_SIZE
    report(ENCODED)
    drawing = f"[0:a:0]aformat=channel_layouts=mono,showwavespic=s={width}x{height}:colors=gray[wave]"
    as_webp = ["-frames:v", "1", "-c:v", "libwebp", "-lossless", "1", "-f", "webp"]
    ffmpeg.run(
        [*opened, "-filter_complex", drawing, "-map", "[wave]", *NOTHING_ELSE, *as_webp, waveform],
        folder=folder,
        limits=limits,
    )
    lasts = ffmpeg.measure(sound, MP3, folder=folder).duration_ms
    products = (
        Product("mp3_128", "audio/mpeg", None, None, lasts, {"mp3_128": sound}),
        Product("waveform", "image/webp", width, height, None, {"waveform": waveform}),
    )
    return Made(container.mime(Kind.AUDIO), None, None, measured.duration_ms, products)


def make_video(source: Path, container: Container, measured: Measured, *, folder: Path, report: Report) -> Made:
    """A video as a ladder of MP4s never above it, the same for HLS, its first seconds and a picture."""
    pictures = measured.first("video")
    assert pictures is not None
    refuse_unplayable(pictures)
    width, height = ffmpeg.upright_size(source, container, folder=folder)
    sizes = ladder(width, height)
    encode_ladder(source, container, sizes, seconds=measured.duration_ms / 1000, folder=folder, report=report)
    clips = tuple(clip(name, folder) for name in (Name.PREVIEW_15S, *sizes))
    report(ENCODED)
    picture = poster(source, container, fitted(width, height, POSTER_SIDE), pictures.seconds, folder=folder)
    products = (
        picture,
        blur(folder / picture.name),
        *clips,
        hls(clips[1:], folder=folder, report=report),
    )
    return Made(container.mime(Kind.VIDEO), width, height, measured.duration_ms, products)


def ladder(width: int, height: int) -> dict[MediaVariant.Name, tuple[int, int]]:
    """The sizes that a video is encoded in: the rungs up to its shorter side, or the lowest at its own size."""
    shorter = min(width, height)
    rungs = {name: side for name, (side, _) in RUNGS.items() if side <= shorter} or {Name.MP4_480: shorter}
    return {name: even(width * side / shorter, height * side / shorter) for name, side in rungs.items()}


def even(width: float, height: float) -> tuple[int, int]:
    """The nearest size below that an encoder of halved colours takes."""
    return max(int(width / 2 + 1e-6) * 2, 2), max(int(height / 2 + 1e-6) * 2, 2)


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """The size within a square; never larger than it was."""
    scale = min(1.0, side / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def encode_ladder(
    source: Path,
    container: Container,
    sizes: dict[MediaVariant.Name, tuple[int, int]],
    *,
    seconds: float,
    folder: Path,
    report: Report,
) -> None:
    """Every rung and the preview in one run, so that the source is decoded once."""
    first, *_ = sizes
    outputs: list[str | Path] = []
    for name, (width, height) in {Name.PREVIEW_15S: sizes[first], **sizes}.items():
        kilobits = RUNGS.get(name, RUNGS[Name.MP4_480])[1]
        outputs += ["-map", "0:V:0", "-map", "0:a:0?", *NOTHING_ELSE, *PICTURES, *SOUND]
        outputs += ["-vf", f"scale={width}:{height},setsar=1"]
        outputs += ["-maxrate", f"{kilobits}k", "-bufsize", f"{2 * kilobits}k"]
        outputs += ["-t", str(PREVIEW_SECONDS)] if name == Name.PREVIEW_15S else []
        outputs += [*WHOLE, "-f", "mp4", folder / name]
    ffmpeg.run(
        ["-progress", "pipe:1", *ffmpeg.opened(source, container), *outputs],
        folder=folder,
        limits=conf.clip_limits(seconds),
        on_line=telling(report, seconds),
    )


def telling(report: Report, seconds: float) -> Callable[[str], None]:
    """A listener that reports how far an encoding is."""

    def hear(line: str) -> None:
        done = ffmpeg.progress_of(line)
        if done is not None:
            report(min(ENCODED, max(1, int(ENCODED * done / seconds))))

    return hear


def clip(name: MediaVariant.Name, folder: Path) -> Product:
    """What was encoded under this name, measured."""
    measured = ffmpeg.measure(folder / name, MP4, folder=folder)
    pictures = measured.first("video")
    if pictures is None:
        raise UnfitMediaError(Failure.CORRUPT, f"no picture reached {name}")
    return Product(
        name=name,
        mime="video/mp4",
        width=pictures.width,
        height=pictures.height,
        duration_ms=measured.duration_ms,
        files={name: folder / name},
    )


def blur(picture: Path) -> Product:
    """The picture as an image is blurred: what anyone may see of the video."""
    drawn = Made.of_image(render(picture.read_bytes())).products
    return next(product for product in drawn if product.name == Name.BLUR)


def poster(source: Path, container: Container, size: tuple[int, int], seconds: float, *, folder: Path) -> Product:
    """A picture from a tenth into the video, for first ones are often black."""
    width, height = size
    target = folder / Name.POSTER
    drawn = ["-map", "0:V:0", "-frames:v", "1", "-vf", f"scale={width}:{height},setsar=1", *NOTHING_ELSE]
    ffmpeg.run(
        [
            *("-ss", f"{seconds / 10:.3f}", *ffmpeg.opened(source, container), *drawn),
            *("-c:v", "libwebp", "-quality", "84", "-f", "webp"),
            target,
        ],
        folder=folder,
        limits=conf.clip_limits(seconds),
    )
    if not target.exists():
        raise UnfitMediaError(Failure.CORRUPT, "no picture can be decoded where the poster would be")
    return Product(Name.POSTER, "image/webp", width, height, None, {Name.POSTER: target})


def hls(clips: tuple[Product, ...], *, folder: Path, report: Report) -> Product:
    """The ladder in segments, copied from its MP4s: a playlist of playlists, which name segments beside them."""
    files: dict[str, bytes | Path] = {}
    lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
    for rung in clips:
        report(ENCODED)
        stem = rung.name.replace("mp4_", "hls_")
        playlist = f"{stem}.m3u8"
        assert rung.duration_ms is not None
        cut = ["-c", "copy", *NOTHING_ELSE, "-f", "hls", "-hls_time", str(SEGMENT_SECONDS), "-hls_playlist_type", "vod"]
        named = ["-hls_flags", "independent_segments", "-hls_segment_filename", f"{stem}_%05d.ts", playlist]
        ffmpeg.run(
            ["-f", "mov", "-i", folder / rung.name, *cut, *named],
            folder=folder,
            limits=conf.clip_limits(rung.duration_ms / 1000),
        )
        segments = {path.name: path for path in sorted(folder.glob(f"{stem}_*.ts"))}
        bits = round(rung.size_bytes * 8000 / rung.duration_ms)
        lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={bits},RESOLUTION={rung.width}x{rung.height}", playlist]
        files |= {playlist: folder / playlist, **segments}
    best = clips[-1]
    files = {"hls": ("\n".join(lines) + "\n").encode(), **files}
    return Product(Name.HLS, PLAYLIST, best.width, best.height, best.duration_ms, files)
