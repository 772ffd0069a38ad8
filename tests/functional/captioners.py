"""Captioners that are faster than a model and whose behavior a test controls."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from PIL import Image

from image_processor.captioning import Caption
from tests import pictures

DEMO_MODEL = Path(__file__).parents[2] / "models" / "demo" / "exported"
_CORNERS = {"red": pictures.RED, "green": pictures.GREEN, "blue": pictures.BLUE, "yellow": pictures.YELLOW}


class FakeCaptioner:
    """Names the color in the upper left corner: red in `pictures.scene`. Calls `meanwhile` before it returns."""

    model = "fake@1"
    recipe = "fake"
    image_size = 96

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.pictures: list[Image.Image] = []

    def caption(self, picture: Image.Image) -> Caption:
        self.pictures.append(picture)
        self.meanwhile()
        return Caption(f"a photo with a {_corner(picture)} corner")


def _corner(picture: Image.Image) -> str:
    pixel = picture.getpixel((picture.width // 8, picture.height // 8))
    return min(_CORNERS, key=lambda name: sum(abs(a - b) for a, b in zip(_CORNERS[name], pixel, strict=True)))


class Silent(FakeCaptioner):
    """Returns an empty caption for every picture."""

    recipe = "silent"

    def caption(self, picture: Image.Image) -> Caption:
        super().caption(picture)
        return Caption(None, "the model had nothing to say about this picture")


class Failing(FakeCaptioner):
    """Raises an error for every picture."""

    recipe = "failing"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def caption(self, picture: Image.Image) -> Caption:
        super().caption(picture)
        raise self.error


class ImmediateExecutor(Executor):
    """Runs a submitted function immediately, so that a test knows what has happened by then."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LazyExecutor(Executor):
    """Runs a submitted function when its result is requested."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        class Later(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                return fn(*args, **kwargs)

        return Later()
