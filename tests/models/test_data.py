"""Loaders give what the files say, adapt only what is harmless, and tell every fault in the user's words."""

from __future__ import annotations

import gzip
import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.models.data import LOADERS, Dataset, Samples, Split, batches, check_classes, check_shape, load, usage
from snnc.models.data.idx import read_file
from snnc.source import DataError

Arrays = dict[str, NDArray[Any]]
DRAWN = np.random.default_rng(7)
MNIST_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def idx(array: NDArray[Any], kind: int = 8) -> bytes:
    """The IDX file of an array, written independently of the reader."""
    return bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def small() -> Arrays:
    """Twelve samples to train on and five to test on, three classes."""
    return {
        "x_train": DRAWN.integers(0, 256, (12, 4, 3), dtype=np.uint8),
        "y_train": np.arange(12, dtype=np.uint8) % 3,
        "x_test": DRAWN.integers(0, 256, (5, 4, 3), dtype=np.uint8),
        "y_test": np.array([2, 1, 0, 0, 1], dtype=np.uint8),
    }


def write_idx(folder: Path, arrays: Arrays, packed: bool = False) -> str:
    for role, name in MNIST_FILES.items():
        content = idx(arrays[role])
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return f"idx:{folder}"


def write_npz(folder: Path, **arrays: Any) -> str:
    np.savez(folder / "set.npz", **arrays)
    return f"npz:{folder / 'set.npz'}"


def fault(spec: str) -> str:
    """What the user reads who asks for `spec`."""
    with pytest.raises(DataError) as caught:
        load(spec)
    return str(caught.value)


def dataset(*shape: int, classes: int = 3) -> Dataset:
    split = Split(np.arange(2 * int(np.prod(shape)), dtype=np.float32).reshape(2, *shape), np.zeros(2, dtype=np.uint16))
    return Dataset("mine", split, split, classes)


def images_of(samples: Samples) -> NDArray[Any]:
    """The images of samples in memory, as they are kept."""
    assert isinstance(samples, Split)
    return samples.images


def assert_same(found: Dataset, arrays: Arrays) -> None:
    for split, part in ((found.train, "train"), (found.test, "test")):
        np.testing.assert_array_equal(images_of(split), arrays[f"x_{part}"])
        np.testing.assert_array_equal(split.labels, arrays[f"y_{part}"])
        assert split.labels.dtype == np.uint16


# Specs


def test_a_folder_is_the_list_of_loaders() -> None:
    assert list(LOADERS) == ["cifar10", "digits", "events", "idx", "npz"]
    assert usage("idx") == "idx:DIR[,classes=N][,maximum=N][,train=N][,test=N]"
    assert all(loader.summary for _, loader in LOADERS.items())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "no loader is called 'digit'; did you mean digits?"),
        ("mnist", "no loader is called 'mnist'; there are: cifar10, digits, events, idx, npz"),
        ("dataset:x", "no loader is called 'dataset'; there are: cifar10, digits, events, idx, npz"),
        ("", "no loader is called ''; there are: cifar10, digits, events, idx, npz"),
        ("idx", "idx needs a DIR\n  try: idx:DIR[,classes=N][,maximum=N][,train=N][,test=N]"),
        ("idx:,train=3", "idx needs a DIR\n  try: idx:DIR[,classes=N][,maximum=N][,train=N][,test=N]"),
        ("digits:train=4", "digits takes no argument, but has 'train=4'\n  try: digits[,train=N][,test=N]"),
        ("digits,train", "'train' in 'digits,train' is not of the form key=value"),
        ("digits,trian=4", "no option is called 'trian'; did you mean train?"),
        ("digits,train=0", "train=0: a whole number of at least 1 is needed"),
        ("digits,train=-1", "train=-1: a whole number of at least 1 is needed"),
        ("digits,train=1e3", "train=1e3: a whole number of at least 1 is needed"),
        ("digits,train=9999999999", "train=9999999999: a whole number of at least 1 is needed"),
        ("digits,train=3,train=4", "train is given twice in 'digits,train=3,train=4'"),
        (
            "digits,tset=4,train=x",
            "no option is called 'tset'; did you mean test?\ntrain=x: a whole number of at least 1 is needed",
        ),
    ],
)
def test_a_wrong_spec_is_told(spec: str, message: str) -> None:
    assert fault(spec) == message


