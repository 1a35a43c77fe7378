"""Manifests with what is a listener's own left open: the same as rendered whole, packed or not."""

import gzip
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.json import build_json_template, render_face, render_json
from manifests.manifest import Manifest
from manifests.template import build_template, write_values
from origin.tracks import FACES
from tests.contract.examples import AAC, ALAC, NOON, OGG, make_rendition

MANIFEST = Manifest(
    title="Ode № 1",
    artist="9999-01-02T03:04:05",
    isrc="ZZTST2600001",
    track_id="trk_1",
    quality="hires",
    renditions=tuple(make_rendition(tier) for tier in (OGG, AAC, ALAC)),
    prefixes=("a/", "b/", "c/"),
    expires_at=NOON + timedelta(hours=1),
    refresh_after=NOON + timedelta(minutes=50),
    refresh_url="manifest",
)


@pytest.mark.parametrize("face", FACES)
@given(
    prefixes=st.lists(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=300),
        min_size=3,
        max_size=3,
    ),
    minutes=st.integers(0, 10**6),
)
@settings(max_examples=50, deadline=None)
def test_a_template_filled_is_the_manifest_rendered(
    face: str, prefixes: list[str], minutes: int
) -> None:
    render, _ = FACES[face]
    at = NOON + timedelta(minutes=minutes)
    signed = tuple(f"{prefix}/" for prefix in prefixes)
    expected = render(replace(MANIFEST, prefixes=signed, expires_at=at, refresh_after=at))
    template = build_template(render, MANIFEST)
    values = write_values(signed, at, at)
    whole = template.fill(values)
    assert whole == expected
    assert gzip.decompress(template.pack(values, whole)) == expected


def test_a_template_of_faces_is_the_manifest_rendered() -> None:
    faces = [render_face(each).encode() for each in MANIFEST.renditions]
    template = build_json_template(MANIFEST.heading, faces, refresh_url="manifest")
    values = write_values(
        MANIFEST.prefixes, NOON + timedelta(hours=1), NOON + timedelta(minutes=50)
    )
    assert template.fill(values) == render_json(MANIFEST)


def test_what_is_packed_is_shorter_and_its_size_is_told() -> None:
    template = build_template(render_json, MANIFEST)
    values = write_values(MANIFEST.prefixes, NOON, NOON)
    whole = template.fill(values)
    assert len(template.pack(values, whole)) < len(whole) * 2 / 3
    pieces = [*template._pieces, *template._deflated]
    assert sum(map(len, pieces)) <= template.size_bytes <= 3 * len(whole)


def test_a_value_longer_than_a_block_is_refused() -> None:
    template = build_template(render_json, MANIFEST)
    values = write_values(["x" * 65536, "b/", "c/"], NOON, NOON)
    with pytest.raises(ValueError, match="longer than a stored block"):
        template.pack(values, template.fill(values))
