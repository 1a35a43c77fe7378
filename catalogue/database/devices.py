"""Devices in SQL, the challenges they answer, and what labels demand of them."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from catalogue.auditing import Deed, record
from catalogue.database.audits import keep
from catalogue.database.content_keys import owner_of
from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import (
    accounts,
    challenges,
    content_keys,
    devices,
    download_tracks,
    downloads,
    label_policies,
)
from catalogue.errors import (
    DeviceExists,
    DeviceNotFound,
    DeviceRevoked,
    DevicesFull,
    TooManySwaps,
)
from catalogue.nouns import AccountId
from catalogue.offline import (
    REPEATS_MOST,
    Device,
    DeviceId,
    DeviceKind,
    DeviceLimits,
    Form,
    LabelPolicy,
    Renewal,
)
from catalogue.quality import write_rules

_POLICY = TypeAdapter(LabelPolicy)


_ONE = select(devices).where(
    devices.c.id == bindparam("device"), devices.c.account_id == bindparam("account")
)
_LOCKED = select(devices).where(devices.c.id == bindparam("device")).with_for_update()
_RENEWED = (
    update(devices)
    .where(devices.c.id == bindparam("device"))
    .values(
        serial=bindparam("now_serial"),
        mark=bindparam("now_mark"),
        basis=bindparam("now_basis"),
        repeats=bindparam("now_repeats"),
        seen_at=bindparam("now"),
    )
)
_SPENT = delete(challenges).where(
    challenges.c.challenge == bindparam("said"),
    challenges.c.account_id == bindparam("account"),
    challenges.c.device_id == bindparam("device"),
    challenges.c.until > bindparam("now"),
)


class SqlDevices:
    """See catalogue.offline.Devices."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def challenge(
        self,
        account_id: AccountId,
        challenge: str,
        *,
        now: datetime,
        until: datetime,
        device_id: DeviceId | None = None,
    ) -> None:
        """See Devices.challenge."""
        row = {
            "challenge": challenge,
            "account_id": account_id,
            "device_id": device_id or "",
            "until": until,
        }
        gone = challenges.c.until <= now
        if device_id is not None:
            own = and_(challenges.c.account_id == account_id, challenges.c.device_id == device_id)
            gone = or_(gone, own)
        with writing(self._engine) as connection:
            connection.execute(delete(challenges).where(gone))
            connection.execute(insert(challenges).values(**row))

    def spend(self, account_id: AccountId, challenge: str, *, now: datetime) -> bool:
        """See Devices.spend."""
        with writing(self._engine) as connection:
            return _spend(connection, account_id, "", challenge, now)

    def register(self, device: Device, limits: DeviceLimits) -> None:
        """See Devices.register."""
        own = devices.c.account_id == device.account_id
        try:
            with writing(self._engine) as connection:
                _lock_account(connection, device.account_id)
                dates = connection.execute(
                    select(devices.c.created_at, devices.c.revoked_at).where(own)
                ).all()
                here = sum(revoked_at is None for _, revoked_at in dates)
                if here >= limits.at_once:
                    raise DevicesFull(
                        f"The account has {here} devices.", devices=here, most=limits.at_once
                    )
                lately = sorted(created_at for created_at, _ in dates if created_at > limits.since)
                if len(lately) >= limits.lately:
                    raise _too_many(lately, limits)
                connection.execute(insert(devices).values(**asdict(device)))
                entry = record(
                    Deed.DEVICE_REGISTERED,
                    device.id,
                    now=device.created_at,
                    account=device.account_id,
                    kind=device.kind,
                )
                keep(connection, entry)
        except IntegrityError as fault:
            raise DeviceExists("Its key is known.") from fault

    def of(self, account_id: AccountId) -> list[Device]:
        """See Devices.of."""
        own = and_(devices.c.account_id == account_id, devices.c.revoked_at.is_(None))
        query = select(devices).where(own).order_by(devices.c.created_at, devices.c.id)
        with reading(self._engine) as connection:
            return [_build(row) for row in connection.execute(query)]

    def get(self, account_id: AccountId, device_id: DeviceId) -> Device:
        """See Devices.get."""
        named = {"device": device_id, "account": account_id}
        with reading(self._engine) as connection:
            row = connection.execute(_ONE, named).first()
        if row is None:
            raise _not_found(device_id)
        if row.revoked_at is not None:
            raise DeviceRevoked("It was removed.", device=device_id)
        return _build(row)

    def revoke(self, account_id: AccountId, device_id: DeviceId, *, now: datetime) -> None:
        """See Devices.revoke."""
        own = and_(_own(account_id, device_id), devices.c.revoked_at.is_(None))
        with writing(self._engine) as connection:
            gone = update(devices).where(own).values(revoked_at=now)
            if connection.execute(gone).rowcount != 1:
                raise _not_found(device_id)
            still = and_(downloads.c.device_id == device_id, downloads.c.removed_at.is_(None))
            connection.execute(update(downloads).where(still).values(removed_at=now))
            had = download_tracks.c.device_id == device_id
            connection.execute(delete(download_tracks).where(had))
            owners = [owner_of(form, device_id) for form in Form]
            connection.execute(delete(content_keys).where(content_keys.c.owner.in_(owners)))
            entry = record(Deed.DEVICE_REVOKED, device_id, now=now, account=account_id)
            keep(connection, entry)

    def renew(
        self, device: Device, challenge: str, *, shown: str, mark: str, now: datetime
    ) -> Renewal:
        """See Devices.renew."""
        with writing(self._engine) as connection:
            row = connection.execute(_LOCKED, {"device": device.id}).one()
            if row.revoked_at is not None:
                raise DeviceRevoked("It was removed.", device=device.id)
            if not _spend(connection, device.account_id, device.id, challenge, now):
                return Renewal.NOT_OPEN
            again = shown != row.mark
            if shown == row.mark or (shown == row.basis and row.repeats < REPEATS_MOST):
                given = {
                    "device": device.id,
                    "now_serial": row.serial + 1,
                    "now_mark": mark,
                    "now_basis": shown,
                    "now_repeats": row.repeats + 1 if again else 0,
                    "now": now,
                }
                connection.execute(_RENEWED, given)
                return Renewal.GIVEN
            grown = update(devices).where(devices.c.id == device.id)
            connection.execute(grown.values(clones=devices.c.clones + 1))
            entry = record(
                Deed.DEVICE_CLONED,
                device.id,
                now=now,
                account=row.account_id,
                newest=row.serial,
            )
            keep(connection, entry)
        return Renewal.COPIED


