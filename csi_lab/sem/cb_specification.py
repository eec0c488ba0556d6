"""A path model as a list of parameters: which cells of the matrices are free, fixed or equal.

The model behind the list, for p items y and m constructs (latent variables) eta in each group:

    y   = nu    + Lambda eta + epsilon,    cov(epsilon) = Theta
    eta = alpha + Beta   eta + zeta,       cov(zeta)    = Psi

so that, with A = (I - Beta)^-1,

    Sigma = Lambda A Psi A' Lambda' + Theta        mu = nu + Lambda A alpha

Every row of the list is one cell of these matrices (or a symmetric pair of cells).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from csi_lab.errors import SpecError, listed
from csi_lab.model import PathModel
from csi_lab.sem.cb_constraints import fixed_by_ties, keys_by_name, leaders_of, plain, read_constraints

if TYPE_CHECKING:
    import pandas as pd

Identification = Literal["marker", "variance"]
IDENTIFICATIONS = ("marker", "variance")

# What can be held equal across groups: name to matrix, and whether it is about the diagonal (None: all cells).
FAMILIES: dict[str, tuple[str, bool | None]] = {
    "loadings": ("Lambda", None),
    "intercepts": ("nu", None),
    "residuals": ("Theta", True),
    "residual_covariances": ("Theta", False),
    "paths": ("Beta", None),
    "latent_variances": ("Psi", True),
    "latent_covariances": ("Psi", False),
    "latent_means": ("alpha", None),
}


@dataclass(frozen=True)
class Row:
    """One parameter.

    Attributes
    ----------
    matrix
        ``"Lambda"``, ``"Beta"``, ``"Psi"``, ``"Theta"``, ``"nu"`` or ``"alpha"``.
    lhs, op, rhs
        ``construct =~ item`` a loading (Lambda), ``target ~ source`` a path (Beta), ``a ~~ b`` a variance or covariance
        (of residuals: Theta for items, Psi for constructs), ``a ~1`` with empty ``rhs`` an intercept (nu) or a latent
        mean (alpha). A construct may bear the name of its single item; ``matrix`` tells which is meant.
    group
        Position in ``Specification.groups``.
    free
        Position in the parameter vector theta; rows with the same position are equal by constraint; -1: fixed.
    value
        Value of a fixed row, in the units of the data; NaN for a free one (engines take starting values from data).
    label
        Name shared by rows that are held equal, otherwise empty.
    """

    matrix: str
    lhs: str
    op: str
    rhs: str
    group: int = 0
    free: int = -1
    value: float = float("nan")
    label: str = ""

    @property
    def name(self) -> str:
        """The parameter in words of the syntax, e.g. ``"visual =~ x2"``, ``"x3 ~1"``."""
        return f"{self.lhs} {self.op} {self.rhs}".rstrip()

    @property
    def key(self) -> tuple[str, str, str]:
        """What the row is about, whatever the group; covariances read the same in both directions."""
        lhs, rhs = sorted((self.lhs, self.rhs)) if self.op == "~~" else (self.lhs, self.rhs)
        return self.matrix, lhs, rhs

    @property
    def family(self) -> str:
        """To which of FAMILIES it belongs."""
        on_diagonal = self.lhs == self.rhs
        return next(
            name for name, (m, diagonal) in FAMILIES.items() if m == self.matrix and diagonal in (None, on_diagonal)
        )


@dataclass(frozen=True, eq=False)
class Specification:
    """The parameters of a model in one or several groups.

    Attributes
    ----------
    model
        The path model it came from.
    items, constructs
        Names of the p observed and m latent variables, in the order of the matrices.
    groups
        Labels of the groups; ``("",)`` for a single sample.
    means
        Whether means are modelled (intercepts and latent means are rows).
    identification
        ``"marker"``: first loading of a construct 1; ``"variance"``: its (residual) variance 1.
    rows
        The parameters. Fixed zeros are not listed: a cell without a row is 0.

    A construct with a single item has loading 1 and residual variance 0, so that it *is* its item.
    """

    model: PathModel
    items: tuple[str, ...]
    constructs: tuple[str, ...]
    groups: tuple[str, ...]
    means: bool
    identification: Identification
    rows: tuple[Row, ...]

    @cached_property
    def n_free(self) -> int:
        """Length of theta."""
        return max((row.free for row in self.rows), default=-1) + 1

    @property
    def df(self) -> int:
        """Moments minus free parameters; negative when there are more unknowns than knowns."""
        p = len(self.items)
        return len(self.groups) * (p * (p + 1) // 2 + p * self.means) - self.n_free

    @cached_property
    def first(self) -> tuple[Row, ...]:
        """For each position of theta its first row."""
        found: dict[int, Row] = {}
        for row in self.rows:
            if row.free >= 0:
                found.setdefault(row.free, row)
        return tuple(found[k] for k in range(self.n_free))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the entries of theta; with several groups those of one group only end in its label."""
        shared = {row.free for row in self.rows if row.group != self.first[row.free].group and row.free >= 0}
        several = len(self.groups) > 1
        return tuple(
            f"{row.name} [{self.groups[row.group]}]" if several and k not in shared else row.name
            for k, row in enumerate(self.first)
        )

    def with_rows(self, extra: Iterable[Row]) -> Specification:
        """The same with more rows, each a new free parameter at the end of theta."""
        start = self.n_free
        added = tuple(replace(row, free=start + k, value=float("nan")) for k, row in enumerate(extra))
        return replace(self, rows=self.rows + added)

    def to_frame(self) -> pd.DataFrame:
        """The parameter table: lhs, op, rhs, group, free (-1: fixed), value, label."""
        import pandas as pd

        frame = pd.DataFrame([vars(row) for row in self.rows])
        return frame.assign(group=[self.groups[g] for g in frame["group"]])

    def __str__(self) -> str:
        several = f", {len(self.groups)} groups" if len(self.groups) > 1 else ""
        return f"{self.model}{several}: {self.n_free} free parameters, {self.df} degrees of freedom"

    __repr__ = __str__


