"""From the traces of an undisturbed and of a wounded run to the likely cause, in the user's terms. Pure.

    noisy(reference, again)        what differs between two undisturbed runs, and so says nothing
    diagnose(reference, outcome, noise)   one wounded run (an `Outcome`) against the undisturbed one's trace: a Finding,
                                   or None where nothing is wrong
    conclude(findings)             the findings of all wounded runs, by wound: the one to put first, with what only
                                   their comparison shows ('differs only with SIGKILL')

The wound `none` is the undisturbed run done twice: a Finding then says that the program is not deterministic.
"""

from outlast.drill.diagnosis.catalogue import CAUSES
from outlast.drill.diagnosis.finding import Ended, Finding, Outcome, Wound
from outlast.drill.diagnosis.judge import conclude, diagnose, noisy

__all__ = ["CAUSES", "Ended", "Finding", "Outcome", "Wound", "conclude", "diagnose", "noisy"]
