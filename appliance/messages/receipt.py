"""The hub's answer to one event: only this lets the event leave the device's outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from appliance.messages.envelope import Body, Envelope, Key, UtcTime, source_urn
from appliance.messages.ids import new_uuid7

ReceiptStatus = Literal["accepted", "duplicate", "rejected"]


class ReceiptBody(Body):
    """What the hub did with the event of this key.

    accepted: stored now. duplicate: stored before. rejected: not stored, for the `reason`; a person must look.
    """

    key: Key
    status: ReceiptStatus
    reason: str
    hub_time: UtcTime


class ReceiptMessage(Envelope[ReceiptBody]):
    """Published to the device on lab/<site>/<device>/rcpt."""

    type: Literal["org.cytoscan.hub.receipt.v1"] = "org.cytoscan.hub.receipt.v1"
    dataschema: str = Field(default="urn:cytoscan:schema:receipt:1.0", pattern=r"^urn:cytoscan:schema:receipt:1\.\d+$")


def receipt_message(site: str, device: str, body: ReceiptBody, at: datetime) -> ReceiptMessage:
    """A receipt for this device in its envelope."""
    return ReceiptMessage(
        id=str(new_uuid7()), source=source_urn(site, "hub"), subject=f"device/{device}", time=at, data=body
    )
