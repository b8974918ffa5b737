"""Colours that come out as they were meant: range, matrix, high dynamic range, transparency."""

from dataclasses import dataclass
from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.common.jobs import Warning_
from services.transcoder.media import VideoStream

# Luminance in cd/m² shown as white in SDR: films are graded with white between 100 and BT.2408's 203.
_SDR_WHITE: Final = 150
_BT709_TAGS: Final = (
    *("-colorspace", "bt709", "-color_primaries", "bt709"),
    *("-color_trc", "bt709", "-color_range", "tv"),
)
_WIDE: Final = frozenset({"bt2020"})
_IPT_PROFILE: Final = 5  # Dolby Vision without a base layer that others can show


@dataclass(frozen=True, slots=True)
class Colour:
    """How to get there.

    Attributes:
        scale: options for the scale filter, which must be there if they are.
        before: filters before it, `after` those after it.
        tags: arguments that mark the output.
        notes: what was done, for people.
    """

    scale: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[Warning_, ...] = ()


def convert(stream: VideoStream, *, to_rgb: bool, keep_alpha: bool, filters: frozenset[str]) -> Colour:
    """How the colours of `stream` become SDR, for a coder of YUV (BT.709, limited range) or of RGB.

    Raises:
        JobFailure: ffmpeg was built without what it takes.
    """
    if stream.hdr or (stream.color_primaries in _WIDE and "zscale" in filters):
        return _to_bt709(stream, filters)
    notes: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    if stream.alpha and not keep_alpha:
        before = ("format=gbrap", "premultiply=inplace=1", "format=gbrp")
        notes = ("transparent parts are shown on black",)
    if to_rgb or (stream.alpha and keep_alpha and not stream.rgb):
        return Colour(before=before, notes=notes)
    if stream.rgb or before:
        return Colour(scale=("out_color_matrix=bt709", "out_range=tv"), before=before, tags=_BT709_TAGS, notes=notes)
    if stream.full_range:
        return Colour(scale=("in_range=pc", "out_range=tv"), tags=("-color_range", "tv"))
    return Colour()


def _to_bt709(stream: VideoStream, filters: frozenset[str]) -> Colour:
    """High dynamic range or a wide gamut, mapped to what ordinary screens show."""
    if not {"zscale", "tonemap"} <= filters:
        raise JobFailure(
            ErrorCode.UNSUPPORTED,
            "This video has high dynamic range, which cannot be converted here. Export it as SDR and try again.",
            detail="ffmpeg lacks zscale or tonemap",
        )
    transfer = stream.color_transfer or "bt2020-10"
    given = (
        f"tin={transfer}",
        f"min={_matrix(stream.color_space)}",
        f"pin={stream.color_primaries or 'bt2020'}",
        f"rin={'pc' if stream.full_range else 'tv'}",
    )
    warnings: tuple[Warning_, ...] = ()
    if stream.dolby_profile == _IPT_PROFILE:
        message = "This Dolby Vision video has no ordinary picture in it; its colours may be wrong."
        warnings = (Warning_(code="dolby_vision", message=message),)
    if not stream.hdr:
        wide = (":".join(["zscale=" + given[0], *given[1:], "p=bt709", "t=bt709", "m=bt709", "r=tv"]),)
        return Colour(after=wide, tags=_BT709_TAGS, notes=("wide colours mapped to BT.709",))
    after = (
        ":".join(["zscale=" + given[0], *given[1:], "t=linear", f"npl={_SDR_WHITE}"]),
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=mobius:desat=0",
        "zscale=t=bt709:m=bt709:r=tv",
    )
    name = "HDR10 (PQ)" if stream.hdr == "pq" else "HLG"
    return Colour(after=after, tags=_BT709_TAGS, notes=(f"{name} tone-mapped to BT.709",), warnings=warnings)


def _matrix(color_space: str | None) -> str:
    """Zscale's name of a matrix."""
    return {None: "bt2020nc", "gbr": "gbr", "bt2020_ncl": "bt2020nc"}.get(color_space, color_space or "")