def test_a_path_alone_is_answered_with_the_spec_that_was_meant(tmp_path: Path) -> None:
    archive = write_npz(tmp_path, **small()).removeprefix("npz:")
    assert fault(str(tmp_path)).endswith(f"there are: cifar10, digits, events, idx, npz\n  try: idx:{tmp_path}")
    assert fault(archive).endswith(f"there are: cifar10, digits, events, idx, npz\n  try: npz:{archive}")


def test_limits_take_the_first_samples_and_keep_the_classes(tmp_path: Path) -> None:
    arrays = small()
    found = load(write_idx(tmp_path, arrays) + ",train=2,test=1")
    assert_same(found, {role: array[: 2 if "train" in role else 1] for role, array in arrays.items()})
    assert found.classes == 3


def test_limits_beyond_the_data_are_told(tmp_path: Path) -> None:
    spec = write_idx(tmp_path, small())
    assert fault(f"{spec},train=13,test=6") == (
        f"{spec}: train=13 asks for more than the 12 there are\n{spec}: test=6 asks for more than the 5 there are"
    )


def test_a_comma_in_a_path_belongs_to_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "a,b=1,c"
    folder.mkdir()
    assert len(load(write_idx(folder, small()) + ",train=7").train) == 7


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path, small())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load("idx:~").train) == 12


# Digits


def test_digits_are_divided_by_class_and_always_alike() -> None:
    pytest.importorskip("sklearn")
    found, again = load("digits"), load("digits")
    assert (len(found.train), len(found.test), found.classes) == (1437, 360, 10)
    assert found.sample_shape == (8, 8)
    assert np.bincount(found.test.labels).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    np.testing.assert_array_equal(images_of(found.test), images_of(again.test))
    images, _ = found.train.batch(np.arange(1437))
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert set(np.unique(images * 16)) == set(range(17))


def test_digits_hold_every_scan_once_with_its_label() -> None:
    scans: Any = pytest.importorskip("sklearn.datasets").load_digits()
    found = load("digits")

    def rows(images: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
        table = np.column_stack([images.reshape(len(images), -1), labels]).astype(int)
        return table[np.lexsort(table.T)]

    held = (np.concatenate([getattr(found.train, part), getattr(found.test, part)]) for part in ("images", "labels"))
    np.testing.assert_array_equal(rows(*held), rows(scans.images, scans.target))


def test_missing_scikit_learn_is_told_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert fault("digits") == ("digits needs scikit-learn, which is not installed\n  try: pip install 'snnc[data]'")


# IDX


@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 99), packed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_idx_round_trip(tmp_path: Path, shape: list[int], seed: int, packed: bool) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / ("file.gz" if packed else "file")
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    np.testing.assert_array_equal(read_file(path, len(shape)), array)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("test_name", ["t10k", "test"])
@pytest.mark.parametrize("mark", ["-", "."])
def test_every_usual_name_is_found(tmp_path: Path, packed: bool, test_name: str, mark: str) -> None:
    arrays = small()
    write_idx(tmp_path, arrays, packed)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("t10k", test_name).replace("-idx", f"{mark}idx"))
    assert_same(load(f"idx:{tmp_path}"), arrays)


def test_missing_files_are_told_together(tmp_path: Path) -> None:
    spec = write_idx(tmp_path, small())
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    assert fault(spec) == (
        f"{tmp_path}: there are no train labels: no file is called train-labels-idx1-ubyte or train-labels.idx1-ubyte,"
        " with or without .gz\n"
        f"{tmp_path}: there are no test images: no file is called t10k-images-idx3-ubyte or t10k-images.idx3-ubyte or"
        " test-images-idx3-ubyte or test-images.idx3-ubyte, with or without .gz"
    )
    assert fault(f"idx:{tmp_path}/nowhere") == f"{tmp_path}/nowhere: No such file or directory"
    assert fault(f"idx:{tmp_path}/train-images-idx3-ubyte").endswith(": Not a directory")


