"""Rotations by name: varimax, promax, oblimin, quartimin, geomin; order, sign and alignment of factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from csi_lab.errors import SpecError, listed
from csi_lab.factors.projection import Criterion, Turned, geomin, invert, oblimin, project, varimax
from csi_lab.settings import is_number, is_whole

RotationName = Literal["none", "varimax", "promax", "promax_raw", "oblimin", "quartimin", "geomin"]
ROTATIONS = ("none", "varimax", "promax", "promax_raw", "oblimin", "quartimin", "geomin")
ORTHOGONAL = ("none", "varimax")
# Rotations whose rows are brought to unit length before and restored after (Kaiser 1958).
NORMALISED = ("varimax", "promax", "promax_raw")
# Geomin has local solutions: as many starts as Mplus takes.
GEOMIN_STARTS = 30


@dataclass(frozen=True)
class Rotation:
    """How loadings are turned towards simple structure.

    Parameters
    ----------
    name
        * ``"none"``;
        * ``"varimax"`` [1]_: uncorrelated factors, as few loadings of middling size as can be;
        * ``"promax"`` [2]_: varimax raised to ``power`` and approached by correlated factors, all within rows of unit
          length (as R psych); ``"promax_raw"``: target and regression on the varimax loadings themselves (as R stats);
        * ``"oblimin"`` [3]_ with ``gamma``; ``"quartimin"`` is oblimin with gamma 0;
        * ``"geomin"`` [4]_ with ``delta``: correlated factors, items allowed to be complex.
    kaiser
        Rows of unit length during the rotation; ``None``: for varimax and promax only.
    power
        Of promax.
    gamma
        Of oblimin, at most 0 for solutions that stay finite (up to 1 is tried).
    delta
        Of geomin, greater than 0; default .01.
    starts
        Rotations to begin with: the unrotated loadings, and random ones after it; the best end wins. ``None``: 1, but
        30 for geomin, which has local solutions.
    rng
        Seed of the random starts.
    tolerance, max_iterations
        The search ends when the norm of the projected slope falls below ``tolerance``.

    Raises
    ------
    SpecError
        With every setting that does not fit.

    References
    ----------
    .. [1] Kaiser, H. F. (1958). The varimax criterion for analytic rotation in factor analysis. Psychometrika, 23(3),
       187-200.
    .. [2] Hendrickson, A. E., & White, P. O. (1964). Promax: a quick method for rotation to oblique simple structure.
       British Journal of Statistical Psychology, 17(1), 65-70.
    .. [3] Jennrich, R. I., & Sampson, P. F. (1966). Rotation for simple loadings. Psychometrika, 31(3), 313-323.
    .. [4] Browne, M. W. (2001). An overview of analytic rotation in exploratory factor analysis. Multivariate
       Behavioral Research, 36(1), 111-150.

    Examples
    --------
    >>> print(Rotation("geomin", delta=0.001))
    geomin (delta 0.001), 30 starts
    """

    name: RotationName = "oblimin"
    kaiser: bool | None = None
    power: float = 4.0
    gamma: float = 0.0
    delta: float = 0.01
    starts: int | None = None
    rng: int = 0
    tolerance: float = 1e-8
    max_iterations: int = 2000

    def __post_init__(self) -> None:
        problems = []
        if self.name not in ROTATIONS:
            problems.append(f"name={self.name!r} is unknown; use one of {list(ROTATIONS)}")
        odd = [name for name in ("power", "gamma", "delta", "tolerance") if not _is_finite(getattr(self, name))]
        problems += [f"{name}={getattr(self, name)!r} must be a finite number" for name in odd]
        if "power" not in odd and not self.power > 1:
            problems.append(f"power={self.power!r} must be greater than 1, e.g. 4")
        if "gamma" not in odd and not self.gamma <= 1:
            problems.append(f"gamma={self.gamma!r} must be at most 1; 0 is quartimin")
        if self.gamma != 0 and self.name != "oblimin":
            problems.append(f"gamma={self.gamma!r} belongs to oblimin, not to {self.name}")
        if "delta" not in odd and not self.delta > 0:
            problems.append(f"delta={self.delta!r} must be greater than 0, e.g. 0.01")
        if self.kaiser is not None and not isinstance(self.kaiser, bool):
            problems.append(f"kaiser={self.kaiser!r} must be True, False or None")
        if self.starts is not None and (not is_whole(self.starts) or self.starts < 1):
            problems.append(f"starts={self.starts!r} must be a whole number, 1 or more")
        if not is_whole(self.rng) or self.rng < 0:
            problems.append(f"rng={self.rng!r} must be a whole number, the seed of the random starts")
        if "tolerance" not in odd and not self.tolerance > 0:
            problems.append(f"tolerance={self.tolerance!r} must be greater than 0, e.g. 1e-8")
        if not is_whole(self.max_iterations) or self.max_iterations < 1:
            problems.append(f"max_iterations={self.max_iterations!r} must be a whole number, 1 or more")
        if problems:
            raise SpecError(listed(problems, "the rotation cannot be done"), problems)

    @property
    def oblique(self) -> bool:
        """Whether factors may correlate."""
        return self.name not in ORTHOGONAL

    @property
    def normalised(self) -> bool:
        """Whether rows have unit length during the rotation."""
        return self.name in NORMALISED if self.kaiser is None else self.kaiser

    @property
    def begun(self) -> int:
        """Number of starts."""
        return self.starts or (GEOMIN_STARTS if self.name == "geomin" else 1)

    def __str__(self) -> str:
        if self.name == "none":
            return "unrotated"
        settings = {
            "promax": f" (power {self.power:g})",
            "promax_raw": f" (power {self.power:g})",
            "oblimin": f" (gamma {self.gamma:g})",
            "geomin": f" (delta {self.delta:g})",
        }.get(self.name, "")
        rows = ", Kaiser normalised" if self.normalised else ""
        return f"{self.name}{settings}{rows}" + (f", {self.begun} starts" if self.begun > 1 else "")


@dataclass(frozen=True)
class Rotated:
    """Rotated loadings ``(..., p, m)``, factor correlations ``(..., m, m)``, and how the search ended.

    ``transform`` is the rotation to begin with in similar data; ``agreeing`` counts the starts that reached the best
    value.
    """

    loadings: np.ndarray
    phi: np.ndarray
    transform: np.ndarray
    converged: np.ndarray
    agreeing: np.ndarray


def rotate(unrotated: np.ndarray, rotation: Rotation, start: np.ndarray | None = None) -> Rotated:
    """Rotate each of ``(..., p, m)``, from ``start (m, m)`` or from the starts of the rotation.

    Factors keep the order and sign in which the search leaves them; see :func:`arranged`.
    """
    lead, (p, m) = unrotated.shape[:-2], unrotated.shape[-2:]
    eye = np.eye(m)
    done = np.ones(lead, dtype=bool)
    if rotation.name == "none" or m == 1:
        phi = np.broadcast_to(eye, (*lead, m, m))
        return Rotated(unrotated, phi, eye, done, done.astype(int))
    flat = unrotated.reshape(-1, p, m)
    length = np.ones((len(flat), p, 1))
    if rotation.normalised:
        size = np.sqrt((flat**2).sum(axis=2, keepdims=True))
        # An item that shares nothing stays at zero.
        length = np.where(size > 0, size, 1.0)
    starts = _starts(m, rotation) if start is None else np.asarray(start)[None]
    k = len(starts)
    turned = project(
        np.repeat(flat / length, k, axis=0),
        _criterion(rotation),
        np.tile(starts, (len(flat), 1, 1)),
        oblique=rotation.name in ("oblimin", "quartimin", "geomin"),
        tolerance=rotation.tolerance,
        max_iterations=rotation.max_iterations,
    )
    best, agreeing = _best(turned, k)
    loadings, phi = turned.loadings[best], turned.phi[best]
    if rotation.name == "promax":
        loadings, phi = _promax(loadings, rotation.power)
    loadings = loadings * length
    if rotation.name == "promax_raw":
        loadings, phi = _promax(loadings, rotation.power)
    return Rotated(
        loadings.reshape(unrotated.shape),
        phi.reshape(*lead, m, m),
        turned.transform[best].reshape(*lead, m, m),
        (turned.converged[best] & np.isfinite(loadings).all(axis=(1, 2))).reshape(lead),
        agreeing.reshape(lead),
    )


def arranged(loadings: np.ndarray, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors by falling sum of squares, each with a positive sum of loadings; and where each came from ``(..., m)``.

    The sum of squares of an oblique factor counts what it shares with the others: the diagonal of phi L'L.
    """
    squares = np.diagonal(phi @ np.swapaxes(loadings, -1, -2) @ loadings, axis1=-2, axis2=-1)
    order = np.argsort(-squares, axis=-1, kind="stable")
    sign = np.where(loadings.sum(axis=-2) < 0, -1.0, 1.0)
    return (*_moved(loadings, phi, order, sign), order)


