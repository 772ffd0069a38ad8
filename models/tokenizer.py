"""Build a checkpoint's tokenizer, like transformers' `BertTokenizer` from the same files."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from image_core.errors import ModelError

FILES = ("tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json")
"""All files that are read if they exist. One of the first two is required."""
_ROLES: dict[str, str | None] = {
    "bos_token": None,
    "eos_token": None,
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
"""Special tokens and their defaults."""


def load_tokenizer(folder: Path) -> Tokenizer:
    """Build the tokenizer of a checkpoint. Raises `ModelError`, which names the folder."""
    if not any((folder / name).is_file() for name in FILES[:2]):
        raise ModelError(f"{folder} is not a BLIP captioning checkpoint: it has no tokenizer")
    try:
        return _build(folder)
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"the checkpoint in {folder} cannot be loaded: tokenizer: {error}") from error


def _build(folder: Path) -> Tokenizer:
    whole, settings = _json(folder / "tokenizer.json"), _json(folder / "tokenizer_config.json")
    known = settings.get("added_tokens_decoder")
    if known is None:
        settings |= _json(folder / "special_tokens_map.json")
        known = {one["id"]: one for one in whole.get("added_tokens", [])}
    added = [_token(one) for _, one in sorted(known.items(), key=lambda item: int(item[0]))]
    special = [_token(settings.get(role, default)) for role, default in _ROLES.items()]
    extra = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    contents = {role: token.content for role, token in zip(_ROLES, special, strict=True) if token}

    vocabulary = whole["model"]["vocab"] if whole else _vocabulary(folder / "vocab.txt")
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=contents["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    described: dict[str, AddedToken] = {}
    for token in (*added, *special, *map(_token, extra)):
        if token is not None:
            described.setdefault(token.content, token)
    tokenizer.add_tokens(list(described.values()))
    cls, sep = contents["cls_token"], contents["sep_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, tokenizer.token_to_id(cls)), (sep, tokenizer.token_to_id(sep))],
    )
    return tokenizer


def _token(described: Any) -> AddedToken | None:
    """A special token, which is either a text or an object in the files."""
    if described is None:
        return None
    if isinstance(described, str):
        return AddedToken(described, special=True)
    properties = {name: value for name, value in described.items() if name not in ("id", "__type")}
    return AddedToken(**{"special": True, **properties})


def _vocabulary(path: Path) -> dict[str, int]:
    with path.open(encoding="utf-8") as lines:
        return {line.rstrip("\n"): number for number, line in enumerate(lines)}


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON file, empty if it does not exist."""
    content: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return content