IMAGES = "train-images-idx3-ubyte"
CONTENT = idx(np.zeros((12, 4, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:100], "truncated: its header announces 12 x 4 x 3, 160 bytes in all; there are 100"),
        (CONTENT + b"x", "too long: its header announces 12 x 4 x 3, 160 bytes in all; there are 161"),
        (CONTENT[:11], "truncated: its header alone needs 16 bytes; there are 11"),
        (CONTENT[:3], "truncated: its header alone needs 16 bytes; there are 3"),
        (b"", "truncated: its header alone needs 16 bytes; there are 0"),
        (idx(np.zeros(7, dtype=np.uint8)), "it begins with 00 00 08 01, not with 00 00 08 03"),
        (b"PNG" + CONTENT, "it begins with 50 4e 47 00, not with 00 00 08 03"),
        (
            idx(np.zeros((1, 1, 1), dtype=np.float32), 0x0D),
            "it begins with 00 00 0d 03, not with 00 00 08 03: floats, where only unsigned bytes are read",
        ),
        (
            CONTENT[:4] + b"\xff\xff\xff\xff" + CONTENT[8:],
            "truncated: its header announces 4294967295 x 4 x 3, 51539607556 bytes in all; there are 160",
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes, message: str, packed: bool) -> None:
    spec = write_idx(tmp_path, small(), packed)
    path = tmp_path / (f"{IMAGES}.gz" if packed else IMAGES)
    path.write_bytes(gzip.compress(content) if packed else content)
    assert fault(spec) == f"{path}: {message}"


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    noise = {**small(), "x_train": DRAWN.integers(0, 256, (12, 100, 100), dtype=np.uint8)}
    spec = write_idx(tmp_path, noise, packed=True)
    path = tmp_path / f"{IMAGES}.gz"
    whole = path.read_bytes()

    path.write_bytes(whole[:-3])
    assert fault(spec) == f"{path}: truncated: the checksum at the end of the archive is missing"

    path.write_bytes(whole[: len(whole) // 2])
    message = f"{path}: truncated: its header announces 12 x 100 x 100, 120016 bytes in all; there are "
    assert fault(spec).startswith(message)
    there = int(fault(spec).removeprefix(message))
    assert 0.4 * 120016 < there < 0.6 * 120016, "noise does not compress, so half of the archive is half of the data"

    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    assert fault(spec).startswith(f"{path}: the archive is damaged: CRC check failed")

    path.write_bytes(whole[:10] + b"\xff" * 50 + whole[60:])
    assert fault(spec).startswith(f"{path}: the archive is damaged: ")


def test_a_name_that_belies_the_content_is_told(tmp_path: Path) -> None:
    spec = write_idx(tmp_path, small(), packed=True)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(CONTENT)
    assert fault(spec) == f"{path}: its content is not packed\n  try: rename it to {IMAGES}"
    path.rename(tmp_path / IMAGES).write_bytes(gzip.compress(CONTENT))
    assert fault(spec) == f"{tmp_path / IMAGES}: its content is packed with gzip\n  try: rename it to {IMAGES}.gz"


def test_all_four_files_are_looked_at_before_the_faults_are_told(tmp_path: Path) -> None:
    spec = write_idx(tmp_path, small())
    for name in MNIST_FILES.values():
        (tmp_path / name).write_bytes(b"")
    assert len(fault(spec).splitlines()) == 4


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), packed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_flipped_bit_never_gets_past_as_another_error(tmp_path: Path, position: int, bit: int, packed: bool) -> None:
    array = (np.arange(12 * 4 * 3) * 37 % 251).astype(np.uint8).reshape(12, 4, 3)
    path = tmp_path / ("file.gz" if packed else "file")
    content = bytearray(gzip.compress(idx(array)) if packed else idx(array))
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        found = read_file(path, 3)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert found.size == array.size
        assert packed <= np.array_equal(found, array), "gzip's checksum covers every value"


# NPZ


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images", "labels", "test_images", "test_labels"),
    ],
)
def test_every_usual_set_of_names_is_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = small()
    spec = write_npz(tmp_path, **dict(zip(names, arrays.values(), strict=True)), others=np.zeros(3))
    assert_same(load(spec), arrays)


