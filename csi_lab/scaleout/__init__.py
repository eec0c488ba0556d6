"""From 250 answers to a billion: one pass over files, by threads or by a cluster, with the same numbers."""

from csi_lab.scaleout.columns import Recode
from csi_lab.scaleout.readers import Form
from csi_lab.scaleout.scan import moments, scan
from csi_lab.scaleout.scanned import Scan
from csi_lab.scaleout.scores import Written, write_scores
from csi_lab.scaleout.segments import index_by_segment
from csi_lab.scaleout.survey import StreamedSurvey, open_survey

__all__ = [
    "Form",
    "Recode",
    "Scan",
    "StreamedSurvey",
    "Written",
    "index_by_segment",
    "moments",
    "open_survey",
    "scan",
    "write_scores",
]
