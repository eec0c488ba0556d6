"""Back-checks: which interviews to verify, and how many it takes to find a cheater."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.fieldwork.columns import require_present
from csi_lab.sampling.size.sample_size import SampleSize, is_number, not_share, not_whole, refuse
from csi_lab.settings import generator

if TYPE_CHECKING:
    import pandas as pd

# Usual practice: 10 to 15 per cent of each interviewer's interviews.
SHARE_CHECKED = 0.10


def detection_chance(interviews: Any, falsified: Any, checks: Any) -> np.ndarray:
    r"""Chance that a random back-check meets at least one falsified interview.

    .. math:: 1 - \binom{m - k}{c} \Big/ \binom{m}{c}

    Parameters
    ----------
    interviews
        Interviews m of one interviewer; arguments broadcast.
    falsified
        Falsified ones k, 0 to m.
    checks
        Interviews checked c, 0 to m.

    Returns
    -------
    ndarray

    Raises
    ------
    SpecError
        If numbers are not whole, negative, or exceed m.

    Examples
    --------
    >>> detection_chance(40, [1, 4, 10], 4).round(3).tolist()
    [0.1, 0.355, 0.7]
    """
    try:
        m, k, c = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (interviews, falsified, checks)))
    except (TypeError, ValueError):
        m = k = c = np.array(np.nan)
    whole = all((np.isfinite(v) & (v == np.rint(v))).all() for v in (m, k, c))
    if not whole or (m < 1).any() or (k < 0).any() or (c < 0).any() or (k > m).any() or (c > m).any():
        raise SpecError(
            f"need whole numbers of shapes that fit: interviews 1 or more, falsified and checks from 0 to interviews; "
            f"got interviews={interviews!r}, falsified={falsified!r}, checks={checks!r}"
        )
    return _found(m, k, c)


def backcheck_size(interviews: int, falsified: int, *, chance: float = 0.95) -> SampleSize:
    """Interviews of one interviewer to check, so that a cheater is found with a given chance.

    Parameters
    ----------
    interviews, falsified
        As in :func:`detection_chance`; one falsified interview or more.
    chance
        Wanted chance of meeting at least one of them.

    Returns
    -------
    SampleSize
        ``n`` is the number of checks; ``at(c)`` the chance with c checks.

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Examples
    --------
    >>> print(backcheck_size(40, 4))
    back-check of one interviewer: n = 21 checks (exact 21.00)
      interviews 40; falsified 4; chance 0.95
    """
    refuse(
        "size of a back-check",
        not_whole("interviews", interviews, 1),
        not_whole("falsified", falsified, 1),
        f"falsified={falsified!r} exceeds interviews={interviews!r}"
        if is_number(falsified) and is_number(interviews) and falsified > interviews
        else "",
        not_share("chance", chance, one=True),
    )
    m, k = int(interviews), int(falsified)
    chances = _found(np.array(float(m)), np.array(float(k)), np.arange(m + 1.0))
    n = int(np.argmax(chances >= chance - 1e-12))
    return SampleSize(
        what="back-check of one interviewer",
        n=n,
        exact=float(n),
        issued=n,
        aim="chance",
        target=float(chance),
        axis="chance of meeting a falsified interview",
        assumptions={"interviews": f"{m}", "falsified": f"{k}", "chance": f"{chance:.10g}"},
        achieved=partial(_found, np.array(float(m)), np.array(float(k))),
        least=1,
        population=m,
        unit="checks",
    )


def backcheck_sample(
    frame: pd.DataFrame,
    interviewer: str,
    *,
    share: float = SHARE_CHECKED,
    at_least: int = 1,
    rng: np.random.Generator | int = 0,
) -> pd.DataFrame:
    """Draw interviews to check: a random share of every interviewer's, and some of everybody's.

    Parameters
    ----------
    frame
        One row per interview.
    interviewer
        Column of interviewers' labels; none may be missing.
    share
        Share of each interviewer's interviews, rounded up; practice is 10 to 15 %.
    at_least
        Checks per interviewer at least, as far as there are interviews.
    rng
        Generator or seed.

    Returns
    -------
    DataFrame
        The rows drawn, in the order of the frame.

    Raises
    ------
    DataError
        If the column is absent, or an interviewer is missing.
    SpecError
        If a setting is out of its range.

    Examples
    --------
    >>> import pandas as pd
    >>> interviews = pd.DataFrame({"who": ["A"] * 25 + ["B"] * 8})
    >>> backcheck_sample(interviews, "who", rng=1)["who"].value_counts().to_dict()
    {'A': 3, 'B': 1}
    """
    import pandas as pd

    require_present(frame, [interviewer])
    refuse("back-check", not_share("share", share, one=True), not_whole("at_least", at_least, 0))
    nobody = int(frame[interviewer].isna().sum())
    if not len(frame):
        raise DataError("there are no interviews to draw from")
    if nobody:
        raise DataError(f"{nobody} of {len(frame)} interviews have no interviewer in {interviewer!r}; fill them in")
    code, labels = pd.factorize(frame[interviewer].to_numpy())
    m = np.bincount(code, minlength=len(labels))
    wanted = np.minimum(np.maximum(np.ceil(share * m - 1e-9).astype(int), int(at_least)), m)
    key = generator(rng).random(len(frame))
    order = np.lexsort((key, code))
    rank = np.empty(len(frame), dtype=int)
    rank[order] = np.arange(len(frame)) - np.repeat(np.concatenate([[0], np.cumsum(m)[:-1]]), m)
    return frame[rank < wanted[code]]


def _found(m: np.ndarray, k: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Hypergeometric chance of at least one; 1 when more are checked than are genuine."""
    genuine = m - k
    log = special.gammaln
    safe = np.maximum(genuine - c, 0.0)
    missed = np.exp(log(genuine + 1) - log(safe + 1) - log(m + 1) + log(m - c + 1))
    return np.where(c > genuine, 1.0, 1 - missed)
