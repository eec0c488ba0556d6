"""From rows drawn at random to a sample: the columns that are added, and the design that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from csi_lab.design import Design
from csi_lab.sampling.margins import as_columns
from csi_lab.sampling.select.register import some, with_columns
from csi_lab.sampling.select.sample import Record, Sample
from csi_lab.sampling.select.stage import REPEATING, Stage
from csi_lab.sampling.select.stages import Drawn
from csi_lab.sampling.select.unequal import PAIR_TERMS, joint_brewer_two, joint_sampford

if TYPE_CHECKING:
    import pandas as pd

AS_IF_RANDOM = (
    "one random start gives no unbiased variance: the design treats the sample as simple random; "
    "compare successive_difference"
)
NO_PAIRS = {
    "pps systematic": "systematic samples: many pairs of units can never be drawn together; use the design",
    "brewer": "Brewer's method: joint probabilities have a closed form for n = 2 only; use the design or 'sampford'",
    "hansen-hurwitz": "drawn with replacement: use hansen_hurwitz, which needs no joint probabilities",
}


def sample_of(
    frame: pd.DataFrame,
    drawn: Drawn,
    stages: Sequence[Stage],
    *,
    method: str,
    asked: int | None,
    generator: np.random.Generator,
    seed: int | None,
    names: Mapping[str, str] | None,
    stratified: bool,
    order: str = "order of the register",
    notes: Sequence[str] = (),
    allocation: pd.DataFrame | None = None,
) -> Sample:
    """The sample that goes with rows drawn in stages.

    Columns added: ``probability``, ``weight``; ``stratum`` (strata, and units that were certain apart from those by
    chance); ``psu``, ``unit_2``, … (units of each stage, the rows' labels in the last); ``draw`` (number of the draw,
    with replacement); ``population``, ``population_2``, … (units of each stage within the unit above; inf: no finite
    population correction).

    Examples
    --------
    >>> import pandas as pd
    >>> from csi_lab.sampling.select.stages import draw_in_stages
    >>> frame, rng = pd.DataFrame({"spend": [10, 20, 30, 40]}), np.random.default_rng(1)
    >>> stages = [Stage(None, n=2)]
    >>> found = sample_of(frame, draw_in_stages(frame, stages, rng), stages, method="simple random sample",
    ...                   asked=2, generator=rng, seed=None, names=None, stratified=False)
    >>> found.columns
    {'probability': 'probability', 'weight': 'weight', 'population': 'population'}
    """
    if not any("systematic" in stage.method or stage.method in REPEATING for stage in stages):
        drawn = _in_order(drawn, np.argsort(drawn.rows, kind="stable"))
    elif stages[0].method in REPEATING:
        assert drawn.draw is not None
        drawn = _in_order(drawn, np.lexsort((drawn.draw, drawn.stratum)))
    picked = frame.iloc[drawn.rows]
    added, roles = _columns(drawn, stages, stratified)
    table, called = with_columns(picked, added, names)
    design = Design(**{role: _called(keys, called) for role, keys in roles.items()})
    joint, why_not = _pairs(drawn, stages)
    record = Record(
        method=method,
        asked=asked,
        drawn=len(drawn.rows),
        population=len(frame),
        table=_strata(drawn, allocation, stratified),
        seed=seed,
        generator=type(generator.bit_generator).__name__,
        order=order,
        notes=(*drawn.notes, *notes),
    )
    return Sample(table, record, called, _design=design, _joint=joint, _no_joint=why_not)


def _called(keys: str | tuple[str, ...], called: dict[str, str]) -> Any:
    return called[keys] if isinstance(keys, str) else tuple(called[key] for key in keys)


def _columns(
    drawn: Drawn, stages: Sequence[Stage], stratified: bool
) -> tuple[dict[str, Any], dict[str, str | tuple[str, ...]]]:
    """Columns to add, and which of them play which role in the design."""
    added: dict[str, Any] = {"probability": drawn.probability, "weight": 1 / drawn.probability}
    roles: dict[str, str | tuple[str, ...]] = {"weights": "weight"}
    first = drawn.populations[0]
    apart = np.isfinite(first) & drawn.certain
    if stratified or apart.any():
        added["stratum"] = _stratum(drawn, stratified, apart)
        roles["strata"] = "stratum"
    clusters = stages[0].unit is not None
    named = ["psu", *(f"unit_{depth}" for depth in range(2, len(stages) + 1))]
    if clusters:
        added.update(zip(named, drawn.units, strict=True))
    if drawn.draw is not None:
        added["draw"] = drawn.draw
    sizes = ["population", *(f"population_{depth}" for depth in range(2, len(stages) + 1))]
    corrected = bool(np.isfinite(first).any())
    if corrected:
        added.update(zip(sizes, map(_whole, drawn.populations), strict=True))
    staged = len(stages) > 1 and corrected
    if clusters:
        # A unit drawn twice is two units to the variance: its draws are the primary units.
        primary = "draw" if drawn.draw is not None else "psu"
        roles["psu"] = tuple(named) if staged else primary
    if corrected:
        roles["population"] = tuple(sizes) if staged else "population"
    return added, roles


def _stratum(drawn: Drawn, stratified: bool, apart: np.ndarray) -> np.ndarray:
    """Label of each row's stratum; units that were certain form strata of their own."""
    labels = np.empty(len(drawn.strata), dtype=object)
    labels[:] = drawn.strata
    own = labels[drawn.stratum]
    if not apart.any():
        return np.array(own.tolist()) if all(isinstance(x, (int, np.integer)) for x in drawn.strata) else own
    if not stratified:
        return np.where(apart, "certain", "by chance").astype(object)
    return np.array(
        [f"{label}: certain" if sure else f"{label}" for label, sure in zip(own, apart, strict=True)], object
    )


