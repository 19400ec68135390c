"""A matrix of features from a MATLAB file, as NeuralTalk kept those of its photographs.

scipy reads the files of MATLAB 5 to 7, h5py those of 7.3, which are HDF5. Either way the matrix is in memory once.
"""

from __future__ import annotations

import os

import h5py
import numpy as np

_ROWS_AT_ONCE = 1024


def read_matlab_features(path: str, key: str) -> np.ndarray:
    """Reads a matrix of one column for each photograph.

    Args:
        path: a local .mat file.
        key: the matrix's name in it.

    Returns:
        Its columns as rows, float32 or float64 [N, F].

    Raises:
        FileNotFoundError: if there is no such file.
        RuntimeError: if scipy is not installed.
        ValueError: if it is no MATLAB file, or holds no such matrix.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"No file {path!r}.")
    columns = _read_hdf5(path, key) if h5py.is_hdf5(path) else _read_older(path, key)
    if columns.ndim != 2 or columns.dtype.kind != "f" or not columns.size:
        shape = " x ".join(map(str, columns.T.shape))
        raise ValueError(
            f"{path}: {key!r} is {shape} of {columns.dtype}; features are a matrix of floating-point numbers, one "
            "column for each photograph."
        )
    for start in range(0, len(columns), _ROWS_AT_ONCE):
        finite = np.isfinite(columns[start : start + _ROWS_AT_ONCE]).all(axis=1)
        if not finite.all():
            column = start + int(np.argmin(finite))
            raise ValueError(f"{path}: column {column} of {key!r} is infinite or not a number; make the features anew.")
    return columns


def _read_hdf5(path: str, key: str) -> np.ndarray:
    with h5py.File(path) as file:
        if not isinstance(file.get(key), h5py.Dataset):
            raise _missing(path, key, list(file))
        return file[key][()]  # MATLAB writes columns first, so that its columns are HDF5's rows.


def _read_older(path: str, key: str) -> np.ndarray:
    try:
        import scipy.io
    except ImportError as error:
        raise RuntimeError(
            f"{path} is read with the package scipy, which is not installed ({error}). Run `pip install '.[matlab]'`."
        ) from error
    try:
        matrices = scipy.io.loadmat(path, variable_names=[key])
        if key not in matrices:
            raise _missing(path, key, [name for name, _, _ in scipy.io.whosmat(path)])
        return np.asarray(matrices[key]).T
    except _MissingError:
        raise
    except Exception as error:  # scipy has no narrower kind: what it raises depends on the bytes it stumbles over.
        raise ValueError(f"{path} is no MATLAB file, or cut short: {str(error).partition(chr(10))[0]}.") from error


class _MissingError(ValueError):
    """The file is sound and holds something else."""


def _missing(path: str, key: str, names: list[str]) -> _MissingError:
    return _MissingError(f"{path} holds no {key!r}; it has {', '.join(sorted(names)) or 'nothing'}.")
