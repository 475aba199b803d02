"""Which detection belongs to which track: the assignment of least total cost. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_agent.records import F32

FORBIDDEN = 1e4


def assign(cost: F32) -> list[tuple[int, int]]:
    """Pairs (row, column) of least total cost, float32 (rows, columns); costs of FORBIDDEN and more are never paired.

    The Hungarian method with shortest augmenting paths (Jonker and Volgenant 1987). As many pairs as are allowed come
    before a lower cost, as FORBIDDEN is larger than any sum of the others.
    """
    if 0 in cost.shape:
        return []
    nearest = cost.argmin(axis=1).tolist()
    easy = [(row, column) for row, column in enumerate(nearest) if cost[row, column] < FORBIDDEN]
    if len({column for _, column in easy}) == len(easy):  # everybody gets the best there is: nothing can be cheaper
        return easy
    pairs: list[tuple[int, int]] = []
    for rows, columns in _islands(cost < FORBIDDEN):
        part = cost[np.ix_(rows, columns)]
        pairs += [(rows[row], columns[column]) for row, column in _solve(part)]
    return sorted((row, column) for row, column in pairs if cost[row, column] < FORBIDDEN)


def _islands(allowed: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that hang together; crowds fall apart into many small problems."""
    free = set(np.flatnonzero(allowed.any(axis=1)).tolist())
    islands = []
    while free:
        rows, columns, todo = set[int](), set[int](), [free.pop()]
        while todo:
            row = todo.pop()
            rows.add(row)
            for column in set(np.flatnonzero(allowed[row]).tolist()) - columns:
                columns.add(column)
                others = free.intersection(np.flatnonzero(allowed[:, column]).tolist())
                free -= others
                todo += others
        islands.append((sorted(rows), sorted(columns)))
    return islands


def _solve(cost: F32) -> list[tuple[int, int]]:
    if cost.shape == (1, 1):
        return [(0, 0)]
    if cost.shape[0] > cost.shape[1]:
        return [(row, column) for column, row in _solve(cost.T)]
    row_of = _augment_all(np.minimum(cost, FORBIDDEN).astype(np.float64))
    return [(int(row), column) for column, row in enumerate(row_of) if row >= 0]


def _augment_all(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The row of each column, -1 for none, int64 (columns,)."""
    rows, columns = cost.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1, np.int64)
    for start in range(rows):
        shortest = np.full(columns, np.inf)
        came_from = np.full(columns, -1, np.int64)
        done = np.zeros(columns, bool)
        row, column, reached = start, -1, [start]
        while True:
            reduced = cost[row] - row_potential[row] - column_potential
            reached_at = 0.0 if column < 0 else shortest[column]
            better = ~done & (reached_at + reduced < shortest)
            shortest[better] = reached_at + reduced[better]
            came_from[better] = column
            column = int(np.argmin(np.where(done, np.inf, shortest)))
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
            reached.append(row)
        total = shortest[column]
        row_potential[start] += total
        for visited in np.flatnonzero(done):
            if visited != column and row_of[visited] >= 0:
                row_potential[row_of[visited]] += total - shortest[visited]
                column_potential[visited] -= total - shortest[visited]
        while column >= 0:
            previous = int(came_from[column])
            row_of[column] = start if previous < 0 else row_of[previous]
            column = previous
    return row_of
