"""One-to-one assignment with a maximum cost."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from poseline.core.assignment import match


def test_finds_the_least_total_cost():
    rows, columns = match(np.array([[1.0, 2.0], [1.5, 9.0]]), 10.0)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_pairs_above_the_maximum_are_never_made():
    rows, columns = match(np.array([[0.2, 5.0], [5.0, 5.0]]), 1.0)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_a_forbidden_pair_does_not_draw_partners_away():
    # Row 1 may only take column 0; the cheapest sum with a costly pair counted would leave it alone.
    rows, columns = match(np.array([[0.1, 0.9], [0.8, 50.0]]), 1.0)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 1, 1: 0}


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_match(shape):
    rows, columns = match(np.zeros(shape), 1.0)
    assert len(rows) == len(columns) == 0


def test_nan_and_infinity_are_forbidden():
    rows, _ = match(np.array([[np.nan, np.inf]]), 1.0)
    assert not len(rows)


def test_negative_costs():
    rows, columns = match(np.array([[-3.0, -1.0], [-2.5, -2.0]]), 0.0)
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 0, 1: 1}


@pytest.mark.parametrize("seed", range(20))
def test_equals_exhaustive_search(seed):
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0, 2, (4, 4))
    rows, columns = match(cost, 1.0)
    best = min(
        (-sum(cost[i, j] <= 1 for i, j in enumerate(order)), sum(cost[i, j] for i, j in enumerate(order) if cost[i, j] <= 1))
        for order in itertools.permutations(range(4))
    )
    assert (-len(rows), pytest.approx(cost[rows, columns].sum())) == best


@pytest.mark.usefixtures("unchecked")
def test_faulty_arguments():
    with pytest.raises(ValueError, match="matrix"):
        match(np.zeros(3), 1.0)
    with pytest.raises(ValueError, match="finite"):
        match(np.zeros((1, 1)), np.inf)