@pytest.mark.parametrize("names", [("x_train", "y_train"), ("train_images", "train_labels"), ("images", "labels")])
def test_one_split_gives_every_classs_sixth_to_test_on(tmp_path: Path, names: tuple[str, str]) -> None:
    labels = np.repeat([0, 1, 2], [60, 30, 30])
    images = np.arange(120, dtype=np.uint8)[:, None]
    found = load(write_npz(tmp_path, **{names[0]: images, names[1]: labels}))
    assert np.bincount(found.test.labels).tolist() == [10, 5, 5]
    held, kept = images_of(found.test)[:, 0], images_of(found.train)[:, 0]
    assert sorted([*held, *kept]) == list(range(120))
    np.testing.assert_array_equal(found.test.labels, labels[held])
    np.testing.assert_array_equal(found.train.labels, labels[kept])
    assert (np.diff(held.astype(int)) > 0).all(), "samples keep their order"
    np.testing.assert_array_equal(images_of(load(f"npz:{tmp_path / 'set.npz'}").test)[:, 0], held)


def test_names_that_do_not_fit_are_told(tmp_path: Path) -> None:
    hints = (
        "\n  try: name the arrays x_train, y_train, x_test, y_test"
        "\n  try: name the arrays train_images, train_labels, test_images, test_labels"
        "\n  try: name the arrays images, labels, test_images, test_labels"
        "\n  try: name the arrays images, labels"
    )
    place = f"{tmp_path / 'set.npz'}: it holds "
    end = "; no known set of names is among them"
    assert fault(write_npz(tmp_path, data=np.zeros(3), X=np.zeros(2))) == f"{place}X, data{end}{hints}"
    assert fault(write_npz(tmp_path)) == f"{place}no arrays{end}{hints}"
    arrays = small()
    del arrays["y_test"]
    assert fault(write_npz(tmp_path, **arrays)) == f"{place}x_test, x_train, y_train{end}{hints}"


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    message = f"{path}: this is no complete .npz archive\n  try: numpy.savez writes one"
    assert fault(f"npz:{path}") == f"{path}: No such file or directory"
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").rename(path)
    assert fault(f"npz:{path}") == message
    path.write_bytes(b"")
    assert fault(f"npz:{path}") == message
    write_npz(tmp_path, **small())
    path.write_bytes(path.read_bytes()[:-40])
    assert fault(f"npz:{path}") == message
    assert fault(f"npz:{tmp_path}") == f"{tmp_path}: Is a directory"


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    spec = write_npz(tmp_path, images=np.array([{}, {}], dtype=object), labels=np.zeros(2, dtype=int))
    assert fault(spec) == (
        f"{tmp_path / 'set.npz'}: images cannot be read: Object arrays cannot be loaded when allow_pickle=False"
    )


