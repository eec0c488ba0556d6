"""The design effect that a plan expects, from clusters and unequal weights."""

from __future__ import annotations

from csi_lab.sampling.size.sample_size import is_number, refuse


def design_effect(per_cluster: float = 1.0, intraclass: float = 0.0, *, weight_cv: float = 0.0) -> float:
    r"""Design effect to plan with: for ``deff=`` of all sizes here.

    .. math:: D = \left(1 + \mathrm{CV}^2(w)\right) \left(1 + (m - 1) \rho\right)

    Parameters
    ----------
    per_cluster
        Completed interviews m per primary unit (town, outlet), 1 or more.
    intraclass
        Correlation :math:`\rho` of two answers in the same unit, from -1/(m - 1) to 1; for satisfaction often between
        0.01 and 0.1, better taken from an earlier survey.
    weight_cv
        Standard deviation of the weights over their mean, 0 or more; 0: equal weights.

    Returns
    -------
    float

    Raises
    ------
    SpecError
        If a setting is out of its range; all are named.

    Notes
    -----
    The product holds where weights are unrelated to clusters and answers [2]_. A survey at hand gives its own: ``deff``
    of :mod:`csi_lab.sampling.estimate`, and for the weights alone :func:`csi_lab.sampling.weight.design_effect`.

    References
    ----------
    .. [1] Kish, L. (1965). Survey Sampling, sections 5.4 and 11.7. Wiley.
    .. [2] Gabler, S., Häder, S., & Lahiri, P. (1999). A model based justification of Kish's formula for design effects
       for weighting and clustering. Survey Methodology, 25(1), 105-106.

    Examples
    --------
    Ten interviews in each town:

    >>> design_effect(10, 0.05)
    1.45
    >>> from csi_lab.sampling import size
    >>> size.mean(2, 15, deff=design_effect(10, 0.05)).n
    314
    """
    sized = is_number(per_cluster) and per_cluster >= 1
    lowest = -1 / (per_cluster - 1) if sized and per_cluster > 1 else -1.0
    refuse(
        "design effect",
        "" if sized else f"per_cluster={per_cluster!r} must be a number of 1 or more",
        ""
        if is_number(intraclass) and max(lowest, -1.0) < intraclass <= 1
        else f"intraclass={intraclass!r} must lie between {max(lowest, -1.0):.3g} and 1",
        ""
        if is_number(weight_cv) and weight_cv >= 0
        else f"weight_cv={weight_cv!r} must be a number of 0 or more: standard deviation over mean",
    )
    return float((1 + weight_cv**2) * (1 + (per_cluster - 1) * intraclass))
