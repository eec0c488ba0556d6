"""Snowball samples: respondents bring in their contacts, wave after wave, and what can be estimated from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from csi_lab.errors import DataError, SpecError
from csi_lab.sampling.select.network import Network, contact_network
from csi_lab.sampling.select.nonrandom import NO_DESIGN, chances
from csi_lab.sampling.select.register import generator, require_columns, row_order, whole, with_columns
from csi_lab.sampling.select.sample import Record, Sample
from csi_lab.sampling.select.totals import TotalEstimate
from csi_lab.settings import require_level

if TYPE_CHECKING:
    import pandas as pd

    from csi_lab.sampling.select.register import PerRow


def snowball(
    frame: pd.DataFrame,
    n: int,
    degree: str,
    *,
    rng: np.random.Generator | int,
    seeds: int | Sequence[Any] = 5,
    referrals: int = 3,
    waves: int | None = None,
    agree: PerRow = 1.0,
    group: str | None = None,
    homophily: float = 0.0,
    network: Network | None = None,
    id: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Sample:
    """Snowball sample: seeds name contacts, these name theirs, until n are in or the chains die out.

    In each wave every newcomer invites up to ``referrals`` of the contacts that are not in the sample yet, at random;
    an invited contact comes with the chance ``agree``. One invited by several counts for one of them, at random.

    Parameters
    ----------
    frame
        The register, one row per person.
    n
        Persons to reach, seeds included.
    degree
        Column of numbers of contacts; the network is drawn from it unless ``network`` is given. A respondent reports
        this number.
    rng
        Seed or Generator.
    seeds
        How many persons to start from, drawn at random among those with a contact; or their row labels.
    referrals
        Invitations per person.
    waves
        Stop after so many waves of referral; ``None``: no limit.
    agree
        Chance to come when invited, 0 to 1: a number, a column or an array. Who declined may be invited again.
    group, homophily, network
        As in :func:`csi_lab.sampling.select.network.contact_network`; or a network made before, to draw from it
        repeatedly.
    id
        Column of identifiers, so that the order of the rows does not matter.
    names
        Other names for the columns that are added: ``chain`` (number of the seed), ``wave`` (0: seed), ``recruiter``
        (row label, missing for seeds), ``recruited`` (persons brought in).

    Returns
    -------
    Sample
        In order of recruitment, without a design. The record's table has a row per wave: ``invited, declined, drawn``.

    Raises
    ------
    SpecError
        If n, seeds or referrals are impossible, or the network belongs to another register.
    DataError
        If degrees or labels are unusable.

    Notes
    -----
    Persons with many contacts are reached more often: see :func:`volz_heckathorn`. The last wave is cut at random
    where it would exceed n.

    References
    ----------
    .. [1] Goodman, L. A. (1961). Annals of Mathematical Statistics, 32, 148-170.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"degree": [2, 4, 6, 8] * 50})
    >>> sample = snowball(frame, 40, "degree", rng=1, seeds=2)
    >>> len(sample), sorted(set(sample.frame["chain"])), int((sample.frame["wave"] == 0).sum())
    (40, [1, 2], 2)
    """
    import pandas as pd

    n, referrals = whole(n, "n"), whole(referrals, "referrals")
    limit = None if waves is None else whole(waves, "waves", at_least=0)
    source, seed = generator(rng)
    place = row_order(frame, id)
    require_columns(frame, [degree], "the degree column")
    if n > len(frame):
        raise SpecError(f"n={n} is more than the {len(frame)} persons of the register")
    if network is None:
        network = contact_network(frame, degree, rng=source, group=group, homophily=homophily, id=id)
    elif group is not None or homophily:
        raise SpecError("group= and homophily= belong to the network that is given; leave them out")
    if not isinstance(network, Network):
        raise SpecError(f"network must be made by contact_network, got {type(network).__name__}")
    if len(network.wanted) != len(frame):
        raise SpecError(f"the network has {len(network.wanted)} persons, the register {len(frame)}")
    willing = chances(frame, agree, "agree")
    people = _seeds(frame, seeds, network, place, source)
    if len(people) > n:
        raise SpecError(f"{len(people)} seeds are more than n={n}")
    chain, wave = np.full(len(frame), -1), np.zeros(len(frame), dtype=np.int64)
    recruiter = np.full(len(frame), -1)
    chain[people] = np.arange(len(people))
    reached, latest, table = [people], people, [(len(people), 0, len(people))]
    total = len(people)
    while total < n and len(latest) and (limit is None or len(table) <= limit):
        by, whom = _invitations(network, latest, chain >= 0, referrals, source)
        yes = source.random(len(whom)) < willing[whom]
        by, whom = by[yes], whom[yes]
        # One invited by several counts for the first in a random order, which the invitations have.
        new, first = np.unique(whom, return_index=True)
        order = np.argsort(first)
        new, first = new[order][: n - total], first[order][: n - total]
        chain[new], wave[new], recruiter[new] = chain[by[first]], len(table), by[first]
        table.append((len(yes), int((~yes).sum()), len(new)))
        latest = new
        reached.append(new)
        total += len(new)
    rows = np.concatenate(reached)
    found = recruiter[rows]
    labels = frame.index.to_numpy(dtype=object)
    brought = np.bincount(found[found >= 0], minlength=len(frame))[rows]
    recruiters = pd.Series([labels[k] if k >= 0 else None for k in found], dtype=object).to_numpy()
    added = {"chain": chain[rows] + 1, "wave": wave[rows], "recruiter": recruiters, "recruited": brought}
    picked, called = with_columns(frame.iloc[rows], added, names)
    notes = [str(network)]
    isolated = int((network.degree == 0).sum())
    if isolated:
        notes.append(f"without contacts, out of reach: {isolated}")
    if total < n:
        why = f"after {limit} waves" if limit is not None and len(table) > limit else "the chains died out"
        notes.append(f"stopped at {total} of {n}: {why}")
    record = Record(
        method=f"snowball sample ({len(people)} seeds, {referrals} referrals each, {len(table) - 1} waves)",
        asked=n,
        drawn=total,
        population=len(frame),
        table=pd.DataFrame(
            table, columns=["invited", "declined", "drawn"], index=pd.RangeIndex(len(table), name="wave")
        ),
        seed=seed,
        generator=type(source.bit_generator).__name__,
        order="order of recruitment",
        notes=tuple(notes),
    )
    return Sample(picked, record, called, _no_design=NO_DESIGN.format("snowball"))


def volz_heckathorn(values: Any, degree: Any, *, chain: Any = None, level: float = 0.95) -> TotalEstimate:
    r"""Mean from a snowball sample, each person weighted by the inverse of the number of contacts.

    :math:`\hat\mu = \frac{\sum y_k/d_k}{\sum 1/d_k}`

    Parameters
    ----------
    values
        ``(n,)`` y of the persons reached.
    degree
        ``(n,)`` contacts they report, above 0.
    chain
        ``(n,)`` chain of each person: then the standard error is that of a ratio with chains as units; ``None``: no
        standard error.
    level
        Confidence level; Student's t with chains minus 1 degrees of freedom.

    Returns
    -------
    TotalEstimate

    Raises
    ------
    DataError
        If values or degrees are missing or text, degrees 0 or negative, or there is one chain only.

    Notes
    -----
    The estimator holds for referral by random walks with replacement on one connected network with degrees reported
    right. The standard error from chains takes the chains as independent, which few seeds drawn at random are; it says
    nothing on the bias that is left from the choice of the seeds.

    References
    ----------
    .. [1] Volz, E., & Heckathorn, D. D. (2008). Journal of Official Statistics, 24, 79-97.

    Examples
    --------
    >>> print(volz_heckathorn([1, 0, 0, 1], [10, 2, 2, 5]))
    0.230769, n = 4 (Volz-Heckathorn)
    no chains given, hence no standard error
    """
    require_level(level)
    try:
        y, d = np.asarray(values, dtype=float), np.asarray(degree, dtype=float)
    except (TypeError, ValueError):
        raise DataError("values and degrees must be numbers") from None
    if y.ndim != 1 or y.shape != d.shape or not len(y):
        raise DataError(f"need one value and one degree per person; got shapes {y.shape} and {d.shape}")
    wrong = ~np.isfinite(d) | (d <= 0)
    if wrong.any() or not np.isfinite(y).all():
        raise DataError(
            f"degrees are missing or not above 0 for {int(wrong.sum())} persons, values missing for "
            f"{int((~np.isfinite(y)).sum())}; leave these persons out, and say so"
        )
    weight = 1 / d
    mean = float((weight * y).sum() / weight.sum())
    method = "Volz-Heckathorn"
    if chain is None:
        note = "no chains given, hence no standard error"
        return TotalEstimate(mean, np.nan, np.nan, np.nan, np.nan, len(y), level, method, note)
    import pandas as pd

    code, found = pd.factorize(np.asarray(chain))
    if len(code) != len(y) or (code < 0).any():
        raise DataError(f"need one chain per person; got {len(code)} for {len(y)}, {int((code < 0).sum())} missing")
    if len(found) < 2:
        raise DataError("all persons are of one chain; a variance between chains needs two or more")
    count = len(found)
    totals = np.bincount(code, weights=weight * (y - mean) / weight.sum())
    se = float(np.sqrt(count / (count - 1) * (totals**2).sum()))
    half = float(special.stdtrit(count - 1, 0.5 + level / 2)) * se
    return TotalEstimate(mean, se, mean - half, mean + half, count - 1.0, len(y), level, f"{method}, {count} chains")


def _seeds(
    frame: pd.DataFrame, seeds: int | Sequence[Any], network: Network, place: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Positions of the persons that the chains start from."""
    if isinstance(seeds, (str, bytes)):
        raise SpecError(f"seeds={seeds!r} must be a number or a list of row labels")
    if not isinstance(seeds, (int, float, np.number)):
        labels = list(seeds)
        absent = [label for label in labels if label not in frame.index]
        twice = sorted({str(label) for label in labels if labels.count(label) > 1})
        if absent or twice or not labels:
            raise SpecError(f"seeds must be different row labels of the register; absent: {absent}, twice: {twice}")
        return np.array([frame.index.get_loc(label) for label in labels])
    count = whole(seeds, "seeds")
    possible = place[network.degree[place] > 0]
    if count > len(possible):
        raise SpecError(f"seeds={count} is more than the {len(possible)} persons with a contact")
    return rng.permutation(possible)[:count]


def _invitations(
    network: Network, latest: np.ndarray, inside: np.ndarray, referrals: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Who invites whom in a wave, in random order."""
    lengths = network.degree[latest]
    offsets = np.cumsum(lengths) - lengths
    at = np.arange(lengths.sum()) + np.repeat(network.starts[latest] - offsets, lengths)
    host, guest = np.repeat(np.arange(len(latest)), lengths), network.contacts[at]
    free = ~inside[guest]
    host, guest = host[free], guest[free]
    order = np.lexsort((rng.random(len(host)), host))
    count = np.bincount(host, minlength=len(latest))
    rank = np.arange(len(host)) - np.repeat(np.cumsum(count) - count, count)
    kept = order[rank < referrals]
    kept = kept[rng.permutation(len(kept))]
    return latest[host[kept]], guest[kept]
