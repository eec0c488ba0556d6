"""From returned answers to clean data: checks, outliers, careless answers, missing answers, and a log of it all."""

from csi_lab.cleaning.careless import irv, longstring, straight_lining
from csi_lab.cleaning.checks import Route, instructed_answers, out_of_range, routing_errors
from csi_lab.cleaning.comparison import TreatmentComparison, compare_treatments
from csi_lab.cleaning.completed import Completed
from csi_lab.cleaning.consistency import even_odd, inconsistent_pairs
from csi_lab.cleaning.decisions import decide
from csi_lab.cleaning.distances import mahalanobis, mcd
from csi_lab.cleaning.donors import hot_deck
from csi_lab.cleaning.duplicates import duplicate_ids, identical_answers, near_identical_answers
from csi_lab.cleaning.durations import response_time, seconds_per_item
from csi_lab.cleaning.flags import Flags, rows_by_hand
from csi_lab.cleaning.imputation import impute
from csi_lab.cleaning.imputed import Imputations
from csi_lab.cleaning.little import MCARTest, little_mcar
from csi_lab.cleaning.log import CleaningLog
from csi_lab.cleaning.missing import Patterns, patterns
from csi_lab.cleaning.outliers import modified_z, tukey_fences, z_scores
from csi_lab.cleaning.pooling import Pooled, PooledR2, pool, pool_r2
from csi_lab.cleaning.recode import Scores, recode, rescale_100, reverse, score
from csi_lab.cleaning.rules import Rule
from csi_lab.cleaning.synonyms import psychometric_antonyms, psychometric_synonyms
from csi_lab.cleaning.treatments import em, listwise, mean, regression, stochastic_regression

__all__ = [
    "CleaningLog",
    "Completed",
    "Flags",
    "Imputations",
    "MCARTest",
    "Patterns",
    "Pooled",
    "PooledR2",
    "Route",
    "Rule",
    "Scores",
    "TreatmentComparison",
    "compare_treatments",
    "decide",
    "duplicate_ids",
    "em",
    "even_odd",
    "hot_deck",
    "identical_answers",
    "impute",
    "inconsistent_pairs",
    "instructed_answers",
    "irv",
    "listwise",
    "little_mcar",
    "longstring",
    "mahalanobis",
    "mcd",
    "mean",
    "modified_z",
    "near_identical_answers",
    "out_of_range",
    "patterns",
    "pool",
    "pool_r2",
    "psychometric_antonyms",
    "psychometric_synonyms",
    "recode",
    "regression",
    "rescale_100",
    "response_time",
    "reverse",
    "routing_errors",
    "rows_by_hand",
    "score",
    "seconds_per_item",
    "stochastic_regression",
    "straight_lining",
    "tukey_fences",
    "z_scores",
]
