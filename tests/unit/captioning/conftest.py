"""Small models that run on one thread."""

from tests.with_torch import one_thread_for_torch

__all__ = ["one_thread_for_torch"]
