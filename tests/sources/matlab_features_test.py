"""Matrices of features from MATLAB's files, and what is said of files that hold none."""

import sys

import h5py
import numpy as np
import pytest
import scipy.io

from data_prep.sources.matlab_features import read_matlab_features

FEATURES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)  # [F, N]


def save(path, compress=False, **matrices):
    scipy.io.savemat(path, matrices, do_compression=compress)
    return str(path)


@pytest.mark.parametrize("compress", [False, True])
def test_columns_are_photographs(tmp_path, compress):
    columns = read_matlab_features(save(tmp_path / "a.mat", compress, feats=FEATURES, other=np.eye(2)), "feats")
    assert columns.dtype == np.float32
    np.testing.assert_array_equal(columns[2], FEATURES[:, 2])
    assert columns.shape == (3, 5)
    assert columns.flags["C_CONTIGUOUS"]  # As it was read: no second matrix.


def test_columns_of_a_file_of_version_7_3_are_photographs_too(tmp_path):
    with h5py.File(tmp_path / "b.mat", "w", userblock_size=512) as file:
        file["feats"] = FEATURES.T  # MATLAB stores columns first.
    np.testing.assert_array_equal(read_matlab_features(str(tmp_path / "b.mat"), "feats"), FEATURES.T)


def with_nan(column):
    features = np.ones((2, 3000))
    features[1, column] = np.nan
    return features


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ({"fc7": FEATURES, "names": np.eye(2)}, r"bad\.mat holds no 'feats'; it has fc7, names\.$"),
        ({"feats": np.ones((2, 3, 4))}, r"'feats' is 2 x 3 x 4 of float64; features are a matrix"),
        ({"feats": np.ones((2, 3), np.int32)}, r"'feats' is 2 x 3 of int32; features are a matrix"),
        ({"feats": np.ones((0, 3))}, r"'feats' is 0 x 3 of float64"),
        ({"feats": with_nan(2000)}, r"column 2000 of 'feats' is infinite or not a number"),
        ({"feats": with_nan(0) * np.inf}, r"column 0 of 'feats' is infinite"),
    ],
)
def test_other_matrices_are_refused_with_what_they_are(tmp_path, matrices, message):
    path = save(tmp_path / "bad.mat", **matrices)
    with pytest.raises(ValueError, match=message):
        read_matlab_features(path, "feats")


def test_a_file_of_version_7_3_without_the_matrix_is_refused(tmp_path):
    with h5py.File(tmp_path / "bad.mat", "w") as file:
        file["fc7"] = FEATURES
    with pytest.raises(ValueError, match=r"bad\.mat holds no 'feats'; it has fc7\.$"):
        read_matlab_features(str(tmp_path / "bad.mat"), "feats")


@pytest.mark.parametrize("content", [b"", b"no matrix", bytes(range(256)) * 4, None])
def test_what_is_no_matlab_file_is_refused(tmp_path, content):
    path = save(tmp_path / "cut.mat", compress=True, feats=FEATURES)
    content = (tmp_path / "cut.mat").read_bytes()[:150] if content is None else content
    (tmp_path / "cut.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"cut\.mat is no MATLAB file, or cut short: .*\.$") as error:
        read_matlab_features(path, "feats")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_missing_package_are_named(tmp_path, monkeypatch):
    path = save(tmp_path / "a.mat", feats=FEATURES)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    monkeypatch.delattr(sys.modules["scipy"], "io")
    with pytest.raises(RuntimeError, match=r"the package scipy, which is not installed .*pip install '\.\[matlab\]'"):
        read_matlab_features(path, "feats")
    with pytest.raises(FileNotFoundError, match="none.mat"):
        read_matlab_features(str(tmp_path / "none.mat"), "feats")
