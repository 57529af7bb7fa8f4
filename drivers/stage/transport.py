"""Bytes in and out of one serial port; every way a link can die becomes one LinkLost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import termios
import threading
from typing import NoReturn, Protocol

import serial

from drivers.errors import LinkLost, NoSuchPort, PortBusy

_CHUNK = 4096


class Transport(Protocol):
    """What a session needs of a link. One reader; `wake` may be called from any thread."""

    def write(self, data: bytes) -> None:
        """Send all bytes. Raises LinkLost."""

    def read(self, timeout_s: float | None) -> bytes:
        """Bytes that have arrived; empty after `timeout_s`, or when woken. Raises LinkLost."""

    def wake(self) -> None:
        """Make a waiting `read` return at once."""

    def close(self) -> None:
        """Let the port go; safe to call twice."""


class SerialTransport:
    """A serial port opened for this process alone."""

    _WRITE_TIMEOUT_S = 1.0

    def __init__(self, port: str, baud: int) -> None:
        """Open and lock the port.

        Raises:
            NoSuchPort: nothing is there. PortBusy: someone else holds it.
        """
        self.port = port
        try:
            self._serial = serial.Serial(port, baud, timeout=0, write_timeout=self._WRITE_TIMEOUT_S, exclusive=True)
        except (OSError, ValueError) as error:
            self._refuse(error)
        try:
            # The lock above only keeps out programs that ask for one too; this keeps out the others.
            fcntl.ioctl(self._serial.fileno(), termios.TIOCEXCL)
        except OSError as error:
            self._serial.close()
            self._refuse(error)
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._close_lock = threading.Lock()
        self._closed = False

    def _refuse(self, error: Exception) -> NoReturn:
        code = getattr(error, "errno", None)
        safe = "Nothing was sent to the stage."
        if code in (errno.EAGAIN, errno.EBUSY):
            raise PortBusy(
                f"The stage port {self.port} is held by another program.",
                safe=safe,
                remedy=f"Close the other program (find it with: fuser {self.port}), then try again.",
            ) from error
        if code in (errno.EACCES, errno.EPERM):
            raise PortBusy(
                f"The stage port {self.port} may not be opened by this user.",
                safe=safe,
                remedy="Add the user to the group dialout and log in again.",
            ) from error
        raise NoSuchPort(
            f"The stage port {self.port} does not exist or is no serial port ({error}).",
            safe=safe,
            remedy="Check the controller's cable and power, then stage.port (ls /dev/serial/by-id shows the ports).",
        ) from error

    def _lost(self, error: Exception) -> LinkLost:
        return LinkLost(
            f"The link to the stage on {self.port} is lost ({error}).",
            safe="A move already under way ends at its target; the position is unknown from here on.",
            remedy="Check cable and power of the controller; the stage must be homed again.",
        )

    def write(self, data: bytes) -> None:
        """Send all bytes within a second."""
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError, termios.error) as error:
            raise self._lost(error) from error

    def read(self, timeout_s: float | None) -> bytes:
        """What has arrived, in one piece however long; empty after `timeout_s` or when woken."""
        try:
            ready, _, _ = select.select([self._serial.fileno(), self._wake_read], [], [], timeout_s)
            if self._wake_read in ready:
                os.read(self._wake_read, _CHUNK)
            if len(ready) > (self._wake_read in ready):
                return bytes(self._serial.read(max(1, min(_CHUNK, self._serial.in_waiting))))
        except (serial.SerialException, OSError, termios.error) as error:
            raise self._lost(error) from error
        return b""

    def wake(self) -> None:
        """Make a waiting `read` return."""
        with self._close_lock:
            if not self._closed:
                try:
                    os.write(self._wake_write, b"w")
                except BlockingIOError:
                    return  # the pipe is full of wake-ups already

    def close(self) -> None:
        """Release the port, so that after re-plugging it gets the same name."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
        # An unplugged port cannot be told; its mark is gone with it.
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._serial.fileno(), termios.TIOCNXCL)
        try:
            self._serial.close()
        except (OSError, termios.error) as error:
            raise self._lost(error) from error
        finally:
            os.close(self._wake_read)
            os.close(self._wake_write)
