"""The inputs that hurt others, each a line of ffmpeg or a few bytes."""

import struct
from collections.abc import Callable
from pathlib import Path

from tests.media_files import MediaFiles

T = ("-f", "lavfi", "-i", "testsrc=s=128x72:r=10:d=1")
A = ("-f", "lavfi", "-i", "sine=d=1")
X = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
INTERLACED = "-f lavfi -i testsrc=s=128x72:r=20:d=1 -vf tinterlace=interleave_top,fieldorder=tff"
# Dark and silent for a second, then bright and loud.
FLASH = (
    *("-f", "lavfi", "-i", "color=black:s=128x72:r=25:d=2,drawbox=c=white:t=fill:enable=gte(t\\,1)"),
    *("-f", "lavfi", "-i", "sine=d=2,volume=volume=0:enable=lt(t\\,1)"),
)
T3 = ("-f", "lavfi", "-i", "testsrc=s=128x72:r=10:d=3")
SOUND_GAP = "asetpts=PTS+if(gte(T\\,0.5)\\,2/TB\\,0)"
THIN = "-bf 0 -fps_mode vfr -c:a aac -b:a 16k -ar 8000"
LONG = "-g 20 -c:a aac -movflags +faststart"
GAP = "setpts=if(gte(N\\,5)\\,PTS+3600/TB\\,PTS)"
# ffmpeg 7 forgets how long frames last when it sets their times.
LASTING = "setts=pts=PTS:dts=DTS:duration=if(N\\,DTS-PREV_INDTS\\,1)"
SDR = "-f lavfi -i testsrc2=s=320x180:r=5:d=1"
TO_PQ = (
    "format=gbrp,zscale=tin=bt709:pin=bt709:t=smpte2084:p=bt2020:m=bt2020nc:r=tv:npl=150,format=yuv420p10le,"
    "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"
)
HDR = (
    "-vf format=yuv420p10le,setparams=color_primaries=bt2020:colorspace=bt2020nc:color_trc={} "
    "-c:v libx265 -x265-params log-level=none"
)


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# By name, the extension being the container.
COMMANDS: dict[str, tuple[str, ...]] = {
    "plain.mp4": (*T, *A, *X, "-c:a", "aac"),
    "plain.mkv": (*T, *A, *X, "-c:a", "aac"),
    "silent.mp4": (*T, *X),
    "odd.mkv": words("-f lavfi -i testsrc=s=127x71:r=10:d=1 -c:v ffv1"),
    "one-pixel.mkv": words("-f lavfi -i color=red:s=8x8:r=10:d=1 -vf format=gbrp,crop=1:1 -c:v ffv1"),
    "long.mp4": (*words("-f lavfi -i testsrc=s=320x180:r=10:d=20 -f lavfi -i sine=d=20"), *X, *words(LONG)),
    "audio.m4a": (*A, "-c:a", "aac"),
    "timecode.mov": (*T, *A, *X, *words("-c:a aac -timecode 01:00:00:00")),
    "pcm.mov": (*T, *A, *X, "-c:a", "pcm_s16le"),
    "side51.mov": (*T, *A, *X, *words("-c:a pcm_s16le -af"), "pan=5.1(side)|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0"),
    "444.mp4": (*T, *words("-c:v libx264 -pix_fmt yuv444p")),
    "10bit.mp4": (*T, *words("-c:v libx264 -pix_fmt yuv420p10le")),
    "pq.mp4": (*T, *words(HDR.format("smpte2084"))),
    "hlg.mp4": (*T, *words(HDR.format("arib-std-b67"))),
    "pq-film.mp4": (*words(SDR), "-vf", TO_PQ, *words("-c:v libx265 -x265-params log-level=none")),
    "sdr-film.mkv": (*words(SDR), *words("-c:v ffv1")),
    "interlaced.mp4": (*words(INTERLACED), *X, *words("-flags +ilme+ildct")),
    "interlaced.mkv": (*words(INTERLACED), *words("-c:v ffv1")),
    "interlaced.ts": (*words(INTERLACED), *words("-c:v mpeg2video -flags +ilme+ildct")),
    "interlaced.avi": words("-f lavfi -i testsrc=s=720x576:r=50:d=1 -vf tinterlace=interleave_bottom -c:v dvvideo"),
    "anamorphic.mp4": (*T, "-vf", "setsar=64/45", *X),
    "gap.mp4": (*T, "-vf", GAP, *X, *words("-bf 0 -fps_mode vfr -bsf:v"), LASTING),
    "gap-sound.mkv": (
        *T,
        *words("-f lavfi -i sine=d=3601"),
        "-vf",
        GAP,
        *X,
        *words("-bf 0 -fps_mode vfr -c:a aac -b:a 16k -ar 8000"),
    ),
    "hour.mkv": (*words("-f lavfi -i testsrc=s=128x72:r=1:d=3600"), *X, *words("-g 10")),
    "slides.mp4": (*words("-f lavfi -i testsrc=s=128x72:r=1/5:d=20"), *X),
    "thousand.mp4": (*words("-f lavfi -i testsrc=s=128x72:r=1000:d=0.2"), *X),
    "one-frame.mp4": words("-f lavfi -i testsrc=s=128x72:r=10:d=0.1 -c:v libx264 -pix_fmt yuv420p"),
    "audio-first.mp4": (*A, *T, *words("-map 0 -map 1 -c:a aac"), *X),
    "gif.gif": T,
    "alpha.mov": ("-f", "lavfi", "-i", "color=red@0.5:s=64x64:r=5:d=1,format=rgba", "-c:v", "png"),
    "alpha.webm": ("-f", "lavfi", "-i", "color=red@0.5:s=64x64:r=5:d=1,format=yuva420p", "-c:v", "libvpx-vp9"),
    "full-range.avi": (*T, *words("-c:v mjpeg -pix_fmt yuvj420p -q:v 2")),
    "rgb.mkv": (*T, *words("-c:v libx264rgb -qp 0")),
    "red.mkv": ("-f", "lavfi", "-i", "color=red:s=64x64:r=5:d=1,format=gbrp", *words("-c:v ffv1")),
    "late-sound.mkv": (*T, *words("-itsoffset 0.6"), *A, *X, *words("-c:a pcm_s16le")),
    "late-picture.mkv": (*A, *words("-itsoffset 0.6"), *T, *X, *words("-c:a aac -map 0 -map 1")),
    "flash.mp4": (*FLASH, *words("-c:v libx264 -bf 3 -pix_fmt yuv420p -c:a aac")),
    "flash.avi": (*FLASH, *words("-c:v mpeg4 -q:v 4 -bf 2 -c:a mp3")),
    "flash.ts": (*FLASH, *words("-c:v mpeg2video -q:v 4 -bf 2 -c:a mp2")),
    "sound-gap.mkv": (*T3, *words("-f lavfi -i sine=d=1"), "-af", SOUND_GAP, *X, *words("-c:a pcm_s16le")),
    "flac.flac": words("-f lavfi -i sine=d=2:r=96000 -c:a flac -sample_fmt s32"),
    "quiet.wav": ("-f", "lavfi", "-i", "sine=d=4", "-af", "volume=-20dB"),
    "silence.wav": words("-f lavfi -i anullsrc=r=44100:cl=stereo -t 1"),
    "8k.wav": words("-f lavfi -i sine=d=1:r=8000"),
    "many.wav": ("-f", "lavfi", "-i", "aevalsrc=0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1|0.1:d=1"),
}
# From other clips: the name of the first is put before the rest, as the first input.
DERIVED: dict[str, tuple[str, tuple[str, ...]]] = {
    "long.mkv": ("long.mp4", words("-c copy")),
    "long.avi": ("long.mp4", words("-c:v mpeg4 -c:a mp3")),
    "cut-start.mp4": ("long.mp4", words("-ss 1 -c copy")),
}


