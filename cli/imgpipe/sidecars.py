"""XMP sidecars: small files beside pictures, in which photo software finds title, caption, tags and alt text.

They follow the XMP specification (ISO 16684-1) and the IPTC Photo Metadata Standard, and are named `photo.jpg.xmp`,
as those of darktable and digiKam: `photo.jpg` and `photo.png` in one folder each have their own.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from xml.etree import ElementTree

from imgpipe.downloads import name_with_id, put_in_place, safe_name
from imgpipe.errors import FileError
from imgpipe.images import Image

_X = "adobe:ns:meta/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_TOOLKIT = "imgpipe"

for _prefix, _uri in (("x", _X), ("rdf", _RDF), ("dc", _DC), ("Iptc4xmpCore", _IPTC)):
    ElementTree.register_namespace(_prefix, _uri)

_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot contain, not even escaped."""

_HEAD_BYTES = 4096
_OWN = re.compile(rb'x:xmptk="imgpipe".{0,1000}?<dc:identifier>(img_[0-9a-z]{26})</dc:identifier>', re.DOTALL)
"""The beginning of a sidecar that imgpipe wrote. A program that changes one puts its own name there."""


class State(StrEnum):
    """What became of a sidecar."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    WITHOUT_WORDS = "without_words"


def document(image: Image) -> bytes | None:
    """The sidecar of an image. None if the image has neither caption, title, tags nor alt text."""
    root = ElementTree.Element(f"{{{_X}}}xmpmeta", {f"{{{_X}}}xmptk": _TOOLKIT})
    rdf = ElementTree.SubElement(root, f"{{{_RDF}}}RDF")
    description = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    ElementTree.SubElement(description, f"{{{_DC}}}identifier").text = image.image_id
    texts = {
        f"{{{_DC}}}title": image.get("title"),
        f"{{{_DC}}}description": image.caption,
        f"{{{_IPTC}}}AltTextAccessibility": image.get("alt_text"),
    }
    for name, value in texts.items():
        if text := _text(value):
            alternatives = ElementTree.SubElement(ElementTree.SubElement(description, name), f"{{{_RDF}}}Alt")
            ElementTree.SubElement(alternatives, f"{{{_RDF}}}li", {_LANGUAGE: "x-default"}).text = text
    tags = image.get("tags")
    if words := [text for tag in (tags if isinstance(tags, list) else []) if (text := _text(tag))]:
        subject = ElementTree.SubElement(description, f"{{{_DC}}}subject")
        bag = ElementTree.SubElement(subject, f"{{{_RDF}}}Bag")
        for word in words:
            ElementTree.SubElement(bag, f"{{{_RDF}}}li").text = word
    if len(description) == 1:
        return None
    ElementTree.indent(root, " ")
    written: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written + b"\n"


def _text(value: object) -> str:
    text = value.replace("\r\n", "\n").replace("\r", "\n") if isinstance(value, str) else ""
    return _FORBIDDEN.sub("", text).strip()


class Sidecars:
    """The sidecars in one folder. With `force`, those of other programs are replaced."""

    def __init__(self, folder: Path, *, force: bool) -> None:
        self._folder = folder
        self._force = force

    def write(self, image: Image) -> tuple[State, Path | None]:
        """Write the sidecar of an image, and return its path. An interrupted write leaves nothing behind.

        Raises `FileError` for a sidecar of another program, and `OSError` if the folder cannot be written.
        """
        content = document(image)
        if content is None:
            return State.WITHOUT_WORDS, None
        path = self._path(image)
        is_own = self._owner(path) is not None
        if is_own and path.read_bytes() == content:
            return State.UNCHANGED, path
        if not is_own and not self._force and _exists(path):
            raise FileError(f"{path} was written by another program; use --force to replace it")
        partial = self._folder / f".imgpipe-{secrets.token_hex(8)}.part"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as stream:
                stream.write(content)
            put_in_place(partial, path, force=self._force or is_own)
        finally:
            with suppress(OSError):
                partial.unlink()
        return State.WRITTEN, path

    def _path(self, image: Image) -> Path:
        """The path of the image's sidecar: beside its file if that is there, however `download` named it."""
        name = safe_name(image)
        plain, own = self._folder / name, self._folder / name_with_id(name, image)
        plain_sidecar, own_sidecar = _beside(plain), _beside(own)
        if own.is_file():
            return own_sidecar
        owner = self._owner(plain_sidecar)
        if plain.is_file():
            return plain_sidecar if owner == image.image_id or _has_bytes_of(plain, image) else own_sidecar
        # Without the pictures, the first image of several with one name gets the plain name.
        return plain_sidecar if owner in (None, image.image_id) else own_sidecar

    def _owner(self, sidecar: Path) -> str | None:
        """The id of the image whose sidecar this is. None if imgpipe did not write it, or if it does not exist."""
        if sidecar.is_symlink() or not sidecar.is_file():
            return None
        with sidecar.open("rb") as stream:
            found = _OWN.search(stream.read(_HEAD_BYTES))
        return found[1].decode() if found else None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.xmp")


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _has_bytes_of(path: Path, image: Image) -> bool:
    """Whether a file is the image's original. Several images can have the same name, and the same size."""
    digest, size = image.metadata.get("sha256"), image.metadata.get("size_bytes")
    if not isinstance(digest, str):
        return True  # not processed yet, so that only the name is known
    if isinstance(size, int) and path.stat().st_size != size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == digest
