import pytest

from catalogue.errors import ObjectNotFound
from catalogue.nouns import RenditionId, Sha256
from storage.keys import master_key, rendition_key, require_key

HASH = "0123456789abcdef" * 4
RENDITION = f"aac-256-{'0f' * 16}"


def test_a_master_is_keyed_by_its_hash() -> None:
    assert master_key(Sha256(HASH)) == f"masters/{HASH}"


@pytest.mark.parametrize("name", ["init.mp4", "init.ogg", "preroll.m4s", "preroll.ogg"])
def test_an_object_of_a_rendition_is_keyed_by_its_name(name: str) -> None:
    assert rendition_key(RenditionId(RENDITION), name) == f"renditions/{RENDITION}/{name}"


@pytest.mark.parametrize("number", ["00000", "99999", "100000", "12345678"])
@pytest.mark.parametrize("ending", ["m4s", "ogg"])
def test_a_chunk_is_keyed_by_its_number(number: str, ending: str) -> None:
    key = rendition_key(RenditionId(RENDITION), f"{number}.{ending}")
    assert key == f"renditions/{RENDITION}/{number}.{ending}"
    assert require_key(key) == key


@pytest.mark.parametrize(
    "sha256",
    ["", HASH[:-1], HASH + "0", HASH.upper(), HASH[:-1] + "g", HASH + "\n", "../" + HASH[:-3]],
)
def test_what_is_no_hash_is_no_key(sha256: str) -> None:
    with pytest.raises(ObjectNotFound):
        master_key(Sha256(sha256))


@pytest.mark.parametrize(
    "rendition",
    [
        "",
        ".",
        "..",
        "../masters",
        "aac/256",
        "aac\\256",
        "AAC-256",
        "aac--256",
        "-aac",
        "aac-",
        "aac_256",
        "aac 256",
        "aac\0",
        "aac\n",
        "aàc",
        "٣",
        "a" * 200,
        "-".join("a" * 10),
    ],
)
def test_what_is_no_rendition_is_no_key(rendition: str) -> None:
    with pytest.raises(ObjectNotFound):
        rendition_key(RenditionId(rendition), "00000.m4s")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "0000.m4s",
        "000000000.m4s",
        "00000",
        "00000.wav",
        "00000.m4s.bak",
        "00000.M4S",
        "٠٠٠٠٠.m4s",
        "-0001.m4s",
        "init",
        "media.m3u8",
        ".init.mp4",
        "init.mp4/",
        "init.mp4\n",
        "init.mp4\0",
        "../init.mp4",
    ],
)
def test_what_is_no_name_is_no_key(name: str) -> None:
    with pytest.raises(ObjectNotFound):
        rendition_key(RenditionId(RENDITION), name)


@pytest.mark.parametrize(
    "text", ["", "/", "masters", "masters/", f"/masters/{HASH}", f"MASTERS/{HASH}", f"x/{HASH}"]
)
def test_any_other_text_is_no_key(text: str) -> None:
    with pytest.raises(ObjectNotFound):
        require_key(text)


def test_a_refusal_does_not_repeat_what_was_typed() -> None:
    with pytest.raises(ObjectNotFound) as caught:
        require_key("renditions/<script>/init.mp4")
    assert "script" not in caught.value.detail
    assert caught.value.measured == {}
