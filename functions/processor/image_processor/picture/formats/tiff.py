"""TIFF 6.0 and BigTIFF: the chain of directories, and the first one's tags that affect memory."""

from __future__ import annotations

from itertools import islice

from PIL import Image, UnidentifiedImageError

from image_core.errors import CorruptImage, TooManyPixels, UnsupportedFormat
from image_processor.picture.exif import Exif, ifd, names, read_exif
from image_processor.picture.formats import jpeg, tiff_layout
from image_processor.picture.formats.image_file import DecodeLimits, FileInfo, ImageFile, cut_short

MAX_PIECES = 500_000
"""Limit for strips, tiles, or numbers in one tag. 100 megapixels in tiles of 16 × 16 have 391,000."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION = 256, 257, 258, 259
_OLD_JPEG, _JPEG = 6, 7
_PLACES_OF_JPEGS = 273, 324, 513
"""Tags with the offsets of JPEGs: strips, tiles, and the whole picture (old-style JPEG in TIFF)."""
_TILE_WIDTH, _TILE_HEIGHT, _SUB_IFDS, _SUB_FILE_TYPE, _DNG_VERSION = 322, 323, 330, 254, 50706


class Tiff(ImageFile):
    name = "tiff"
    bytes_per_pixel = 9
    isolated = True

    @staticmethod
    def inspect(data: bytes, limits: DecodeLimits) -> FileInfo:
        structure = ifd.parse(data)
        if data[8:10] == b"CR":
            raise _camera_raw()
        if structure is None or not structure.is_complete(structure.first):
            raise cut_short()
        tags = _first_numbers(structure)
        if _DNG_VERSION in tags or (tags.get(_SUB_FILE_TYPE, 0) & 1 and _SUB_IFDS in tags):
            raise _camera_raw()
        if _WIDTH not in tags or _HEIGHT not in tags:
            raise CorruptImage
        frames = sum(1 for _ in islice(structure.chain(), limits.frames + 1))
        info = FileInfo(tags[_WIDTH], tags[_HEIGHT], tags.get(_BITS, 1), frames).within(limits)
        # A tile is decompressed as a whole, even if the picture covers only a corner of it. Rows of tiles of 1,024
        # pixels also reach beyond the picture.
        if tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0) > max(limits.pixels, 1 << 20):
            raise TooManyPixels(f"A tile of the image has more than {limits.pixels:,} pixels.")
        tiff_layout.check_compression(tags.get(_COMPRESSION, 1))
        if tags.get(_COMPRESSION) in (_OLD_JPEG, _JPEG):
            _check_jpegs(data, structure, limits)
        return info

    @classmethod
    def _opened(cls, data: bytes) -> Image.Image:
        try:
            image = super()._opened(_as_stored(data))
        except UnidentifiedImageError as error:
            reason = tiff_layout.unsupported(data)
            if reason is None:
                raise
            raise UnsupportedFormat(reason) from error
        image.getexif()[names.ORIENTATION] = 1  # else Pillow applies an orientation in XMP
        return image

    def exif(self) -> Exif:
        """Return the tags of the TIFF, which are its EXIF."""
        return read_exif(self.data)

    def dpi(self) -> object:
        """Return None: the tags have the resolution, and Pillow invents one if they do not."""
        return None


def _camera_raw() -> UnsupportedFormat:
    # Only their preview can be decoded, which has another size than the picture.
    return UnsupportedFormat("Camera raw files are not supported.")


def _first_numbers(structure: ifd.Structure) -> dict[int, int]:
    """Return the first number of each tag of the first directory that holds unsigned numbers."""
    tags: dict[int, int] = {}
    for entry in structure.entries(structure.first):
        if entry.length > MAX_PIECES and entry.type in ifd.UNSIGNED and entry.type != ifd.BYTE:
            raise CorruptImage(f"The TIFF has more than {MAX_PIECES:,} strips, tiles or values in a tag.")
        if entry.tag not in tags and (number := structure.first_number(entry)) is not None:
            tags[entry.tag] = number
    return tags


def _check_jpegs(data: bytes, structure: ifd.Structure, limits: DecodeLimits) -> None:
    """Check the sizes in the headers of JPEGs in strips or tiles, because libjpeg allocates memory for them."""
    directory = structure.directory(structure.first)
    for tag in _PLACES_OF_JPEGS:
        for at in directory[tag].numbers() if tag in directory else ():
            size = jpeg.coded_size(data, at) if isinstance(at, int) else None
            if size is not None:
                limits.check(*size)


def _as_stored(data: bytes) -> bytes:
    """Return the file with an orientation of 1: Pillow rotates TIFFs at full size, which takes twice the memory."""
    structure = ifd.parse(data)
    if structure is None:
        return data
    entries = structure.entries(structure.first)
    places = [entry.at for entry in entries if entry.tag == names.ORIENTATION]
    if not places:
        return data
    upright, patched = structure.packed_short(names.ORIENTATION, 1), bytearray(data)
    for at in places:
        patched[at : at + len(upright)] = upright
    return bytes(patched)
