"""A slot's record, `slot.json`: which release lies there, how far it has come, and what its files hash to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from engines.slots.errors import WrongOrder

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class State(str, Enum):
    """How far an engine has come; an active one is on trial until it is good."""

    STAGED = "staged"
    BUILT = "built"
    ACCEPTED = "accepted"
    ACTIVE = "active"
    GOOD = "good"
    REJECTED = "rejected"


_NEXT = {
    State.STAGED: {State.BUILT, State.REJECTED},
    State.BUILT: {State.ACCEPTED, State.REJECTED},
    State.ACCEPTED: {State.ACTIVE, State.REJECTED},
    State.ACTIVE: {State.GOOD, State.ACCEPTED, State.REJECTED},  # accepted again: replaced before it was good
    State.GOOD: {State.GOOD, State.REJECTED},  # good again: back in use
    State.REJECTED: set(),
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Decision:
    """Who wants a step, why, and when (with its time zone)."""

    who: str
    why: str
    at: datetime


class Step(_Strict):
    """One step of an engine's life: when (UTC), to which state, by whom, and why."""

    at: AwareDatetime
    state: State
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)


def step(state: State, decision: Decision) -> Step:
    """The step that a decision led to, its time in UTC. Raises ValueError where it has no time zone, who or why."""
    if decision.at.tzinfo is None:
        raise ValueError(f"{decision.at} has no time zone")
    return Step(at=decision.at.astimezone(timezone.utc), state=state, who=decision.who, why=decision.why)


class Record(_Strict):
    """What is known of the engine in a slot.

    release: the release it came with, in the words of whoever staged it. signing_key_ids: of the keys that signed it.
    slides_started, slides_finished, restarts: while active, see `engines.slots.trial`; 0 again with each activation.
    sealed: SHA-256 of each file in the slot by its path in it, the record itself left out.
    """

    schema_version: Literal[1] = Field(alias="schema")
    package: str
    version: str
    onnx_sha256: Sha256
    release: str = Field(min_length=1)
    signing_key_ids: tuple[str, ...] = ()  # older records name none
    slides_started: int = Field(default=0, ge=0)
    slides_finished: int = Field(default=0, ge=0)
    restarts: int = Field(default=0, ge=0)
    history: tuple[Step, ...] = Field(min_length=1)
    sealed: dict[str, Sha256]

    @property
    def state(self) -> State:
        """The state that the last step led to."""
        return self.history[-1].state

    @property
    def was_active(self) -> bool:
        """Whether slides were ever read with it."""
        return any(step.state is State.ACTIVE for step in self.history)

    @property
    def title(self) -> str:
        """Name and version, e.g. "afb-zn 1.0.0"."""
        return f"{self.package} {self.version}"

    def then(self, state: State, decision: Decision, sealed: Mapping[str, str] | None = None) -> Record:
        """The record after the next step, with what was `sealed` by it. Raises WrongOrder."""
        if state not in _NEXT[self.state]:
            raise WrongOrder(
                f"{self.title} is {self.state.value} and cannot become {state.value}.",
                remedy="Start the update again from its beginning; it goes on from where it stands.",
            )
        anew = {"slides_started": 0, "slides_finished": 0, "restarts": 0} if state is State.ACTIVE else {}
        history = (*self.history, step(state, decision))
        return self.model_copy(update={"history": history, "sealed": {**self.sealed, **(sealed or {})}, **anew})

    def counted(self, *, slides_started: int = 0, slides_finished: int = 0, restarts: int = 0) -> Record:
        """The record with so many more."""
        return self.model_copy(
            update={
                "slides_started": self.slides_started + slides_started,
                "slides_finished": self.slides_finished + slides_finished,
                "restarts": self.restarts + restarts,
            }
        )

    def to_json(self) -> bytes:
        """As it stands in `slot.json`; read again by `model_validate_json`."""
        return self.model_dump_json(by_alias=True, indent=2).encode()
