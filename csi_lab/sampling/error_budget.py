"""Total survey error: how much of the error of a mean each source brings, on a population whose truth is known."""

from __future__ import annotations

import html
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.answers import aligned
from csi_lab.errors import DataError, EstimationError, SpecError, listed
from csi_lab.sampling.estimate.sums import ROUNDING
from csi_lab.sampling.simulated_field import Field
from csi_lab.sampling.size.sample_size import is_number, not_whole, refuse
from csi_lab.settings import generator

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SOURCES = ("coverage", "sampling", "non-response", "measurement", "processing")


@dataclass(frozen=True, eq=False)
class ErrorBudget:
    """The mean squared error of a survey mean, by source.

    Attributes
    ----------
    table
        Rows: the five sources, ``interaction`` (what the sources do only together) and ``total``. Columns ``bias``,
        ``variance``, ``mse``, each with its standard error of simulation (``bias_se`` ...), and ``share`` of the total
        MSE.
    truth
        Mean of the population.
    column, n, repeats
        What was estimated, units drawn in each survey, and surveys simulated.
    respondents
        Mean number of respondents with all sources on.
    failed
        Surveys left out because nobody answered.
    off
        Sources that were not given and bring nothing.
    """

    table: pd.DataFrame
    truth: float
    column: str
    n: int
    repeats: int
    respondents: float
    failed: int
    off: tuple[str, ...]

    @property
    def value(self) -> float:
        """Mean squared error with all sources on."""
        return float(self.table.loc["total", "mse"])

    @property
    def se(self) -> float:
        """Standard error of simulation of ``value``."""
        return float(self.table.loc["total", "mse_se"])

    def to_frame(self) -> pd.DataFrame:
        """The table, raw numbers."""
        return self.table

    def plot(self, ax: Axes | None = None) -> Axes:
        """MSE of each source, divided in squared bias and variance."""
        import matplotlib.pyplot as plt

        from csi_lab.plots_text import as_written

        rows = self.table
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
        place = np.arange(len(rows))[::-1]
        single = rows.index != "interaction"
        squared = np.where(single, rows["bias"] ** 2, 0.0)
        ax.barh(place, squared, color="#b3423a", label="squared bias", height=0.62)
        rest = np.where(single, rows["variance"], 0.0)
        ax.barh(place, rest, left=squared, color="#2f6f9f", label="variance", height=0.62)
        both = np.where(single, 0.0, rows["mse"])
        ax.barh(place, both, color="#9fb3c8", label="remainder", height=0.62)
        for at, value in zip(place, rows["mse"], strict=True):
            ax.annotate(f"{value:.3g}", (max(value, 0.0), at), xytext=(4, 0), textcoords="offset points", va="center")
        ax.axvline(0, color="#1f2933", lw=0.8)
        ax.set_yticks(place, list(rows.index))
        ax.set_xlabel(f"mean squared error of the mean of {self.column}, squared units")
        ax.margins(x=0.12)
        ax.set_xlim(left=min(ax.get_xlim()[0], 0.0))
        ax.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        ax.spines[["top", "right"]].set_visible(False)
        return as_written(ax)

    def __str__(self) -> str:
        total = self.table.loc["total"]
        sources = self.table.drop(index=["interaction", "total"])
        largest = sources["mse"].idxmax()
        which = (
            f"largest source: {largest} ({sources.loc[largest, 'share']:.0%} of the MSE); interaction "
            f"{self.table.loc['interaction', 'share']:.0%}"
            if total["mse"] > 0
            else "no source brings any error"
        )
        lines = [
            f"error budget of the mean of {self.column}: root MSE {np.sqrt(total['mse']):.3f} "
            f"(bias {total['bias']:+.3f}, variance {total['variance']:.4f}); truth {self.truth:.3f}",
            f"  {which}",
            f"  {self.repeats} surveys of {self.n} drawn, {self.respondents:.1f} respondents on average",
        ]
        if self.failed:
            lines.append(f"  {self.failed} surveys without any respondent left out")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{self.table.round(4).to_html()}"


