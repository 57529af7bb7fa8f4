"""How a verdict looks: a family with its own colour, icon and word, so that colour never carries it alone."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.verdict.model import UNSATISFACTORY, Verdict


@dataclass(frozen=True)
class Tone:
    """key: style family (negative, review, positive, unread). word: said beside the icon. note: what it is not."""

    key: str
    word: str
    note: str = ""


_NOT_NEGATIVE = "This is not a negative result: the slide gives no answer as it is."
_TONES = {
    UNSATISFACTORY: Tone("unread", "Unsatisfactory: no result", _NOT_NEGATIVE),
    "ND": Tone("unread", "Non-diagnostic: no result", _NOT_NEGATIVE),
    "NFM": Tone("negative", "Negative"),
    "AUS": Tone("review", "Atypical, undetermined"),
    "SFM": Tone("positive", "Suspicious"),
    "MAL": Tone("positive", "Positive"),
    "no AFB seen": Tone("negative", "Negative"),
    "doubtful": Tone("review", "Doubtful, to be repeated"),
    "negative": Tone("negative", "Negative"),
    "confirm": Tone("review", "To be confirmed"),
    "scanty": Tone("positive", "Positive, few"),
    "1+": Tone("positive", "Positive"),
    "2+": Tone("positive", "Positive"),
    "3+": Tone("positive", "Positive"),
    "4+": Tone("positive", "Positive"),
}


def tone_of(verdict: Verdict) -> Tone:
    """The family of a verdict; a category this page does not know asks for review."""
    return _TONES.get(verdict.category, Tone("review", "For review"))