@given(position=st.integers(0, 100_000), bit=st.integers(0, 7), compressed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_a_flipped_bit_in_an_archive_is_told_or_harmless(
    tmp_path: Path, position: int, bit: int, compressed: bool
) -> None:
    arrays: Arrays = {"images": np.arange(36, dtype=np.uint8).reshape(12, 3), "labels": np.arange(12) % 2}
    stream = io.BytesIO()
    save: Any = np.savez_compressed if compressed else np.savez
    save(stream, **arrays)
    content = bytearray(stream.getvalue())
    content[position % len(content)] ^= 1 << bit
    (tmp_path / "set.npz").write_bytes(content)
    try:
        found = load(f"npz:{tmp_path / 'set.npz'}")
    except DataError:
        return
    assert sorted(np.concatenate([images_of(found.train), images_of(found.test)]).ravel()) == list(range(36))


# Values


def test_inputs_that_are_not_finite_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    arrays = small()
    images = np.zeros((5000, 2, 2), dtype=np.float32)
    images[4500, 1, 0], images[4999, 0, 1] = np.nan, np.inf
    test = np.zeros((5, 2, 2))
    test[3, 0, 1] = 1e300
    arrays |= {"x_train": images, "y_train": np.zeros(5000, dtype=int), "x_test": test}
    spec = write_npz(tmp_path, **arrays)
    assert fault(spec) == (
        f"{spec}: train images hold 2 values that are NaN or infinite, the first at [4500, 1, 0]\n"
        f"{spec}: test images hold 1 value that is NaN or infinite as float32, the first at [3, 0, 1]"
    )


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"y_train": np.arange(12) - 2}, ["train labels hold 2 numbers outside of 0 to 65534, the first -2 at [0]"]),
        (
            {"y_test": np.array([0, 1, 70000, 0, 0])},
            ["test labels hold 1 number outside of 0 to 65534, the first 70000 at [2]"],
        ),
        ({"y_train": np.zeros(12)}, ["train labels are float64; whole numbers are needed"]),
        (
            {"y_train": np.zeros((12, 10), dtype=int)},
            ["train labels have the shape [12, 10]; one whole number a sample is needed"],
        ),
        ({"y_train": np.zeros(11, dtype=int)}, ["there are 12 train images and 11 train labels"]),
        (
            {"x_test": np.zeros((0, 4, 3), dtype=np.uint8), "y_test": np.zeros(0, dtype=np.uint8)},
            ["test images are empty: their shape is [0, 4, 3]", "test labels are empty"],
        ),
        ({"x_train": np.zeros(12)}, ["train images have the shape [12]; at least [sample, feature] is needed"]),
        (
            {"x_train": np.zeros((12, 4, 3), dtype=complex)},
            ["train images are complex128; whole numbers from 0 to 255 or floating point are needed"],
        ),
        (
            {"x_train": np.full((12, 4, 3), -7)},
            ["train images hold whole numbers from -7 to -7; 0 to 255 or floating point is needed"],
        ),
        (
            {"x_train": np.full((12, 4, 3), 300)},
            ["train images hold whole numbers from 300 to 300; 0 to 255 or floating point is needed"],
        ),
        ({"x_test": np.zeros((5, 3, 4), dtype=np.uint8)}, ["train samples have the shape [4, 3], test samples [3, 4]"]),
        (
            {"x_test": np.zeros((5, 4, 3))},
            ["train images are uint8, test images float64: they would be scaled differently"],
        ),
        (
            {
                "x_train": np.zeros((12, 4, 3), dtype="<U1"),
                "y_train": np.full(12, 0.5),
                "y_test": np.zeros(4, dtype=int),
            },
            [
                "train images are <U1; whole numbers from 0 to 255 or floating point are needed",
                "train labels are float64; whole numbers are needed",
                "there are 5 test images and 4 test labels",
            ],
        ),
    ],
)
def test_all_that_is_wrong_with_values_is_told_together(tmp_path: Path, changes: Arrays, messages: list[str]) -> None:
    spec = write_npz(tmp_path, **{**small(), **changes})
    assert fault(spec).splitlines() == [f"{spec}: {message}" for message in messages]


def test_images_and_labels_of_one_split_must_match(tmp_path: Path) -> None:
    spec = write_npz(tmp_path, images=np.zeros((4, 2)), labels=np.zeros(3, dtype=int))
    assert fault(spec) == (
        f"{tmp_path / 'set.npz'}: two or more images with a label each are needed, not images of the shape [4, 2]"
        " and labels of the shape [3]"
    )