def error_budget(
    population: pd.DataFrame,
    column: str,
    *,
    n: int,
    covered: Any = None,
    response: Any = None,
    shift: Any = 0.0,
    noise_sd: Any = 0.0,
    interviewer_sd: float = 0.0,
    interviewers: int | None = None,
    processing_rate: float = 0.0,
    processing_values: Any = None,
    repeats: int = 500,
    rng: np.random.Generator | int = 0,
) -> ErrorBudget:
    r"""Bias, variance and share of the mean squared error per source, one source on at a time and all together.

    With s a simple random sample of n units from the population U, r its respondents, :math:`e_k` and :math:`c_k` the
    errors of measuring and of processing the answer of unit k, the sources bring

    .. math:: \bar Y_{covered} - \bar Y, \quad \bar y_s - \bar Y, \quad \bar y_r - \bar y_s, \quad
       \bar e_s, \quad \bar c_s

    and the survey with everything on is the mean of :math:`y_k + e_k + c_k` over the respondents of a sample from the
    covered units. The interaction is the total less the sum of the five.

    Parameters
    ----------
    population
        One row per unit of the target population, the truth known.
    column
        The variable whose mean is estimated; a number for every unit.
    n
        Units drawn; those who respond are fewer.
    covered
        Truth value per unit: is it on the frame? A column name, a Series (by its index) or an array (by position);
        ``None``: all are.
    response
        Probability to respond per unit, 0 to 1: a number, column name or array; ``None``: all respond.
    shift
        Systematic error of measurement per unit (mode, wording), in units of the answers: number, column or array.
    noise_sd
        Standard deviation of the random error of one answer: number, column or array.
    interviewer_sd, interviewers
        Standard deviation of the interviewers' effects, and their number; respondents are dealt to them in turn.
    processing_rate, processing_values
        Share of answers keyed or coded wrongly, and the values from which a wrong entry is drawn at random.
    repeats
        Surveys simulated.
    rng
        Generator or seed. All sources meet the same samples.

    Returns
    -------
    ErrorBudget

    Raises
    ------
    DataError
        If columns are absent, text or incomplete, or arrays have another length; all are named.
    SpecError
        If a setting is out of its range; all are named.
    EstimationError
        If nobody responds in any survey.

    Notes
    -----
    Squared bias and variance (divisor ``repeats``) add up to the MSE exactly. The interaction holds, above all, the
    variance that fewer respondents and larger workloads bring. Random error of measurement depends on n: it is
    computed at the survey's own n, not for a census.

    References
    ----------
    .. [1] Groves, R. M. (1989). Survey Errors and Survey Costs. Wiley.
    .. [2] Biemer, P. P. (2010). Total survey error: design, implementation, and evaluation. Public Opinion Quarterly,
       74(5), 817-848.

    Examples
    --------
    >>> import pandas as pd
    >>> people = pd.DataFrame({"index": np.linspace(40, 100, 2000)})
    >>> people["answers"] = np.where(people["index"] > 70, 0.6, 0.3)
    >>> budget = error_budget(people, "index", n=200, response="answers", noise_sd=5, repeats=300, rng=1)
    >>> budget.table["mse"].drop("total").idxmax(), budget.off
    ('non-response', ('coverage', 'processing'))
    """
    import pandas as pd

    y, inside, chance, bias, spread = _population(population, column, covered, response, shift, noise_sd)
    wrong = _wrong_values(processing_values)
    refuse(
        "error budget",
        not_whole("n", n, 2),
        f"n={n!r} exceeds the {int(inside.sum())} units covered" if is_number(n) and n > inside.sum() else "",
        not_whole("repeats", repeats, 2),
        ""
        if is_number(interviewer_sd) and interviewer_sd >= 0
        else f"interviewer_sd={interviewer_sd!r} must be a number, 0 or more",
        "" if interviewers is None else not_whole("interviewers", interviewers, 1),
        "interviewer_sd needs interviewers=, their number"
        if interviewers is None and is_number(interviewer_sd) and interviewer_sd > 0
        else "",
        ""
        if is_number(processing_rate) and 0 <= processing_rate <= 1
        else f"processing_rate={processing_rate!r} must be a share from 0 to 1",
        "processing_rate needs processing_values=, the values a wrong entry can take, e.g. range(1, 11)"
        if is_number(processing_rate) and processing_rate > 0 and wrong is None
        else "",
    )
    truth = float(y.mean())
    source = generator(rng)
    field = Field(
        y=y,
        inside=inside,
        chance=chance,
        shift=bias,
        noise_sd=spread,
        interviewer_sd=float(interviewer_sd),
        interviewers=int(interviewers or 1),
        rate=float(processing_rate),
        wrong=np.zeros(1) if wrong is None else wrong,
    )
    errors, counts = zip(*field.surveys(int(n), int(repeats), source), strict=True)
    error, respondents = np.concatenate(errors), np.concatenate(counts)
    kept = respondents > 0
    # A sample in which nobody answers says nothing of non-response alone either.
    kept &= np.isfinite(error).all(axis=1)
    if kept.sum() < 2:
        raise EstimationError(f"nobody answered in {int((~kept).sum())} of {repeats} surveys; raise n or the response")
    error = error[kept]
    # Means of equal values differ by rounding, which is nobody's error.
    error[np.abs(error) <= ROUNDING * np.abs(y).max()] = 0.0
    table = _moments(error)
    given = {
        "coverage": not inside.all(),
        "sampling": True,
        "non-response": bool((chance < 1).any()),
        "measurement": bool(np.any(bias != 0) or np.any(spread > 0) or interviewer_sd > 0),
        "processing": processing_rate > 0,
    }
    return ErrorBudget(
        table=pd.DataFrame(table, index=pd.Index([*SOURCES, "interaction", "total"], name="source")),
        truth=truth,
        column=str(column),
        n=int(n),
        repeats=int(kept.sum()),
        respondents=float(respondents[kept].mean()),
        failed=int((~kept).sum()),
        off=tuple(source for source, on in given.items() if not on),
    )


