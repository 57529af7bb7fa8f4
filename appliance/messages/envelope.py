"""The envelope that every message wears: a CloudEvent in structured JSON, so that MQTT 3.1.1 carries it as well.

Source: CloudEvents 1.0, JSON event format.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from appliance.messages.clock import ClockStatus

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(min_length=1, max_length=300)]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Uuid7Text = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(timezone.utc)


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


UtcTime = Annotated[AwareDatetime, AfterValidator(_to_utc)]
# JSON has no NaN and no infinity: a figure that does not exist is null, and never a reason to keep a verdict back.
Figure = Annotated[float | None, BeforeValidator(_finite)]


class Body(BaseModel):
    """What is in the envelope. Unknown keys of a newer minor version are passed over, known ones are checked."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class EventBody(Body):
    """What each event for the record carries.

    key: idempotency key. seq: number of the message on this device, rising. session: the journal's opening that
    wrote it. clock: whether the times can be believed.
    """

    key: Key
    seq: int = Field(ge=0)
    session: str = Field(min_length=1)
    clock: ClockStatus


BodyT = TypeVar("BodyT", bound=Body)


class Envelope(Body, Generic[BodyT]):
    """CloudEvents attributes around a body.

    id: UUIDv7, new for each message, the same on each attempt to deliver it. source: urn:cytoscan:<site>:<device>.
    dataschema: urn:cytoscan:schema:<name>:<major>.<minor>. time: when it happened, UTC.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Uuid7Text
    source: str = Field(pattern=r"^urn:cytoscan:[A-Za-z0-9_-]+:[A-Za-z0-9_-]+$")
    type: str
    dataschema: str
    subject: str = Field(min_length=1)
    time: UtcTime
    datacontenttype: Literal["application/json"] = "application/json"
    data: BodyT

    def payload(self) -> bytes:
        """The message as it goes over the wire: UTF-8 JSON."""
        return self.model_dump_json().encode()


def source_urn(site: str, device: str) -> str:
    """The `source` of a device's messages."""
    return f"urn:cytoscan:{site}:{device}"
