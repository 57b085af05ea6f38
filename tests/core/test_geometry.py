"""Grids: the unbiased rule commutes with the flip, maps invert, and the published rule is that of older networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseline.core.geometry import Geometry, crop_matrix, flip_points, grid_scale, invert_matrix, warp_points

sides = st.integers(2, 400)
coordinates = st.floats(-500, 500)


def resize_points(point: np.ndarray, from_wh: tuple[int, int], to_wh: tuple[int, int], *, geometry: Geometry = "unbiased") -> np.ndarray:
    return point * grid_scale(from_wh, to_wh, geometry=geometry)


@given(st.tuples(sides, sides), st.tuples(sides, sides), coordinates, coordinates)
def test_resizing_commutes_with_the_flip(from_wh: tuple[int, int], to_wh: tuple[int, int], x: float, y: float) -> None:
    point = np.array([[x, y]])
    one = resize_points(flip_points(point, from_wh[0]), from_wh, to_wh)
    other = flip_points(resize_points(point, from_wh, to_wh), to_wh[0])
    np.testing.assert_allclose(one, other, atol=1e-6 * to_wh[0] * (1 + abs(x)))


def test_the_published_rule_does_not_commute() -> None:
    point = np.array([[10.0, 10.0]])
    one = resize_points(flip_points(point, 192), (192, 256), (48, 64), geometry="published")
    other = flip_points(resize_points(point, (192, 256), (48, 64), geometry="published"), 48)
    assert abs(one[0, 0] - other[0, 0]) == pytest.approx(0.75)


@given(st.floats(-180, 180), st.floats(20, 300), coordinates, coordinates)
def test_a_crop_matrix_inverts(angle: float, size: float, x: float, y: float) -> None:
    matrix = crop_matrix(np.array([40.0, 60.0]), np.array([size, size / 0.75]), (96, 128), rotation_deg=angle)
    point = np.array([[x, y]])
    np.testing.assert_allclose(warp_points(warp_points(point, matrix), invert_matrix(matrix)), point, atol=1e-2)


@pytest.mark.parametrize("geometry", ["unbiased", "published"])
def test_the_centre_goes_to_the_middle(geometry: str) -> None:
    matrix = crop_matrix(np.array([40.0, 60.0]), np.array([75.0, 100.0]), (96, 128), rotation_deg=33, geometry=geometry)  # type: ignore[arg-type]
    middle = (48.0, 64.0) if geometry == "published" else (47.5, 63.5)
    np.testing.assert_allclose(warp_points(np.array([[40.0, 60.0]]), matrix)[0], middle, atol=1e-4)


def test_the_published_crop_is_the_published_formula() -> None:
    # x_crop = (x - cx) * 192 / scale_w + 96, the same factor for y.
    matrix = crop_matrix(np.array([100.0, 80.0]), np.array([150.0, 200.0]), (192, 256), geometry="published")
    np.testing.assert_allclose(warp_points(np.array([[130.0, 50.0]]), matrix)[0], [30 * 192 / 150 + 96, -30 * 192 / 150 + 128], rtol=1e-6)


def test_rotation_turns_counter_clockwise() -> None:
    matrix = crop_matrix(np.array([0.0, 0.0]), np.array([95.0, 127.0]), (96, 128), rotation_deg=90)
    above = warp_points(np.array([[0.0, -10.0]]), matrix)[0]
    np.testing.assert_allclose(above, [47.5 - 10, 63.5], atol=1e-4)