class SqlPolicies:
    """See catalogue.offline.Policies."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, label: str) -> LabelPolicy:
        """See Policies.get."""
        query = select(label_policies.c.policy).where(label_policies.c.label == label)
        with reading(self._engine) as connection:
            found = connection.execute(query).scalar()
        return LabelPolicy() if found is None else _POLICY.validate_python(found)

    def put(self, label: str, policy: LabelPolicy, *, now: datetime) -> None:
        """See Policies.put."""
        said = _POLICY.dump_python(policy, mode="json")
        own = update(label_policies).where(label_policies.c.label == label)
        with writing(self._engine) as connection:
            if not insert_new(connection, label_policies, {"label": label, "policy": said}):
                connection.execute(own.values(policy=said))
            told = said | {"quality": write_rules(policy.quality.settings)}
            keep(connection, record(Deed.POLICY_SET, label, now=now, **told))


def _spend(
    connection: Connection, account_id: str, device_id: str, challenge: str, now: datetime
) -> bool:
    said = {"said": challenge, "account": account_id, "device": device_id, "now": now}
    return connection.execute(_SPENT, said).rowcount == 1


def _own(account_id: AccountId, device_id: DeviceId) -> Any:
    return and_(devices.c.id == device_id, devices.c.account_id == account_id)


def _lock_account(connection: Connection, account_id: AccountId) -> None:
    """Let nobody else register a device of an account meanwhile."""
    connection.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


def _too_many(lately: list[datetime], limits: DeviceLimits) -> TooManySwaps:
    # So long until one of them is so long ago that one more fits.
    waits = lately[len(lately) - limits.lately] - limits.since
    retry_after_s = max(1, -(-waits // timedelta(seconds=1)))
    return TooManySwaps(
        f"{len(lately)} devices were registered since {limits.since:%Y-%m-%d}.",
        devices=len(lately),
        most=limits.lately,
        retry_after_s=retry_after_s,
    )


def _not_found(device_id: DeviceId) -> DeviceNotFound:
    return DeviceNotFound("The account has no device of this id.", device=str(device_id)[:60])


def _build(row: Row[Any]) -> Device:
    named = row._asdict()
    return Device(**named | {"kind": DeviceKind(row.kind)})