def test_counts_of_an_idx_folder_must_match(tmp_path: Path) -> None:
    spec = write_idx(tmp_path, {**small(), "y_test": np.zeros(6, dtype=np.uint8)})
    assert fault(spec) == f"{spec}: there are 5 test images and 6 test labels"


def test_the_number_of_classes_can_be_said(tmp_path: Path) -> None:
    spec = write_idx(tmp_path, small())
    assert load(f"{spec},classes=7").classes == 7
    assert fault(f"{spec},classes=2") == (
        f"{spec}: train labels hold 4 numbers outside of 0 to 1, the first 2 at [2]\n"
        f"{spec}: test labels hold 1 number outside of 0 to 1, the first 2 at [0]"
    )


def test_bytes_stay_bytes_and_are_handed_out_as_the_float_nearest_to_their_fraction() -> None:
    split = Split(np.arange(256, dtype=np.uint8)[:, None], np.zeros(256, dtype=np.uint16), 1 / 255)
    images, labels = split.batch(np.arange(255, -1, -1))
    assert (images.dtype, labels.dtype) == (np.float32, np.uint16)
    assert images[:, 0].tolist() == [float(np.float32(value / 255)) for value in range(255, -1, -1)]


@pytest.mark.parametrize(
    ("stored", "option", "kept", "largest"),
    [
        (np.uint8(255), "", np.uint8, 1.0),
        (np.int64(255), "", np.uint8, 1.0),
        (np.int64(4), ",maximum=4", np.uint8, 1.0),
        (np.bool_(True), "", np.uint8, 1.0),
        (np.float64(1.0), "", np.float32, 1.0),
        (np.float16(3.5), "", np.float32, 3.5),
        (np.float32(255.0), ",maximum=255", np.float32, 1.0),
    ],
)
def test_values_are_kept_small_and_scaled_by_their_type(
    tmp_path: Path, stored: np.generic, option: str, kept: type, largest: float
) -> None:
    images = np.full((4, 3), stored)
    found = load(write_npz(tmp_path, images=images, labels=np.zeros((4, 1), dtype=np.int32)) + option)
    assert images_of(found.train).dtype == kept
    assert found.train.batch(np.array([0]))[0].max() == largest


def test_values_above_the_maximum_are_told(tmp_path: Path) -> None:
    spec = write_npz(tmp_path, images=np.full((6, 2), 17), labels=np.zeros(6, dtype=int))
    assert fault(f"{spec},maximum=16").splitlines() == [
        f"{spec}: train images reach 17, above the maximum of 16",
        f"{spec}: test images reach 17, above the maximum of 16",
    ]


def test_a_data_set_cannot_be_written_to(tmp_path: Path) -> None:
    found = load(write_npz(tmp_path, **small()))
    with pytest.raises(ValueError, match="read-only"):
        images_of(found.train)[0] = 0


# Shapes


@pytest.mark.parametrize(
    ("held", "expected", "steps", "adapted"),
    [
        ((28, 28), (28, 28), None, (28, 28)),
        ((28, 28), (1, 28, 28), None, (1, 28, 28)),
        ((1, 28, 28), (28, 28), None, (28, 28)),
        ((28, 28), (784,), None, (784,)),
        ((3, 8, 8), (192,), None, (192,)),
        ((28, 28), (1, 28, 28), 4, (1, 28, 28)),
        ((4, 28, 28), (1, 28, 28), 4, (4, 1, 28, 28)),
        ((4, 28, 28), (784,), 4, (4, 784)),
        ((4, 2, 8, 8), (2, 8, 8), 4, (4, 2, 8, 8)),
    ],
)
def test_harmless_shapes_are_adapted(
    held: tuple[int, ...], expected: tuple[int, ...], steps: int | None, adapted: tuple[int, ...]
) -> None:
    before = dataset(*held)
    after = check_shape(before, expected, steps)
    assert after.sample_shape == images_of(after.test).shape[1:] == adapted
    np.testing.assert_array_equal(images_of(after.train).ravel(), images_of(before.train).ravel())
    assert np.shares_memory(images_of(after.train), images_of(before.train))


