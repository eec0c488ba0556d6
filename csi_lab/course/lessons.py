"""What lessons and exercises call: words and tables on the page, questions to the study, answers with feedback."""

from csi_lab.course.checks import Feedback, check
from csi_lab.course.display import Shown, Words, say, shown, verdicts
from csi_lab.course.multiplied import Multiplied, multiplied
from csi_lab.course.studies import Halves, design_caveat, in_halves, labels_in, noting, target_of

__all__ = [
    "Feedback",
    "Halves",
    "Multiplied",
    "Shown",
    "Words",
    "check",
    "design_caveat",
    "in_halves",
    "labels_in",
    "multiplied",
    "noting",
    "say",
    "shown",
    "target_of",
    "verdicts",
]
