"""libwebp's decoder, called through ctypes because Pillow does not offer its scaling.

Pillow decodes each WebP as an animation, at full size and into three copies: 15 bytes per pixel. libwebp scales
down while it decodes, row by row and in threads. The library is the one that Pillow has loaded. If that cannot be
called, Pillow decodes. The structures are those of libwebp's `decode.h`. libwebp checks the ABI version of their
layout. Decision 8 has the figures.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from PIL import Image, _webp

THREADED_PIXELS = 1_000_000
"""Below this, a second thread costs more than it saves."""

_ABI_VERSION = 0x0209
_RGB, _RGBA = 0, 1
_OK, _OUT_OF_MEMORY = 0, 1


class _Features(ctypes.Structure):
    _fields_ = (
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("has_alpha", ctypes.c_int),
        ("has_animation", ctypes.c_int),
        ("format", ctypes.c_int),  # 1 lossy, 2 lossless, 0 mixed
        ("pad", ctypes.c_uint32 * 5),
    )


class _Rgba(ctypes.Structure):
    _fields_ = (("rgba", ctypes.c_void_p), ("stride", ctypes.c_int), ("size", ctypes.c_size_t))


class _Yuva(ctypes.Structure):
    _fields_ = (
        ("planes", ctypes.c_void_p * 4),
        ("strides", ctypes.c_int * 4),
        ("sizes", ctypes.c_size_t * 4),
    )


class _Planes(ctypes.Union):
    _fields_ = (("rgba", _Rgba), ("yuva", _Yuva))


class _Output(ctypes.Structure):
    _fields_ = (
        ("colorspace", ctypes.c_int),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("is_external_memory", ctypes.c_int),
        ("u", _Planes),
        ("pad", ctypes.c_uint32 * 4),
        ("private_memory", ctypes.c_void_p),
    )


class _Options(ctypes.Structure):
    _fields_ = (
        ("bypass_filtering", ctypes.c_int),
        ("no_fancy_upsampling", ctypes.c_int),
        ("use_cropping", ctypes.c_int),
        ("crop", ctypes.c_int * 4),
        ("use_scaling", ctypes.c_int),
        ("scaled_width", ctypes.c_int),
        ("scaled_height", ctypes.c_int),
        ("use_threads", ctypes.c_int),
        ("dithering_strength", ctypes.c_int),
        ("flip", ctypes.c_int),
        ("alpha_dithering_strength", ctypes.c_int),
        ("pad", ctypes.c_uint32 * 5),
    )


class _Config(ctypes.Structure):
    _fields_ = (("input", _Features), ("output", _Output), ("options", _Options))


@cache
def _libwebp() -> ctypes.CDLL | None:
    """Return the library that Pillow's extension is linked with. Symbols are also searched in its dependencies."""
    try:
        library = ctypes.CDLL(_webp.__file__)
        for function in (
            library.WebPDecode,
            library.WebPGetFeaturesInternal,
            library.WebPInitDecoderConfigInternal,
        ):
            function.restype = ctypes.c_int
        library.WebPInitDecoderConfigInternal.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.WebPGetFeaturesInternal.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)
        library.WebPDecode.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p)
    except (OSError, AttributeError):
        return None
    return library if library.WebPInitDecoderConfigInternal(ctypes.byref(_Config()), _ABI_VERSION) else None


def decode(picture: bytes, canvas: tuple[int, int], size: tuple[int, int]) -> Image.Image | None:
    """Decode a file, or a frame of an animation, of `canvas` (width, height) pixels to `size`, in RGB or RGBA.

    None if libwebp cannot be called, or if the size of the picture is not `canvas`. If transparency is stored
    separately from colors (lossy with alpha), the picture is decoded at full size, so that hidden colors do not
    bleed into visible pixels. Raises OSError if the picture is damaged, and MemoryError.
    """
    library = _libwebp()
    if library is None:
        return None
    config = _Config()
    library.WebPInitDecoderConfigInternal(ctypes.byref(config), _ABI_VERSION)
    status = library.WebPGetFeaturesInternal(picture, len(picture), ctypes.byref(config.input), _ABI_VERSION)
    if status != _OK:
        raise OSError(f"libwebp cannot read the header: status {status}")
    if (config.input.width, config.input.height) != canvas:
        return None
    alpha = bool(config.input.has_alpha)
    width, height = canvas if alpha and config.input.format == 1 else size
    samples = 4 if alpha else 3
    pixels = np.empty((height, width, samples), np.uint8)
    config.options.use_threads = canvas[0] * canvas[1] >= THREADED_PIXELS
    if (width, height) != canvas:
        config.options.use_scaling = 1
        config.options.scaled_width, config.options.scaled_height = width, height
    config.output.colorspace = _RGBA if alpha else _RGB
    config.output.is_external_memory = 1
    config.output.u.rgba = _Rgba(pixels.ctypes.data, width * samples, pixels.nbytes)
    status = library.WebPDecode(picture, len(picture), ctypes.byref(config))
    if status == _OUT_OF_MEMORY:
        raise MemoryError
    if status != _OK:
        raise OSError(f"libwebp cannot decode the picture: status {status}")
    mode = "RGBA" if alpha else "RGB"
    return Image.frombuffer(mode, (width, height), pixels, "raw", mode, 0, 1)
