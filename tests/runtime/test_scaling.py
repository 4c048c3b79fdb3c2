"""The rule of a dynamic loss scale at its borders; its course beside PyTorch's is law 2's (`end_to_end`)."""

from __future__ import annotations

import pytest

from snnc.runtime.scaling import Scale, Scaling
from snnc.runtime.settings import Settings


def test_good_steps_count_anew_after_a_bad_one() -> None:
    rule, scale = Scaling(8.0, 2.0, 0.25, 3), Scale(8.0)
    course: list[Scale] = []
    for overflow in (False, False, True, False, False, False, False):
        scale = rule.after(scale, overflow)
        course.append(scale)
    assert course == [Scale(8, 1), Scale(8, 2), Scale(2, 0), Scale(2, 1), Scale(2, 2), Scale(4, 0), Scale(4, 1)]


def test_a_scale_stays_an_f32_and_finite() -> None:
    assert Scaling(0.1).begin == Scale(0.10000000149011612)
    assert Scaling(interval=1).after(Scale(2.0**127), False) == Scale(2.0**127)
    assert Scaling(backoff=1 / 3).after(Scale(1.0), True) == Scale(0.3333333432674408)


@pytest.mark.parametrize("written", [None, 1024, 64.0])
def test_a_number_does_not_change(written: float | None) -> None:
    assert Scaling.of(written) is None
    assert Settings.of({"loss_scale": written}).scale == Scale(written or 1.0)


def test_settings_read_what_programs_write() -> None:
    written = {
        "loss_scale": {"name": "dynamic", "initial": 256.0, "interval": 5},
        "clip": {"name": "norm", "limit": 2.0},
    }
    settings = Settings.of(written)
    assert settings.scaling == Scaling(256.0, interval=5) and settings.scale == Scale(256.0) and settings.clip == 2.0
    assert Settings.of({"clip": "none"}).clip is None
    with pytest.raises(ValueError, match="a loss scale is a number or dynamic, not static"):
        Settings.of({"loss_scale": {"name": "static"}})