def specification(
    model: PathModel,
    *,
    groups: Sequence[str] = ("",),
    means: bool = False,
    identification: Identification = "marker",
    equal: Iterable[str | tuple[str, ...]] = (),
    free: Iterable[str] = (),
    fixed: Mapping[str, float] | None = None,
) -> Specification:
    """The parameters of a path model.

    Exogenous constructs covary; constructs that are explained have a residual variance. ``model.covariances`` are
    residual covariances of items. Without paths the model is a confirmatory factor analysis.

    Parameters
    ----------
    model
        Constructs, items, paths; all constructs in mode A.
    groups
        Labels of the groups.
    means
        Model the means: intercepts free, latent means 0 (with equal intercepts free from the second group on).
    identification
        ``"marker"`` or ``"variance"``; the same fit, other units of the constructs.
    equal
        What is held equal: names of families across groups (``"loadings"``, ``"intercepts"``, ``"residuals"``,
        ``"residual_covariances"``, ``"paths"``, ``"latent_variances"``, ``"latent_covariances"``,
        ``"latent_means"``), or tuples of parameter names held equal to each other within each group, e.g.
        ``("visual =~ x2", "visual =~ x3")``.
    free
        Parameters left out of an equality across groups that ``equal`` asks for (partial invariance), e.g. ``"x3 ~1"``.
    fixed
        Parameter name to its value in all groups, in the units of the data.

    Returns
    -------
    Specification

    Raises
    ------
    SpecError
        If a construct is in mode B, or ``equal``, ``free`` or ``fixed`` are of the wrong type or name what is unknown
        or was not equal anyway; all offenders are named.

    Examples
    --------
    >>> model = PathModel({"visual": ["x1", "x2", "x3"], "speed": ["x7", "x8", "x9"]})
    >>> print(specification(model))
    2 constructs, 6 items, 0 paths: 13 free parameters, 8 degrees of freedom
    >>> print(specification(model, groups=("A", "B"), means=True, equal=["loadings"]))
    2 constructs, 6 items, 0 paths, 2 groups: 34 free parameters, 20 degrees of freedom
    """
    families, ties, free, fixed = read_constraints(equal, free, fixed)
    problems = _setting_problems(model, groups, identification, families)
    if problems:
        raise SpecError(listed(problems, "the model cannot be specified so"), problems)
    rows = [
        replace(row, group=g)
        for g in range(len(groups))
        for row in _one_group(model, means, identification, families, g)
    ]
    known = keys_by_name(rows, [*free, *(name for tie in ties for name in tie), *fixed])
    released = {known[plain(name)] for name in free}
    values = {known[plain(name)]: float(value) for name, value in fixed.items()}
    fast = [name for name in free if all(row.value == row.value for row in rows if row.key == known[plain(name)])]
    if fast:
        raise SpecError(
            f"free names parameters that are fixed in every group: {fast}; a marker loading is 1 by definition: put "
            "another item first in its construct, or use identification='variance'"
        )
    equal_keys = {row.key for row in rows if row.family in families}
    idle = [name for name in free if known[plain(name)] not in equal_keys]
    if idle:
        raise SpecError(
            f"free names parameters that are not held equal across groups anyway: {idle}; equal holds "
            f"{list(families) or 'nothing'}"
        )
    rows = [replace(row, value=values[row.key]) if row.key in values else row for row in rows]
    leaders = leaders_of([[known[plain(name)] for name in tie] for tie in ties])
    rows = fixed_by_ties(rows, leaders)
    shared = equal_keys - released
    return Specification(
        model=model,
        items=model.items,
        constructs=tuple(model.constructs),
        groups=tuple(groups),
        means=means,
        identification=identification,
        rows=tuple(_numbered(rows, shared, leaders)),
    )