def _whole(sizes: np.ndarray) -> np.ndarray:
    return sizes.astype(np.int64) if np.isfinite(sizes).all() else sizes


def _strata(drawn: Drawn, allocation: pd.DataFrame | None, stratified: bool) -> pd.DataFrame:
    """Counts per stratum: units of the first stage, and rows."""
    import pandas as pd

    if allocation is not None:
        return allocation.assign(drawn=drawn.counts["drawn"])
    table = pd.DataFrame(drawn.counts, index=pd.Index(drawn.strata, name="stratum" if stratified else None))
    table["fraction"] = table["drawn"] / table["population"]
    table["rows"] = np.bincount(drawn.stratum, minlength=len(drawn.strata))
    return table


def _in_order(drawn: Drawn, order: np.ndarray) -> Drawn:
    """The same rows in another order."""
    return replace(
        drawn,
        rows=drawn.rows[order],
        probability=drawn.probability[order],
        stratum=drawn.stratum[order],
        units=[u[order] for u in drawn.units],
        populations=[u[order] for u in drawn.populations],
        certain=drawn.certain[order],
        draw=None if drawn.draw is None else drawn.draw[order],
        part=drawn.part[order] if drawn.part is not None and len(drawn.part) == len(order) else drawn.part,
    )


def _pairs(drawn: Drawn, stages: Sequence[Stage]) -> tuple[np.ndarray | None, str]:
    """Joint inclusion probabilities of the rows of one pps stage, or why there are none."""
    method = stages[0].method
    general = "joint inclusion probabilities are kept for pps samples of rows without strata; elsewhere use the design"
    if len(stages) > 1 or stages[0].unit is not None or drawn.pi is None or drawn.part is None:
        return None, NO_PAIRS.get(method, general)
    sure = drawn.pi >= 1
    chance = np.flatnonzero(~sure)
    n = int(np.rint(drawn.pi[chance].sum()))
    pi = drawn.pi[drawn.part]
    joint = np.outer(pi, pi)
    inside = np.flatnonzero(~sure[drawn.part])
    if n and len(inside):
        at = np.searchsorted(chance, drawn.part[inside])
        if method == "sampford" and len(inside) ** 2 * len(chance) <= PAIR_TERMS:
            block = joint_sampford(drawn.pi[chance], at)
        elif method == "brewer" and n == 2:
            block = joint_brewer_two(drawn.pi[chance], at)
        elif method == "sampford":
            return None, f"Sampford's pairs: n^2 N is above {PAIR_TERMS:,}; use the design"
        elif n > 1:
            return None, NO_PAIRS.get(method, general)
        else:
            block = np.diag(pi[inside])
        joint[np.ix_(inside, inside)] = block
    joint[np.arange(len(pi)), np.arange(len(pi))] = pi
    return joint, ""


def listed_by(id: str | None) -> str:
    """In which order the register was read, in words.

    Examples
    --------
    >>> listed_by(None)
    'order of the register'
    """
    return "order of the register" if id is None else f"order of {id!r}"


def unused_categories(frame: pd.DataFrame, columns: str | Sequence[str]) -> list[str]:
    """What to say about categories that no row has.

    Examples
    --------
    >>> import pandas as pd
    >>> plans = pd.Categorical(["basic"], categories=["basic", "gold"])
    >>> unused_categories(pd.DataFrame({"plan": plans}), "plan")
    ["categories of 'plan' without units, hence no strata: gold"]
    """
    import pandas as pd

    notes = []
    for column in as_columns(columns):
        kind = frame[column].dtype
        if isinstance(kind, pd.CategoricalDtype):
            empty = [c for c in kind.categories if not (frame[column] == c).any()]
            if empty:
                notes.append(f"categories of {column!r} without units, hence no strata: {some(empty)}")
    return notes
