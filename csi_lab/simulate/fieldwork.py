"""Fieldwork: sampled customers are approached, some answer, and not all answers are what the customer thinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from csi_lab.answers import require_columns
from csi_lab.errors import DataError, SpecError, listed
from csi_lab.settings import is_number
from csi_lab.simulate import answers as answering
from csi_lab.simulate import careless as carelessness
from csi_lab.simulate import nonresponse as responding
from csi_lab.simulate.iceberg import WINDOW, recorded_in_a_year, unrecorded_chance
from csi_lab.simulate.open_answers import texts
from csi_lab.simulate.opinions import opinions
from csi_lab.simulate.seeds import child, root

if TYPE_CHECKING:
    from csi_lab.simulate.market import Market

ABOUT = ("operator", "province", "region", "town", "urban", "age_group", "household", "plan", "tenure_months", "spend")


@dataclass(frozen=True, eq=False)
class Fieldwork:
    """What a survey brought home, and what is behind it.

    Attributes
    ----------
    answers
        One row per respondent: who it is, how the interview went, the answers.
    issued
        One row per issued customer: customer, outcome (AAPOR code), calls.
    key
        One row per respondent, not known in practice: ``careless`` (careful or how not), the shift by interviewer and
        mode, the true latent scores.
    """

    answers: pd.DataFrame
    issued: pd.DataFrame
    key: pd.DataFrame

    def __str__(self) -> str:
        careless = int((self.key["careless"] != carelessness.CAREFUL).sum())
        share = len(self.answers) / len(self.issued)
        return (
            f"{len(self.issued):,} customers issued, {len(self.answers):,} interviews ({share:.1%}), "
            f"{careless} of them careless"
        )

    __repr__ = __str__


def interview(
    market: Market,
    sample_rows: Any,
    *,
    wave: int = 3,
    nonresponse: bool = True,
    careless: float | None = None,
    item_missing: float | None = None,
    interviewer_sd: float | None = None,
    mode_effect: float | None = None,
    complaints: pd.DataFrame | None = None,
    rng: np.random.Generator | int | None = None,
) -> Fieldwork:
    """Interview sampled customers; every source of error can be changed or switched off by itself.

    Parameters
    ----------
    market
        The market.
    sample_rows
        Numbers of the customers (1 to N); a DataFrame with the column ``customer``, such as rows of the register; or a
        sample drawn from it (:mod:`csi_lab.sampling.select`).
    wave
        0 (base) to 3 (latest).
    nonresponse
        ``False``: everybody answers.
    careless
        Share of careless respondents; ``None``: as stated in the truth; 0: none.
    item_missing
        Mean share of "cannot say"; ``None``: as stated; 0: none. PQ5 is never asked without contact.
    interviewer_sd
        Standard deviation of the interviewers' shifts; ``None``: as stated.
    mode_effect
        Shift of answers given by telephone; ``None``: as stated.
    complaints
        The operators' register of complaints (customer, received_at, sat_outcome): who stands in it with a complaint of
        the twelve months before the interview says so in CP1 and judges its handling in CP2. Others say yes because of
        a complaint that nobody recorded; the shares are those of the iceberg in the section ``complaints``. Without a
        register no complaint is on record, and as many people have complained.
    rng
        Seed or generator; ``None``: the market's own stream of this wave.

    Returns
    -------
    Fieldwork

    Raises
    ------
    DataError
        If customers are unknown or named twice, or nobody is named.
    SpecError
        If a share is not between 0 and 1, a standard deviation is negative, or there is no such wave.

    Notes
    -----
    Each source of error has its own random stream: switching one off leaves the others as they were. With all of them
    off the answers are those of :meth:`csi_lab.simulate.Market.answers`.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> market = simulate.make_market(customers=2000, rng=1)
    >>> work = interview(market, range(1, 201), nonresponse=False, careless=0.0)
    >>> print(work)
    200 customers issued, 200 interviews (100.0%), 0 of them careless
    """
    if not isinstance(nonresponse, (bool, np.bool_)):
        raise SpecError(f"nonresponse={nonresponse!r} must be True or False")
    _require_settings(
        careless=careless, item_missing=item_missing, interviewer_sd=interviewer_sd, mode_effect=mode_effect
    )
    at = _positions(market, sample_rows)
    latent = market.latent_in(wave)
    stated = market.parameters["survey"]
    seed = market.seed if rng is None else root(rng)

    def stream(name: str) -> np.random.Generator:
        return child(seed, f"survey {name}", wave)

    everybody = market.register.iloc[at].reset_index(drop=True)
    satisfaction = latent["SAT"].to_numpy()[at]
    issued = responding.outcomes(everybody, satisfaction, stated, stream("response"))
    if not nonresponse:
        issued["outcome"] = "I"
    issued.insert(0, "customer", everybody["customer"])
    issued.insert(1, "wave", wave)

    # All streams run over the issued customers, so that who responds does not change how somebody answers.
    met = _interviews(market, everybody, wave, stream)
    shift = _shifts(met, stated["fieldwork"], interviewer_sd, mode_effect, stream("interviewers"))
    response = market.responses(wave)[:, at] + shift.astype(np.float32)
    given = answering.categories(response, answering.thresholds(market.parameters["market"])).astype(np.int16)
    kind = carelessness.kinds(len(at), stated, stream("careless"), careless)
    given = carelessness.careless_answers(given, kind, stated, stream("careless answers"))
    pace = pd.Series(kind).map(dict(stated["careless"]["pace"])).astype(float).fillna(1.0).to_numpy()
    met["seconds"] = np.maximum(stated["fieldwork"]["seconds"]["least"], np.rint(met["seconds"] * pace)).astype(int)
    overall = given[:, market.items.index(responding.OVERALL)]
    open_cells = responding.gaps(
        everybody, response, overall, market.items, stated, stream("item missing"), item_missing
    )
    given = np.where(open_cells, stated["codes"]["cannot_say"], given)
    if "PQ5" in market.items:
        not_asked = ~everybody["contact"].to_numpy()
        given[not_asked, market.items.index("PQ5")] = stated["codes"]["not_asked"]
    answers = pd.DataFrame(given.astype(np.int8), columns=market.items)
    recorded = _recorded(everybody["customer"], met["date"], complaints)
    expected = recorded_in_a_year(
        everybody,
        at,
        met["date"].to_numpy().astype("datetime64[D]"),
        opinions(market, last=wave),
        market.parameters["complaints"],
    )
    chance = unrecorded_chance(expected, market.parameters["complaints"], register=complaints is not None)
    block = _complaint_block(chance, satisfaction, stated["complained"], recorded, stream("complained"))
    topics = {t: response[market.items.index(v["item"])] for t, v in stated["open_answers"]["topics"].items()}
    block["OP1"] = texts(topics, stated, stream("open answers"))

    said = (issued["outcome"] == "I").to_numpy()
    about = everybody[list(ABOUT)]
    rows = pd.concat([everybody[["customer"]], met, about, answers, block], axis=1)[said].reset_index(drop=True)
    rows.insert(0, "id", [f"w{wave}-{number:05d}" for number in range(1, len(rows) + 1)])
    key = pd.concat([everybody[["customer"]], latent.iloc[at].reset_index(drop=True).round(4)], axis=1)[
        said
    ].reset_index(drop=True)
    key.insert(0, "id", rows["id"])
    key.insert(2, "careless", kind[said])
    key.insert(3, "shift", shift[said].round(4))
    return Fieldwork(rows, issued, key)


def mode_and_interviewer(market: Market, wave: int, *, interviewer_sd: float | None = None) -> np.ndarray:
    """What mode and interviewer would add to every response of each customer of the market, ``(customers,)``.

    The interviewers are those of the market's own survey of this wave; who would meet whom is another draw.

    Parameters
    ----------
    market
        The market.
    wave
        0 (base) to 3 (latest).
    interviewer_sd
        Standard deviation of the interviewers' shifts; ``None``: as stated.

    Examples
    --------
    >>> from csi_lab import simulate
    >>> market = simulate.make_market(customers=2000, rng=1)
    >>> np.unique(mode_and_interviewer(market, 3, interviewer_sd=0.0)).tolist()
    [0.0, 0.06]
    """

    def stream(name: str) -> np.random.Generator:
        return child(market.seed, f"survey {name}", wave)

    met = _interviews(market, market.register, wave, stream)
    return _shifts(met, market.parameters["survey"]["fieldwork"], interviewer_sd, None, stream("interviewers"))


def _interviews(market: Market, everybody: pd.DataFrame, wave: int, stream: Any) -> pd.DataFrame:
    """Wave, mode, interviewer, date and length of the interview that each issued customer would give."""
    field = market.parameters["survey"]["fieldwork"]
    n = len(everybody)
    rng = stream("fieldwork")
    web = everybody["email"].to_numpy() & ((rng.random(n) < field["web"]) | ~everybody["phone"].to_numpy())
    mode = np.where(web, "web", "telephone").astype(object)
    number = rng.integers(1, field["interviewers"] + 1, n)
    interviewer = np.where(web, "", np.array([f"i{i:02d}" for i in range(field["interviewers"] + 1)], object)[number])
    year = market.parameters["market"]["waves"]["years"][wave]
    start = np.datetime64(f"{year}-{field['start']}")
    date = (start + rng.integers(0, field["days"], n)).astype(str).astype(object)
    median = np.where(web, field["seconds"]["web"], field["seconds"]["telephone"])
    seconds = median * np.exp(field["seconds"]["sd"] * rng.standard_normal(n))
    return pd.DataFrame({"wave": wave, "date": date, "mode": mode, "interviewer": interviewer, "seconds": seconds})


def _shifts(
    met: pd.DataFrame, field: Any, interviewer_sd: float | None, mode_effect: float | None, rng: np.random.Generator
) -> np.ndarray:
    """What interviewer and mode add to every response of a respondent."""
    sd = field["interviewer_sd"] if interviewer_sd is None else interviewer_sd
    kinder = field["mode_effect"] if mode_effect is None else mode_effect
    names = [f"i{i:02d}" for i in range(1, field["interviewers"] + 1)]
    own = dict(zip(names, sd * rng.standard_normal(len(names)), strict=True))
    by_voice = (met["mode"] == "telephone").to_numpy()
    return np.where(by_voice, kinder + met["interviewer"].map(own).fillna(0.0).to_numpy(dtype=float), 0.0)


def _recorded(customer: pd.Series, date: pd.Series, complaints: pd.DataFrame | None) -> pd.DataFrame:
    """Whether each customer is on record with a complaint of the last twelve months, and how its outcome was judged."""
    nobody = pd.DataFrame({"on_record": False, "judged": np.nan}, index=customer.index)
    if complaints is None:
        return nobody
    if not isinstance(complaints, pd.DataFrame):
        raise DataError(f"complaints must be a DataFrame, got {type(complaints).__name__}")
    require_columns(complaints, ("customer", "received_at", "sat_outcome"))
    cases = pd.DataFrame(
        {
            "customer": pd.to_numeric(complaints["customer"], errors="coerce"),
            "received": pd.to_datetime(complaints["received_at"], errors="coerce"),
            "judged": pd.to_numeric(complaints["sat_outcome"], errors="coerce"),
        }
    ).dropna(subset=["customer", "received"])
    asked = pd.DataFrame({"customer": customer, "date": pd.to_datetime(date), "place": np.arange(len(customer))})
    met = asked.merge(cases, on="customer")
    before = met["date"] - met["received"]
    met = met[(before > pd.Timedelta(0)) & (before <= pd.Timedelta(days=WINDOW))].sort_values("received")
    latest = met.groupby("place")["judged"].last()
    nobody.iloc[latest.index, 0] = True
    nobody.iloc[latest.index, 1] = latest.to_numpy()
    return nobody


def _complaint_block(
    unrecorded: np.ndarray, satisfaction: np.ndarray, stated: Any, recorded: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """CP1 yes or no, CP2 1 to 10 for those who complained."""
    yes = rng.random(len(unrecorded)) < unrecorded
    handling = stated["handling"]
    felt = handling["mean"] + handling["satisfaction"] * satisfaction
    felt = felt + handling["sd"] * rng.standard_normal(len(unrecorded))
    # Five steps of the operator's own question lie on ten of the survey's.
    judged = 2 * recorded["judged"].to_numpy() - (rng.random(len(unrecorded)) < 0.5)
    felt = np.where(np.isnan(judged), felt, judged)
    yes |= recorded["on_record"].to_numpy()
    score = pd.array(np.clip(np.rint(felt), answering.LOW, answering.HIGH).astype(int), dtype="Int64")
    score[~yes] = pd.NA
    return pd.DataFrame({"CP1": np.where(yes, "yes", "no").astype(object), "CP2": score})


def _positions(market: Market, sample_rows: Any) -> np.ndarray:
    """Places in the register of the customers named."""
    named = getattr(sample_rows, "frame", sample_rows)
    if isinstance(named, pd.DataFrame):
        named = named.get("customer", [])
    try:
        numbers = np.asarray(list(named) if isinstance(named, range) else named)
        with np.errstate(invalid="ignore"):
            whole = numbers.astype(np.int64)
    except (TypeError, ValueError):
        raise DataError(
            "the sample must name customers by number (1 to N), or have them in a column 'customer'"
        ) from None
    if numbers.ndim != 1 or not len(numbers) or numbers.dtype == bool:
        raise DataError("the sample must be customer numbers, one or more, or have them in a column 'customer'")
    known = (whole >= 1) & (whole <= len(market.register)) & (whole == numbers)
    counts = pd.Series(whole).value_counts()
    twice = sorted(counts.index[counts > 1])
    problems = []
    if not known.all():
        problems.append(f"{(~known).sum()} are not in the register, such as {numbers[~known][:5].tolist()}")
    if twice:
        problems.append(f"{len(twice)} are named more than once, such as {[int(c) for c in twice[:5]]}")
    if problems:
        raise DataError(listed(problems, f"customers of the sample (the register has 1 to {len(market.register)})"))
    return whole - 1


def _require_settings(**given: float | None) -> None:
    shares = ("careless", "item_missing")
    problems = []
    for name, value in given.items():
        if value is None:
            continue
        if not is_number(value) or not np.isfinite(value):
            problems.append(f"{name}={value!r} must be a finite number")
        elif name in shares and not 0 <= value <= 1:
            problems.append(f"{name}={value!r} must be a share between 0 and 1")
        elif name == "interviewer_sd" and value < 0:
            problems.append(f"{name}={value!r} must be 0 or more")
    if problems:
        raise SpecError(listed(problems, "settings of the fieldwork"), problems)
