"""Agreement of raters beyond chance: the result, and how its interval follows from what each unit contributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import EstimationError
from csi_lab.intervals import Kind, require_interval
from csi_lab.moments import Moments
from csi_lab.percent import percent
from csi_lab.reliability.coefficient import interval_words, paragraph, withheld
from csi_lab.reliability.ratings import Ratings
from csi_lab.resampling import replicates

if TYPE_CHECKING:
    import pandas as pd

# Landis & Koch (1977), Biometrics 33, 159-174: lower end of each band, a convention.
BANDS = {"almost perfect": 0.8, "substantial": 0.6, "moderate": 0.4, "fair": 0.2, "slight": 0.0}

# A statistic takes means of what each unit contributes (..., q) and gives (..., 3): coefficient, observed, expected.
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class AgreementResult:
    """Agreement of raters beyond chance.

    Attributes
    ----------
    coefficient, definition
        Its name, and which of its forms this is.
    value, se, low, high, level
        Estimate, standard error and interval; NaN where there is none (all units agree, or a rater always says the
        same), see ``interval``. Ends are not cut at 1.
    interval
        What the interval is, or why there is none.
    observed, expected
        Agreement observed and expected by chance (for Krippendorff's alpha: disagreement).
    units, raters, dropped
        Units used, columns of raters, and units left out because too few raters rated them.
    shares
        Share of each category, one row per category.
    remarks
        What a reader must know, one sentence each.
    """

    coefficient: str
    definition: str
    value: float
    se: float
    low: float
    high: float
    level: float
    interval: str
    observed: float
    expected: float
    units: int
    raters: int
    dropped: int
    shares: pd.DataFrame
    remarks: tuple[str, ...] = ()

    def band(self, bands: Mapping[str, float] = BANDS) -> str:
        """The word for the value by lower ends of bands; default Landis & Koch (1977), below them "poor"."""
        return next((word for word, end in sorted(bands.items(), key=lambda b: -b[1]) if self.value >= end), "poor")

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {
            "estimate": self.value,
            "se": self.se,
            "low": self.low,
            "high": self.high,
            "observed": self.observed,
            "expected": self.expected,
            "units": self.units,
            "raters": self.raters,
        }
        return pd.DataFrame([row], index=pd.Index([self.coefficient], name="coefficient"))

    def __str__(self) -> str:
        ends = f", {percent(self.level)} CI [{self.low:.3f}, {self.high:.3f}]" if np.isfinite(self.low) else ""
        left_out = f"; units left out for too few ratings: {self.dropped}" if self.dropped else ""
        return "\n".join(
            [
                f"{self.coefficient} = {self.value:.3f}{ends}, {self.units} units, {self.raters} raters{left_out}",
                f"  {self.definition}: {self.observed:.3f} observed, {self.expected:.3f} by chance",
                f"  interval: {self.interval}",
                *self.remarks,
            ]
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{paragraph(self)}{self.shares.round(3).to_html()}"


@dataclass(frozen=True)
class Settings:
    """What was asked for beside the coefficient."""

    draws: int | None
    rng: Any
    kind: Kind
    level: float


def agreement_of(
    read: Ratings,
    used: np.ndarray,
    contributions: np.ndarray,
    statistic: Statistic,
    settings: Settings,
    *,
    coefficient: str,
    definition: str,
    formula: tuple[str, int, bool],
    shares: Mapping[str, np.ndarray],
    remarks: tuple[str, ...] = (),
    pairs: int | None = None,
) -> AgreementResult:
    """Estimate and interval of a function of the means of what each unit contributes.

    ``formula``: name, divisor n - ddof of the variance, and whether Student's t is used.
    """
    import pandas as pd

    require_interval(settings.kind, settings.level)
    enough = len(contributions) if pairs is None else pairs
    if enough < 2:
        raise EstimationError(f"units with two ratings: {enough}; two or more are needed")
    # A category that was never used by a rater contributes nothing: constants are no fault here.
    names = [f"c{i}" for i in range(contributions.shape[1])]
    frame = pd.DataFrame(contributions, columns=names)
    for column in read.design.columns:
        frame[column] = read.frame[column].to_numpy()[used]
    weights = None if read.design.weights is None else frame[read.design.weights]
    moments = Moments.from_frame(frame[names], weights)
    value, observed, expected = statistic(moments.mean).tolist()
    if not np.isfinite(value):
        raise EstimationError(f"{coefficient} does not exist: all ratings are equal, so chance alone explains them")
    se = low = high = float("nan")
    name, ddof, student = formula
    if settings.draws is not None:
        made = replicates(frame, read.design, items=names, draws=settings.draws, rng=settings.rng)
        found = made.interval(lambda m: statistic(m.mean)[..., 0], kind=settings.kind, level=settings.level)
        se, low, high = float(found.se), float(found.low), float(found.high)
        words = interval_words(found, made.method)
    elif not read.design.simple:
        words = withheld("the formula's error")
    else:
        words, n = name, len(frame)
        slope = _slope(statistic, moments.mean)
        # Moments divide by n - 1; formulas that divide by n say so.
        variance = max(float(slope @ moments.cov @ slope), 0.0) * (n - 1) / (n - ddof) / n
        se = float(np.sqrt(variance))
        share = 0.5 + settings.level / 2
        factor = float(special.stdtrit(n - 1, share) if student else special.ndtri(share))
        low, high = value - factor * se, value + factor * se
    if se < 1e-12:
        # All units agree, or a rater always says the same: a sample without variation, not a value without error.
        se = low = high = float("nan")
        words = "none: the coefficient does not vary with the units of this sample, which says nothing about its error"
    return AgreementResult(
        coefficient=coefficient,
        definition=definition,
        value=value,
        se=se,
        low=low,
        high=high,
        level=settings.level,
        interval=words,
        observed=observed,
        expected=expected,
        units=len(frame),
        raters=len(read.raters),
        dropped=int((~used).sum()),
        shares=pd.DataFrame(dict(shares), index=pd.Index(list(read.categories), name="category")),
        remarks=remarks,
    )


def _slope(statistic: Statistic, mean: np.ndarray) -> np.ndarray:
    """Derivative of the coefficient by each mean ``(q,)``, exact to rounding: by a step into the complex plane."""
    step = 1e-30
    return statistic(mean + 1j * step * np.eye(len(mean)))[..., 0].imag / step


def chance_corrected(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Coefficient, observed and expected agreement ``(..., 3)``; NaN where chance makes agreement perfect."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(1 - expected.real > 1e-12, (observed - expected) / (1 - expected), np.nan)
    return np.stack([value, observed, expected], axis=-1)
