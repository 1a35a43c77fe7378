"""What every catalogue of uploads promises: see catalogue.uploads.Uploads."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from catalogue.errors import Unavailable, UploadBusy, UploadNotFound, UploadsFull
from catalogue.nouns import Sha256
from catalogue.uploads import Upload, UploadBounds, UploadId, UploadKind, Uploads
from tests.contract.conftest import Catalogue
from tests.contract.examples import NOON

ONE = Upload(
    id=UploadId("upl_" + "0" * 26),
    label="the-label",
    kind=UploadKind.WHOLE,
    size_bytes=1000,
    said="filename YQ==",
    filename="a",
    created_at=NOON,
    expires_at=NOON + timedelta(days=7),
)
OTHER = replace(
    ONE,
    id=UploadId("upl_" + "1" * 26),
    size_bytes=None,
    kind=UploadKind.FINAL,
    joined="final;/v1/uploads/x",
    expires_at=NOON + timedelta(days=1),
)
FOREIGN = replace(ONE, id=UploadId("upl_" + "2" * 26), label="another")
AMPLE = UploadBounds(count=100, size_bytes=1 << 40)
SOON = NOON + timedelta(seconds=10)
LABEL = ONE.label


@pytest.fixture
def filled(catalogue: Catalogue) -> Catalogue:
    for upload in (ONE, OTHER, FOREIGN):
        catalogue.uploads.add(upload, bounds=AMPLE)
    return catalogue


def claim(catalogue: Catalogue, token: str, upload: Upload = ONE) -> Upload:
    return catalogue.uploads.claim(upload.id, token, label=upload.label, now=NOON, until=SOON)


def test_what_is_added_is_found_by_its_label_alone(filled: Catalogue) -> None:
    for upload in (ONE, OTHER, FOREIGN):
        assert filled.uploads.get(upload.id, label=upload.label) == upload
    with pytest.raises(UploadNotFound):
        filled.uploads.get(FOREIGN.id, label=LABEL)
    with pytest.raises(UploadNotFound):
        claim(filled, "a", replace(FOREIGN, label=LABEL))


def test_uploads_are_listed_in_pages(filled: Catalogue) -> None:
    assert filled.uploads.page(label=LABEL, after="", limit=9) == [ONE, OTHER]
    assert filled.uploads.page(label=LABEL, after=ONE.id, limit=9) == [OTHER]
    assert filled.uploads.page(label=LABEL, after="", limit=1) == [ONE]
    assert filled.uploads.page(label="nobody", after="", limit=9) == []


def test_one_writes_at_a_time(filled: Catalogue) -> None:
    uploads = filled.uploads
    assert claim(filled, "a") == replace(ONE, claimed_until=SOON)
    with pytest.raises(UploadBusy) as busy:
        claim(filled, "b")
    assert busy.value.measured["left_s"] == 10
    assert claim(filled, "c", OTHER) == replace(OTHER, claimed_until=SOON)
    uploads.release(ONE.id, "b")
    with pytest.raises(UploadBusy):
        claim(filled, "b")
    uploads.release(ONE.id, "a")
    assert claim(filled, "b") == replace(ONE, claimed_until=SOON)


def test_a_claim_runs_out_and_its_writer_notices(filled: Catalogue) -> None:
    uploads = filled.uploads
    claim(filled, "a")
    later = SOON + timedelta(seconds=10)
    uploads.renew(ONE.id, "a", until=SOON)
    taken = uploads.claim(ONE.id, "b", label=LABEL, now=SOON, until=later)
    assert taken == replace(ONE, claimed_until=later)
    uploads.release(ONE.id, "a")
    changes: list[Callable[[], object]] = [
        lambda: uploads.renew(ONE.id, "a", until=later),
        lambda: uploads.begin(ONE.id, "a", handle="x"),
        lambda: uploads.measure(ONE.id, "a", size_bytes=1, bounds=AMPLE),
    ]
    for change in changes:
        with pytest.raises(UploadBusy):
            change()
    assert uploads.get(ONE.id, label=LABEL) == taken


def test_what_is_learnt_of_an_upload_is_remembered(filled: Catalogue) -> None:
    uploads, sha256 = filled.uploads, Sha256("ab" * 32)
    claim(filled, "a", OTHER)
    uploads.begin(OTHER.id, "a", handle="the handle")
    uploads.measure(OTHER.id, "a", size_bytes=5, bounds=AMPLE)
    uploads.prolong(OTHER.id, expires_at=SOON)
    uploads.finish(OTHER.id, sha256=None, now=NOON)
    uploads.release(OTHER.id, "a")
    known = replace(OTHER, handle="the handle", size_bytes=5, expires_at=SOON, finished_at=NOON)
    assert uploads.get(OTHER.id, label=LABEL) == known
    uploads.finish(OTHER.id, sha256=sha256, now=NOON)
    uploads.adopt(OTHER.id, now=SOON)
    assert uploads.get(OTHER.id, label=LABEL) == replace(known, sha256=sha256, adopted_at=SOON)
    assert uploads.get(ONE.id, label=LABEL) == ONE


def test_a_label_has_no_more_open_than_it_may(filled: Catalogue) -> None:
    uploads = filled.uploads
    third = replace(ONE, id=UploadId("upl_" + "3" * 26))
    for bounds in (UploadBounds(count=2, size_bytes=9999), UploadBounds(count=9, size_bytes=1999)):
        with pytest.raises(UploadsFull) as full:
            uploads.add(third, bounds=bounds)
        assert full.value.measured["max_uploads"] == bounds.count
        assert full.value.measured["max_bytes"] == bounds.size_bytes
    with pytest.raises(UploadNotFound):
        uploads.get(third.id, label=LABEL)
    with pytest.raises(UploadsFull):
        uploads.add(third, bounds=UploadBounds(count=9, size_bytes=2999, unsaid_bytes=1000))
    claim(filled, "a", OTHER)
    with pytest.raises(UploadsFull):
        uploads.measure(
            OTHER.id, "a", size_bytes=1001, bounds=UploadBounds(count=2, size_bytes=2000)
        )
    assert uploads.get(OTHER.id, label=LABEL).size_bytes is None
    uploads.adopt(ONE.id, now=NOON)
    uploads.add(third, bounds=UploadBounds(count=2, size_bytes=1000))


def test_what_is_over_is_found_and_removed(filled: Catalogue) -> None:
    uploads = filled.uploads
    assert uploads.expired(now=NOON, limit=9) == []
    assert uploads.expired(now=OTHER.expires_at, limit=9) == [OTHER.id]
    week = NOON + timedelta(days=7)
    assert uploads.expired(now=week, limit=9)[0] == OTHER.id
    assert set(uploads.expired(now=week, limit=9)) == {ONE.id, OTHER.id, FOREIGN.id}
    assert len(uploads.expired(now=week, limit=2)) == 2
    uploads.remove([ONE.id, OTHER.id, UploadId("none")])
    assert uploads.page(label=LABEL, after="", limit=9) == []
    assert uploads.get(FOREIGN.id, label=FOREIGN.label) == FOREIGN


METHODS = [name for name in vars(Uploads) if not name.startswith("_")]


@pytest.mark.parametrize("method", METHODS)
def test_uploads_that_are_away_say_so(away_catalogue: Catalogue, method: str) -> None:
    uploads = away_catalogue.uploads
    calls: dict[str, Callable[[], object]] = {
        "add": lambda: uploads.add(ONE, bounds=AMPLE),
        "get": lambda: uploads.get(ONE.id, label=LABEL),
        "page": lambda: uploads.page(label=LABEL, after="", limit=1),
        "claim": lambda: claim(away_catalogue, "a"),
        "renew": lambda: uploads.renew(ONE.id, "a", until=SOON),
        "release": lambda: uploads.release(ONE.id, "a"),
        "begin": lambda: uploads.begin(ONE.id, "a", handle="x"),
        "measure": lambda: uploads.measure(ONE.id, "a", size_bytes=1, bounds=AMPLE),
        "prolong": lambda: uploads.prolong(ONE.id, expires_at=SOON),
        "finish": lambda: uploads.finish(ONE.id, sha256=None, now=NOON),
        "adopt": lambda: uploads.adopt(ONE.id, now=NOON),
        "remove": lambda: uploads.remove([ONE.id]),
        "expired": lambda: uploads.expired(now=NOON, limit=1),
    }
    with pytest.raises(Unavailable):
        calls[method]()


@pytest.mark.parametrize("method", ["prolong", "finish", "adopt"])
def test_what_there_is_not_cannot_be_changed(catalogue: Catalogue, method: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "prolong": lambda: catalogue.uploads.prolong(ONE.id, expires_at=SOON),
        "finish": lambda: catalogue.uploads.finish(ONE.id, sha256=None, now=NOON),
        "adopt": lambda: catalogue.uploads.adopt(ONE.id, now=NOON),
    }
    with pytest.raises(UploadNotFound):
        calls[method]()
