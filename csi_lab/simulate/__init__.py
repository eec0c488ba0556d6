"""A broadband market whose truth is known: register, surveys, complaints, visits and behaviour of the same customers.

>>> from csi_lab import simulate
>>> market = simulate.make_market(customers=1000, rng=1)
>>> market.register.shape, market.latent.shape, market.answers(wave=3).shape
((1000, 18), (1000, 6), (1000, 23))
"""

from csi_lab.simulate.assembly import complaint_register, tables
from csi_lab.simulate.columns import codebook
from csi_lab.simulate.draw import two_stage
from csi_lab.simulate.fieldwork import Fieldwork, interview
from csi_lab.simulate.files import write
from csi_lab.simulate.latent import total_change
from csi_lab.simulate.market import Market, make_market
from csi_lab.simulate.nonresponse import response_probability
from csi_lab.simulate.truth import parameters
from csi_lab.simulate.waves import panel

__all__ = [
    "Fieldwork",
    "Market",
    "codebook",
    "complaint_register",
    "interview",
    "make_market",
    "panel",
    "parameters",
    "response_probability",
    "tables",
    "total_change",
    "two_stage",
    "write",
]
