"""The EXIF block of a file, wherever its format keeps it, and the orientation that it names."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import ExifTags, Image, TiffImagePlugin

MAX_EXIF_BYTES = 1 << 20
"""More EXIF than this is not looked at."""

# What describes the picture in a TIFF, among the tags that only describe the file.
_DESCRIBING = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Orientation,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)
# ImageMagick before 7.0.8 wrote these into PNG, which had no chunk for EXIF then.
_RAW_PROFILES = ("Raw profile type exif", "Raw profile type APP1")


def exif_of(info: Mapping[str | tuple[int, int], object]) -> bytes:
    """The EXIF block that Pillow found in a file, not checked; empty if there is none."""
    block = info.get("exif")
    if not isinstance(block, bytes):
        block = next((_raw_profile(text) for name in _RAW_PROFILES if (text := info.get(name))), b"")
    return block[:MAX_EXIF_BYTES]


def _raw_profile(text: object) -> bytes:
    """A line that is empty, the profile's name, its length, then lines of hexadecimal digits."""
    try:
        block = bytes.fromhex("".join(str(text).split("\n")[3:]))
    except ValueError:
        return b""
    return block if block.startswith((b"Exif\0\0", b"II*\0", b"MM\0*")) else b""


def orientation_of(exif: bytes) -> int:
    """1 to 8; 1 if there is none, or none that makes sense."""
    parsed = Image.Exif()
    try:
        parsed.load(exif)
        value = parsed.get(ExifTags.Base.Orientation)
    except Exception:  # as for pictures: no list of what is raised stays complete; broken EXIF never fails an image
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def exif_of_tiff(image: TiffImagePlugin.TiffImageFile, orientation: int) -> bytes:
    """The EXIF of a TIFF, whose own tags it is, as the block that other formats have."""
    try:
        tags, block = image.getexif(), Image.Exif()
        for tag in _DESCRIBING:
            if tag in tags:
                block[tag] = tags[tag]
        if orientation != 1:
            block[ExifTags.Base.Orientation] = orientation
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            block.get_ifd(ifd).update(
                (tag, value) for tag, value in tags.get_ifd(ifd).items() if tag != ExifTags.Base.MakerNote
            )
        return block.tobytes()
    except Exception:  # broken EXIF never fails an image
        return b""
