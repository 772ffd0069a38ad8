"""Ways to implement the picture stage: ours, Pillow at full size (naive, and better), libvips.

Each converts a file's bytes to all results that the pipeline needs: metadata, encoded renditions, and the caption
model's array. `ours, without large` makes only the two thumbnails. The hash of the bytes is left out, because its
cost is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from bench.contestants import Turn
from image_core import renditions
from image_core.renditions import Rendition, Renditions, fitted, largest_side
from image_processor.captioning.preprocess import Preprocessor
from image_processor.picture import thumbnails
from image_processor.picture.decode import decode
from image_processor.picture.metadata import extract
from image_processor.picture.placeholder import placeholder

SIZES = renditions.parse(renditions.DEFAULT)
WITHOUT_LARGE = {name: one for name, one in SIZES.items() if name != "large"}
SIDE = 384
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MAX_PIXELS = 100_000_000
QUALITY = thumbnails.QUALITY


@dataclass(frozen=True, eq=False)
class Result:
    """The result of one way for one file. `array` is (1, 3, 384, 384), normalized."""

    metadata: dict[str, Any]
    thumbnails: dict[str, bytes]
    array: NDArray[np.float32]


Way = Callable[[bytes], Result]


def ours(sizes: Renditions = SIZES) -> Way:
    """The steps of `pipeline.process` between download and caption. Renditions are encoded in another thread, while
    this one makes the model's array."""
    preprocess = Preprocessor(SIDE, MEAN, STD)
    threads = ThreadPoolExecutor(1)

    def work(data: bytes) -> Result:
        picture = decode(data, max_pixels=MAX_PIXELS, largest_side=largest_side(sizes))
        pictures = thumbnails.scaled(picture, sizes)
        encoding = threads.submit(thumbnails.encode, pictures, sizes)
        metadata = extract(picture, size_bytes=len(data), sha256="") | {
            "placeholder": placeholder(pictures["small"])
        }
        array = preprocess(picture.for_captioning(SIDE))
        return Result(metadata, {name: one.body for name, one in encoding.result().items()}, array)

    return work


def ours_without_large() -> Way:
    """Only the two thumbnails."""
    return ours(WITHOUT_LARGE)


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
        saved = {}
        for name, small in thumbnails_of(picture).items():
            body = BytesIO()
            kind = _kind(SIZES[name], alpha=small.mode == "RGBA")
            small.save(body, kind.upper(), **({} if kind == "png" else {"quality": QUALITY[kind]}))
            saved[name] = body.getvalue()
        return Result(metadata, saved, preprocess(on_white(picture)))

    return work


def _kind(rendition: Rendition, *, alpha: bool) -> str:
    return rendition.format if rendition.format != "auto" else "png" if alpha else "jpeg"


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
    return {name: picture.resize(fitted(*picture.size, one.side)) for name, one in SIZES.items()}


def better_thumbnails(picture: Image.Image) -> dict[str, Image.Image]:
    """Thumbnails from a copy, with `thumbnail` and its defaults, as in Pillow's tutorial."""
    copies = {}
    for name, one in SIZES.items():
        copies[name] = picture.copy()
        copies[name].thumbnail((one.side, one.side))
    return copies


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
        saved = {}
        for name, one in vips_thumbnails(base).items():
            kind = _kind(SIZES[name], alpha=one.hasalpha())
            options = {"png": {}, "jpeg": {"Q": QUALITY["jpeg"]}, "webp": {"Q": QUALITY["webp"], "effort": 0}}[kind]
            saved[name] = getattr(one, f"{kind}save_buffer")(keep="none", **options)
        flat = base.flatten(background=[255, 255, 255]) if base.hasalpha() else base
        squeezed = flat.thumbnail_image(SIDE, height=SIDE, size="force")
        pixels = np.asarray(squeezed.numpy())
        array = np.stack([table[pixels[..., channel]] for channel, table in enumerate(tables)])[np.newaxis]
        return Result(metadata, saved, array)

    pyvips.cache_set_max(0)
    return work


def vips_picture(data: bytes) -> tuple[dict[str, Any], Any]:
    """Metadata, and the upright sRGB picture in memory, large enough for all renditions and the array."""
    import pyvips

    header = pyvips.Image.new_from_buffer(data, "")
    metadata = {name: header.get(name) for name in header.get_fields() if name.startswith("exif-ifd")}
    metadata |= {"width": header.width, "height": header.height, "format": header.get("vips-loader")}
    short = min(header.width, header.height)
    needed = int(1.5 * max(fitted(header.width, header.height, largest_side(SIZES))))
    factor = max(1, min(short // 768, max(header.width, header.height) // needed))
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
    """The renditions. Each is made from the next larger one."""
    made = {}
    for name, one in sorted(SIZES.items(), key=lambda item: -item[1].side):
        made[name] = base = base.thumbnail_image(one.side, size="down").copy_memory()
    return made


WITHOUT = "ours, without large"
WAYS: dict[str, Callable[[], Way]] = {
    "naive": naive,
    "thumbnail()": thumbnail,
    "ours": ours,
    WITHOUT: ours_without_large,
    "libvips": vips,
}
"""All but one make the same renditions; the JPEGs of the others are 4:2:0."""


def turns(name: str, paths: list[Path], repeats: list[int]) -> Turn:
    """A turn processes the picture of the round's number, as often as its `repeats` says."""
    way = WAYS[name]()
    files = [path.read_bytes() for path in paths]

    def turn(number: int) -> None:
        for _ in range(repeats[number]):
            way(files[number])

    return turn
