"""Classes for outputs that have learned without labels: small cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.runtime.checkpoint import Progress
from snnc.runtime.labelling import Assigned, seen_last
from snnc.runtime.settings import Settings


def assigned(rates: list[list[float]], counts: list[int]) -> tuple[int, ...]:
    return Assigned.of(np.asarray(rates, np.float64), np.asarray(counts)).classes


@pytest.mark.parametrize(
    ("rates", "counts", "classes"),
    [
        ([[8, 1, 0], [2, 6, 0]], [4, 4], (0, 1, -1)),
        ([[8, 1], [5, 6]], [8, 2], (1, 1)),  # 1 a sample against 2.5: it is the mean that counts
        ([[3, 0], [3, 2]], [3, 3], (0, 1)),  # of equals the first
        ([[0, 0], [0, 1]], [0, 5], (-1, 1)),  # a class that nobody has shown
    ],
)
def test_an_output_stands_for_the_class_for_which_it_fires_most_in_the_mean(
    rates: list[list[float]], counts: list[int], classes: tuple[int, ...]
) -> None:
    assert assigned(rates, counts) == classes


def test_a_sample_is_of_the_class_whose_outputs_fire_most_in_the_mean() -> None:
    known = Assigned((2, 0, 2, -1), 10)
    rates = np.asarray([[0.5, 0.25, 0.25, 9.0], [0.5, 0.5, 0.25, 0.0], [0.0, 0.0, 0.0, 1.0]], np.float32)
    assert known.predicted(rates).tolist() == [2, 0, 0]
    assert known.correct(rates, np.asarray([2, 2, 0], np.uint16)) == 2
    assert Assigned((-1, -1), 10).predicted(rates[:, :2]).tolist() == [0, 0, 0]


def test_labels_are_asked_of_the_samples_that_were_seen_last() -> None:
    """Of 10 samples in batches of 3; without shuffling they come in their order."""
    settings = Settings(shuffle=False, label_samples=5)
    assert seen_last(10, 3, settings, Progress(epoch=1)).tolist() == [9, 8, 7, 6, 5]
    assert seen_last(10, 3, settings, Progress(epoch=1, batch=1)).tolist() == [2, 1, 0, 9, 8]
    assert seen_last(10, 3, settings, Progress(epoch=0, batch=1)).tolist() == [2, 1, 0]
    assert seen_last(10, 3, settings, Progress()).tolist() == [0, 1, 2, 3, 4]
    shuffled = seen_last(10, 3, Settings(seed=3, label_samples=20), Progress(epoch=2, batch=2))
    assert sorted(shuffled) == list(range(10)), "nobody is asked twice"


def test_a_checkpoint_that_knows_no_classes_gives_none() -> None:
    assert Assigned.held(Progress(3)) is None
    assert Assigned.held(Progress(3, classes=(1, -1), labelled=7)) == Assigned((1, -1), 7)


def test_the_number_of_samples_is_a_setting_of_the_rule() -> None:
    assert Settings.of({"rule": {"name": "stdp", "label_samples": 30}}).label_samples == 30
    assert Settings.of({"rule": {"name": "bptt"}}).label_samples == 1000
