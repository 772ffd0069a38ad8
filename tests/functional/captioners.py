"""Captioners that are quicker than a model, and do what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from PIL import Image

from image_processor.captioning import Caption
from image_processor.captioning.model_folder import MANIFEST_NAME

_DEMO = Path(__file__).parents[2] / "models" / "demo"


def demo_model() -> Path | None:
    """The demo model's folder, as an export if there is one; None before it was trained."""
    folders = (_DEMO / "exported", _DEMO / "checkpoint")
    return next((folder for folder in folders if (folder / MANIFEST_NAME).is_file()), None)


class FakeCaptioner:
    """Says whether the picture that it saw has colors; `meanwhile` happens while it looks at it."""

    model = "fake@1"
    image_size = 64

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.seen: list[Image.Image] = []

    def caption(self, picture: Image.Image) -> Caption:
        self.seen.append(picture)
        self.meanwhile()
        red, green, blue = picture.split()
        return Caption("a gray photo" if red == green == blue else "a color photo")

    def caption_ids(self, picture: Image.Image) -> list[int]:
        raise NotImplementedError


class Silent(FakeCaptioner):
    """Has nothing to say about any picture."""

    def caption(self, picture: Image.Image) -> Caption:
        super().caption(picture)
        return Caption(None, "the model had nothing to say about this picture")


class Failing(FakeCaptioner):
    """Cannot caption anything."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def caption(self, picture: Image.Image) -> Caption:
        super().caption(picture)
        raise self.error


class AtOnce(Executor):
    """Does what is submitted before the caller goes on: so that a test knows what has happened by then."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class AtTheLast(Executor):
    """Does what is submitted when its result is asked for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        class Later(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                return fn(*args, **kwargs)

        return Later()
