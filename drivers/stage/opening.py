"""Opens the stage: port, then who answers, then whether its limits are those that were installed."""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.errors import LimitError, WrongController
from drivers.stage.axis import AxisDriver
from drivers.stage.dialect import Address, Dialect, Intent, Verb, load_dialect
from drivers.stage.model import ControllerInfo, NoAnswer
from drivers.stage.session import Session
from drivers.stage.settings import AXES, AxisName, StageSettings
from drivers.stage.stage import Stage
from drivers.stage.transport import SerialTransport

_SAFE = "Nothing was moved."


def open_stage(settings: StageSettings, *, clock: Callable[[], float] = time.monotonic) -> Stage:
    """Open the port and make sure of what is behind it. Nothing moves; every axis is UNKNOWN until `Stage.home`.

    Raises:
        NoSuchPort, PortBusy: the port cannot be had. WrongController: what answers is not what the settings name.
        LimitError: the controller's limits differ from those in the settings. LinkLost.
    """
    dialect = load_dialect(settings.dialect)
    transport = SerialTransport(settings.port, settings.baud)
    session = Session(transport, dialect, reply_timeout_s=settings.reply_timeout_s, clock=clock)
    opened = False
    try:
        controllers = tuple(_identify(device, settings, session, dialect) for device in settings.devices())
        axes: dict[AxisName, AxisDriver] = {
            name: AxisDriver(name, settings.axis(name), session, dialect) for name in AXES
        }
        for axis in axes.values():
            _check_limits(axis, settings.limit_tolerance_um)
        profiles = {name: axis.profile() for name, axis in axes.items()}
        stage = Stage(settings, session, axes=axes, profiles=profiles, controllers=controllers, clock=clock)
        opened = True
    finally:
        if not opened:
            session.close()
    return stage


def _identify(device: int, settings: StageSettings, session: Session, dialect: Dialect) -> ControllerInfo:
    def ask(verb: Verb) -> str:
        reply = session.request(Intent(verb, Address(device)))
        if not reply.accepted:
            raise _wrong(
                settings, f"Device {device} on {settings.port} {dialect.rejection(reply).text} ({verb.value})."
            )
        return reply.data

    try:
        ask(Verb.PREPARE)
        info = ControllerInfo(
            device=device,
            device_id=int(ask(Verb.DEVICE_ID)),
            serial=ask(Verb.SERIAL),
            version=ask(Verb.VERSION),
            axis_count=int(ask(Verb.AXIS_COUNT)),
        )
    except NoAnswer as error:
        heard = session.counts.garbage + session.counts.unmatched + session.bad_bytes
        what = (
            f"What answers on {settings.port} is no {settings.dialect} controller with device number {device}."
            if heard
            else f"No device {device} answers on {settings.port} at {settings.baud} baud."
        )
        raise _wrong(settings, what) from error
    except ValueError as error:
        raise _wrong(settings, f"Device {device} on {settings.port} describes itself oddly ({error}).") from error
    session.remember(device, info.serial)
    _check_identity(info, settings)
    return info


def _check_identity(info: ControllerInfo, settings: StageSettings) -> None:
    expected = settings.expected_device_ids.get(info.device)
    if expected is not None and expected != info.device_id:
        raise _wrong(
            settings,
            f"Device {info.device} on {settings.port} is hardware {info.device_id}; the settings expect {expected}.",
        )
    highest = max(settings.axis(name).axis for name in AXES if settings.axis(name).device == info.device)
    if info.axis_count < highest:
        raise _wrong(
            settings,
            f"Device {info.device} on {settings.port} has {info.axis_count} axes; the settings use axis {highest}.",
        )


def _wrong(settings: StageSettings, what: str) -> WrongController:
    return WrongController(
        what,
        safe=_SAFE,
        remedy=f"Check the controller's power and that stage.port ({settings.port}), stage.baud ({settings.baud}), "
        f"stage.dialect ({settings.dialect}) and the device numbers in the settings are right.",
    )


def _check_limits(axis: AxisDriver, tolerance_um: float) -> None:
    want = (axis.settings.min_um, axis.settings.max_um)
    have = axis.limits_um()
    if any(abs(a - b) > tolerance_um for a, b in zip(want, have, strict=True)):
        raise LimitError(
            f"The controller limits axis {axis.name} to {have[0]:.1f}..{have[1]:.1f} µm; "
            f"the settings say {want[0]:.1f}..{want[1]:.1f} µm.",
            safe=_SAFE,
            remedy="Set the right limits in the controller and in the settings; both must agree before anything moves.",
        )
