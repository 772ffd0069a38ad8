"""The demo model's training data: pictures that can be drawn again, and captions that are true."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from models.demo.captions import COLOR_MARGIN, scene_caption
from models.demo.dataset import shuffled, turned
from models.demo.drawing import PROMPT, TEST_SEEDS, TRAIN_SEEDS, Drawn, draw
from models.demo.palette import SCENE_COLORS, SCENE_NAMES, SHAPE_COLORS, name_colors
from models.demo.scenes import KINDS, draw_scene
from models.demo.sentences import IGNORED, Sentences
from models.demo.shapes import SHAPES
from models.demo.vocabulary import PROMPTS, build_tokenizer
from tests.with_torch import transformers_or_skip

SEEDS = range(TEST_SEEDS.start + 1_000, TEST_SEEDS.start + 1_040)


@pytest.fixture(scope="module")
def pictures() -> list[Drawn]:
    """One picture for each of `SEEDS`."""
    return [draw(seed) for seed in SEEDS]


@pytest.mark.parametrize("seed", [0, 1, TEST_SEEDS.start, TEST_SEEDS.start + 1])
def test_a_seed_always_draws_the_same_picture(seed: int) -> None:
    first, second = draw(seed), draw(seed)
    assert first.caption == second.caption
    assert first.picture.tobytes() == second.picture.tobytes()


def test_different_seeds_draw_different_pictures(pictures: list[Drawn]) -> None:
    assert len({drawn.picture.tobytes() for drawn in pictures}) == len(SEEDS)


def test_training_and_test_seeds_are_disjoint() -> None:
    assert TRAIN_SEEDS.stop <= TEST_SEEDS.start


def test_half_of_the_pictures_are_shapes_and_half_are_scenes(pictures: list[Drawn]) -> None:
    assert [drawn.kind for drawn in pictures] == ["shape", "scene"] * (len(SEEDS) // 2)


def test_a_shape_is_completely_inside_its_picture_and_has_the_color_in_its_caption(
    pictures: list[Drawn],
) -> None:
    for drawn in pictures[::2]:
        assert drawn.mask is not None
        mask = np.asarray(drawn.mask)
        edges = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
        assert edges.max() == 0
        assert 0.02 < (mask > 127).mean() < 0.7
        color = np.asarray(drawn.picture)[mask == 255].mean(axis=0)
        name = drawn.caption.split(f" {drawn.shape} ")[0].split(" ", 1)[1]
        distances = {
            other: min(float(np.abs(color - np.array(sample)).sum()) for sample in samples)
            for other, samples in SHAPE_COLORS.items()
        }
        assert distances[name] <= min(distances.values()) + 60, (drawn.caption, color)


def test_each_scene_has_the_caption_of_the_rule(pictures: list[Drawn]) -> None:
    for drawn in pictures[1::2]:
        assert drawn.mask is None
        assert drawn.caption == scene_caption(drawn.picture) == scene_caption(drawn.picture, margins=False)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_scene_can_be_drawn_and_is_not_one_color(kind) -> None:  # type: ignore[no-untyped-def]
    scene = draw_scene(np.random.default_rng(7), kind)
    assert scene.mode == "RGB"
    assert np.ptp(np.asarray(scene)) > 0


def test_every_sample_of_the_palette_has_its_own_name() -> None:
    for name, samples in SCENE_COLORS.items():
        nearest, _, lead = name_colors(np.array(samples))
        assert [SCENE_NAMES[i] for i in nearest] == [name] * len(samples)
        assert (lead > 0).all()


@pytest.mark.parametrize(
    ("color", "caption"),
    [
        ("white", "a bright scene, mostly white"),
        ("black", "a dark scene, mostly black"),
        ("red", "a scene, mostly red"),
        ("navy", "a dark scene, mostly blue"),
        ((128, 128, 128), "a scene, mostly gray"),
    ],
)
def test_the_caption_of_a_plain_picture_is_its_color(color: str | tuple[int, int, int], caption: str) -> None:
    assert scene_caption(Image.new("RGB", (90, 60), color)) == caption


def stripes(*colors: tuple[int, int, int]) -> Image.Image:
    """Draw one horizontal stripe of 10 pixels in each color: one row of the rule's cells for every 16 stripes."""
    picture = Image.new("RGB", (160, 10 * len(colors)))
    for i, color in enumerate(colors):
        ImageDraw.Draw(picture).rectangle((0, i * 10, 160, i * 10 + 9), fill=color)
    return picture