def _moments(errors: np.ndarray) -> dict[str, np.ndarray]:
    """Bias, variance and MSE with standard errors for the five sources, their interaction and the total."""
    repeats = len(errors)
    root = np.sqrt(repeats)
    centred = errors - errors.mean(axis=0)

    def with_interaction(values: np.ndarray) -> np.ndarray:
        """Columns sources, interaction, total from (repeats, 6) contributions."""
        return np.column_stack([values[:, :5], values[:, 5] - values[:, :5].sum(axis=1), values[:, 5]])

    table: dict[str, np.ndarray] = {}
    for name, values in (("bias", errors), ("variance", centred**2), ("mse", errors**2)):
        parts = with_interaction(values)
        table[name] = parts.mean(axis=0)
        table[f"{name}_se"] = parts.std(axis=0, ddof=1) / root
    total = table["mse"][-1]
    table["share"] = table["mse"] / total if total > 0 else np.full(7, np.nan)
    return table


def _population(
    population: pd.DataFrame, column: str, covered: Any, response: Any, shift: Any, noise_sd: Any
) -> tuple[np.ndarray, ...]:
    """The five arrays ``(N,)``, checked; every problem is named at once."""
    if not hasattr(population, "columns"):
        raise DataError(f"need a DataFrame with one row per unit of the population, got {type(population).__name__}")
    problems: list[str] = []
    y = _array(population, column, "the variable", problems, as_column=True)
    inside = np.ones(len(population)) if covered is None else _array(population, covered, "covered", problems)
    chance = np.ones(len(population)) if response is None else _array(population, response, "response", problems)
    bias = _array(population, shift, "shift", problems)
    spread = _array(population, noise_sd, "noise_sd", problems)
    if len(population) < 2:
        problems.append(f"the population has {len(population)} rows; two or more are needed")
    if not problems:
        if not np.isin(inside, (0, 1)).all():
            problems.append("covered must be true or false for every unit")
        elif inside.sum() < 2:
            problems.append(f"covered is true for {int(inside.sum())} units; two or more are needed")
        if ((chance < 0) | (chance > 1)).any():
            problems.append(f"response lies outside 0 to 1 for {int(((chance < 0) | (chance > 1)).sum())} units")
        if (spread < 0).any():
            problems.append(f"noise_sd is negative for {int((spread < 0).sum())} units")
    if problems:
        raise DataError(listed(problems, "error budget"), problems)
    return y, inside.astype(bool), chance, bias, spread


def _array(frame: pd.DataFrame, given: Any, what: str, problems: list[str], *, as_column: bool = False) -> np.ndarray:
    """Numbers per unit from a number, a column, a Series by its index or an array by position; problems are noted."""
    size = len(frame)
    if isinstance(given, str) or as_column:
        if not isinstance(given, Hashable) or given not in frame.columns:
            problems.append(
                f"{what}: the population has no column {given!r}; it has {list(map(str, frame.columns))[:8]}"
            )
            return np.zeros(size)
        given, what = frame[given], f"{what} {given!r}"
    try:
        given = aligned(given, frame, what)
        if any(isinstance(v, str) for v in np.asarray(given, dtype=object).ravel()):
            raise TypeError  # text that looks like a number is text
        values = np.asarray(given, dtype=float)
    except DataError as error:
        problems.append(str(error))
        return np.zeros(size)
    except (TypeError, ValueError):
        problems.append(f"{what} is not a number for every unit")
        return np.zeros(size)
    if values.shape not in ((), (size,)):
        problems.append(f"{what} has shape {values.shape}; the population has {size} rows")
        return np.zeros(size)
    bad = int((~np.isfinite(values)).sum())
    if bad:
        problems.append(f"{what} is missing or infinite for {bad} units")
        return np.zeros(size)
    return np.broadcast_to(values, (size,))


def _wrong_values(given: Any) -> np.ndarray | None:
    if given is None:
        return None
    try:
        values = np.asarray(list(given), dtype=float)
    except (TypeError, ValueError):
        raise SpecError(f"processing_values={given!r} must be a list of numbers, e.g. range(1, 11)") from None
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise SpecError(f"processing_values={given!r} must be one or more numbers")
    return values
