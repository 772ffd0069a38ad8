"""Small models on one thread."""

from tests.one_thread import one_thread_for_torch

__all__ = ["one_thread_for_torch"]
