"""The simulated market as an experiment sees it: what everybody would answer, and the values of the census."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from csi_lab import PathModel, index, simulate
from csi_lab.moments import Moments
from csi_lab.sem import pls
from csi_lab.simulate.census import census_model

SCALE = (1, 10)
TARGET = "Satisfaction"
PATHS = (("Image", "Quality"), ("Quality", "Satisfaction"))
QUANTITIES = (f"index of {TARGET}", *(f"path {source} -> {target}" for source, target in PATHS))
FAULTS_COUNTED = 3
CUSTOMERS = 200_000


@dataclass(frozen=True, eq=False)
class Population:
    """All customers of a market and what they would answer in one wave.

    Attributes
    ----------
    market
        The market.
    wave
        The wave that is surveyed, 1 to 3.
    """

    market: simulate.Market
    wave: int = 3

    @cached_property
    def model(self) -> PathModel:
        """CCSI, with the items that everybody is asked."""
        return census_model(self.market)

    @cached_property
    def answers(self) -> pd.DataFrame:
        """The items of the model, one row per customer."""
        return self.market.answers(self.wave)[list(self.model.items)]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The register with ``index`` (0-100, items of satisfaction weighted equally), ``before`` (the same one wave
        earlier) and ``faults_class`` (0, 1, 2, 3 or more)."""
        before = self._equal_weights(self.market.answers(self.wave - 1))
        faults = np.minimum(self.market.register["faults"], FAULTS_COUNTED)
        added = {"index": self._equal_weights(self.answers), "before": before, "faults_class": faults}
        return self.market.register.assign(**added)

    @cached_property
    def response(self) -> np.ndarray:
        """``(N,)`` probability that a customer who is reached answers; it rises with true satisfaction."""
        latent = self.market.latent_in(self.wave)["SAT"].to_numpy()
        return simulate.response_probability(self.market.register, latent, self.market.parameters["survey"])

    @cached_property
    def truth(self) -> np.ndarray:
        """The census values of :data:`QUANTITIES`: the estimators of :meth:`quantities` applied to everybody."""
        return self.quantities(Moments.from_frame(self.answers))

    @property
    def mean_index(self) -> float:
        """The mean of ``index`` over all customers."""
        return float(self.frame["index"].mean())

    def quantities(self, moments: Moments) -> np.ndarray:
        """The estimators :data:`QUANTITIES` from moments ``(..., )``: the index by outer weights, and paths, by PLS."""
        # Tight, because Taylor variances take differences of this function.
        fit = pls(moments, self.model, tolerance=1e-10)
        found = index.from_fit(fit, SCALE, constructs=[TARGET]).table
        values = (found if moments.shape else found["estimate"]).to_numpy()
        names = list(self.model.constructs)
        source, target = zip(*((names.index(a), names.index(b)) for a, b in PATHS), strict=True)
        paths = fit.solution.paths[..., source, target]
        return np.concatenate([np.reshape(values, (*moments.shape, 1)), paths], axis=-1)

    def _equal_weights(self, answers: pd.DataFrame) -> pd.Series:
        low, high = SCALE
        return 100 * (answers[list(self.model.constructs[TARGET])].mean(axis=1) - low) / (high - low)


def population(customers: int = CUSTOMERS, changes: Mapping[str, Any] | None = None) -> Population:
    """The market of ``data/broadband`` at its seed, or a smaller one, or one with changes of its truth."""
    return Population(simulate.make_market(changes, customers=customers))
