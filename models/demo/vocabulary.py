"""The demo model's words, as a BERT WordPiece tokenizer like BLIP's own."""

import string
from pathlib import Path
from typing import Any

from models.demo.palette import SCENE_COLORS, SHAPE_COLORS
from models.demo.shapes import SHAPES

PAD, UNKNOWN, CLS, SEP, MASK, DEC = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
"""`[DEC]` begins a caption and `[SEP]` ends it, as in BLIP."""

PROMPTS = ("a photo of", "a picture of", "an image of", "a photograph of", "this is")
"""The prompts that a caption can continue. The first is the default."""


def words() -> list[str]:
    """The vocabulary in the order of its ids: special tokens, words, and single characters for everything else."""
    tokens = ["a", "an", "and", "on", "background", "scene", "bright", "dark", "light"]
    tokens += ["mostly", "in", "many", "colors", *SHAPES]
    for name in (*SCENE_COLORS, *SHAPE_COLORS, *PROMPTS):
        tokens += name.split()
    characters = string.ascii_lowercase + string.digits
    pieces = [*characters, *string.punctuation, *(f"##{character}" for character in characters)]
    return list(dict.fromkeys([*SPECIAL, *tokens, *pieces]))


def build_tokenizer() -> Any:
    """Create a `BertTokenizer` with `words()`."""
    from transformers import BertTokenizer

    return BertTokenizer(
        vocab={word: i for i, word in enumerate(words())},
        bos_token=DEC,
        eos_token=SEP,
        model_max_length=256,
    )


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and vocab.txt."""
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words()) + "\n", encoding="utf-8")
