"""Four ways to implement the picture stage: ours, Pillow at full size (naive, and better), libvips.

Each converts a file's bytes to all results that the pipeline needs: metadata, two encoded thumbnails, and the
caption model's array. The hash of the bytes is left out, because its cost is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from bench.contestants import Turn
from image_processor.captioning.preprocess import Preprocessor
from image_processor.picture.thumbnails import fitted

SIZES = {"small": 150, "medium": 300}
SIDE = 384
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MAX_PIXELS = 100_000_000
QUALITY = 85


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one way for one file. `array` is (1, 3, 384, 384), normalized."""

    metadata: dict[str, Any]
    thumbnails: dict[str, bytes]
    array: NDArray[np.float32]


Way = Callable[[bytes], Result]


def ours() -> Way:
    """The steps of `pipeline.process` between download and caption."""
    from image_processor.picture.decode import decode
    from image_processor.picture.metadata import extract
    from image_processor.picture.thumbnails import render

    preprocess = Preprocessor(SIDE, MEAN, STD)

    def work(data: bytes) -> Result:
        picture = decode(data, max_pixels=MAX_PIXELS, largest_thumbnail=max(SIZES.values()))
        metadata = extract(picture, size_bytes=len(data), sha256="")
        thumbnails = render(picture, SIZES)
        array = preprocess(picture.for_captioning(SIDE))
        return Result(metadata, {name: one.body for name, one in thumbnails.items()}, array)

    return work


def naive() -> Way:
    """Pillow's functions, one after the other, on the picture that is decoded once at full size."""
    return _at_full_size(naive_thumbnails)


def thumbnail() -> Way:
    """The same with `Image.thumbnail`, which averages first, as users with more experience do."""
    return _at_full_size(better_thumbnails)


def _at_full_size(thumbnails_of: Callable[[Image.Image], dict[str, Image.Image]]) -> Way:
    preprocess = Preprocessor(SIDE, MEAN, STD)

    def work(data: bytes) -> Result:
        metadata, picture = naive_picture(data)
        thumbnails = {}
        for name, picture_of_that_size in thumbnails_of(picture).items():
            body = BytesIO()
            if picture_of_that_size.mode == "RGBA":
                picture_of_that_size.save(body, "PNG")
            else:
                picture_of_that_size.save(body, "JPEG", quality=QUALITY)
            thumbnails[name] = body.getvalue()
        return Result(metadata, thumbnails, preprocess(on_white(picture)))

    return work


def naive_picture(data: bytes) -> tuple[dict[str, Any], Image.Image]:
    """Metadata, and the upright sRGB picture at full size, RGB or RGBA."""
    with Image.open(BytesIO(data)) as image:
        exif = image.getexif()
        tags = dict(exif) | dict(exif.get_ifd(ExifTags.IFD.Exif))
        metadata = {
            "format": image.format,
            "exif": {ExifTags.TAGS.get(tag, tag): value for tag, value in tags.items()},
            "gps": dict(exif.get_ifd(ExifTags.IFD.GPSInfo)),
        }
        picture = ImageOps.exif_transpose(image).convert("RGBA" if image.has_transparency_data else "RGB")
        if profile := image.info.get("icc_profile"):
            wide = ImageCms.ImageCmsProfile(BytesIO(profile))
            ImageCms.profileToProfile(picture, wide, ImageCms.createProfile("sRGB"), inPlace=True)
        return metadata | {"width": picture.width, "height": picture.height}, picture


def naive_thumbnails(picture: Image.Image) -> dict[str, Image.Image]:
    """Thumbnails with `resize` and its default filter."""
    return {name: picture.resize(fitted(*picture.size, side)) for name, side in SIZES.items()}


def better_thumbnails(picture: Image.Image) -> dict[str, Image.Image]:
    """Thumbnails from a copy, with `thumbnail` and its defaults, as in Pillow's tutorial."""
    thumbnails = {}
    for name, side in SIZES.items():
        copy = picture.copy()
        copy.thumbnail((side, side))
        thumbnails[name] = copy
    return thumbnails


def on_white(picture: Image.Image) -> Image.Image:
    """The model's input for a picture with transparency."""
    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def vips() -> Way:
    """The best use of libvips: decode once, at a reduced scale if the format supports it, and use that for
    everything."""
    import pyvips

    tables = [
        ((np.arange(256, dtype=np.float64) / 255).astype(np.float32) - np.float32(mean)) / np.float32(std)
        for mean, std in zip(MEAN, STD, strict=True)
    ]

    def work(data: bytes) -> Result:
        metadata, base = vips_picture(data)
        thumbnails = {}
        for name, one in vips_thumbnails(base).items():
            save = one.pngsave_buffer if one.hasalpha() else one.jpegsave_buffer
            thumbnails[name] = save(keep="none") if one.hasalpha() else save(Q=QUALITY, keep="none")
        flat = base.flatten(background=[255, 255, 255]) if base.hasalpha() else base
        squeezed = flat.thumbnail_image(SIDE, height=SIDE, size="force")
        pixels = np.asarray(squeezed.numpy())
        array = np.stack([table[pixels[..., channel]] for channel, table in enumerate(tables)])[np.newaxis]
        return Result(metadata, thumbnails, array)

    pyvips.cache_set_max(0)
    return work


def vips_picture(data: bytes) -> tuple[dict[str, Any], Any]:
    """Metadata, and the upright sRGB picture with 768 pixels or more on its short side, in memory."""
    import pyvips

    header = pyvips.Image.new_from_buffer(data, "")
    metadata = {name: header.get(name) for name in header.get_fields() if name.startswith("exif-ifd")}
    metadata |= {"width": header.width, "height": header.height, "format": header.get("vips-loader")}
    short = min(header.width, header.height)
    factor = max(1, short // 768)
    loader = str(metadata["format"])
    options: dict[str, Any] = {}
    if loader.startswith("jpegload"):
        options["shrink"] = shrink = next(one for one in (8, 4, 2, 1) if one <= factor)
        factor //= shrink
    elif loader.startswith("webpload"):
        options["scale"] = 1 / factor
        factor = 1
    image = pyvips.Image.new_from_buffer(data, "", access="sequential", **options)
    if factor > 1:
        if image.hasalpha():
            image = image.premultiply().shrink(factor, factor).unpremultiply().cast("uchar")
        else:
            image = image.shrink(factor, factor)
    if header.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb", embedded=True, intent="perceptual")
    return metadata, image.copy_memory().autorot()


def vips_thumbnails(base: Any) -> dict[str, Any]:
    """The thumbnails. The small one is made from the medium one."""
    medium = base.thumbnail_image(SIZES["medium"], size="down").copy_memory()
    return {"small": medium.thumbnail_image(SIZES["small"], size="down"), "medium": medium}


WAYS: dict[str, Callable[[], Way]] = {"naive": naive, "thumbnail()": thumbnail, "ours": ours, "libvips": vips}


def turns(name: str, paths: list[Path], repeats: list[int]) -> Turn:
    """A turn processes the picture of the round's number, as often as its `repeats` says."""
    way = WAYS[name]()
    files = [path.read_bytes() for path in paths]

    def turn(number: int) -> None:
        for _ in range(repeats[number]):
            way(files[number])

    return turn
