"""What is believed: constructs, their items, and the paths between constructs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from numbers import Integral
from types import MappingProxyType
from typing import Any

from csi_lab.errors import SpecError, listed

MODES = ("A", "B")


@dataclass(frozen=True, eq=False)
class PathModel:
    """A path model: each construct with its block of items, and the directed paths between constructs.

    Parameters
    ----------
    constructs
        Construct name to its items (column names, text or whole numbers); a single string is one item. The order is
        kept in every table.
    paths
        Target construct to its sources; a single string is one source. Empty for a pure measurement model.
    modes
        Construct name to ``"A"`` (items reflect the construct: correlation weights, the default) or ``"B"`` (items form
        it: regression weights).
    covariances
        Pairs of items whose residuals correlate; used by covariance-based estimation only.

    Raises
    ------
    SpecError
        If a name is unknown or no name, a block empty, an item in two blocks, a path or a covariance repeated, or the
        paths run in a circle. All offenders are named at once.

    References
    ----------
    .. [1] Lohmoeller, J.-B. (1989). Latent Variable Path Modeling with Partial Least Squares. Physica.

    Examples
    --------
    >>> model = PathModel(
    ...     constructs={"Image": ["IMAG1", "IMAG2"], "Satisfaction": ["CUSA1", "CUSA2"], "Loyalty": "CUSL1"},
    ...     paths={"Satisfaction": "Image", "Loyalty": ["Image", "Satisfaction"]},
    ... )
    >>> model.order
    ('Image', 'Satisfaction', 'Loyalty')
    >>> print(model.to_lavaan())
    Image =~ IMAG1 + IMAG2
    Satisfaction =~ CUSA1 + CUSA2
    Loyalty =~ 1*CUSL1
    Satisfaction ~ Image
    Loyalty ~ Image + Satisfaction
    """

    constructs: Mapping[str, tuple[str, ...]]
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modes: Mapping[str, str] = field(default_factory=dict)
    covariances: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        problems: list[str] = []
        constructs = _lists("constructs", self.constructs, problems)
        paths = {t: sources for t, sources in _lists("paths", self.paths, problems).items() if sources}
        given_modes = _keyed("modes", self.modes, problems)
        covariances = _pairs(self.covariances, problems)
        # What cannot be read would be complained of a second time below.
        problems = problems or _problems(constructs, paths, given_modes, covariances)
        if problems:
            raise SpecError(
                listed(problems, f"the model has {len(problems)} problem{'s' * (len(problems) > 1)}"), problems
            )
        modes = {c: given_modes.get(c, "A") for c in constructs}
        for name, value in (("constructs", constructs), ("paths", paths), ("modes", modes)):
            object.__setattr__(self, name, MappingProxyType(value))
        object.__setattr__(self, "covariances", covariances)

    @property
    def items(self) -> tuple[str, ...]:
        """All items, block after block."""
        return tuple(item for block in self.constructs.values() for item in block)

    @property
    def order(self) -> tuple[str, ...]:
        """The constructs, sources before targets; ties in the order of definition."""
        placed: list[str] = []
        waiting = list(self.constructs)
        while waiting:
            ready = next(c for c in waiting if all(s in placed for s in self.paths.get(c, ())))
            placed.append(ready)
            waiting.remove(ready)
        return tuple(placed)

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """All paths as (source, target), sources in the order of the constructs."""
        return tuple((s, t) for s in self.constructs for t in self.constructs if s in self.paths.get(t, ()))

    @property
    def exogenous(self) -> tuple[str, ...]:
        """Constructs that no path points to."""
        return tuple(c for c in self.constructs if c not in self.paths)

    @property
    def endogenous(self) -> tuple[str, ...]:
        """Constructs that at least one path points to."""
        return tuple(c for c in self.constructs if c in self.paths)

    @property
    def isolated(self) -> tuple[str, ...]:
        """Constructs without any path."""
        sources = {s for block in self.paths.values() for s in block}
        return tuple(c for c in self.exogenous if c not in sources)

    def with_items(self, constructs: Mapping[str, Iterable[str] | str]) -> PathModel:
        """The same paths over other items: for each construct named its new block; the rest keep theirs.

        Raises
        ------
        SpecError
            If a name is not a construct of this model.
        """
        unknown = [c for c in constructs if c not in self.constructs]
        if unknown:
            raise SpecError(f"not constructs of this model: {unknown}; it has {list(self.constructs)}")
        blocks = {c: constructs.get(c, items) for c, items in self.constructs.items()}
        made = PathModel(blocks, dict(self.paths), dict(self.modes))  # type: ignore[arg-type]
        kept = tuple(pair for pair in self.covariances if set(made.items).issuperset(pair))
        return PathModel(made.constructs, made.paths, made.modes, kept)

    def to_lavaan(self) -> str:
        """The model in the syntax of lavaan and semopy.

        ``=~`` reads "is measured by", ``~`` "is explained by", ``~~`` "covaries with". The block of a construct in
        mode B is written ``<~``, "is formed by". A single item gets loading 1.

        Raises
        ------
        SpecError
            If a name is none the syntax can hold: letters, digits, ``_`` and ``.``, not beginning with a digit; or if a
            construct bears the name of an item, which lavaan would take for a construct of constructs.
        """
        unreadable = [
            n for n in dict.fromkeys([*self.constructs, *self.items]) if not re.fullmatch(r"(?![\d_]|\.\d)[\w.]+", n)
        ]
        if unreadable:
            raise SpecError(
                f"names that lavaan syntax cannot hold: {unreadable}; use letters, digits, _ and . in names"
            )
        both = [c for c in self.constructs if c in self.items]
        if both:
            raise SpecError(
                f"constructs with the name of an item: {both}; lavaan syntax tells them apart by name alone"
            )
        lines = []
        for construct, block in self.constructs.items():
            arrow = "<~" if self.modes[construct] == "B" else "=~"
            lines.append(f"{construct} {arrow} {' + '.join(block) if len(block) > 1 else '1*' + block[0]}")
        lines += [f"{target} ~ {' + '.join(self.paths[target])}" for target in self.order if target in self.paths]
        lines += [f"{a} ~~ {b}" for a, b in self.covariances]
        return "\n".join(lines)

    @classmethod
    def from_lavaan(cls, text: str) -> PathModel:
        """The path model that a text in the syntax of lavaan describes; :meth:`to_lavaan` is the way back.

        Read are ``=~`` (is measured by), ``<~`` (is formed by: mode B), ``~`` (is explained by) and ``~~`` between the
        residuals of two items; ``#`` and ``!`` open a comment, ``;`` or a new line ends a statement, and a line that
        ends or the next that begins with ``+`` carries on. Statements about one construct add up. ``1*`` is read before
        the first item of a construct, where it says what holds anyway.

        Parameters
        ----------
        text
            The model. Names are those of R: letters of any script (Chinese too), digits, ``.`` and ``_``, beginning
            with a letter or ``.``.

        Returns
        -------
        PathModel
            A plain one, also when asked of a subclass. Constructs and items are in the order of the text.

        Raises
        ------
        SpecError
            If the text says anything that a path model does not hold: labels, constraints, start and fixed values,
            freed markers (``NA*``), defined parameters, thresholds, intercepts, interactions, groups and levels,
            variances and covariances of constructs, cross-loadings, constructs of constructs, observed variables in
            ``~``. Nothing is skipped in silence; all problems come at once, with line and remedy.

        Notes
        -----
        Names that hold spaces are refused: lavaan 0.6-14 reads ``x 1`` as ``x1``, later versions as one name with a
        space. Give such columns to ``PathModel(...)``.

        References
        ----------
        .. [1] Rosseel, Y. (2012). lavaan: an R package for structural equation modeling. Journal of Statistical
           Software, 48(2), 1-36.

        Examples
        --------
        >>> model = PathModel.from_lavaan('''
        ...     Image        =~ IMAG1 + IMAG2      # is measured by
        ...     Satisfaction =~ CUSA1 + CUSA2
        ...     Loyalty      =~ 1*CUSL1
        ...     Satisfaction  ~ Image              # is explained by
        ...     Loyalty       ~ Image +
        ...                     Satisfaction
        ... ''')
        >>> print(model)
        3 constructs, 5 items, 3 paths
        >>> PathModel.from_lavaan(model.to_lavaan()) == model
        True
        >>> PathModel.from_lavaan("f =~ a*x1 + x2\\nf ~~ 1*f")
        Traceback (most recent call last):
        csi_lab.errors.SpecError: the model text has 2 problems
          1. line 1: 'a*x1' labels or constrains a loading; remove 'a*': a path model keeps no labels and no constraints
          2. line 2: 'f ~~ 1*f' is a variance; delete it: the first loading, 1, sets the scale
        """
        from csi_lab.lavaan_syntax import parse

        return parse(text)

    def _key(self) -> tuple[object, ...]:
        return (
            tuple(self.constructs.items()),
            frozenset((t, frozenset(s)) for t, s in self.paths.items()),
            tuple(self.modes.items()),
            frozenset(frozenset(pair) for pair in self.covariances),
        )

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, PathModel) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        # Mapping proxies do not pickle; workers of a cluster need models that do.
        return PathModel, (dict(self.constructs), dict(self.paths), dict(self.modes), self.covariances)

    def __str__(self) -> str:
        counts = {"construct": len(self.constructs), "item": len(self.items), "path": len(self.edges)}
        return ", ".join(f"{k} {what}{'s' * (k != 1)}" for what, k in counts.items())


def model_of(data: Any, model: PathModel | None) -> PathModel:
    """The model given, or that of the survey.

    Raises
    ------
    SpecError
        If there is none, or it is no path model.

    Examples
    --------
    >>> import csi_lab as csi
    >>> print(model_of(csi.load_survey("mobile"), None))
    7 constructs, 24 items, 12 paths
    """
    found = getattr(data, "model", None) if model is None else model
    if found is None:
        raise SpecError("no model given and the data bring none; pass a PathModel or declare paths in the study file")
    if not isinstance(found, PathModel):
        raise SpecError(
            f"model must be a PathModel, got {type(found).__name__}: csi.PathModel(constructs=..., paths=...), "
            "csi.PathModel.from_lavaan(text), or one of csi.models"
        )
    return found


def _name(value: Any) -> str | None:
    """A name as text; ``None`` where it is none."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(value)
    return str(value) if isinstance(value, str) and value.strip() else None