PALE_BLUE, GREEN, BLACK = SCENE_COLORS["blue"][5], SCENE_COLORS["green"][1], SCENE_COLORS["black"][1]


def test_the_larger_color_is_named_first() -> None:
    assert scene_caption(stripes(*[GREEN] * 11, *[BLACK] * 5)) == "a scene, mostly green and black"
    assert scene_caption(stripes(*[GREEN] * 5, *[BLACK] * 11)) == "a dark scene, mostly black and green"


def test_a_small_second_color_is_not_named() -> None:
    assert scene_caption(stripes(*[PALE_BLUE] * 14, *[GREEN] * 2)) == "a bright scene, mostly blue"


def test_many_colors_without_a_large_one_are_called_many_colors() -> None:
    names = ("red", "blue", "green", "purple", "pink", "teal", "brown", "gray")
    assert scene_caption(stripes(*[SCENE_COLORS[name][1] for name in names * 2])) == "a scene in many colors"


@pytest.mark.parametrize(
    "rows",
    [
        [PALE_BLUE] * 8 + [GREEN] * 8,
        [PALE_BLUE] * 13 + [GREEN] * 3,
        [PALE_BLUE] * 6 + [GREEN] * 5 + [BLACK] * 5,
        [SCENE_COLORS["blue"][4]] * 10 + [GREEN] * 6,
    ],
    ids=["which is larger", "is the second large enough", "which is second", "is it bright"],
)
def test_a_picture_too_close_to_a_limit_has_no_caption_unless_requested(rows: list[tuple[int, int, int]]) -> None:
    assert scene_caption(stripes(*rows)) is None
    assert scene_caption(stripes(*rows), margins=False) is not None


def test_a_color_between_two_names_has_no_caption_unless_requested() -> None:
    between = Image.new("RGB", (64, 64), (222, 222, 221))
    _, _, lead = name_colors(np.array(between.getpixel((0, 0))))
    assert lead < COLOR_MARGIN
    assert scene_caption(between) is None
    assert scene_caption(between, margins=False) is not None


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    transformers_or_skip()
    return build_tokenizer()


def test_every_drawn_or_prompted_word_is_one_token(tokenizer: Any, pictures: list[Drawn]) -> None:
    for text in [*(drawn.caption for drawn in pictures), *PROMPTS, *SHAPES]:
        tokens = tokenizer.tokenize(text)
        assert "".join(tokens) == text.replace(" ", "")
        assert not any("#" in token for token in tokens)


def test_any_prompt_can_be_written_in_the_vocabulary(tokenizer: Any) -> None:
    assert tokenizer.unk_token not in tokenizer.tokenize("What's this? A 1980s café: zebra & co.")


def test_a_batch_trains_the_caption_and_not_its_prompt(tokenizer: Any) -> None:
    inputs, labels = Sentences(tokenizer, ["a dark scene, mostly red"]).batch(
        np.zeros(200, dtype=np.intp), np.random.default_rng(0)
    )
    learned = {tokenizer.decode(row[row != IGNORED]) for row in labels}
    assert learned == {"a dark scene, mostly red [SEP]"}
    texts = {tokenizer.decode(row, skip_special_tokens=True) for row in inputs}
    assert texts == {"a dark scene, mostly red", *(f"{prompt} a dark scene, mostly red" for prompt in PROMPTS)}
    assert (inputs[:, 0] == tokenizer.bos_token_id).all()
    assert texts >= {f"{PROMPT} a dark scene, mostly red"}


def test_every_picture_is_used_once_before_any_is_repeated() -> None:
    batches = list(shuffled(10, 4, 5, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4] * 5
    order = np.concatenate(batches)
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))


def test_picture_and_hints_are_flipped_together() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    for _ in range(10):
        turned_pixels, turned_first_channel = turned(rng, pixels, pixels[..., 0])
        assert (turned_pixels[..., 0] == turned_first_channel).all()
