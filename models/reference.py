"""The reference: BLIP in transformers and torch, with which exports are compared."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from image_core.errors import ModelError
from image_processor.captioning.caption import Caption
from image_processor.captioning.confidence import LOW_CONFIDENCE, Generated, log_probability
from image_processor.captioning.prompt import caption_of
from image_processor.captioning.repetition import find_repetition
from models.blip import require_blip
from models.weights import Floats


def require_transformers() -> None:
    """Raise `ModelError` unless transformers and torch are installed."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise ModelError(
            f"{' and '.join(missing)} must be installed to compare an export with transformers: "
            "pip install -r requirements.txt. The export itself needs neither."
        )


class Reference:
    """`BlipForConditionalGeneration.generate` with greedy decoding in fp32. Slow.

    Captions end before they repeat themselves, by the rule of the captioner. `generate` returns all tokens.
    """

    def __init__(self, folder: Path, *, language: str = "en", low_confidence: float = LOW_CONFIDENCE) -> None:
        """Load the checkpoint in `folder`, without network. Raises `ModelError`.

        `language` and `low_confidence`: as in `model.json` of an export.
        """
        require_blip(folder)
        require_transformers()
        self._model, self._tokenizer, self._image_processor = _load(folder)
        self._language, self._low_confidence = language, low_confidence

    def pixels(self, picture: Image.Image) -> Floats:
        """Convert the picture to the model's input (1, 3, side, side)."""
        inputs = self._image_processor(images=picture.convert("RGB"), return_tensors="np")
        pixels: Floats = inputs["pixel_values"]
        return pixels

    def prompt_ids(self, prompt: str) -> list[int]:
        """Token ids of begin token and prompt."""
        words = self._tokenizer.encode(prompt, add_special_tokens=False)
        return [int(self._model.config.text_config.bos_token_id), *map(int, words)]

    def generate(self, pixels: Floats, start: list[int], max_new_tokens: int) -> tuple[list[int], list[Floats]]:
        """Return the tokens that transformers adds to `start`, and the logits that each was chosen from."""
        import torch

        # A new tensor for each picture: `generate` overwrites its first id, and drops the last one.
        ids = torch.tensor([[*start, int(self._model.config.text_config.sep_token_id)]])
        with torch.inference_mode():
            output = self._model.generate(
                pixel_values=torch.from_numpy(pixels),
                input_ids=ids,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                output_logits=True,
                return_dict_in_generate=True,
            )
        tokens = [int(one) for one in output.sequences[0]][len(start) :]
        return tokens, [logits[0].numpy() for logits in output.logits]

    def caption(self, picture: Image.Image, prompt: str = "", max_new_tokens: int = 20) -> Caption:
        """Like `Captioner.caption`."""
        start = self.prompt_ids(prompt)
        generated = self._generate(picture, start, max_new_tokens)
        return caption_of(
            self._decode([*start[1:], *generated.tokens]),
            self._decode(generated.tokens),
            generated,
            language=self._language,
            low_confidence=self._low_confidence,
        )

    def caption_ids(self, picture: Image.Image, prompt: str = "", max_new_tokens: int = 20) -> list[int]:
        """Like `OnnxCaptioner.caption_ids`."""
        start = self.prompt_ids(prompt)
        return [*start, *self._generate(picture, start, max_new_tokens).tokens]

    def _generate(self, picture: Image.Image, start: list[int], max_new_tokens: int) -> Generated:
        tokens, logits = self.generate(self.pixels(picture), start, max_new_tokens)
        chosen = [log_probability(one, token) for one, token in zip(logits, tokens, strict=True)]
        return Generated(tokens, chosen).before(find_repetition(tokens, self._piece, self._language))

    def _piece(self, token: int) -> str | None:
        piece: str | None = self._tokenizer.convert_ids_to_tokens(token)
        return piece

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


def _load(folder: Path) -> tuple[Any, Any, Any]:
    """Load model, tokenizer and image processor."""
    import torch
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil, logging

    silence: Any = logging.disable_progress_bar
    silence()
    try:
        loaded: Any = BlipForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
        model, report = loaded
        tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
        image_processor = BlipImageProcessorPil.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers passes on any error of its parsers
        raise ModelError(f"the checkpoint in {folder} cannot be loaded: {error}") from error
    if report["missing_keys"]:  # transformers would continue with random weights
        raise ModelError(f"the checkpoint in {folder} lacks weights: {min(report['missing_keys'])} and others")
    return model.eval(), tokenizer, image_processor
