"""Refusals that tell an attacker nothing: one error outside, and in the log which check failed."""

import logging

from catalogue.errors import DeviceUntrusted, DownloadUntrusted

log = logging.getLogger(__name__)


def refuse_device(reason: str) -> DeviceUntrusted:
    """Return what whoever fails to prove a device is told; the log has the reason."""
    log.warning("a device was refused", extra={"reason": reason})
    return DeviceUntrusted("The proof does not hold.")


def refuse_download(reason: str) -> DownloadUntrusted:
    """Return what whoever fails to open a download is told; the log has the reason."""
    log.warning("a download was refused", extra={"reason": reason})
    return DownloadUntrusted("It was not sealed for here, or it was altered.")