def aligned(loadings: np.ndarray, phi: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors ``(..., p, m)`` in the order and sign of ``target (p, m)``, the most congruent pair first."""
    m = target.shape[1]
    cross = np.swapaxes(loadings, -1, -2) @ target
    with np.errstate(invalid="ignore", divide="ignore"):
        congruence = cross / np.sqrt((loadings**2).sum(axis=-2))[..., :, None] / np.sqrt((target**2).sum(axis=0))
    free = np.nan_to_num(np.abs(congruence), nan=0.0)
    order = np.zeros((*loadings.shape[:-2], m), dtype=int)
    for _ in range(m):
        flat = free.reshape(*free.shape[:-2], m * m)
        source, place = np.divmod(flat.argmax(axis=-1), m)
        np.put_along_axis(order, place[..., None], source[..., None], axis=-1)
        taken = (np.arange(m) == source[..., None])[..., :, None] | (np.arange(m) == place[..., None])[..., None, :]
        free = np.where(taken, -1.0, free)
    own = np.take_along_axis(cross, order[..., None, :], axis=-2)[..., 0, :]
    sign = np.empty_like(own)
    np.put_along_axis(sign, order, np.where(own < 0, -1.0, 1.0), axis=-1)
    return _moved(loadings, phi, order, sign)


def _moved(loadings: np.ndarray, phi: np.ndarray, order: np.ndarray, sign: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns turned by ``sign`` (of the old order), then put in ``order``."""
    loadings = np.take_along_axis(loadings * sign[..., None, :], order[..., None, :], axis=-1)
    phi = phi * sign[..., :, None] * sign[..., None, :]
    phi = np.take_along_axis(np.take_along_axis(phi, order[..., None, :], axis=-1), order[..., :, None], axis=-2)
    return loadings, phi


def _is_finite(value: object) -> bool:
    return is_number(value) and bool(np.isfinite(value))  # type: ignore[call-overload]


def _criterion(rotation: Rotation) -> Criterion:
    if rotation.name == "geomin":
        return geomin(rotation.delta)
    if rotation.name in ("oblimin", "quartimin"):
        return oblimin(rotation.gamma)
    return varimax


def _starts(m: int, rotation: Rotation) -> np.ndarray:
    """The identity, then random orthogonal matrices ``(starts, m, m)``."""
    rng = np.random.default_rng(rotation.rng)
    starts = np.linalg.qr(rng.standard_normal((rotation.begun, m, m)))[0]
    starts[0] = np.eye(m)
    return starts


def _best(turned: Turned, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Position of the best of each k ends, and how many that came to rest equal it."""
    value = np.where(np.isfinite(turned.value), turned.value, np.inf).reshape(-1, k)
    least = value.min(axis=1, keepdims=True)
    equal = value <= least + 1e-9 * np.maximum(np.abs(least), 1)
    rested = turned.converged.reshape(-1, k)
    # Of equals, one that came to rest.
    best = np.argmax(equal + (equal & rested).astype(int), axis=1)
    return best + k * np.arange(len(value)), (equal & rested).sum(axis=1)


def _promax(v: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Oblique factors by regression of powers of the loadings on the loadings, scaled to variance 1.

    NaN where a factor has no loadings.
    """
    across = np.swapaxes(v, -1, -2)
    target = v * np.abs(v) ** (power - 1)
    u = invert(across @ v) @ (across @ target)
    covariance = invert(np.swapaxes(u, -1, -2) @ u)
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    return v @ (u * sd[..., None, :]), covariance / (sd[..., :, None] * sd[..., None, :])
