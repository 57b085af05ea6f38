"""One-to-one assignment of least total cost, with a maximum cost of a pair."""

from __future__ import annotations

import numpy as np
import scipy  # its parts load when they are used: optimisation and statistics take a second
from jaxtyping import Float, Int


def match(cost: Float[np.ndarray, "N M"], max_cost: float) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Rows and columns of the matched pairs: as many pairs of cost <= ``max_cost`` as can be, at the least total cost.

    A pair that costs more than ``max_cost`` (or is NaN or infinite) is never made, nor does it keep a row or column
    from a pair that is allowed.

    Raises:
        ValueError: ``cost`` is not a matrix, or ``max_cost`` is not finite.

    >>> rows, columns = match(np.array([[1.0, 9.0], [2.0, 9.0]]), 5.0)
    >>> rows.tolist(), columns.tolist()
    ([0], [0])
    """
    cost = np.asarray(cost, dtype=np.float64)
    if cost.ndim != 2:
        raise ValueError(f"cost: expected a matrix [N, M], got shape {cost.shape}")
    if not np.isfinite(max_cost):
        raise ValueError(f"max_cost: expected a finite number, got {max_cost}")
    allowed = np.isfinite(cost) & (cost <= max_cost)
    if not allowed.any():
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty
    # A forbidden pair costs more than every allowed pair together, so the count of allowed pairs comes first.
    span = float(np.ptp(cost[allowed])) + 1.0
    filled = np.where(allowed, cost - cost[allowed].min(), span * (min(cost.shape) + 1))
    rows, columns = scipy.optimize.linear_sum_assignment(filled)
    keep = allowed[rows, columns]
    return rows[keep].astype(np.int64), columns[keep].astype(np.int64)
