"""What many answers are worth when who answers depends on the answer: the data defect correlation."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from csi_lab.errors import DataError, SpecError, listed
from csi_lab.settings import is_number

if TYPE_CHECKING:
    import pandas as pd

# Rounding may carry a correlation of exactly 1 a little beyond it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class DataDefect:
    """The error of a mean, taken apart. Made by :func:`data_defect`.

    Attributes
    ----------
    correlation
        Data defect correlation, between answering (1 or 0) and the value, over the whole population; NaN when all of
        the population answered.
    shortage
        How much of the population is missing, sqrt((1 - f)/f).
    sd
        Standard deviation of the value in the population: how hard it is to estimate.
    error
        Estimate minus truth; the product of the three above.
    n, population
        Who answered, and all.
    effective_n
        Size of a simple random sample whose mean squared error is this error squared.
    """

    correlation: float
    shortage: float
    sd: float
    error: float
    n: int
    population: int
    effective_n: float

    @property
    def fraction(self) -> float:
        """Share f of the population that answered."""
        return self.n / self.population

    def to_frame(self) -> pd.DataFrame:
        """One row, raw numbers."""
        import pandas as pd

        row = {
            "n": self.n,
            "population": self.population,
            "fraction": self.fraction,
            "correlation": self.correlation,
            "shortage": self.shortage,
            "sd": self.sd,
            "error": self.error,
            "effective_n": self.effective_n,
        }
        return pd.DataFrame([row], index=pd.Index(["data defect"]))

    def __str__(self) -> str:
        worth = f"as near as a simple random sample of {self.effective_n:,.0f}"
        if math.isnan(self.correlation):
            return f"all {self.population:,} answered: no error"
        return (
            f"error {self.error:+.4g} = correlation {self.correlation:+.2g} x shortage {self.shortage:.4g} "
            f"x sd {self.sd:.4g}\n{self.n:,} answers of {self.population:,} ({self.fraction:.2%}), {worth}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<p>{'<br>'.join(html.escape(line) for line in str(self).splitlines())}</p>"


def data_defect(estimate: float, truth: float, *, sd: float, n: int, population: int) -> DataDefect:
    r"""Take the error of a mean apart into data quality, data quantity and difficulty of the problem.

    .. math::
        \bar G_n - \bar G_N = \rho_{R,G} \, \sqrt{\frac{1 - f}{f}} \, \sigma_G, \qquad
        n_{\text{eff}} = \frac{n^*}{1 + (n^* - 1)/N}, \quad
        n^* = \frac{f}{1 - f} \, \frac{1}{\rho_{R,G}^2}

    with f = n/N and R = 1 for those who answered.

    Parameters
    ----------
    estimate
        Mean of those who answered.
    truth
        Mean of the whole population.
    sd
        Standard deviation of the value over the population (divisor N), > 0.
    n, population
        Number of those who answered, 1 to N, and size N of the population.

    Returns
    -------
    DataDefect

    Raises
    ------
    SpecError
        If a number is not finite, the sd is not positive, or n lies outside 1 to N; all of them are named.
    DataError
        If no population can hold such a sample: the correlation would lie outside -1 to 1, or everybody answered and
        the mean is another all the same.

    Notes
    -----
    The first equation is an identity: it holds for every sample of every population, however it came about. The
    effective size takes the square of this sample's correlation for its expectation over repetitions of the same way
    of answering. That is right where the error is mostly bias; for one simple random sample it says no more than how
    lucky that sample was. In a simple random sample the expectation is 1/(N - 1), and the effective size is n.

    References
    ----------
    .. [1] Meng, X.-L. (2018). Statistical paradises and paradoxes in big data (I): law of large populations, big data
       paradox, and the 2016 US presidential election. Annals of Applied Statistics, 12(2), 685-726.

    Examples
    --------
    A correlation of .005 in answers of one percent of 231 million voters (Meng's example, about 400 answers):

    >>> found = data_defect(0.50 + 0.005 * 99**0.5 * 0.5, 0.50, sd=0.5, n=2_310_000, population=231_000_000)
    >>> round(found.correlation, 4), round(found.effective_n)
    (0.005, 404)
    """
    _require(estimate, truth, sd, n, population)
    error, shortage = estimate - truth, math.sqrt((population - n) / n)
    if n == population:
        if abs(error) > ROUNDING * max(sd, abs(truth)):
            raise DataError(f"all {population} answered, so the estimate {estimate:g} must be the truth {truth:g}")
        return DataDefect(math.nan, 0.0, sd, error, n, population, float(population))
    correlation = error / (shortage * sd)
    if abs(correlation) > 1 + ROUNDING:
        raise DataError(
            f"error {error:g}, sd {sd:g} and {n} of {population} do not belong together: the correlation of answering "
            f"and value would be {correlation:.3g}; check the sd and the population size"
        )
    correlation = max(-1.0, min(1.0, correlation))
    # Written so that a sample without error needs no division by zero: it is worth the whole population.
    defect = (shortage * correlation) ** 2
    effective = population / (1 + (population - 1) * defect)
    return DataDefect(correlation, shortage, sd, error, int(n), int(population), effective)


def _require(estimate: float, truth: float, sd: float, n: int, population: int) -> None:
    given = {"estimate": estimate, "truth": truth, "sd": sd, "n": n, "population": population}
    problems = [
        f"{name}={value!r} is not a finite number"
        for name, value in given.items()
        if not (is_number(value) and math.isfinite(value))
    ]
    if not problems:
        problems += [f"sd={sd!r} is not positive"] if not sd > 0 else []
        problems += [
            f"{k}={given[k]!r} is not a whole number" for k in ("n", "population") if given[k] != int(given[k])
        ]
        problems += (
            [f"n={n!r} does not lie between 1 and population={population!r}"] if not 1 <= n <= population else []
        )
    if problems:
        raise SpecError(listed(problems, "the data defect cannot be computed; correct"), problems)