def make_clip(media: MediaFiles, name: str) -> Path:
    """The clip `name`, made if need be."""
    if name in SPECIAL:
        path = media.directory / name
        if not path.exists():
            SPECIAL[name](media, path)
        return path
    if name in DERIVED:
        first, arguments = DERIVED[name]
        # Options that belong before the input come first.
        seek = arguments[:2] if arguments[0] == "-ss" else ()
        return media.make(name, *seek, "-i", str(make_clip(media, first)), *arguments[len(seek) :])
    return media.make(name, *COMMANDS[name])


def _live(media: MediaFiles, path: Path) -> None:
    media.make(path.name, *T, *A, *words("-c:v libvpx -c:a libopus -live 1 -f webm"))


def _half(of: str) -> Callable[[MediaFiles, Path], None]:
    def cut(media: MediaFiles, path: Path) -> None:
        data = make_clip(media, of).read_bytes()
        path.write_bytes(data[: len(data) // 2])

    return cut


def _before_index(media: MediaFiles, path: Path) -> None:
    data = make_clip(media, "plain.mp4").read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def _twice(media: MediaFiles, path: Path) -> None:
    once = media.make("once.ts", *T, *A, *X, *words("-c:a aac")).read_bytes()
    path.write_bytes(once * 2)


def _damaged(media: MediaFiles, path: Path) -> None:
    data = bytearray(make_clip(media, "long.mkv").read_bytes())
    for start in range(len(data) // 4, len(data), len(data) // 8):
        data[start : start + 400] = bytes(400)
    path.write_bytes(data)


def _covered(media: MediaFiles, path: Path) -> None:
    cover = media.make("cover.png", *words("-f lavfi -i color=blue:s=600x600 -frames:v 1"))
    art = words("-map 0 -map 1 -c:v:0 png -disposition:v:0 attached_pic")
    if path.suffix == ".mp4":
        film = str(make_clip(media, "plain.mp4"))
        media.make(path.name, "-i", str(cover), "-i", film, *art, *words("-c:v:1 copy -c:a copy"))
    else:
        media.make(path.name, "-i", str(cover), *A, *art, *words("-c:a aac"))


SRT = "1\n00:00:00,000 --> 00:00:00,900\nHello\n\n"


def _with_text(media: MediaFiles, path: Path) -> None:
    text = media.directory / "text.srt"
    text.write_text(SRT)
    codec = {"srt.mkv": "srt", "ass.mkv": "ass", "mov-text.mp4": "mov_text"}[path.name]
    film = str(make_clip(media, "plain.mp4"))
    tracks = words(f"-map 0 -map 1 -c copy -c:s {codec} -metadata:s:s:0 language=deu")
    media.make(path.name, "-i", film, "-i", str(text), *tracks)


def _with_pictures(media: MediaFiles, path: Path) -> None:
    pictures = media.directory / "pictures.sup"
    pictures.write_bytes(presentation_graphics(128, 72, 0.1, 0.9))
    film = str(make_clip(media, "plain.mp4"))
    media.make(path.name, "-i", film, "-i", str(pictures), *words("-map 0 -map 1 -c copy -metadata:s:s:0 language=eng"))


def _rich(media: MediaFiles, path: Path) -> None:
    """Two sound tracks with languages, the second the default; a title and two chapters."""
    about = media.directory / "about.txt"
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    about.write_text(
        ";FFMETADATA1\ntitle=My film\nlocation=+52.5+013.4/\n"
        + chapter.format(0, 500, "One")
        + chapter.format(500, 1000, "Two")
    )
    inputs = ("-i", str(make_clip(media, "plain.mp4")), *words("-f lavfi -i sine=f=880:d=1"), "-i", str(about))
    maps = words("-map 0:v -map 0:a -map 1:a -map_metadata 2 -map_chapters 2 -c:v copy -c:a aac")
    marks = words(
        "-metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -disposition:a:0 0 -disposition:a:1 default"
    )
    media.make(path.name, *inputs, *maps, *marks)


def _two_sizes(media: MediaFiles, path: Path) -> None:
    """A stream whose picture changes its size on the way."""
    small = media.make("small.ts", *T, *X).read_bytes()
    large = media.make("large.ts", *words("-f lavfi -i testsrc=s=256x144:r=10:d=1"), *X, "-output_ts_offset", "1")
    path.write_bytes(small + large.read_bytes())


def presentation_graphics(width: int, height: int, start_s: float, end_s: float) -> bytes:
    """Subtitles as pictures, the kind on Blu-ray discs: one white bar from `start_s` to `end_s`."""
    across, down = 40, 16
    x, y = (width - across) // 2, height - down - 4

    def segment(kind: int, at_s: float, data: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", int(at_s * 90_000), 0, kind, len(data)) + data

    line = bytes([0, 0x80 | across, 1, 0, 0])
    picture = line * down
    show = struct.pack(">HHBHBBBBHBBHH", width, height, 0x10, 0, 0x80, 0, 0, 1, 0, 0, 0, x, y)
    hide = struct.pack(">HHBHBBBB", width, height, 0x10, 1, 0, 0, 0, 0)
    window = struct.pack(">BBHHHH", 1, 0, x, y, across, down)
    palette = bytes([0, 0, 1, 235, 128, 128, 255])
    head = struct.pack(">HBB", 0, 0, 0xC0) + (len(picture) + 4).to_bytes(3, "big") + struct.pack(">HH", across, down)
    shown = (0x16, show), (0x17, window), (0x14, palette), (0x15, head + picture), (0x80, b"")
    hidden = (0x16, hide), (0x17, window), (0x80, b"")
    return b"".join(segment(kind, start_s, data) for kind, data in shown) + b"".join(
        segment(kind, end_s, data) for kind, data in hidden
    )


def _edits(media: MediaFiles, path: Path) -> None:
    """Two pieces of a film of 20 s, as an edit list tells them: from the start, and from 10 s, two seconds each."""
    whole = media.make("whole.mp4", "-i", str(make_clip(media, "long.mp4")), *words("-an -c:v libx264 -g 50 -bf 0"))
    path.write_bytes(with_edits(whole.read_bytes(), [(2000, 0), (2000, 10 * 10_240)]))


def with_edits(film: bytes, edits: list[tuple[int, int]]) -> bytes:
    """`film`, whose index comes last, with other edits: (milliseconds shown, time in the track's own units)."""

    def boxes(start: int, end: int) -> dict[bytes, tuple[int, int]]:
        found: dict[bytes, tuple[int, int]] = {}
        while start + 8 <= end:
            size, kind = struct.unpack(">I4s", film[start : start + 8])
            found.setdefault(kind, (start, start + size))
            start += size
        return found

    moov = boxes(0, len(film))[b"moov"]
    trak = boxes(moov[0] + 8, moov[1])[b"trak"]
    edts = boxes(trak[0] + 8, trak[1])[b"edts"]
    rows = b"".join(struct.pack(">IiI", shown, at, 0x10000) for shown, at in edits)
    elst = struct.pack(">I4sII", 16 + len(rows), b"elst", 0, len(edits)) + rows
    box = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    longer = len(box) - (edts[1] - edts[0])
    made = bytearray(film[: edts[0]] + box + film[edts[1] :])
    for start, end in (moov, trak):
        made[start : start + 4] = struct.pack(">I", end - start + longer)
    return bytes(made)


def _rotated(media: MediaFiles, path: Path) -> None:
    """A film that a camera on its side has made: upright by the matrix of its track alone."""
    film = bytearray(make_clip(media, "silent.mp4").read_bytes())
    matrix = film.index(b"tkhd") + 44
    film[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 72 << 16, 0, 1 << 30)
    path.write_bytes(film)


def _jump(media: MediaFiles, path: Path) -> None:
    """A recording whose clock jumps by more than an hour."""
    once = media.make("once.ts", *T, *A, *X, *words("-c:a aac"))
    later = media.make("later.ts", *T, *A, *X, *words("-c:a aac -output_ts_offset 5000"))
    path.write_bytes(once.read_bytes() + later.read_bytes())


SPECIAL: dict[str, Callable[[MediaFiles, Path], None]] = {
    "half.mp4": _half("long.mp4"),
    "half.mkv": _half("long.mkv"),
    "half.avi": _half("long.avi"),
    "half.flac": _half("flac.flac"),
    "no-index.mp4": _before_index,
    "twice.ts": _twice,
    "jump.ts": _jump,
    "edits.mp4": _edits,
    "rotated.mp4": _rotated,
    "damaged.mkv": _damaged,
    "cover.m4a": _covered,
    "cover.mp4": _covered,
    "srt.mkv": _with_text,
    "ass.mkv": _with_text,
    "mov-text.mp4": _with_text,
    "pictures.mkv": _with_pictures,
    "rich.mkv": _rich,
    "two-sizes.ts": _two_sizes,
    "live.webm": _live,
}