@pytest.mark.parametrize(
    ("held", "expected", "steps", "hint"),
    [
        ((8, 8), (1, 28, 28), None, "give the network an input of [8, 8], or choose other data"),
        ((32, 32, 3), (3, 32, 32), None, "the channels stand last; store the images as [sample, channel, row, column]"),
        ((784,), (1, 28, 28), None, "the number of values is the same; store the images as [1, 28, 28]"),
        ((10, 2, 8, 8), (2, 8, 8), 4, "if the first axis is time, compile the network with --steps 10"),
        ((4, 8, 8), (1, 8, 8), None, "give the network an input of [4, 8, 8], or choose other data"),
    ],
)
def test_other_shapes_are_refused_with_both(
    held: tuple[int, ...], expected: tuple[int, ...], steps: int | None, hint: str
) -> None:
    with pytest.raises(DataError) as caught:
        check_shape(dataset(*held), expected, steps)
    assert str(caught.value) == (
        f"samples of mine have the shape {list(held)}; the network wants {list(expected)}\n  try: {hint}"
    )


def test_every_class_needs_an_output() -> None:
    check_classes(dataset(2, classes=10), 10)
    check_classes(dataset(2, classes=3), 10)
    with pytest.raises(DataError) as caught:
        check_classes(dataset(2, classes=10), 3)
    assert str(caught.value) == (
        "mine has 10 classes; the network has 3 outputs\n  try: give the last layer 10 outputs, or choose other data"
    )


# Batches


def of_length(count: int) -> Split:
    return Split(np.zeros((count, 1), dtype=np.uint8), np.zeros(count, dtype=np.uint16))


@given(count=st.integers(1, 200), size=st.integers(1, 64), epoch=st.integers(0, 5), shuffle=st.booleans())
def test_an_epoch_hands_out_every_sample_once(count: int, size: int, epoch: int, shuffle: bool) -> None:
    found = list(batches(of_length(count), size, 3, epoch, shuffle))
    assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)
    assert 1 <= len(found[-1]) <= size
    assert sorted(np.concatenate(found).tolist()) == list(range(count))


def test_without_shuffling_the_order_is_that_of_the_data() -> None:
    found = [batch.tolist() for batch in batches(of_length(7), 3, 0, 0, shuffle=False)]
    assert found == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int, size: int) -> list[int]:
        return np.concatenate(list(batches(of_length(100), size, seed, epoch))).tolist()

    assert order(1, 2, 10) == order(1, 2, 33)
    assert len({tuple(order(seed, epoch, 10)) for seed in (0, 1, 2) for epoch in (0, 1, 2)}) == 9


@given(start=st.integers(0, 6))
def test_a_resumed_epoch_goes_on_where_it_stood(start: int) -> None:
    whole = [batch.tolist() for batch in batches(of_length(50), 11, 5, 1)]
    assert [batch.tolist() for batch in batches(of_length(50), 11, 5, 1, start=start)] == whole[start:]


def test_sizes_that_are_our_own_mistake_fail_at_once() -> None:
    with pytest.raises(ValueError, match="size must be at least 1"):
        batches(of_length(3), 0, 0, 0)
    with pytest.raises(ValueError, match="start at least 0"):
        batches(of_length(3), 1, 0, 0, start=-1)


# The real ones


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files_are_read(shared: Path, name: str) -> None:
    found = load(f"idx:{shared / 'data' / name}")
    assert (len(found.train), len(found.test), found.classes, found.sample_shape) == (60000, 10000, 10, (28, 28))
    images, _ = found.test.batch(np.arange(1000))
    assert (images.min(), images.max()) == (0.0, 1.0)
    if name == "fashion_mnist":
        assert np.bincount(found.train.labels).tolist() == [6000] * 10
    else:
        assert found.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
