"""Control of the field: the front door to intercepts, interviewers, back-checks, contacts, duplicates and times."""

from csi_lab.sampling.fieldwork.agreement import BackCheck, backcheck_agreement
from csi_lab.sampling.fieldwork.backcheck import backcheck_sample, backcheck_size, detection_chance
from csi_lab.sampling.fieldwork.contacts import ContactRecord, contact_record
from csi_lab.sampling.fieldwork.intercepts import InterceptMean, intercept_mean
from csi_lab.sampling.fieldwork.interviewers import InterviewerEffect, interviewer_effect
from csi_lab.sampling.fieldwork.repeated import Duplicates, duplicates
from csi_lab.sampling.fieldwork.timing import TimePatterns, time_patterns

__all__ = [
    "BackCheck",
    "ContactRecord",
    "Duplicates",
    "InterceptMean",
    "InterviewerEffect",
    "TimePatterns",
    "backcheck_agreement",
    "backcheck_sample",
    "backcheck_size",
    "contact_record",
    "detection_chance",
    "duplicates",
    "intercept_mean",
    "interviewer_effect",
    "time_patterns",
]
