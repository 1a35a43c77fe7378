"""Keys for a partner: what is exported opens with its private key, and with no other."""

from pathlib import Path

import pytest

from catalogue.errors import SettingsInvalid
from manifests.cpix import render_cpix
from protection.cenc import derive_cenc_key
from protection.content_keys import ContentKey
from protection.cpix import read_partners, seal_keys
from tests.partners import TestPartner

KEYS = [derive_cenc_key(ContentKey(f"{number:032x}", bytes([number]) * 32)) for number in (1, 2)]


@pytest.fixture(scope="module")
def partner() -> TestPartner:
    return TestPartner.make()


def test_a_partner_reads_what_is_sealed_for_it(partner: TestPartner, tmp_path: Path) -> None:
    partner.put(tmp_path, "one")
    found = read_partners(tmp_path, "LATHE_CPIX_PARTNERS")
    document = render_cpix(seal_keys(found["one"], KEYS))
    assert partner.read(document) == {key.id.hex(): (key.key, key.iv) for key in KEYS}
    assert list(partner.read(document)) == [key.id.hex() for key in KEYS]
    for key in KEYS:
        assert key.key.hex() not in document.decode()
    # Nothing is used twice.
    assert render_cpix(seal_keys(found["one"], KEYS)) != document
    with pytest.raises(ValueError, match="failed"):
        TestPartner.make().read(document)


def test_certificates_are_looked_at_when_they_are_read(
    partner: TestPartner, tmp_path: Path
) -> None:
    assert read_partners(tmp_path, "S") == {}
    partner.put(tmp_path, "one")
    (tmp_path / "notes.txt").write_text("not a certificate")
    assert list(read_partners(tmp_path, "S")) == ["one"]
    TestPartner.make(1024).put(tmp_path, "short")
    with pytest.raises(SettingsInvalid, match=r"short\.pem has no RSA key of 2048 bits"):
        read_partners(tmp_path, "S")
    (tmp_path / "short.pem").write_text("nonsense")
    with pytest.raises(SettingsInvalid, match=r"short\.pem is no certificate"):
        read_partners(tmp_path, "S")
