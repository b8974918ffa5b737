"""From what a file holds and what is asked for to the whole commands that do it.  Pure: nothing is run here."""

from services.transcoder.plan.build import make_plan
from services.transcoder.plan.model import Capabilities, Estimate, Pass, TranscodePlan

__all__ = ["Capabilities", "Estimate", "Pass", "TranscodePlan", "make_plan"]
