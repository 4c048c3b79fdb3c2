"""Plain PyTorch as a peer that trains a whole lesson, and says a line of JSON after every epoch.

    python -m benchmarks.peers.with_pytorch FOLDER

What dropout and Poisson coding draw is drawn by PyTorch.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .lesson import Array, Lesson, load
from .torch_network import Network
from .torch_rules import learn


class Learner:
    """Trains the network of a *lesson*."""

    def __init__(self, lesson: Lesson, dtype: str = "float32") -> None:
        self._torch: Any = import_module("torch")
        self._torch.manual_seed(0)
        self._lesson = lesson
        self.network = Network(lesson.graph, lesson.parameters, dtype)
        self._optimizer: Any = self.network.optimizer()
        self.versions = {"python": platform.python_version(), "torch": str(self._torch.__version__)}

    def epochs(self) -> Iterator[Mapping[str, Any]]:
        """After each: mean loss, accuracies on what was trained (as it was seen) and tested, seconds of both."""
        for number in range(len(self._lesson.order)):
            began = perf_counter()
            loss, train = self._train(number)
            seconds = perf_counter() - began
            test = self._test()
            yield {
                "loss": loss,
                "train": train,
                "test": test,
                "seconds": seconds,
                "test_seconds": perf_counter() - began - seconds,
            }

    def _train(self, epoch: int) -> tuple[float, float]:
        """One epoch: (mean loss, accuracy)."""
        lesson, total, correct = self._lesson, 0.0, 0
        order = lesson.order[epoch]
        for number, rate in enumerate(lesson.rates[epoch].tolist()):
            chosen = order[number * lesson.batch : (number + 1) * lesson.batch]
            labels = self._labels(lesson.train_labels[chosen])
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            images = self._images(lesson.train_images[chosen])
            steps = np.flatnonzero(lesson.chosen[epoch][number]).tolist()
            losses, logits = learn(self.network, self._optimizer, images, labels, steps)
            total += float(losses.sum())
            correct += int((logits.argmax(1) == labels).sum())
        return total / len(order), correct / len(order)

    def _test(self) -> float:
        """Accuracy, with running statistics and nothing dropped."""
        lesson, correct = self._lesson, 0
        with self._torch.no_grad():
            for first in range(0, len(lesson.test_labels), lesson.batch):
                chosen = slice(first, first + lesson.batch)
                made = self.network.run(self._images(lesson.test_images[chosen]), training=False)
                correct += int((made.logits.argmax(1) == self._labels(lesson.test_labels[chosen])).sum())
        return correct / len(lesson.test_labels)

    def _images(self, images: Array) -> Any:
        """A batch as the network reads it: time first."""
        graph = self._lesson.graph
        port = graph.values[graph.port]
        lead = (len(images), graph.steps) if port.timed else (len(images),)
        held = images.reshape(*lead, *port.shape)
        return self.network.tensor(np.moveaxis(held, 1, 0) if port.timed else held)

    def _labels(self, labels: Array) -> Any:
        return self._torch.tensor(labels.astype(np.int64))


def main() -> None:
    """See the module; the first line tells versions."""
    learner = Learner(load(Path(sys.argv[1])))
    print(json.dumps(learner.versions), flush=True)
    for epoch in learner.epochs():
        print(json.dumps(epoch), flush=True)


if __name__ == "__main__":
    main()
