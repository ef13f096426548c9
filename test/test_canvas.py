"""Views of any sizes as one array, and back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vilp_ros.canvas import canvas_size, on_canvas, views_on

sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4)


@given(sizes, st.sampled_from([(), (2,), (3, 2)]))
def test_they_come_back_as_they_were(sizes, before):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(1, 255, (*before, *size, 3), dtype=np.uint8) for size in sizes]
    canvas = on_canvas(pictures)
    assert canvas.shape == (*before, len(sizes), *canvas_size(sizes), 3)
    assert canvas.dtype == np.uint8
    for picture, back in zip(pictures, views_on(canvas, sizes), strict=True):
        np.testing.assert_array_equal(picture, back)
    assert (canvas > 0).sum() == sum(picture.size for picture in pictures)


def test_of_no_views_there_is_nothing():
    assert canvas_size([]) == (0, 0)
    assert on_canvas([]).shape == (0, 0, 0, 3)
    assert views_on(on_canvas([]), []) == []
