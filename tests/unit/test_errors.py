import re
from pathlib import Path

import pytest

from catalogue import errors
from catalogue.errors import LatheError, leaves
from lathe.cli import exit_code
from origin.problems import STATUSES, status_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
LEAVES = leaves()
BRANCHES = [kind for kind in LatheError.__subclasses__() if kind not in LEAVES]
OF_THEIR_OWN = "Of their own"
NOWHERE = "–"

_ROW = re.compile(r"\| `([^`]+)` \| (\S+) \| (\S+) \| (.+?) \| (.+?) \|")


def branch_of(leaf: type[LatheError]) -> str:
    """Return the heading that a leaf stands under: its branch, in words."""
    branch = next(kind for kind in leaf.__mro__ if LatheError in kind.__bases__)
    if branch is leaf:
        return OF_THEIR_OWN
    return re.sub(r"(?<!^)([A-Z])", r" \1", branch.__name__).capitalize()


def documented() -> dict[str, tuple[str, ...]]:
    """Return heading, status, exit code, title and advice of every code in the document."""
    rows: dict[str, tuple[str, ...]] = {}
    heading = ""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        if row := _ROW.fullmatch(line):
            assert row[1] not in rows, f"{row[1]} stands there twice"
            rows[row[1]] = (heading, *row.groups()[1:])
    return rows


def test_the_tree_has_leaves_in_every_branch() -> None:
    assert len(LEAVES) > 40
    for branch in BRANCHES:
        assert leaves(branch), branch


def test_codes_are_unique_and_in_order() -> None:
    codes = [leaf.code for leaf in LEAVES]
    assert codes == sorted(set(codes))


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_speaks_for_itself(leaf: type[LatheError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", leaf.code)
    for words in (leaf.title, leaf.advice):
        assert words == words.strip() != ""
        assert words[0].isupper() or words.startswith("lathe")
    assert not leaf.title.endswith(".")
    assert leaf.advice.endswith((".", "?"))
    for name in ("code", "title", "advice"):
        assert name in vars(leaf), f"{leaf.__name__} takes its {name} from another"
    assert not leaf.__subclasses__()


@pytest.mark.parametrize("leaf", LEAVES)
def test_an_instance_adds_the_case_and_the_figures(leaf: type[LatheError]) -> None:
    fault = leaf("This case.", samples=3, file=None)
    assert (fault.detail, dict(fault.measured)) == ("This case.", {"samples": 3, "file": None})
    assert str(fault) == "This case."


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_is_no_leaf_and_has_a_status(branch: type[LatheError]) -> None:
    assert "code" not in vars(branch)
    assert branch in STATUSES


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_has_a_status_and_an_exit_code(leaf: type[LatheError]) -> None:
    assert 400 <= status_of(leaf) < 600
    assert exit_code(leaf("")) in (1, 4, 130)


def test_an_error_without_a_status_is_noticed() -> None:
    with pytest.raises(LookupError):
        status_of(LatheError)


def test_only_what_is_away_may_be_retried() -> None:
    retryable = {leaf for leaf in LEAVES if leaf.retryable}
    assert retryable == set(leaves(errors.Unavailable))


@pytest.mark.parametrize(
    ("leaf", "status", "code"),
    [
        (errors.MasterCorrupt, 422, 1),
        (errors.MasterTooLarge, 413, 1),
        (errors.KeyUnknown, 401, 1),
        (errors.TerritoryNotLicensed, 451, 1),
        (errors.UrlUntrusted, 403, 1),
        (errors.UrlExpired, 410, 1),
        (errors.TrackNotFound, 404, 1),
        (errors.MethodNotSupported, 405, 1),
        (errors.RangeUnsatisfiable, 416, 1),
        (errors.ObjectDiffers, 409, 1),
        (errors.CatalogueUnavailable, 503, 4),
        (errors.Stopped, 503, 130),
        (errors.EncoderInexact, 500, 1),
    ],
)
def test_the_nearest_ancestor_decides(leaf: type[LatheError], status: int, code: int) -> None:
    assert (status_of(leaf), exit_code(leaf(""))) == (status, code)


def test_every_error_is_documented_and_nothing_else() -> None:
    assert sorted(documented()) == [leaf.code for leaf in LEAVES]


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_document_says_what_the_tree_says(leaf: type[LatheError]) -> None:
    heading, status, code, title, advice = documented()[leaf.code]
    assert (heading, title, advice) == (branch_of(leaf), leaf.title, leaf.advice)
    assert status in (str(status_of(leaf)), NOWHERE)
    assert code in (str(exit_code(leaf(""))), NOWHERE)
    assert (status, code) != (NOWHERE, NOWHERE)


def test_every_code_that_the_document_names_is_a_code() -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", DOCUMENT.read_text("utf-8")))
    assert named == {leaf.code for leaf in LEAVES if "-" in leaf.code}