def _keyed(what: str, given: Any, problems: list[str]) -> dict[str, Any]:
    """A mapping with names of constructs as keys."""
    if not isinstance(given, Mapping):
        problems.append(f"{what} must be a mapping of construct names, got {type(given).__name__}")
        return {}
    keys = {key: _name(key) for key in given}
    odd = [key for key, name in keys.items() if name is None]
    if odd:
        problems.append(f"{what} has keys that are no names: {odd}; names are text or whole numbers")
    named = [name for name in keys.values() if name is not None]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        problems.append(f"{what} names a construct twice, as text and as a number: {twice}; keep one")
    return {name: given[key] for key, name in keys.items() if name is not None}


def _lists(what: str, given: Any, problems: list[str]) -> dict[str, tuple[str, ...]]:
    """Names of constructs to names, each list read once."""
    found = {}
    for key, value in _keyed(what, given, problems).items():
        if isinstance(value, str):
            value = (value,)
        # A set has no order of its own, and the first item sets the scale.
        if isinstance(value, (bytes, Set)) or not isinstance(value, Iterable):
            problems.append(f"{what}[{key!r}] must be a name or a list of names, got {type(value).__name__}")
            continue
        members = list(value)
        odd = [member for member in members if _name(member) is None]
        if odd:
            problems.append(f"{what}[{key!r}] holds what is no name: {odd}; names are text or whole numbers")
        found[key] = tuple(str(member) for member in members)
    return found