def _one_group(
    model: PathModel, means: bool, identification: Identification, families: Sequence[str], group: int
) -> list[Row]:
    """The rows of one group, free rows with NaN as value."""
    rows, unknown = [], float("nan")
    by_variance = identification == "variance"
    # Equal loadings carry the units of the constructs from the first group to the others.
    unit_variance = by_variance and not (group and "loadings" in families)
    for construct, block in model.constructs.items():
        for k, item in enumerate(block):
            marked = len(block) == 1 or (k == 0 and not by_variance)
            rows.append(Row("Lambda", construct, "=~", item, value=1.0 if marked else unknown))
    rows += [Row("Beta", t, "~", s) for t in model.order for s in model.paths.get(t, ())]
    single = {block[0] for block in model.constructs.values() if len(block) == 1}
    rows += [Row("Theta", item, "~~", item, value=0.0 if item in single else unknown) for item in model.items]
    rows += [Row("Theta", a, "~~", b) for a, b in model.covariances]
    for construct, block in model.constructs.items():
        rows.append(Row("Psi", construct, "~~", construct, value=1.0 if unit_variance and len(block) > 1 else unknown))
    exogenous = model.exogenous
    rows += [Row("Psi", a, "~~", b) for i, a in enumerate(exogenous) for b in exogenous[i + 1 :]]
    if means:
        moving = bool(group) and "intercepts" in families and "latent_means" not in families
        rows += [Row("nu", item, "~1", "") for item in model.items]
        rows += [Row("alpha", construct, "~1", "", value=unknown if moving else 0.0) for construct in model.constructs]
    return rows


def _setting_problems(
    model: PathModel, groups: Sequence[str], identification: str, families: Sequence[str]
) -> list[str]:
    problems = []
    formed = [c for c, block in model.constructs.items() if model.modes[c] == "B" and len(block) > 1]
    if formed:
        problems.append(
            f"constructs in mode B (formed by their items): {formed}; covariance-based estimation needs items that "
            "reflect the construct: set mode A, or use pls()"
        )
    names = [c for c in model.constructs if c in model.items and model.constructs[c] != (c,)]
    if names:
        problems.append(f"constructs named like items of theirs or others: {names}; rename the constructs")
    single = {block[0] for block in model.constructs.values() if len(block) == 1}
    lone = [f"{a} ~~ {b}" for a, b in model.covariances if a in single or b in single]
    if lone:
        problems.append(f"residual covariances of single items, which have no residual: {lone}; remove them")
    if identification not in IDENTIFICATIONS:
        problems.append(f"identification={identification!r} is unknown; use 'marker' or 'variance'")
    strange = [name for name in families if name not in FAMILIES]
    if strange:
        problems.append(f"equal names unknown families: {strange}; known are {list(FAMILIES)}")
    elif families and len(groups) < 2:
        problems.append(f"equal={families} holds parameters equal across groups; give groups=")
    return problems


def exempt(model: PathModel, names: Iterable[str], families: Iterable[str]) -> tuple[str, ...]:
    """Those of the parameters ``names`` that equality of ``families`` across groups would hold equal.

    Raises
    ------
    SpecError
        If a name is no parameter of the model.

    Examples
    --------
    >>> exempt(PathModel({"f": ["x1", "x2", "x3"]}), ["f =~ x2", "x3 ~1"], ["loadings"])
    ('f =~ x2',)
    """
    _, _, names, _ = read_constraints((), names, None)
    rows = _one_group(model, True, "marker", [], 0)
    known, family = keys_by_name(rows, names), {row.key: row.family for row in rows}
    return tuple(name for name in names if family[known[plain(name)]] in set(families))


def _numbered(
    rows: list[Row],
    shared: set[tuple[str, str, str]],
    leaders: Mapping[tuple[str, str, str], tuple[str, str, str]],
) -> Iterable[Row]:
    """Rows with their positions in theta and the labels of those held equal."""
    positions: dict[tuple[int, tuple[str, str, str]], int] = {}
    counts: dict[int, int] = {}
    numbered = []
    for row in rows:
        if row.value == row.value:
            numbered.append(row)
            continue
        leader = leaders.get(row.key, row.key)
        home = (0 if row.key in shared or leader in shared else row.group, leader)
        at = positions.setdefault(home, len(positions))
        counts[at] = counts.get(at, 0) + 1
        numbered.append(replace(row, free=at))
    first = {row.free: row.name for row in reversed(numbered) if row.free >= 0}
    return [replace(r, label=first[r.free]) if r.free >= 0 and counts[r.free] > 1 else r for r in numbered]
