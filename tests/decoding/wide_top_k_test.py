import math

import numpy as np
import pytest
import tensorflow as tf

from im2txt.decoding import wide_top_k


@pytest.mark.parametrize("width", [3, 1536, 1537, 2047, 12000])
def test_values_and_columns_are_those_of_a_stable_sort_even_among_ties(width: int) -> None:
    values = np.random.default_rng(width).integers(0, width // 2, [64, width]).astype(np.float32)
    values[0] = 7.0
    values[1] = -math.inf
    values[2, :-1] = -math.inf
    best, columns = wide_top_k.top_k(tf.constant(values), 3)
    expected = np.argsort(-values, axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(best, np.take_along_axis(values, expected, axis=1))
