"""Answers of a batch, ready to be summed over any of its rows. Exact on whole answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from csi_lab.scaleout.columns import Answers

# Rows per block: 24 items stay in the second-level cache.
BLOCK_ROWS = 8_192
# Rows per product: so small a one is computed as it lies, a larger one is packed anew first, at twice the cost.
TILE_ROWS = 1_024
# Whole numbers up to here are exact in single precision, and so are sums of whole numbers that stay below.
EXACT = 2**24
# A block smaller than this in single precision gains nothing over double precision.
SMALLEST_BLOCK = 1_024
# Largest distance from the origin that one byte holds.
BYTE = 127


@dataclass(frozen=True, eq=False)
class Cell:
    """Rows, weight, sums ``(..., p)`` and cross-products ``(..., p, p)`` about the origin."""

    n: Any
    weight: Any
    sums: np.ndarray
    products: np.ndarray

    def __add__(self, other: Cell) -> Cell:
        return Cell(
            self.n + other.n, self.weight + other.weight, self.sums + other.sums, self.products + other.products
        )

    def __getitem__(self, at: np.ndarray) -> Cell:
        """The same rows, with the sums of some items."""
        return Cell(self.n, self.weight, self.sums[..., at], self.products[..., at, :][..., :, at])

    @property
    def pooled(self) -> Cell:
        """All groups of the leading axis together."""
        return Cell(int(self.n.sum()), self.weight.sum(), self.sums.sum(axis=0), self.products.sum(axis=0))

    @property
    def blank(self) -> Cell:
        """A cell of this shape without rows."""
        return Cell(self.n * 0, self.weight * 0, np.zeros_like(self.sums), np.zeros_like(self.products))


class Block:
    """Answers about their origin.

    Where all distances from a whole origin are whole and fit into one byte, blocks of rows are summed in single
    precision: a block has so few rows that no sum of products reaches 2^24, so that every bit is right. Else double
    precision is used, which is exact for whole answers up to sums of 2^53.
    """

    def __init__(self, columns: list[Answers], origin: tuple[float, ...], w: np.ndarray | None) -> None:
        self.columns, self.origin, self.w = columns, origin, w
        self.n = len(columns[0].values)
        reach = max(max(abs(c.low - o), abs(c.high - o)) for c, o in zip(columns, origin, strict=True))
        small = all(
            c.values.dtype in (np.int8, np.uint8) and o == np.rint(o) for c, o in zip(columns, origin, strict=True)
        )
        fits = int(EXACT // max(reach * reach, 1)) if w is None and small and reach <= BYTE else 0
        self.single = fits >= SMALLEST_BLOCK
        self.step = min(BLOCK_ROWS, fits) if self.single else BLOCK_ROWS
        self.kind: Any = np.float32 if self.single else np.float64

    @cached_property
    def rows(self) -> np.ndarray:
        """Answers ``(n + 1, p + 1)`` about the origin, row after row, so that a row is picked up in one go.

        The last column is 1, so that products hold sums too; the last row is 0 throughout and counts for nothing.
        """
        p = len(self.columns)
        answers = np.ones((self.n + 1, p + 1), np.int8 if self.single else np.float64)
        answers[self.n] = 0
        # Block by block: what all columns are written into stays in the cache.
        for start in range(0, self.n, BLOCK_ROWS):
            self._about(start, answers[start : min(start + BLOCK_ROWS, self.n), :p].T)
        return answers

    def _about(self, start: int, out: np.ndarray) -> None:
        """Answers about the origin from a row on, into ``out (p, m)``."""
        here = slice(start, start + out.shape[1])
        if out.dtype == np.int8:
            # Bytes may wrap round on the way: the difference, at most 127 in size, is right again.
            origin = np.array(self.origin).astype(np.int64).astype(np.int8)
            for own, column, centre in zip(out, self.columns, origin, strict=True):
                own[:] = column.values[here].view(np.int8) - centre
            return
        for own, column in zip(out, self.columns, strict=True):
            own[:] = column.values[here]
        out -= np.array(self.origin, out.dtype)[:, None]

    def cell(self, rows: np.ndarray | None = None) -> Cell:
        """Sums over some rows, or all."""
        p = len(self.columns)
        count = self.n if rows is None else len(rows)
        # Column after column, as Arrow has them, and a line of ones below, so that one product gives sums too.
        space = np.ones((p + 1, min(self.step, count)), self.kind)
        weight, total = 0.0, np.zeros((p + 1, p))
        for start in range(0, count, self.step):
            stop = min(start + self.step, count)
            x = space[:, : stop - start]
            if rows is None:
                self._about(start, x[:p])
            else:
                x[:p] = self.rows.take(rows[start:stop], axis=0)[:, :p].T
            if self.w is None:
                weighted, weight = x, weight + stop - start
            else:
                w = self.w[start:stop] if rows is None else self.w[rows[start:stop]]
                weighted, weight = x * w, weight + float(w.sum())
            for at in range(0, stop - start, TILE_ROWS):
                tile = slice(at, at + TILE_ROWS)
                total += weighted[:, tile] @ x[:p, tile].T
        return Cell(count, np.asarray(weight), total[p], _symmetric(total[:p], self.single))

    def dealt(self, rows: np.ndarray | None, groups: int, rng: np.random.Generator) -> Cell:
        """Sums of random groups: every row goes to any of them, whatever happens to the others.

        Groups of equal size in every batch would be a sample stratified by batch, and where rows lie in some order
        (waves, regions) the variance between batches would be lost.
        """
        p, g = len(self.columns), groups
        whole = np.arange(self.n) if rows is None else rows
        size = rng.multinomial(len(whole), np.full(g, 1 / g))
        # Rows in random order, cut into runs of these sizes; runs are filled up with the row that counts for nothing.
        deepest = int(size.max(initial=0))
        order = np.full((g, deepest), self.n, dtype=np.int32 if self.n < 2**31 else np.int64)
        order[np.arange(deepest) < size[:, None]] = whole[rng.permutation(len(whole))]
        weight, total = size.astype(float) if self.w is None else np.zeros(g), np.zeros((g, p + 1, p))
        for top in range(0, deepest, self.step):
            each = min(self.step, deepest - top)
            # So many groups at once that their rows stay in the second-level cache.
            wide = max(1, BLOCK_ROWS // each)
            for at in range(0, g, wide):
                to = slice(at, at + wide)
                picked = order[to, top : top + each]
                x = self.rows.take(picked, axis=0).astype(self.kind, copy=False)
                if self.w is None:
                    weighted = x
                else:
                    w = self.padded_weights[picked]
                    weight[to] += w.sum(axis=1)
                    weighted = x * w[..., None]
                found = weighted.transpose(0, 2, 1) @ x[..., :p]
                total[to] = total[to] + found if top else found
        return Cell(size, weight, total[:, p], _symmetric(total[:, :p], self.single))

    @cached_property
    def padded_weights(self) -> np.ndarray:
        """The weights ``(n + 1,)`` and, last, that of the row that counts for nothing."""
        return np.append(np.ones(self.n) if self.w is None else self.w, 0.0)


def _symmetric(products: np.ndarray, exact: bool) -> np.ndarray:
    return products if exact else (products + np.swapaxes(products, -1, -2)) / 2
