"""Acknowledging a message in DDEX's own shape: FtpAcknowledgementMessage, with its file statuses.

Source: DDEX ERN Choreography for SFTP 1.6 (http://ddex.net/xml/ern-c-sftp/16).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from lxml import etree

from catalogue.errors import (
    DealWithoutTerm,
    ErnUnreadable,
    Fault,
    IsrcInvalid,
    MetadataInvalid,
    ReferenceDangling,
    ResourceHashDiffers,
    ResourceMissing,
    TerritoryUnknown,
    TrackWithoutDeal,
)
from origin.ern.message import ErnMessage

NAMESPACE = "http://ddex.net/xml/ern-c-sftp/16"
MEDIA_TYPE = "application/xml"
_OK, _OTHER = "FileOK", "NewReleaseMessageInvalid"
_STATUSES: Mapping[str, str] = {
    ResourceMissing.code: "ResourceMissing",
    ResourceHashDiffers.code: "SignatureOrHashSumWrongOrMissing",
    TrackWithoutDeal.code: "NoDealForTrackRelease",
    IsrcInvalid.code: "IdentifierSyntaxInvalid",
    MetadataInvalid.code: "MetadataMissing",
    DealWithoutTerm.code: _OTHER,
    ReferenceDangling.code: _OTHER,
    TerritoryUnknown.code: _OTHER,
    ErnUnreadable.code: _OTHER,
}


def acknowledge(
    message: ErnMessage,
    *,
    now: datetime,
    sender: str,
    faults: Sequence[Fault] = (),
    faulty: Sequence[tuple[str, str]] = (),
    said: str = "",
) -> bytes:
    """Return the acknowledgement of a message: of all of it, and of each resource at fault.

    ``said`` is what is to be known of one that was taken.
    """
    root = etree.Element(f"{{{NAMESPACE}}}FtpAcknowledgementMessage", nsmap={"ernc": NAMESPACE})
    root.set("MessageVersionId", "ern-c-sftp/16")
    header = etree.SubElement(root, "MessageHeader")
    for name, party in (("MessageSender", sender), ("MessageRecipient", message.sender)):
        named = etree.SubElement(etree.SubElement(header, name), "PartyName")
        etree.SubElement(named, "FullName").text = party
    created = now.isoformat(timespec="seconds")
    etree.SubElement(header, "MessageCreatedDateTime").text = created
    acknowledged = etree.SubElement(root, "AcknowledgedFile")
    etree.SubElement(acknowledged, "ReleaseId").text = message.id
    etree.SubElement(acknowledged, "Date").text = created
    etree.SubElement(root, "FileStatus").text = (
        _STATUSES.get(faults[0].code, _OTHER) if faults else _OK
    )
    lines = [f"{each.pointer}: {each.code}: {each.detail} {each.advice}" for each in faults]
    if lines or said:
        etree.SubElement(root, "ErrorText").text = "\n".join(lines or [said])
    for isrc, code in dict(faulty).items():
        affected = etree.SubElement(root, "AffectedResource")
        etree.SubElement(affected, "ISRC").text = isrc
        etree.SubElement(affected, "FileStatus").text = _STATUSES.get(code, _OTHER)
    data: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return data
