"""Pure functions from field records to a verdict."""

from appliance.verdict.cutoffs import choose_cutoffs
from appliance.verdict.form import check_operating_point, form_verdict
from appliance.verdict.model import UNSATISFACTORY, CountEstimate, FieldTally, Verdict
from appliance.verdict.plain import verdict_from_json, verdict_json
from appliance.verdict.serous import NUCLEATED, slide_score

__all__ = [
    "NUCLEATED",
    "UNSATISFACTORY",
    "CountEstimate",
    "FieldTally",
    "Verdict",
    "check_operating_point",
    "choose_cutoffs",
    "form_verdict",
    "slide_score",
    "verdict_from_json",
    "verdict_json",
]
