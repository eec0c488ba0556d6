"""Where the boxes of a path diagram stand: columns by path order, rows so that no arrow runs through a box."""

from __future__ import annotations

import itertools

import numpy as np

from csi_lab.model import PathModel

COLUMN, ROW = 2.5, 1.2
# Extra width of a gap for every arrow beyond three between neighbouring columns, so that their labels find room.
PER_ARROW = 0.35
_LANES = 7


def place(model: PathModel) -> dict[str, tuple[float, float]]:
    """Centre of each construct's box.

    The column is the construct's depth (longest way from an exogenous construct). Rows are improved one construct at a
    time, from several starts, until no move lowers the cost: arrows through boxes first, then crossings, then length.
    The result depends on the model alone.

    Examples
    --------
    >>> centres = place(PathModel({"A": "a", "B": "b", "C": "c"}, {"B": "A", "C": ["A", "B"]}))
    >>> [x for x, _ in centres.values()]
    [0.0, 2.5, 5.0]
    """
    depth: dict[str, int] = {}
    for construct in model.order:
        depth[construct] = max((depth[s] + 1 for s in model.paths.get(construct, ())), default=0)
    names = list(model.constructs)
    columns = np.array([depth[c] for c in names])
    edges = np.array([(names.index(s), names.index(t)) for s, t in model.edges], dtype=int).reshape(-1, 2)
    lanes = max(_LANES, int(np.bincount(columns).max()))
    starts = [_start(columns, lanes, step) for step in range(lanes)]
    rows = min((_improved(start, columns, edges, lanes) for start in starts), key=lambda r: _cost(r, columns, edges))
    rows = rows - rows.min()
    short = columns[edges[:, 0]][columns[edges[:, 1]] - columns[edges[:, 0]] == 1]
    arrows = np.bincount(short, minlength=columns.max() + 1)[: columns.max()]
    left = np.concatenate([[0.0], np.cumsum(COLUMN + PER_ARROW * np.maximum(arrows - 3, 0))])
    return {c: (float(left[x]), float(-ROW * y)) for c, x, y in zip(names, columns, rows, strict=True)}


def label_spots(segments: np.ndarray, width: float, height: float, boxes: np.ndarray | None = None) -> np.ndarray:
    """Where to write one label on each arrow so that labels cover neither each other, nor boxes, nor other arrows.

    Parameters
    ----------
    segments
        ``(m, 2, 2)`` tail and head of each arrow.
    width, height
        Size of a label.
    boxes
        ``(k, 4)`` centre, width and height of each box.

    Returns
    -------
    ndarray
        ``(m, 2)`` centres, near the middle of their arrows where there is room.

    Examples
    --------
    >>> label_spots(np.array([[[0.0, 0.0], [4.0, 0.0]]]), 0.5, 0.3).tolist()
    [[2.0, 0.0]]
    """
    shares = np.array([0.5, 0.44, 0.56, 0.38, 0.62, 0.32, 0.68, 0.26, 0.74, 0.2, 0.8])
    spots = np.full((len(segments), 2), np.nan)
    # Short arrows first: they have the least room to give way.
    for i in np.argsort(np.hypot(*(segments[:, 1] - segments[:, 0]).T), kind="stable"):
        tail, head = segments[i]
        candidates = tail + shares[:, None] * (head - tail)
        apart = np.abs(candidates[:, None] - spots) / (width, height)
        covered = (apart.max(axis=2) < 1).sum(axis=1)
        others = np.delete(segments, i, axis=0)
        crossed = (_distance(candidates / (1, height / width), others / (1, height / width)) < width / 2).sum(axis=1)
        hidden = np.zeros(len(shares))
        if boxes is not None:
            reach = (boxes[:, 2:] + (width, height)) / 2
            hidden = (np.abs(candidates[:, None] - boxes[:, :2]) < reach).all(axis=2).sum(axis=1)
        spots[i] = candidates[np.argmin(20 * hidden + 10 * covered + 2 * crossed + np.abs(shares - 0.5))]
    return spots


def _distance(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Distances ``(k, m)`` of points ``(k, 2)`` from segments ``(m, 2, 2)``."""
    tail, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    share = ((points[:, None] - tail) * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-12)
    nearest = tail + np.clip(share, 0, 1)[..., None] * along
    return np.hypot(*np.moveaxis(points[:, None] - nearest, 2, 0))


def _start(columns: np.ndarray, lanes: int, step: int) -> np.ndarray:
    """Rows to begin with: free lanes of each column, counted from a different lane for each start."""
    rows = np.zeros(len(columns), dtype=int)
    for column in np.unique(columns):
        at = np.flatnonzero(columns == column)
        rows[at] = (step * (column + 1) + np.arange(len(at)) * max(1, lanes // len(at))) % lanes
    return rows


def _improved(rows: np.ndarray, columns: np.ndarray, edges: np.ndarray, lanes: int) -> np.ndarray:
    rows, best = rows.copy(), _cost(rows, columns, edges)
    while True:
        before = best
        for box in range(len(rows)):
            for lane in range(lanes):
                if ((rows == lane) & (columns == columns[box])).any():
                    continue
                trial = rows.copy()
                trial[box] = lane
                cost = _cost(trial, columns, edges)
                if cost < best:
                    rows, best = trial, cost
        if best == before:
            return rows


def _cost(rows: np.ndarray, columns: np.ndarray, edges: np.ndarray) -> float:
    points = np.column_stack([columns, rows]).astype(float)
    cost = 0.6 * float(np.ptp(rows)) + 0.08 * float(np.abs(rows[edges[:, 0]] - rows[edges[:, 1]]).sum())
    for a, b in edges:
        start, end = points[a], points[b]
        others = np.array([k for k in range(len(points)) if k not in (a, b)], dtype=int)
        between = others[(columns[others] > columns[a]) & (columns[others] < columns[b])]
        share = (points[between, 0] - start[0]) / (end[0] - start[0])
        gap = np.abs(start[1] + share * (end[1] - start[1]) - points[between, 1])
        cost += float(10 * (gap < 0.55).sum() + 2 * ((gap >= 0.55) & (gap < 0.8)).sum())
        # A steep arrow also cuts the corners of boxes above or below its own ends.
        climb = 0.3 * (end[1] - start[1]) / (end[0] - start[0])
        for own, reach in ((start, start[1] + climb), (end, end[1] - climb)):
            beside = others[columns[others] == own[0]]
            low, high = sorted((own[1], reach))
            cost += 6.0 * float(((rows[beside] + 0.35 > low) & (rows[beside] - 0.35 < high)).sum())
    for (a, b), (c, d) in itertools.combinations(edges.tolist(), 2):
        if len({a, b, c, d}) == 4 and _cross(points[a], points[b], points[c], points[d]):
            cost += 1.5
    return cost


def _cross(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> bool:
    def side(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
