"""One pass over any number of answers, by whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from csi_lab.answers import as_items
from csi_lab.design import Design
from csi_lab.em import COMPLETIONS
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.moments import ANSWER_ORIGIN, Moments
from csi_lab.resampling import GROUPS
from csi_lab.scaleout.columns import Recode, answers_in
from csi_lab.scaleout.engines import Engine, run
from csi_lab.scaleout.kernel import Recipe, Sums, origin_of
from csi_lab.scaleout.memory import MEMORY, within
from csi_lab.scaleout.readers import Form
from csi_lab.scaleout.scanned import Scan, require_complete, uncorrected
from csi_lab.scaleout.sources import Part, parts_of

# Random groups of each segment, or of each stratum of respondents: a standard error from 200 groups is off by 5 %.
LABEL_GROUPS = 200
UNCORRECTED = (
    "Primary units were sampled in turn, and a pass keeps no sums of later units: their population sizes correct "
    "nothing, and standard errors are too large rather than too small."
)


def scan(
    source: Any,
    items: Sequence[str] | Mapping[str, Recode],
    *,
    design: Design | None = None,
    by: Sequence[str] = (),
    sets: Sequence[Sequence[str]] = (),
    counts: bool = False,
    patterns: bool = False,
    groups: int = GROUPS,
    label_groups: int = LABEL_GROUPS,
    memory: float = MEMORY,
    seed: int = 0,
    form: Form | None = None,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Scan:
    r"""One pass over a survey that need not fit in memory.

    Parameters
    ----------
    source
        A parquet, CSV or Arrow file; a folder of them (``wave=2024/...`` makes a column ``wave``); a pattern such as
        ``answers/2024-*.parquet``; a list of files; a pyarrow Dataset or Table; a DataFrame.
    items
        Columns of answers; a mapping also says bounds, missing codes and which are reversed.
    design
        Columns of weights, strata, primary units and population sizes. Without primary units respondents are the units:
        intervals come from random groups of them, within strata where there are any.
    by
        Columns of segments, each of which keeps sums of its own.
    sets
        Sets of items whose complete rows are summed too, such as the items of each construct.
    counts
        Whether to count the answers value by value, for medians, boxes, floor and ceiling.
    patterns
        Whether to keep sums by pattern of missing answers, for EM.
    groups, label_groups
        Largest number of random groups of all respondents, and of those of a segment or stratum; see Notes.
    memory
        Megabytes for all sums that are held at once; the notes of the scan say what was given up for it.
    seed
        Of the random groups. They depend on it and on the place of a row in its file, not on who reads it.
    form
        How text files are written.
    engine, client, threads, progress
        As in :func:`csi_lab.scaleout.engines.run`.

    Returns
    -------
    Scan

    Raises
    ------
    DataError
        If files, columns or answers are unusable; all of them are named.
    SpecError
        If settings contradict each other.

    Notes
    -----
    On whole answers up to 1,000 without weights sums are exact: every partition, order and engine gives the same bits
    as :meth:`csi_lab.Moments.from_frame`. With weights, and on other numbers, they agree to rounding, 1e-12;
    sums of other numbers are taken about the mean of the first rows.

    Memory of the sums, in bytes, besides Python and one block of rows for each thread:

    .. math:: 12 \cdot u \cdot \sum_s 8 (2 + p_s + p_s^2)

    over all sets s of p items (all items are one) and u random groups, primary units and labels: 1,000 random groups;
    each combination of primary unit and segment; each segment or stratum times its random groups. There are 12 copies:
    with two threads, each has one and adds another, three are ready, and five are in the tree in which parts are added.
    Every further thread may hold three more, and every doubling beyond 32 parts another one. A worker of a cluster
    holds less.

    Random groups are made fewer until this is within ``memory``: those of all respondents down to 200, those of labels
    down to 30. Segments of which 30 groups do not fit keep moments, but no intervals. Primary units cannot be fewer:
    beyond ``memory`` they are noted, beyond 2,000 MB (or ``memory``, if that is more) refused. Labels are counted
    beforehand in a pass over their columns and one item. None of this depends on threads or workers, and neither do
    the results.

    Examples
    --------
    >>> import csi_lab as csi
    >>> frame = csi.load_survey("mobile").frame
    >>> print(scan(frame, ["CUSA1", "CUSA2", "CUSA3"], groups=20))
    250 rows, 250 complete, 3 items; intervals from 20 random groups; analysed as simple random sample, equal weights
    """
    design, by = Design() if design is None else design, () if by is None else as_items(by)
    if not isinstance(design, Design):
        raise SpecError(f"design={design!r}: give csi_lab.Design(weights=..., strata=..., psu=...)")
    if unnamed := [x for x in by if not isinstance(x, str)]:
        raise SpecError(f"by= takes names of columns, got {unnamed[:4]}")
    recodes = recodes_of_items(items)
    for name, number, usual in (("groups", groups, GROUPS), ("label_groups", label_groups, LABEL_GROUPS)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 2:
            raise SpecError(f"{name}={number!r}: intervals need two random groups or more, {usual:,} are usual")
    require_seed(seed)
    if isinstance(memory, bool) or not isinstance(memory, (int, float, np.number)) or not 0 < memory < np.inf:
        raise SpecError(f"memory={memory!r}: megabytes for the sums are needed, a positive number, e.g. {MEMORY:g}")
    numbers = {*recodes, *([design.weights] if design.weights else [])}
    twice = sorted((numbers & {*by}) | ({*recodes} & {*design.columns}) | {c for c in by if by.count(c) > 1})
    if twice:
        raise SpecError(f"columns with two roles: {twice}; give each role its own column")
    lists = sets is None or (not isinstance(sets, str) and isinstance(sets, Sequence))
    if not lists or any(isinstance(s, str) or not isinstance(s, Sequence) for s in sets or ()):
        raise SpecError(f"sets={sets!r}: a list of lists of items is needed, e.g. [['q1', 'q2'], ['q3']]")
    odd = [list(s) for s in sets or () if not s or any(list(s).count(x) > 1 or x not in [*recodes] for x in s)]
    if odd:
        raise SpecError(f"sets of items that are empty, repeat an item or name one that is not read: {odd}")
    if design.population and not design.stages:
        raise SpecError(
            "population sizes without psu: a pass corrects for finite populations of primary units only; name the "
            "column of primary units, or leave the population sizes out"
        )
    chosen = tuple(c for c in (design.strata, design.primary, *design.populations[:1]) if c is not None)
    single = not chosen
    keys = tuple((name,) for name in by) if single else (chosen, *((*chosen, name) for name in by))
    wanted = [*recodes, *([design.weights] if design.weights else []), *chosen, *by]
    parts = parts_of(source, list(dict.fromkeys(wanted)), form)
    recipe = Recipe(
        items=tuple(recodes),
        origin=_origin(parts, recodes),
        recodes=tuple(recodes.values()),
        weights=design.weights,
        keys=keys,
        required=chosen,
        random_groups=groups if single else 0,
        key_groups=(label_groups if design.primary is None else 0,) * len(keys),
        sets=tuple(tuple(s) for s in sets or ()),
        counts=counts,
        patterns=patterns,
        seed=seed,
    )
    labels: list[int] = []
    if keys:
        few = replace(recipe.of(recipe.items[:1]), weights=None, random_groups=0, key_groups=())
        counted = run(parts, few, engine=engine, client=client, threads=threads, progress=progress)
        labels = [len(key) for key in counted.keyed]
    room = within(recipe, labels, float(memory), 0 if single else 1)
    recipe = room.recipe
    sums = run(parts, recipe, engine=engine, client=client, threads=threads, progress=progress)
    require_inside(sums, recipe)
    # Where nobody was asked everything, rows may still be complete in some sets of items.
    if not patterns and not any(part.whole.n for part in (sums, *sums.sets)):
        require_complete(sums, recipe)
    return Scan(design, by, recipe, sums, (*room.notes, *([UNCORRECTED] if uncorrected(design) else [])))


def moments(
    source: Any,
    items: Sequence[str] | Mapping[str, Recode],
    *,
    weights: str | None = None,
    missing: str = "listwise",
    form: Form | None = None,
    engine: Engine = "local",
    client: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Moments:
    """Moments of a survey that need not fit in memory, in one pass and nothing besides.

    Parameters
    ----------
    source, items, form, engine, client, threads, progress
        As in :func:`scan`.
    weights
        Column of sampling weights.
    missing
        ``"listwise"``, ``"raise"``, ``"em"`` or ``"mean"``, as in :meth:`csi_lab.Moments.from_frame`.

    Returns
    -------
    Moments

    Raises
    ------
    DataError, EstimationError, SpecError
        As in :func:`scan`, and as in :func:`csi_lab.incomplete.completed_moments`.

    Examples
    --------
    >>> import csi_lab as csi
    >>> survey = csi.load_survey("mobile")
    >>> found = moments(survey.frame, survey.items)
    >>> bool((found.cov == survey.moments().cov).all())
    True
    """
    if missing not in ("listwise", "raise", *COMPLETIONS):
        raise SpecError(f"missing={missing!r} is unknown; use 'listwise', 'raise', 'em' or 'mean'")
    recodes = recodes_of_items(items)
    require_weights(weights, recodes)
    parts = parts_of(source, [*recodes, *([weights] if weights else [])], form)
    completing = missing in COMPLETIONS
    recipe = Recipe(tuple(recodes), _origin(parts, recodes), tuple(recodes.values()), weights, patterns=completing)
    sums = run(parts, recipe, engine=engine, client=client, threads=threads, progress=progress)
    require_inside(sums, recipe)
    found = Scan(Design(weights=weights), (), recipe, sums)
    if completing:
        return found.completed(missing)  # type: ignore[arg-type]
    if missing == "raise" and sums.missing.any():
        named = {n: int(k) for n, k in zip(recipe.items, sums.missing, strict=True) if k}
        raise DataError(
            f"missing answers: {named}; choose missing='listwise' to leave their rows out, or 'em' to use them"
        )
    return found.moments


def require_weights(weights: Any, recodes: Mapping[str, Recode]) -> None:
    """Refuse weights that are no column of their own.

    Raises
    ------
    SpecError
        With the remedy.

    Examples
    --------
    >>> require_weights("w", {"q1": Recode()})
    """
    if weights is not None and not isinstance(weights, str):
        raise SpecError(
            f"weights= takes the name of a column of the source, got {type(weights).__name__}; rows are read a part at "
            "a time, so that weights must lie beside the answers"
        )
    if weights in recodes:
        raise SpecError(f"columns with two roles: {[weights]}; give each role its own column")


def require_seed(seed: Any, name: str = "seed") -> None:
    """Refuse a seed that is not a whole number from 0.

    Raises
    ------
    SpecError
        With an example.

    Examples
    --------
    >>> require_seed(7)
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SpecError(f"{name}={seed!r}: a whole number from 0 is needed, e.g. 1")