def _pairs(given: Any, problems: list[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of names."""
    pairs = given if isinstance(given, (list, tuple)) else [given]
    odd = [
        pair
        for pair in pairs
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2 and all(_name(name) is not None for name in pair))
    ]
    if odd:
        problems.append(f"covariances must be a list of pairs of items, e.g. [('x1', 'x2')]; not so: {odd}")
        return ()
    return tuple((str(a), str(b)) for a, b in pairs)


def _problems(
    constructs: Mapping[str, tuple[str, ...]],
    paths: Mapping[str, tuple[str, ...]],
    modes: Mapping[str, str],
    covariances: tuple[tuple[str, str], ...],
) -> list[str]:
    """Everything wrong with a model, one sentence each."""
    problems = []
    if not constructs:
        problems.append("no constructs; give at least one with its items")
    empty = [c for c, block in constructs.items() if not block]
    if empty:
        problems.append(f"constructs without items: {empty}; give each at least one column")
    homes: dict[str, list[str]] = {}
    for construct, block in constructs.items():
        for item in block:
            homes.setdefault(item, []).append(construct)
    shared = {item: where for item, where in homes.items() if len(where) > 1}
    if shared:
        places = "; ".join(f"{item!r} in {' and '.join(where)}" for item, where in shared.items())
        problems.append(f"items used more than once: {places}; keep each item in one block, once")
    known = list(constructs)
    for what, names in (
        ("paths name", [n for t, sources in paths.items() for n in (t, *sources)]),
        ("modes name", list(modes)),
    ):
        unknown = list(dict.fromkeys(n for n in names if n not in constructs))
        if unknown:
            problems.append(f"{what} unknown constructs: {unknown}; the constructs are {known}")
    repeated = [f"{s} -> {t}" for t, sources in paths.items() for s in dict.fromkeys(sources) if sources.count(s) > 1]
    if repeated:
        problems.append(f"paths given twice: {repeated}; keep each once")
    bad = {c: m for c, m in modes.items() if m not in MODES}
    if bad:
        problems.append(f"unknown modes: {bad}; use 'A' (reflective) or 'B' (formative)")
    strangers = [pair for pair in covariances if not set(homes).issuperset(pair)]
    if strangers:
        problems.append(f"covariances name unknown items: {strangers}")
    alone = [pair for pair in covariances if pair[0] == pair[1]]
    if alone:
        problems.append(f"covariances of an item with itself: {alone}; a residual variance needs no pair")
    sets = [frozenset(pair) for pair in covariances]
    repeated = [f"{a} ~~ {b}" for k, (a, b) in enumerate(covariances) if sets[k] in sets[:k]]
    if repeated:
        problems.append(f"covariances given twice: {repeated}; keep each once")
    circles = _circles(paths)
    if circles:
        problems.append(f"paths run in a circle: {'; '.join(circles)}; remove one path of each")
    return problems


def _circles(paths: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Every separate circle of paths: each found one is cut before the search goes on."""
    left = {target: list(sources) for target, sources in paths.items()}
    found = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = error.args[1]
            found.append(" -> ".join(circle))
            left[circle[1]].remove(circle[0])
        else:
            return found
