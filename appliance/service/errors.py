"""What can go wrong with a service, said for the person who meets it."""

from __future__ import annotations

from appliance.errors import ApplianceError


class ServiceError(ApplianceError):
    """The service cannot start, or cannot do what was asked: socket, request, or its note of the slide in hand."""
