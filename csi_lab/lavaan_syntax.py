"""Path models written in the syntax of lavaan: every statement is kept, or refused with its line and a remedy."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from csi_lab.errors import SpecError, listed
from csi_lab.model import PathModel

_LEXER = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>[#!].*)
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<word>[\w.]+)
    |(?P<operator><->|<-|->|~\*~|=~|<~|~~|:=|==|<=|>=|~|<|>|\||=)
    |(?P<quoted>"[^"]*"|'[^']*'|`[^`]*`)
    |(?P<sign>.)""",
    re.VERBOSE,
)
# What R, and so lavaan, takes for a name: letters of any script; a leading underscore, digit or ".5" is none.
_NAME = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*")
_KEPT = ("=~", "<~", "~", "~~")
_CONSTRAINT = "constrains parameters; delete the line: a path model keeps no constraints"
_ARROW = "draws an arrow; write 'target ~ source' for a path and 'a ~~ b' for a covariance"
_REFUSED = {
    ":=": "defines a parameter; delete the line: indirect and total effects come with every fit",
    "|": "gives thresholds of an ordinal item; delete the line: answers are analysed as numbers",
    "~*~": "gives scaling factors of an ordinal item; delete the line: answers are analysed as numbers",
    "=": "uses '=', which is no operator; write '=~' (is measured by) or '~' (is explained by)",
    **dict.fromkeys(("==", "<", ">", "<=", ">="), _CONSTRAINT),
    **dict.fromkeys(("<-", "->", "<->"), _ARROW),
}
_BLOCKS = ("group", "level", "block", "class")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int
    spaced: bool


@dataclass(frozen=True)
class _Measure:
    """``construct`` is measured (``=~``) or formed (``<~``) by ``item``."""

    construct: str
    arrow: str
    item: str
    line: int


@dataclass(frozen=True)
class _Pair:
    """``a ~~ b``, with the modifier before ``b``."""

    a: str
    b: str
    modifier: Sequence[_Token] | None
    line: int


@dataclass
class _Reading:
    """What has been read so far: statements as pairs of names with their line, and what is wrong."""

    measures: list[_Measure] = field(default_factory=list)
    arrows: list[tuple[str, str, int]] = field(default_factory=list)
    pairs: list[_Pair] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    # Names in statements that could not be read: nothing more is said about them.
    doubtful: set[str] = field(default_factory=set)

    def refuse(self, lines: int | Sequence[int], problem: str) -> None:
        several = sorted({lines} if isinstance(lines, int) else set(lines))
        where = f"line{'s' * (len(several) > 1)} {', '.join(map(str, several))}"
        self.problems.append((several[0], f"{where}: {problem}"))


def parse(text: str) -> PathModel:
    """The path model that a text in lavaan syntax describes; see :meth:`csi_lab.PathModel.from_lavaan`.

    Raises
    ------
    SpecError
        All problems of the text at once, each with its line and its remedy.

    Examples
    --------
    >>> parse("f =~ x1 + x2; g =~ y1 + y2; g ~ f").edges
    (('f', 'g'),)
    """
    if not isinstance(text, str):
        raise SpecError(f"need the model as text, got {type(text).__name__}; PathModel(...) takes mappings")
    reading = _Reading()
    for statement in _statements(text, reading):
        _read(statement, reading)
    _check_blocks(reading)
    _check_paths(reading)
    _check_covariances(reading)
    if not reading.measures and not reading.problems:
        reading.problems.append((0, "no construct is measured; write for example 'Image =~ IMAG1 + IMAG2'"))
    if reading.problems:
        problems = [problem for _, problem in sorted(reading.problems, key=lambda each: each[0])]
        raise SpecError(
            listed(problems, f"the model text has {len(problems)} problem{'s' * (len(problems) > 1)}"), problems
        )
    return _model(reading)


def _model(reading: _Reading) -> PathModel:
    constructs: dict[str, list[str]] = {}
    modes = {}
    paths: dict[str, list[str]] = {}
    for each in reading.measures:
        constructs.setdefault(each.construct, []).append(each.item)
        modes[each.construct] = "B" if each.arrow == "<~" else "A"
    for target, source, _ in reading.arrows:
        paths.setdefault(target, []).append(source)
    return PathModel(
        {construct: tuple(items) for construct, items in constructs.items()},
        {target: tuple(sources) for target, sources in paths.items()},
        modes,
        tuple((pair.a, pair.b) for pair in reading.pairs),
    )


