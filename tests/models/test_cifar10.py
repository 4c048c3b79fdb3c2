"""CIFAR-10 from its binary version and from archives of compressed images, and every fault of either."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.models.data import load
from snnc.source import DataError

Array = NDArray[Any]
TRAIN, TEST = 10, 4


def drawn(count: int, seed: int) -> tuple[Array, Array]:
    """Images ``[n, 3, 32, 32]`` and classes."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, 3, 32, 32), np.uint8), (np.arange(count) % 10).astype(np.uint8)


def write_binary(folder: Path) -> tuple[Array, Array]:
    """The binary version, two records a file; what is to train."""
    images, labels = drawn(TRAIN, 1)
    records = np.concatenate([labels[:, None], images.reshape(TRAIN, -1)], axis=1)
    for number in range(5):
        (folder / f"data_batch_{number + 1}.bin").write_bytes(records[2 * number : 2 * number + 2].tobytes())
    further, others = drawn(TEST, 2)
    records = np.concatenate([others[:, None], further.reshape(TEST, -1)], axis=1)
    (folder / "test_batch.bin").write_bytes(records.tobytes())
    return images, labels


def png(image: Array) -> bytes:
    """A compressed image without loss; skips where nothing can make one."""
    decoder: Any = pytest.importorskip("PIL.Image")
    content = io.BytesIO()
    decoder.fromarray(np.moveaxis(image, 0, 2)).save(content, "PNG")
    return content.getvalue()


def write_archive(path: Path, files: list[bytes], labels: Array, **changed: Any) -> None:
    arrays: dict[str, Any] = {
        "data": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "labels": labels,
        **changed,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def write_archives(folder: Path) -> tuple[Array, Array]:
    images, labels = drawn(TRAIN, 1)
    write_archive(folder / "cifar_train.npz", [png(image) for image in images], labels)
    further, others = drawn(TEST, 2)
    write_archive(folder / "cifar_test.npz", [png(image) for image in further], others)
    return images, labels


def fault(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(f"cifar10:{folder}")
    return str(caught.value)


@pytest.mark.parametrize("write", [write_binary, write_archives])
def test_both_versions_give_colours_rows_and_columns(write: Any, tmp_path: Path) -> None:
    images, labels = write(tmp_path)
    found = load(f"cifar10:{tmp_path}")
    assert (len(found.train), len(found.test), found.classes) == (TRAIN, TEST, 10)
    held, classes = found.train.batch(np.arange(TRAIN))
    np.testing.assert_array_equal(held, (images / 255).astype(np.float32))
    np.testing.assert_array_equal(classes, labels)


def test_normalised_images_lose_the_mean_of_their_colour(tmp_path: Path) -> None:
    images, _ = write_binary(tmp_path)
    found = load(f"cifar10:{tmp_path},normalise=true,train=6")
    held, _ = found.train.batch(np.array([5, 2]))
    for place, number in enumerate((5, 2)):
        for colour, (mean, deviation) in enumerate(((0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2616))):
            expected = (images[number, colour] / 255 - mean) / deviation
            np.testing.assert_allclose(held[place, colour], expected, rtol=1e-6, atol=1e-6)
    flat = found.train.reshaped((3 * 32 * 32,))
    np.testing.assert_array_equal(flat.batch(np.array([5, 2]))[0], held.reshape(2, -1))


def test_faults_of_folders(tmp_path: Path) -> None:
    assert fault(tmp_path / "gone") == f"{tmp_path / 'gone'}: there is no such folder"
    assert fault(tmp_path) == (
        f"{tmp_path}: it has no data_batch_1.bin, and 0 archives *train*.npz and 0 archives *test*.npz where one each "
        "is needed\n  try: the binary version of CIFAR-10, whose files end in .bin\n"
        "  try: archives called *train*.npz and *test*.npz"
    )
    write_binary(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    assert fault(tmp_path) == f"{tmp_path}: it lacks data_batch_3.bin"


def test_faults_of_binary_files_come_together(tmp_path: Path) -> None:
    write_binary(tmp_path)
    for name in ("data_batch_2.bin", "test_batch.bin"):
        (tmp_path / name).write_bytes(bytes(3074))
    told = "its 3074 bytes are no whole number of records of 3073"
    assert fault(tmp_path) == f"{tmp_path / 'data_batch_2.bin'}: {told}\n{tmp_path / 'test_batch.bin'}: {told}"


def test_faults_of_archives(tmp_path: Path) -> None:
    write_archives(tmp_path)
    path = tmp_path / "cifar_train.npz"
    files = [png(np.zeros((3, 32, 32), np.uint8)), b"nothing", png(np.zeros((3, 8, 9), np.uint8))]
    labels = np.array([0, 1, 2])
    write_archive(path, files, labels)
    assert fault(tmp_path) == (
        f"{path}: image 1 cannot be decoded: it is no image\n{path}: image 2 has 8 x 9 pixels, not 32 x 32"
    )
    write_archive(path, files, labels, offsets=None)
    assert fault(tmp_path) == f"{path}: it lacks the arrays offsets"
    write_archive(path, files, labels, offsets=np.array([0, 9]))
    assert fault(tmp_path) == f"{path}: offsets must be 4 whole numbers, one more than there are labels"
    write_archive(path, files[:1], labels[:1], data=np.zeros(3, np.uint8))
    assert fault(tmp_path) == f"{path}: offsets must ascend and stay within the 3 bytes of data"
    write_archive(path, files[:1], labels[:1], data=np.zeros((1, 3)), offsets=np.array([0, 3]))
    assert fault(tmp_path) == (f"{path}: data is float64 of the shape [1, 3]; bytes one behind the other are needed")


def test_without_pillow_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_archives(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert fault(tmp_path).startswith(
        "compressed images need Pillow, which is not installed\n  try: pip install 'snnc[data]'"
    )


def test_real_images_are_decoded(shared: Path) -> None:
    folder = shared / "data" / "cifar10"
    if not folder.is_dir():
        pytest.skip("needs shared/data/cifar10")
    pytest.importorskip("PIL.Image")
    found = load(f"cifar10:{folder},normalise=true")
    assert (len(found.train), len(found.test)) == (10000, 5000)
    images, labels = found.train.batch(np.arange(10000))
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 1000))
    np.testing.assert_allclose(images.mean((0, 2, 3)), 0.0, atol=0.05)
    np.testing.assert_allclose(images.std((0, 2, 3)), 1.0, atol=0.05)
