import re
from ipaddress import ip_network
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from catalogue.errors import SettingsInvalid
from lathe.serving import build_services
from lathe.settings import PREFIX, Settings, read_settings
from lathe.wiring import open_house, open_stores, open_url_keys

README = Path(__file__).parents[2] / "README.md"
_ROW = re.compile(r"\| `(LATHE_[A-Z_]+)` \|(.*?)\| (.+?) \|")


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> SettingsInvalid:
    """Return why the settings in an environment are refused."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        read_settings()
    return caught.value


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)


def documented() -> dict[str, tuple[str, str]]:
    """Return default and meaning of every setting in the table of the README."""
    rows = (_ROW.fullmatch(line) for line in README.read_text("utf-8").splitlines())
    return {row[1]: (row[2], row[3]) for row in rows if row}


def test_all_settings_are_documented_and_no_others() -> None:
    assert set(documented()) == {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert all(meaning.strip() for _, meaning in documented().values())
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    "name",
    ["state", "queue", "host", "port", "territory", "trusted_edges", "threads", "heartbeat_s"],
)
def test_a_documented_default_is_the_default(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    default = documented()[f"{PREFIX}{name.upper()}"][0].strip("` ")
    plain = read_settings()
    if default:
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", default)
    assert getattr(read_settings(), name) == getattr(plain, name)


def test_everything_is_below_the_state_folder_by_default(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path)
    assert settings.catalogue_url == f"sqlite:///{tmp_path}/catalogue.sqlite3"
    assert settings.store_url == f"file://{tmp_path}/store"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATHE_PORT", "0")
    monkeypatch.setenv("LATHE_STORE", "file:///srv/music")
    monkeypatch.setenv("LATHE_TRUSTED_EDGES", '["10.0.0.0/8", "fd00::/8"]')
    settings = read_settings()
    assert settings.port == 0
    assert settings.store_url == "file:///srv/music"
    assert settings.trusted_edges == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_settings_come_from_the_environment_that_is_given() -> None:
    assert read_settings({"LATHE_PORT": "8601"}).port == 8601


@pytest.mark.parametrize("name", ["LATHE_PORTS", "LATHE_", "LATHE_port", "LATHE_DEBUG"])
def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fault = refusal(monkeypatch, **{name: "kept to itself"})
    assert fault.measured == {"setting": name}
    assert name in fault.detail
    assert "kept to itself" not in fault.detail


def test_names_of_others_are_none_of_its_business() -> None:
    read_settings({"LATHES": "x", "PORT": "x", "XLATHE_PORT": "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LATHE_PORT", "eighty-six"),
        ("LATHE_PORT", "65536"),
        ("LATHE_PORT", "-1"),
        ("LATHE_THREADS", "0"),
        ("LATHE_THREADS", "65"),
        ("LATHE_MAX_MASTER_BYTES", "0"),
        ("LATHE_MAX_MASTER_BYTES", "8 GiB"),
        ("LATHE_HEARTBEAT_S", "0"),
        ("LATHE_HEARTBEAT_S", "nan"),
        ("LATHE_SILENCE_S", "-12"),
        ("LATHE_SILENCE_S", "nan"),
        ("LATHE_SILENCE_S", "inf"),
        ("LATHE_TRUSTED_EDGES", '["10.0.0.300/8"]'),
        ("LATHE_TRUSTED_EDGES", '["10.0.0.1/8"]'),
        ("LATHE_TRUSTED_EDGES", "10.0.0.0/8"),
        ("LATHE_TERRITORY", "Atlantis"),
        ("LATHE_TERRITORY", "ZZ"),
        ("LATHE_TERRITORY", "Worldwide"),
    ],
)
def test_a_bad_value_is_refused_without_quoting_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    fault = refusal(monkeypatch, **{name: value})
    assert fault.measured == {"setting": name}
    shown = re.sub(r"[0-9]+ and [0-9]+|than(?: or equal to)? [0-9]+", "", fault.detail)
    assert value.strip('[]"') not in shown.replace(name, "")


@pytest.mark.parametrize("value", ["file://relative", "/srv/music", "ftp://127.0.0.1/x", "s3://"])
def test_any_other_store_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        open_stores(Settings(state=tmp_path, store=value))
    assert caught.value.measured == {"setting": "LATHE_STORE"}


@pytest.mark.parametrize("value", ["nonsense", "mysql://127.0.0.1/x", "postgres", "sqlite:/x:y"])
def test_any_other_catalogue_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        open_house(Settings(state=tmp_path, catalogue=value))
    assert caught.value.measured == {"setting": "LATHE_CATALOGUE"}


@pytest.mark.parametrize(("heartbeat_s", "silence_s"), [("2", "5.9"), ("4.1", "12"), ("5", "5")])
def test_silence_shorter_than_three_heartbeats_is_refused(
    monkeypatch: pytest.MonkeyPatch, heartbeat_s: str, silence_s: str
) -> None:
    fault = refusal(monkeypatch, LATHE_HEARTBEAT_S=heartbeat_s, LATHE_SILENCE_S=silence_s)
    assert fault.measured == {"setting": "LATHE_SILENCE_S"}


def test_silence_of_three_heartbeats_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATHE_HEARTBEAT_S", "0.5")
    monkeypatch.setenv("LATHE_SILENCE_S", "1.5")
    settings = read_settings()
    assert (settings.heartbeat_s, settings.silence_s) == (0.5, 1.5)


@pytest.mark.parametrize("territory", ["US", "us", " us "])
def test_an_origin_says_where_listeners_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, territory: str
) -> None:
    monkeypatch.setenv("LATHE_TERRITORY", territory)
    monkeypatch.setenv("LATHE_STATE", str(tmp_path))
    house = open_house(read_settings())
    assert build_services(house, CollectorRegistry()).territory == "US"
    house.engine.dispose()


def test_a_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "c2VjcmV0" * 6
    monkeypatch.setenv("LATHE_URL_KEYS", f"k:{secret}")
    settings = read_settings()
    assert secret not in f"{settings!r} {settings} {settings.model_dump()}"
    assert open_url_keys(settings).first_kid == "k"


def test_settings_are_frozen() -> None:
    settings = read_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