# From characters to statements.


def _tokens(text: str, reading: _Reading) -> Iterator[list[_Token]]:
    """The tokens of each line; comments and spaces left out."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        tokens, spaced = [], True
        for match in _LEXER.finditer(_plain(line, number, reading)):
            kind = str(match.lastgroup)
            if kind not in ("space", "comment"):
                tokens.append(_Token(kind, match.group(), number, spaced))
            spaced = kind == "space"
        yield tokens


def _plain(line: str, number: int, reading: _Reading) -> str:
    """The line with full-width signs, as Chinese and Japanese keyboards give them, put right and reported."""
    code = re.split("[#!]", line, maxsplit=1)[0]
    narrow = {c: "~" if c == "\N{TILDE OPERATOR}" else unicodedata.normalize("NFKC", c) for c in code}
    wide = {c: n for c, n in narrow.items() if not (c.isascii() or c.isspace() or c.isalnum()) and n in "~=<+*;:#!()|,"}
    if wide:
        shown = ", ".join(f"{c!r} for {n!r}" for c, n in wide.items())
        reading.refuse(number, f"full-width signs: {shown}; type the plain ones")
    return "".join(wide.get(c, c) for c in code) + line[len(code) :]


def _statements(text: str, reading: _Reading) -> Iterator[list[_Token]]:
    """Tokens statement by statement: a new line or ``;`` ends one, a sign that wants a neighbour carries on."""
    statement: list[_Token] = []
    for tokens in _tokens(text, reading):
        if statement and tokens and not (_wants_more(statement) or tokens[0].text in ("+", "*", "?")):
            yield statement
            statement = []
        for token in tokens:
            if token.text == ";":
                if statement:
                    yield statement
                statement = []
            else:
                statement.append(token)
    if statement:
        yield statement


def _wants_more(statement: Sequence[_Token]) -> bool:
    last = statement[-1]
    opened = sum((t.text == "(") - (t.text == ")") for t in statement)
    return opened > 0 or last.kind == "operator" or last.text in ("+", "*", "?", ",")


def _text(tokens: Sequence[_Token]) -> str:
    return "".join(" " * token.spaced + token.text for token in tokens).strip()


# From statements to pairs of names.


def _read(statement: Sequence[_Token], reading: _Reading) -> None:
    problem = _unreadable(statement)
    if problem:
        reading.refuse(statement[0].line, f"{_text(statement)!r} {problem}")
        reading.doubtful.update(token.text for token in statement if token.kind == "word")
        return
    at = next(i for i, token in enumerate(statement) if token.kind == "operator")
    operator, line = statement[at].text, statement[at].line
    left = [_name(term, line, reading) for term in _terms(statement[:at])]
    for term in _terms(statement[at + 1 :]):
        modifier, rest = _split_modifier(term)
        name = _name(rest, line, reading, intercept=operator == "~")
        for first in left:
            if first is None or name is None:
                continue
            if operator == "~~":
                reading.pairs.append(_Pair(first, name, modifier, term[0].line))
                continue
            if modifier is not None and not _is_marker(modifier, operator, first, reading):
                reading.refuse(term[0].line, f"{_text(term)!r} {_modifier_problem(modifier, operator)}")
            if operator == "~":
                reading.arrows.append((first, name, term[0].line))
            else:
                reading.measures.append(_Measure(first, operator, name, term[0].line))


def _unreadable(statement: Sequence[_Token]) -> str | None:
    """Why a statement is none that a path model knows."""
    operators = [token for token in statement if token.kind == "operator"]
    odd = next((token.text for token in operators if token.text in _REFUSED), None)
    if statement[0].text.lower() in _BLOCKS and len(statement) > 1 and statement[1].text == ":":
        return "opens a block of groups or levels; delete the line and name the groups when you fit"
    if odd is not None:
        return _REFUSED[odd]
    if not operators:
        return f"holds none of the operators {', '.join(_KEPT)}"
    if len(operators) > 1:
        return (
            f"holds several operators ({', '.join(t.text for t in operators)}); give each statement its own line, "
            "without '+' at the end of the line before"
        )
    at = statement.index(operators[0])
    if at in (0, len(statement) - 1):
        return f"has nothing on the {'left' if at == 0 else 'right'} of {operators[0].text!r}"
    if any(not term for side in (statement[:at], statement[at + 1 :]) for term in _terms(side)):
        return "has '+' without a name on each side"
    return None


def _terms(tokens: Sequence[_Token]) -> list[list[_Token]]:
    """What stands between the plus signs, those within brackets left alone."""
    terms: list[list[_Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "+" and depth <= 0:
            terms.append([])
        else:
            terms[-1].append(token)
    return terms


def _split_modifier(term: Sequence[_Token]) -> tuple[Sequence[_Token] | None, Sequence[_Token]]:
    """What stands before the name, with its ``*`` or ``?``, and the name."""
    at = max((i for i, token in enumerate(term) if token.text in ("*", "?")), default=None)
    return (None, term) if at is None else (term[: at + 1], term[at + 1 :])


def _name(tokens: Sequence[_Token], line: int, reading: _Reading, intercept: bool = False) -> str | None:
    """The one name that ``tokens`` must be."""
    if len(tokens) == 1 and _NAME.fullmatch(tokens[0].text):
        return tokens[0].text
    reading.doubtful.update(token.text for token in tokens if token.kind == "word")
    shown, line = _text(tokens), tokens[0].line if tokens else line
    if intercept and len(tokens) == 1 and tokens[0].kind == "number":
        problem = "is an intercept; delete the line: means and intercepts enter by themselves where a fit needs them"
    elif any(token.text == ":" for token in tokens):
        problem = "is an interaction; path models hold linear paths only"
    elif any(token.text in ("*", "?") for token in tokens):
        problem = "carries a modifier on the left of the operator; remove it"
    elif not tokens:
        shown, problem = "*", "has no name after it"
    elif all(token.kind in ("word", "number") for token in tokens) and len(tokens) > 1:
        problem = (
            "is not one name (a missing '+'?); columns whose names hold spaces are read differently by different "
            "versions of lavaan: rename them, or give them to PathModel(...)"
        )
    else:
        problem = (
            "is not a name: letters of any script, digits, '.' and '_', beginning with a letter or '.'; rename the "
            "column, or give it to PathModel(...)"
        )
    reading.refuse(line, f"{shown!r} {problem}")
    return None


def _is_marker(modifier: Sequence[_Token], operator: str, construct: str, reading: _Reading) -> bool:
    """Whether a modifier says what holds anyway: the first loading of a block is 1."""
    known = any(each.construct == construct for each in reading.measures)
    return (
        operator != "~"
        and not known
        and [token.kind for token in modifier] == ["number", "sign"]
        and float(modifier[0].text) == 1.0
    )


def _modifier_problem(modifier: Sequence[_Token], operator: str) -> str:
    """What a modifier asks for that a path model cannot say."""
    shown = _text(modifier)
    what = {"~": "path", "~~": "covariance"}.get(operator, "loading")
    if len(modifier) == 1:
        return f"has nothing before {shown!r}"
    if modifier[0].text == "NA":
        marker = "the first loading is 1, and the standardised solution shows latent variances of 1"
        return f"frees a {what}; remove {shown!r}: " + (marker if what == "loading" else "it is free already")
    if modifier[0].text == "start" or modifier[-1].text == "?":
        return f"gives a start value; remove {shown!r}: start values come from the data"
    try:
        value = float(shown[:-1].replace(" ", ""))
    except ValueError:
        return f"labels or constrains a {what}; remove {shown!r}: a path model keeps no labels and no constraints"
    if what == "covariance" and value == 0:
        return "fixes a covariance at 0; delete it: residuals are uncorrelated unless a pair of items is named"
    only = ": only the first loading of a construct is fixed, at 1" if what == "loading" else ""
    return f"fixes a {what}; remove {shown!r}{only}"


# What the statements say together.


def _homes(reading: _Reading) -> dict[str, list[_Measure]]:
    """Item to the statements that use it."""
    homes: dict[str, list[_Measure]] = {}
    for each in reading.measures:
        homes.setdefault(each.item, []).append(each)
    return homes


def _check_blocks(reading: _Reading) -> None:
    constructs = list(dict.fromkeys(each.construct for each in reading.measures))
    for construct in constructs:
        mine = [each for each in reading.measures if each.construct == construct]
        if len({each.arrow for each in mine}) > 1:
            reading.refuse([each.line for each in mine], f"{construct!r} is given with '=~' and with '<~'; use one")
    for item, uses in _homes(reading).items():
        lines = [each.line for each in uses]
        if item in constructs:
            reading.refuse(
                lines,
                f"{item!r} is an item and also a construct: a construct of constructs is not a path model; if an item "
                "is meant, give the construct another name",
            )
        if len(uses) > 1:
            owners = list(dict.fromkeys(each.construct for each in uses))
            where = f"of {' and '.join(map(repr, owners))}" if len(owners) > 1 else f"twice of {owners[0]!r}"
            reading.refuse(lines, f"{item!r} is an item {where}; keep each item in one construct, once")


def _check_paths(reading: _Reading) -> None:
    constructs = {each.construct for each in reading.measures}
    homes = _homes(reading)
    used: dict[str, list[int]] = {}
    seen: dict[tuple[str, str], list[int]] = {}
    for target, source, line in reading.arrows:
        seen.setdefault((target, source), []).append(line)
        for name in (target, source):
            if name not in constructs and name not in reading.doubtful:
                used.setdefault(name, []).append(line)
    for name, lines in used.items():
        if name in homes:
            reading.refuse(lines, f"{name!r} in '~' is an item of {homes[name][0].construct!r}; paths join constructs")
        else:
            remedy = f"write 'Name =~ 1*{name}' if it is a column, and use Name in the paths"
            reading.refuse(lines, f"{name!r} in '~' is no construct: no '=~' gives it items; {remedy}")
    for (target, source), lines in seen.items():
        if len(lines) > 1:
            reading.refuse(lines, f"the path {source} -> {target} is given twice; keep it once")
    left: dict[str, list[str]] = {}
    for target, source in seen:
        left.setdefault(target, []).append(source)
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = error.args[1]
            lines = [line for s, t in pairwise(circle) for line in seen[t, s]]
            reading.refuse(lines, f"paths run in a circle: {' -> '.join(circle)}; remove one of them")
            # Cut, so that the search goes on to the next circle.
            left[circle[1]].remove(circle[0])
        else:
            return


def _check_covariances(reading: _Reading) -> None:
    constructs = {each.construct for each in reading.measures}
    explained = {target for target, _, _ in reading.arrows}
    homes = _homes(reading)
    seen: dict[frozenset[str], list[int]] = {}
    for pair in reading.pairs:
        a, b, line = pair.a, pair.b, pair.line
        latent = [name for name in (a, b) if name in constructs]
        unknown = [name for name in dict.fromkeys((a, b)) if name not in constructs and name not in homes]
        unknown = [name for name in unknown if name not in reading.doubtful]
        shown = f"'{a} ~~ {_text(pair.modifier or ())}{b}'"
        if unknown:
            reading.refuse(line, f"{shown} names {', '.join(map(repr, unknown))}, which no '=~' gives to a construct")
        elif a == b:
            what = "the first loading, 1, sets the scale" if latent else "residual variances need no line"
            reading.refuse(line, f"{shown} is a variance; delete it: {what}")
        elif len(latent) == 2 and not explained.intersection(latent):
            reading.refuse(line, f"{shown}: constructs that no path explains always covary freely; delete it")
        elif latent:
            reading.refuse(line, f"{shown} names {' and '.join(latent)}; only the residuals of two items may covary")
        else:
            seen.setdefault(frozenset((a, b)), []).append(line)
            if pair.modifier is not None:
                reading.refuse(line, f"{shown} {_modifier_problem(pair.modifier, '~~')}")
    for both, lines in seen.items():
        if len(lines) > 1:
            reading.refuse(lines, f"the covariance of {' and '.join(sorted(both))} is given twice; keep it once")
