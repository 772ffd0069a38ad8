"""Bugs that the simulator has found, as deterministic stories; and similar actions at every moment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ops.reconcile import Plan, reconcile
from tests.simulation.bodies import EMPTY, File
from tests.simulation.bugs import BUGS
from tests.simulation.network import Fault
from tests.simulation.scenarios import (
    FIRST,
    IMAGE_ID,
    KEY,
    SECOND,
    STORIES,
    Story,
    in_sequence,
    reprocess,
    run_story,
    runs_with_one_fault,
)
from tests.simulation.simulation import Result, describe
from tests.simulation.users import User


def _check(result: Result, where: str = "") -> None:
    assert not result.violations, f"{where}\n{describe(result, 100)}"


def in_order(*values: float) -> Callable[[], float]:
    """Return a function that returns the values one after another, then the last one repeatedly."""
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_an_image_overwritten_and_deleted_before_the_event_does_not_come_back() -> None:
    def story(user: User) -> None:
        user.put(KEY, FIRST)
        user.stack.world.sleep(3)
        user.put(KEY, SECOND)
        user.stack.world.sleep(1)
        user.delete(IMAGE_ID, KEY)

    late = in_order(0.1, 40)
    result = run_story(story, event_delays=lambda: [late()])
    _check(result)
    assert sum(result.counts.values()) == 0


def test_a_worker_of_a_deleted_image_does_not_write_into_the_next_one() -> None:
    def story(user: User) -> None:
        user.put(KEY, FIRST)
        user.stack.world.sleep(0.5)
        user.delete(IMAGE_ID, KEY)
        user.put(KEY, SECOND)

    # The first worker finishes when the second is where the first was at the deletion.
    result = run_story(story, caption_seconds=in_order(3, 6), event_delays=lambda: [0.01])
    _check(result)
    assert result.counts["success"] == 1


def _uploaded_by_url(user: User) -> tuple[str, str, str]:
    """The id, key and presigned URL of an image that was uploaded by the URL and processed."""
    reserved = user.reserve(FIRST, "photo.png")
    assert reserved is not None
    _, key, url = reserved
    user.put_to(url, key, FIRST)
    user.stack.world.sleep(3)
    return reserved


@pytest.mark.parametrize("wait_seconds", [0, 1, 20, 55])
@pytest.mark.parametrize("late_file", [FIRST, SECOND])
def test_a_presigned_url_does_not_bring_back_a_deleted_image(late_file: File, wait_seconds: float) -> None:
    def story(user: User) -> None:
        image_id, key, url = _uploaded_by_url(user)
        user.delete(image_id, key)
        user.stack.world.sleep(wait_seconds)
        user.put_to(url, key, late_file)

    result = run_story(story)
    _check(result)
    assert sum(result.counts.values()) == 0


def test_a_presigned_url_of_an_earlier_image_brings_nothing_back() -> None:
    """The record that knew of the URL was deleted with its file, and the file was dropped again."""

    def story(user: User) -> None:
        image_id, key, url = _uploaded_by_url(user)
        user.remove(key)
        user.stack.world.sleep(3)
        user.put(key, FIRST)
        user.stack.world.sleep(3)
        user.delete(image_id, key)
        user.stack.world.sleep(3)
        user.put_to(url, key, FIRST)

    result = run_story(story)
    _check(result)
    assert sum(result.counts.values()) == 0


def test_a_caption_is_not_copied_from_a_file_that_was_overwritten() -> None:
    def story(user: User) -> None:
        user.put(KEY, FIRST)
        user.stack.world.sleep(10)  # the index has it
        user.put(KEY, SECOND)
        user.stack.world.sleep(3)  # the record has the new bytes, and the index still has the old ones
        user.put("another.png", FIRST)

    _check(run_story(story, index_lag=lambda: 8))


def _put_again(user: User) -> None:
    user.put(KEY, FIRST)


ACTIONS: dict[str, tuple[Story, int]] = {
    "overwritten": (lambda user: user.put(KEY, SECOND), 1),
    "put again": (_put_again, 1),
    "removed": (lambda user: user.remove(KEY), 0),
    "deleted": (lambda user: user.delete(IMAGE_ID, KEY), 0),
    "reprocessed": (reprocess("all"), 1),
    "reprocessed in one stage, then the other": (reprocess("thumbnails", "caption", force=True), 1),
    "reprocessed except its caption, and overwritten": (
        in_sequence(reprocess("thumbnails"), lambda user: user.put(KEY, SECOND)),
        1,
    ),
    "removed and dropped again": (
        in_sequence(lambda user: user.remove(KEY), lambda user: user.put(KEY, SECOND)),
        1,
    ),
}
MOMENTS = [number / 100 for number in range(0, 120, 2)]
"""Seconds after the drop, from before the event to after the end. A call takes 0.02 seconds."""


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_at_any_moment_of_the_processing_ends_well(name: str) -> None:
    _at_any_moment(name, FIRST)


def _at_any_moment(name: str, file: File) -> None:
    action, ends = ACTIONS[name]
    for moment in MOMENTS:

        def story(user: User, moment: float = moment) -> None:
            user.put(KEY, file)
            user.stack.world.sleep(moment)
            action(user)

        # Transactions take long enough that other readers see partial ones.
        result = run_story(story, event_delays=lambda: [0.005], caption_seconds=lambda: 0.2, hold=lambda: 0.15)
        _check(result, f"{name} after {moment} s")
        if name != "deleted":  # without a record there is nothing to delete: 404
            assert result.counts["success"] == ends, f"{name} after {moment} s"
    print(f"{name}: at {len(MOMENTS)} moments")


def test_an_empty_file_that_is_removed_at_any_moment_leaves_nothing() -> None:
    _at_any_moment("removed", EMPTY)


def test_a_deletion_with_a_conflict_is_completed_later() -> None:
    runs = list(runs_with_one_fault(STORIES["deleted afterwards"], Fault.RACING))
    assert len(runs) == 1
    for number, result in runs:
        _check(result, f"call {number}")


def test_an_event_that_the_bus_refuses_is_sent_again() -> None:
    runs = list(runs_with_one_fault(STORIES["reprocessed afterwards"], Fault.PARTIAL))
    assert len(runs) >= 2
    for number, result in runs:
        _check(result, f"call {number}")


def _reconcile_at_any_moment(settle_seconds: float) -> None:
    for moment in MOMENTS:

        def story(user: User, moment: float = moment) -> None:
            user.put(KEY, FIRST)
            user.stack.world.sleep(moment)
            plan = Plan(apply=True, min_age_seconds=1000, settle_seconds=settle_seconds)
            reconcile(user.stack.services, plan, sleep=user.stack.world.sleep)

        # For this time a record has changed and its counter has not, or the reverse.
        result = run_story(story, hold=lambda: 0.4)
        _check(result, f"reconciled after {moment} s")


def test_reconcile_does_not_correct_counters_of_a_partly_visible_transaction() -> None:
    _reconcile_at_any_moment(settle_seconds=2)
    with pytest.raises(AssertionError, match="counters equal a recount"):
        _reconcile_at_any_moment(settle_seconds=0)


@pytest.mark.parametrize(
    ("bug", "test"),
    [
        (
            "claimed-version",
            test_an_image_overwritten_and_deleted_before_the_event_does_not_come_back,
        ),
        ("revs-from-one", test_a_worker_of_a_deleted_image_does_not_write_into_the_next_one),
        ("conflict-is-change", test_a_deletion_with_a_conflict_is_completed_later),
        ("unread-response", test_an_event_that_the_bus_refuses_is_sent_again),
        ("stale-content", test_a_caption_is_not_copied_from_a_file_that_was_overwritten),
        ("pinned-download", lambda: _at_any_moment("removed", FIRST)),
        ("last-stage-wins", lambda: _at_any_moment("reprocessed in one stage, then the other", FIRST)),
        ("valid-url", lambda: test_a_presigned_url_does_not_bring_back_a_deleted_image(SECOND, 1)),
        ("kept-caption", lambda: _at_any_moment("reprocessed except its caption, and overwritten", FIRST)),
    ],
)
def test_each_bug_is_found_again_without_its_correction(bug: str, test: Callable[[], None]) -> None:
    with BUGS[bug](), pytest.raises(AssertionError):
        test()