def recodes_of_items(items: Sequence[str] | Mapping[str, Recode]) -> dict[str, Recode]:
    """What the answers of each item mean: as given, or as they stand.

    Raises
    ------
    SpecError
        If no item is named, one is named twice, a name is none, or a meaning is no :class:`Recode`.

    Examples
    --------
    >>> recodes_of_items(["q1"])["q1"].reversed
    False
    """
    if isinstance(items, Mapping):
        recodes = dict(items)
    else:
        items = list(as_items(items))
        if unnamed := [x for x in items if not isinstance(x, (str, int, np.integer))]:
            raise SpecError(f"items are named by their columns, a list of texts; got {unnamed[:4]}")
        recodes = {name: Recode() for name in items}
        if len(recodes) < len(items):
            raise SpecError(f"items are named twice: {sorted({n for n in items if items.count(n) > 1})}")
    if not recodes:
        raise SpecError("no items given")
    if odd := {n: r for n, r in recodes.items() if not isinstance(r, Recode)}:
        raise SpecError(f"items without a meaning: {odd}; give each a Recode(low, high, codes=...)")
    return recodes


def _origin(parts: Sequence[Part], recodes: Mapping[str, Recode]) -> tuple[float, ...]:
    """Where to take the sums about: for each item by the first answers there are."""
    found: dict[str, float] = {}
    items = list(recodes)
    for part in parts:
        for batch in part.batches(items, items):
            try:
                columns = answers_in(batch, recodes)
            except ValueError as error:
                raise DataError(f"{part.name}: {error}") from error
            for name, column in ((n, c) for n, c in columns.items() if n not in found):
                values = column.values if column.known is None else column.values[column.known]
                if len(values):
                    found[name] = origin_of(values)
            break  # the first batch tells
        if len(found) == len(items):
            break
    return tuple(found.get(name, ANSWER_ORIGIN) for name in items)


def require_inside(sums: Sums, recipe: Recipe) -> None:
    """Refuse answers outside the bounds, and sources without rows.

    Raises
    ------
    DataError
        With all such items and how many answers they have there.
    """
    if not sums.rows:
        raise DataError("the source holds no rows")
    problems = [
        f"{name}: {k} answers outside {recode.low:g} to {recode.high:g}"
        for name, recode, k in zip(recipe.items, recipe.recodes, sums.outside, strict=True)
        if k and recode.outside == "error"
    ]
    if problems:
        remedy = "answers outside the scale (declare missing codes, mend the bounds, or let them count as missing)"
        raise DataError(listed(problems, remedy), problems)
