"""Weighted counts, means and cross-products: all that the estimators ever see of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from csi_lab.answers import as_items, infinite_values, require_columns, require_numbers, split_weights
from csi_lab.errors import DataError, SpecError
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd

# What becomes of rows with missing answers, where rows are needed one by one.
RowsMissing = Literal["listwise", "raise"]
# The same where moments are enough: they can also be estimated from incomplete rows.
Missing = Literal["listwise", "raise", "em", "mean"]

# Rows per block: a block of 24 items stays in the second-level cache, and memory does not grow with the survey.
BLOCK_ROWS = 16_384
# Answers on 1-5, 1-7, 1-10, 0-10 or 0-100 scales share one whole-numbered origin, so that sums of whole answers are
# exact in binary arithmetic and every partition of the rows gives the same bits.
ANSWER_ORIGIN = 5.0
LARGEST_ANSWER = 1_000.0


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Sums over respondents from which every estimate follows; parts of a survey add up with ``+``.

    With weights :math:`w_i` and origin :math:`o`, the parts kept are :math:`W = \sum w_i`,
    :math:`\sum w_i (x_i - o)` and :math:`\sum w_i (x_i - o)(x_i - o)'`. Hence

    .. math::
        \bar x = \frac{\sum w_i x_i}{W}, \qquad
        S = \frac{n}{n - \text{ddof}} \cdot \frac{\sum w_i (x_i - \bar x)(x_i - \bar x)'}{W}

    which with equal weights and ``ddof=1`` is the usual sample covariance, and with sampling weights the one of
    survey statistics [1]_: multiplying all weights by a constant changes nothing.

    Parameters
    ----------
    names
        The p items.
    n
        Rows used; an array over the leading axes where replicates or groups differ.
    weight
        Sum of weights, ``(...)``.
    origin
        Point about which the sums were taken, ``(p,)``.
    sums, products
        Weighted sums ``(..., p)`` and cross-products ``(..., p, p)`` about the origin. Leading axes are replicates or
        groups; every estimator of the package broadcasts over them.
    dropped
        Rows left out because an item was missing or their weight is zero.
    weighted
        Whether the rows carried weights of their own.
    ddof
        0 or 1, see above.

    References
    ----------
    .. [1] Lumley, T. (2004). Analysis of complex survey samples. Journal of Statistical Software, 9(8) (``svyvar``).

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [7, 9, 8, 10], "q2": [6, 9, 9, 10]})
    >>> whole = Moments.from_frame(frame)
    >>> whole.mean.tolist(), round(float(whole.corr[0, 1]), 4)
    ([8.5, 8.5], 0.8944)
    >>> parts = Moments.from_frame(frame[:1]) + Moments.from_frame(frame[1:])
    >>> bool((parts.cov == whole.cov).all())
    True
    """

    names: tuple[str, ...]
    n: Any
    weight: Any
    origin: np.ndarray
    sums: np.ndarray
    products: np.ndarray
    dropped: int = 0
    weighted: bool = False
    ddof: int = 1

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, weights: Any = None, missing: Missing = "listwise") -> Moments:
        """Moments of all columns of a frame, in one pass over blocks of rows.

        Parameters
        ----------
        frame
            One row per respondent, numeric columns; NaN or NA is missing.
        weights
            Sampling weights >= 0: an array or Series with one number per row, or the name of a column of ``frame``,
            which is then no item.
        missing
            ``"listwise"`` leaves rows with a missing item out and counts them in ``dropped``, as it does rows of weight
            zero; ``"raise"`` refuses rows with a missing item; ``"em"`` and ``"mean"`` use the rows with gaps too, see
            :func:`csi_lab.incomplete.completed_moments`.

        Raises
        ------
        DataError
            If a column holds text or infinite values, columns share a name, weights are negative or missing, or no
            row is complete. Offending columns and rows are named.
        """
        if missing not in ("listwise", "raise", "em", "mean"):
            raise SpecError(f"missing={missing!r} is unknown; use 'listwise', 'raise', 'em' or 'mean'")
        if not hasattr(frame, "columns"):
            raise DataError(f"need a DataFrame with one column per item, got {type(frame).__name__}")
        frame, w = split_weights(frame, weights)
        if missing == "em" or missing == "mean":
            from csi_lab.incomplete import completed_moments

            return completed_moments(frame, weights=w, missing=missing)
        require_numbers(frame)
        names = tuple(str(c) for c in frame.columns)
        origin: np.ndarray | None = None
        sums, products = np.zeros(len(names)), np.zeros((len(names), len(names)))
        rows, weight, dropped, holes = 0, 0.0, 0, 0
        answered = np.zeros(len(names), dtype=int)
        for start, block in _blocks(frame):
            v = None if w is None else w[start : start + len(block)]
            known = np.isfinite(block)
            whole = bool(known.all())
            if not whole and np.isinf(block).any():
                raise DataError(infinite_values(frame))
            # A row of weight zero stands for nobody: it must not count as a respondent.
            if not whole or (v is not None and not (v > 0).all()):
                complete = known.all(axis=1)
                holes += len(block) - int(complete.sum())
                if v is not None:
                    complete &= v > 0
                    v = v[complete]
                if left_out := len(block) - int(complete.sum()):
                    answered += known.sum(axis=0)
                    dropped += left_out
                block = block[complete]
            if origin is None and len(block):
                origin = _origin(block)
            if origin is None:
                continue
            centred = block - origin
            if v is None:
                products += centred.T @ centred
                sums += centred.sum(axis=0)
                weight += len(block)
            else:
                products += (centred * v[:, None]).T @ centred
                sums += v @ centred
                weight += float(v.sum())
            rows += len(block)
        if holes and missing == "raise":
            raise DataError(
                f"{holes} of {len(frame)} rows have missing answers; choose missing='listwise' to leave them out, "
                "or 'em' to use them"
            )
        if origin is None:
            empty = [c for c, k in zip(names, answered, strict=True) if k == 0]
            raise DataError(
                f"no row of {len(frame)} has answers to all {len(names)} items"
                + (" and a positive weight" if w is not None else "")
                + (f"; items without any answer: {empty}" if empty and len(frame) else "")
            )
        return cls(names, rows, weight, origin, sums, (products + products.T) / 2, dropped, w is not None)

    @classmethod
    def from_covariance(cls, names: Sequence[str], n: int, mean: Any, cov: Any, ddof: int = 1) -> Moments:
        """Moments of a published mean vector ``(p,)`` and covariance matrix ``(p, p)`` of ``n`` respondents.

        Parameters
        ----------
        names
            The p items.
        n
            Respondents, more than ``ddof``.
        mean, cov
            Their means and covariances.
        ddof
            1 if the sums of squares were divided by n - 1, 0 if by n.

        Raises
        ------
        DataError
            If names recur, ``n`` or ``ddof`` make no sense, shapes do not fit, numbers are missing, or the matrix is
            not symmetric and positive semidefinite.

        Examples
        --------
        >>> Moments.from_covariance(["q1", "q2"], 100, [7, 6], [[2.0, 0.5], [0.5, 1.0]]).corr.round(4)[0].tolist()
        [1.0, 0.3536]
        """
        names = [names] if isinstance(names, str) else [str(name) for name in names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"items share a name: {twice}; rename them")
        if ddof not in (0, 1):
            raise DataError(f"ddof={ddof!r} must be 1 (divided by n - 1) or 0 (divided by n)")
        if not is_number(n) or not np.isfinite(n) or n <= ddof:
            raise DataError(f"n={n!r} must be the number of respondents, more than {ddof}")
        try:
            mean, cov = np.asarray(mean, dtype=float), np.asarray(cov, dtype=float)
        except (TypeError, ValueError):
            raise DataError("means and covariances must be numbers, rows of equal length") from None
        p = len(names)
        if mean.shape != (p,) or cov.shape != (p, p):
            raise DataError(f"{p} names need mean ({p},) and cov ({p}, {p}); got {mean.shape} and {cov.shape}")
        if not np.isfinite(mean).all() or not np.isfinite(cov).all():
            raise DataError("means or covariances are missing or infinite")
        if not np.allclose(cov, cov.T, rtol=1e-8, atol=0) or np.linalg.eigvalsh(cov)[0] < -1e-8 * np.trace(cov):
            raise DataError("the covariance matrix is not symmetric and positive semidefinite")
        products = (cov + cov.T) / 2 * (n - ddof)
        return cls(tuple(names), n, float(n), mean, np.zeros(p), products, ddof=ddof)

    @classmethod
    def stack(cls, parts: Sequence[Moments]) -> Moments:
        """Several moments of the same items side by side, along a new leading axis.

        Raises
        ------
        DataError
            If there are no parts or their items differ.
        """
        if not parts:
            raise DataError("nothing to stack")
        first = parts[0]
        _require_same_items(first, *parts[1:])
        moved = [part._about(first.origin) for part in parts]
        return cls(
            first.names,
            np.stack([np.asarray(m.n) for m in moved]),
            np.stack([np.asarray(m.weight) for m in moved]),
            first.origin,
            np.stack([m.sums for m in moved]),
            np.stack([m.products for m in moved]),
            sum(m.dropped for m in moved),
            any(m.weighted for m in moved),
            first.ddof,
        )

    @property
    def observed(self) -> bool:
        """Whether every answer was given, and none completed by an estimate."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The leading axes; ``()`` for a single survey."""
        return self.sums.shape[:-1]

    @cached_property
    def mean(self) -> np.ndarray:
        """Weighted means ``(..., p)``."""
        return self.origin + self.sums / np.asarray(self.weight)[..., None]

    @cached_property
    def cov(self) -> np.ndarray:
        """Weighted covariances ``(..., p, p)``."""
        w = np.asarray(self.weight)[..., None]
        shift = self.sums / w
        n = np.asarray(self.n, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = n / (n - self.ddof)
            # In place: the stack of thousands of draws is large, and new memory costs more than the arithmetic.
            cov = self.products / w[..., None]
            cov -= shift[..., :, None] * shift[..., None, :]
            cov *= factor[..., None, None]
            return cov

    @cached_property
    def variance(self) -> np.ndarray:
        """Weighted variances ``(..., p)``, never below zero."""
        return np.maximum(np.diagonal(self.cov, axis1=-2, axis2=-1), 0.0)

    @cached_property
    def sd(self) -> np.ndarray:
        """Weighted standard deviations ``(..., p)``."""
        return np.sqrt(self.variance)

    @cached_property
    def corr(self) -> np.ndarray:
        """Correlations ``(..., p, p)``; NaN in the row and column of an item that does not vary."""
        sd = np.where(self.constant, np.nan, self.sd)
        corr = self.cov / sd[..., :, None]
        corr /= sd[..., None, :]
        p = len(self.names)
        corr[..., range(p), range(p)] = sd / sd
        return corr

    @cached_property
    def constant(self) -> np.ndarray:
        """Which items do not vary ``(..., p)``: sd at most 1e-10 of the mean's size, where rounding is all there is."""
        return ~(self.sd > 1e-10 * np.abs(self.mean))

    def __add__(self, other: Moments) -> Moments:
        if not isinstance(other, Moments):
            return NotImplemented
        _require_same_items(self, other)
        origin = self.origin
        if not np.array_equal(origin, other.origin):
            # Meeting at the joint mean loses no digits even when the parts lie far apart.
            share = np.mean(self.weight) / (np.mean(self.weight) + np.mean(other.weight))
            origin = share * origin + (1 - share) * other.origin
        a, b = self._about(origin), other._about(origin)
        return replace(
            a,
            n=a.n + b.n,
            weight=a.weight + b.weight,
            sums=a.sums + b.sums,
            products=a.products + b.products,
            dropped=a.dropped + b.dropped,
            weighted=a.weighted or b.weighted,
        )

    def __radd__(self, other: object) -> Moments:
        # sum() starts from 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __getitem__(self, names: Sequence[str]) -> Moments:
        """The moments of some items, in the order asked for."""
        try:
            names = [names] if isinstance(names, str) else list(names)
        except TypeError:
            raise DataError(f"need the names of items, got {names!r}") from None
        if len(set(names)) < len(names):
            raise DataError(f"items asked for twice: {sorted({str(c) for c in names if names.count(c) > 1})}")
        absent = [c for c in names if c not in self.names]
        if absent:
            raise DataError(f"items not in the moments: {absent}; they hold {list(self.names)}")
        if tuple(names) == self.names:
            return self
        at = [self.names.index(c) for c in names]
        return replace(
            self,
            names=tuple(names),
            origin=self.origin[at],
            sums=self.sums[..., at],
            products=self.products[..., at, :][..., :, at],
        )

    def to_frame(self) -> pd.DataFrame:
        """Mean and standard deviation per item, of a single survey."""
        import pandas as pd

        if self.shape:
            raise DataError(f"these are {self.shape} sets of moments; take .mean and .sd, or one of them")
        return pd.DataFrame({"mean": self.mean, "sd": self.sd}, index=pd.Index(self.names, name="item"))

    def _about(self, origin: np.ndarray) -> Moments:
        """The same moments, their sums taken about another origin."""
        shift = self.origin - origin
        if not shift.any():
            return self
        w = np.asarray(self.weight)[..., None]
        cross = self.sums[..., :, None] * shift
        products = self.products + cross + np.swapaxes(cross, -1, -2) + w[..., None] * np.outer(shift, shift)
        return replace(self, origin=origin, sums=self.sums + w * shift, products=products)

    def __str__(self) -> str:
        several = f" x {self.shape} sets" if self.shape else ""
        why = "missing answers or weight zero" if self.weighted else "missing answers"
        left_out = f", {self.dropped} left out ({why})" if self.dropped else ""
        rows = f"{self.n} rows" if np.ndim(self.n) == 0 else f"{np.min(self.n)} to {np.max(self.n)} rows"
        return f"moments of {len(self.names)} items{several}: {rows}{left_out}" + (
            ", weighted" if self.weighted else ""
        )

    __repr__ = __str__


def as_moments(
    data: Any, items: Sequence[str] | None = None, weights: Any = None, missing: Missing = "listwise"
) -> Moments:
    """Moments of ``items`` from whatever holds the answers.

    Parameters
    ----------
    data
        A survey (its own design weights are used), a DataFrame, or Moments.
    items
        The items wanted; all when ``None``.
    weights
        For a DataFrame only: array, Series or column name.
    missing
        As in :meth:`Moments.from_frame`.

    Raises
    ------
    DataError
        If items are absent, or weights are given beside data that bring their own.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"q1": [1, 2, 3], "q2": [1, 3, 2], "w": [1.0, 1.0, 2.0]})
    >>> as_moments(frame, ["q1", "q2"], weights="w").mean.tolist()
    [2.25, 2.0]
    """
    items = None if items is None else as_items(items)
    if isinstance(data, Moments):
        if weights is not None:
            raise DataError("moments carry their weights already; give weights where the moments are made")
        return data if items is None else data[list(items)]
    if hasattr(data, "moments"):
        if weights is not None:
            raise DataError(
                "a survey brings the weights of its study file (design: weights); do not give others beside it"
            )
        return data.moments(items, missing=missing)
    if not hasattr(data, "columns"):
        raise DataError(f"need a survey, a DataFrame or Moments, got {type(data).__name__}")
    if items is not None:
        require_columns(data, items)
        if isinstance(weights, str):
            if weights not in data.columns:
                raise DataError(f"the weight column {weights!r} is not in the data")
            weights = data[weights]
        if data.columns.tolist() != list(items):
            data = data[list(items)]
    return Moments.from_frame(data, weights, missing)


def _blocks(frame: pd.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive blocks of rows as floats, missing as NaN."""
    for start in range(0, len(frame), BLOCK_ROWS):
        yield start, frame.iloc[start : start + BLOCK_ROWS].to_numpy(dtype=float, na_value=np.nan)


def _origin(block: np.ndarray) -> np.ndarray:
    """Where to take the sums about: the fixed origin for whole-numbered answers, the block's mean for other numbers."""
    whole = ((block == np.rint(block)) & (np.abs(block) <= LARGEST_ANSWER)).all(axis=0)
    return np.where(whole, ANSWER_ORIGIN, block.mean(axis=0))


def _require_same_items(first: Moments, *others: Moments) -> None:
    for other in others:
        if other.names != first.names:
            odd = sorted(set(first.names) ^ set(other.names))
            raise DataError(
                f"moments of different items do not add up: {odd}"
                if odd
                else "moments hold the same items in another order; select one order with m[[...]] first"
            )
        if other.ddof != first.ddof:
            raise DataError(f"moments with ddof {first.ddof} and {other.ddof} do not add up")
