"""The host trains, tests, stops and goes on."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.catalog import UnknownName
from snnc.isa.program import Argument, Entry, Program
from snnc.models.data import Dataset, Split, batches
from snnc.numerics import random
from snnc.runtime import feeding, weights
from snnc.runtime.host import evaluate, spike_rates, train
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.schedules import Moment, Schedule
from snnc.runtime.settings import Settings
from snnc.source import DataError

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

SETTINGS = Settings(epochs=3, seed=4, learning_rate=0.25, schedule=Schedule("cosine"))


def data(train_samples: int = 10, test_samples: int = 6) -> Dataset:
    generator = np.random.default_rng(0)

    def split(count: int) -> Split:
        return Split(generator.random((count, 4), np.float32), np.zeros(count, np.uint16))

    return Dataset("noise", split(train_samples), split(test_samples), 2)


def reference(samples: Dataset, settings: Settings) -> tuple[NDArray[np.float32], list[float]]:
    """The learner in plain NumPy: (w, mean loss of every step)."""
    w = random.uniform(np.arange(4), settings.seed, 7, 0)
    losses: list[float] = []
    for epoch in range(settings.epochs):
        rate = np.float32(settings.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs)))
        for indices in batches(samples.train, 4, settings.seed, epoch):
            images, _ = samples.train.batch(indices)
            difference = images - w
            squares = difference * difference
            each = [((row[0] + row[1]) + row[2]) + row[3] for row in squares]
            losses.append(float(np.sum(np.asarray(each, np.float64)) / len(indices)))
            w = w + difference[0] * rate
    return w, losses


def test_training_equals_plain_numpy_bit_for_bit(small: Small) -> None:
    interpreter = Interpreter(small.learner(), watched=True)
    samples = data()
    result = train(interpreter, samples, SETTINGS)
    w, losses = reference(samples, SETTINGS)
    np.testing.assert_array_equal(interpreter.values("fc.b"), w)
    assert list(result.loss) == losses
    assert result.steps == 9 and not result.interrupted
    assert result.test is not None and result.test.samples == 6
    images, _ = samples.test.batch(np.arange(6))
    each = ((images - w).astype(np.float64) ** 2).sum(axis=1)
    assert result.test.accuracy == np.mean(each < 1)
    assert result.test.loss is not None and math.isclose(result.test.loss, each.mean(), rel_tol=1e-6)
    assert result.train_accuracy is not None and 0 <= result.train_accuracy <= 1


def test_one_step_and_all_of_them_are_counted(small: Small) -> None:
    result = train(Interpreter(small.learner()), data(), SETTINGS, test=False)
    assert result.counted_step is not None and result.timing is not None and result.modelled is not None
    step, every = result.counted_step.total, result.counted.total
    assert (step.host_write, step.host_read) == (4 * 4 * 4, 4 * 4 + 4)
    assert (step.useful_read, step.useful_write) == (4 * 4 * 4 + 16, 16 + 4 + 16)
    assert every.useful_read == 9 * step.useful_read
    assert every.useful_write == 9 * step.useful_write + 16  # init draws w
    assert result.timing.cycles > 0
    assert result.modelled.total.scratchpad_read > 0
    assert set(result.counted_step.by_phase()) == {"", "UP"}


def test_shuffling_equals_that_of_the_data(small: Small) -> None:
    samples = data(11)
    for start in (0, 2):
        mine = feeding.batches(11, 4, 3, 2, True, start)
        theirs = batches(samples.train, 4, 3, 2, start=start)
        assert [part.tolist() for part in mine] == [part.tolist() for part in theirs]


@dataclass
class Interrupts:
    """Presses Ctrl-C after step *at*: as a signal, or as other threads would see it."""

    at: int
    by_signal: bool = True
    steps: int = 0

    def step(self, epoch: int, epochs: int, batch: int, batches: int, losses: Sequence[float]) -> None:
        self.steps += 1
        if self.steps == self.at and self.by_signal:
            signal.raise_signal(signal.SIGINT)
        elif self.steps == self.at:
            raise KeyboardInterrupt

    def evaluated(self, done: int, of: int) -> None: ...


@pytest.mark.parametrize("by_signal", [True, False])
@pytest.mark.parametrize("stop", [1, 3, 4, 8, 9])
def test_a_run_goes_on_bit_for_bit_where_it_was_interrupted(
    small: Small, tmp_path: Path, stop: int, by_signal: bool
) -> None:
    whole = Interpreter(small.learner())
    expected = train(whole, data(), SETTINGS)
    path = tmp_path / "run.ckpt"
    first = train(Interpreter(small.learner()), data(), SETTINGS, checkpoint=path, watcher=Interrupts(stop, by_signal))
    assert first.interrupted and first.steps == stop and first.test is None
    other = Interpreter(small.learner())
    second = train(other, data(), SETTINGS, checkpoint=path, resume=path)
    assert second.loss == expected.loss and second.steps == expected.steps
    assert second.train_accuracy == expected.train_accuracy
    assert second.test == expected.test
    np.testing.assert_array_equal(other.values("fc.b"), whole.values("fc.b"))


def test_steps_can_be_limited_and_taken_up(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    limited = replace(SETTINGS, max_steps=5)
    assert train(Interpreter(small.learner()), data(), limited, checkpoint=path).steps == 5
    assert train(Interpreter(small.learner()), data(), SETTINGS, resume=path).steps == 9


def test_other_settings_are_not_taken_up(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    train(Interpreter(small.learner()), data(), SETTINGS, checkpoint=path)
    with pytest.raises(DataError, match=r"other settings: seed = 4 \(now 5\)"):
        train(Interpreter(small.learner()), data(), replace(SETTINGS, seed=5), resume=path)


def with_nan(images: NDArray[np.float32]) -> None:
    images[3, 2] = np.nan


def with_large(images: NDArray[np.float32]) -> None:
    images[:] = 1e30


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (with_nan, "sample 3 has values that are not finite"),
        (with_large, r"the loss is inf in step 1 \(epoch 1, batch 1\)"),
    ],
)
def test_data_that_cannot_be_trained_on_is_named(
    small: Small, spoil: Callable[[NDArray[np.float32]], None], message: str
) -> None:
    samples = data()
    assert isinstance(samples.train, Split)
    spoil(samples.train.images)
    with pytest.raises(DataError, match=message):
        train(Interpreter(small.learner()), samples, SETTINGS)


def test_samples_of_another_shape_are_refused(small: Small) -> None:
    samples = data()
    wrong = replace(samples, train=samples.train.reshaped((2, 2)).first(4))
    train(Interpreter(small.learner()), wrong, replace(SETTINGS, epochs=1), test=False)  # as many values
    short = Split(np.zeros((4, 3), np.float32), np.zeros(4, np.uint16))
    with pytest.raises(DataError, match=r"samples have the shape \[3\]; input image wants \[4\]"):
        evaluate(Interpreter(small.learner()), short, SETTINGS)


def test_an_unwritable_checkpoint_shows_before_the_first_step(small: Small, tmp_path: Path) -> None:
    interrupts = Interrupts(0)
    with pytest.raises(DataError, match="cannot be written"):
        train(
            Interpreter(small.learner()),
            data(),
            SETTINGS,
            checkpoint=tmp_path / "nowhere" / "run.ckpt",
            watcher=interrupts,
        )
    assert interrupts.steps == 0


def test_schedules_are_their_formulas() -> None:
    def moment(step: int) -> Moment:
        return Moment(step, step // 10, 4, 10)

    assert Schedule().rate(0.5, moment(39)) == 0.5
    assert math.isclose(Schedule("cosine").rate(1.0, moment(19)), 0.5 * (1 + math.cos(math.pi / 4)))
    assert math.isclose(Schedule.of({"name": "cosine", "per": "step"}).rate(1.0, moment(20)), 0.5)
    assert Schedule.of({"name": "steps", "every": 2, "factor": 0.5}).rate(1.0, moment(35)) == 0.5
    with pytest.raises(UnknownName, match=r"no setting of steps is called 'evry'; did you mean every\?"):
        Schedule.of({"name": "steps", "evry": 3})
    assert Schedule.of({"name": "constant", "warmup": 4}).rate(1.0, moment(1)) == 0.5
    with pytest.raises(LookupError, match="did you mean cosine"):
        Schedule("cosin")


def test_settings_come_from_the_program_unless_overridden() -> None:
    written = {"optimizer": {"name": "adam", "lr": 0.01, "beta1": 0.8}, "schedule": "cosine", "loss_scale": 1024}
    settings = Settings.of(written, seed=3, learning_rate=None)
    assert (settings.learning_rate, settings.beta1, settings.loss_scale, settings.seed) == (0.01, 0.8, 1024, 3)
    assert settings.schedule == Schedule("cosine")
    assert Settings.of(written, learning_rate=0.5).learning_rate == 0.5
    call = {"optimizer": ["adam", ["lr", 0.01], ["beta1", 0.8]], "schedule": ["cosine", ["warmup", 3]]}
    assert Settings.of(call) == replace(settings, seed=0, loss_scale=1.0, schedule=Schedule("cosine", warmup=3))
    assert settings.corrections(1) == (1 - 0.8**2, 1 - 0.999**2)


def test_spike_rates_are_those_of_valid_samples(small: Small) -> None:
    interpreter = Interpreter(small.linear())
    spikes = np.zeros((4, 24))
    spikes[:3, ::4] = 1
    spikes[3] = 1
    interpreter.write("x", spikes)
    assert spike_rates(interpreter, 3) == {"fc": 0.25}


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_weights_go_out_and_come_in_by_name(small: Small, tmp_path: Path, suffix: str) -> None:
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    program: Program = small.linear()
    given = np.arange(40 * 24).reshape(40, 24) / 4
    interpreter, other = Interpreter(program), Interpreter(program)
    interpreter.write("fc.w", given)
    path = tmp_path / f"weights.{suffix}"
    weights.save(interpreter, path)
    arrays = weights.load(path)
    assert arrays["fc.w"].dtype == np.float32
    np.testing.assert_array_equal(arrays["fc.w"], given)
    weights.take_over(other, arrays)
    np.testing.assert_array_equal(other.values("fc.w"), given)


def test_all_weights_that_do_not_fit_are_told_together(small: Small) -> None:
    interpreter = Interpreter(small.linear())
    with pytest.raises(DataError) as caught:
        weights.take_over(interpreter, {"fc.v": np.zeros(3), "fc.w": np.zeros((24, 40))}, "w.npz")
    assert str(caught.value) == (
        "w.npz: no parameter is called 'fc.v'; did you mean fc.w?\nw.npz: fc.w is [24, 40]; the network has [40, 24]"
    )


def test_a_checkpoint_gives_its_weights(small: Small, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    trained = Interpreter(small.learner())
    train(trained, data(), SETTINGS, checkpoint=path)
    np.testing.assert_array_equal(weights.load(path)["fc.b"], trained.values("fc.b"))


def test_a_damaged_weight_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"w\.npz: not a \.npz"):
        weights.load(path)


def test_labels_and_time_reach_the_program_and_logits_come_back(small: Small) -> None:
    """An entry that copies nothing: what the host writes and reads is all there is."""
    image = replace(small.symbol("image", "f16", (2, 3), 0, "input", samples=4), steps=2)
    symbols = [
        image,
        replace(small.symbol("label", "u16", (), 128, "label", samples=4)),
        replace(small.symbol("logits", "f32", (5,), 256, "result", samples=4)),
    ]
    entry = Entry("infer", (), ("valid", "seed"), ("image", "label"), ("logits",))
    program = small.program([entry], symbols, arguments=[Argument("valid", "u32"), Argument("seed", "u32")])
    images = np.arange(6 * 12, dtype=np.float32).reshape(6, 2, 2, 3)
    samples = Split(images, np.array([0, 1, 2, 3, 4, 0], np.uint16))
    interpreter = Interpreter(program)
    logits = np.eye(4, 5)
    interpreter.write("logits", logits)
    result = evaluate(interpreter, samples, SETTINGS, logits=True)
    assert result.accuracy == 4 / 6 and result.loss is None  # labels 0 1 2 3, then 4 0 against rows 0 and 1
    assert result.logits is not None
    np.testing.assert_array_equal(result.logits, np.concatenate([logits, logits[:2]]))
    held = interpreter.values("image")
    np.testing.assert_array_equal(held[:, :2], np.moveaxis(images[4:], 1, 0))
    assert not held[:, 2:].any()
    np.testing.assert_array_equal(interpreter.values("label"), [4, 0, 0, 0])
    wrong = Split(images, np.array([0, 1, 7, 3, 4, 0], np.uint16))
    with pytest.raises(DataError, match="sample 2 has the label 7; the network has 5 outputs"):
        evaluate(interpreter, wrong, SETTINGS)
