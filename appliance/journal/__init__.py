"""The only writer of state: slides, fields, findings, audit trail and outbox in one SQLite file.

Start at `Journal` (the scanner writes), `JournalReader` (everyone reads), `Outbox` (the sender's side).
"""

from appliance.journal.audit import AuditCheck, AuditRow
from appliance.journal.database import require_free_space
from appliance.journal.journal import Journal, utc_now
from appliance.journal.outbox import Claimed, Delivery, Outbox, OutboxStatus
from appliance.journal.pictures import OtherPlane
from appliance.journal.reader import JournalReader
from appliance.journal.second_plane import SecondSeen
from appliance.messages.outgoing import OutboxMessage

__all__ = [
    "AuditCheck",
    "AuditRow",
    "Claimed",
    "Delivery",
    "Journal",
    "JournalReader",
    "OtherPlane",
    "Outbox",
    "OutboxMessage",
    "OutboxStatus",
    "SecondSeen",
    "require_free_space",
    "utc_now",
]
