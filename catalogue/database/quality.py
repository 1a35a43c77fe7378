"""Reports of quality in SQL."""

from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Engine, select, update

from catalogue.database.engine import insert_new, reading, writing
from catalogue.database.schema import quality_reports
from catalogue.quality import QualityReport

_REPORT = TypeAdapter(QualityReport)


class SqlQualityReports:
    """See catalogue.quality.QualityReports."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def put(self, master_sha256: str, report: QualityReport, *, now: datetime) -> None:
        """See QualityReports.put."""
        row = {
            "master_sha256": master_sha256,
            "recipe": report.recipe,
            "report": _REPORT.dump_python(report, mode="json"),
            "created_at": now,
        }
        own = update(quality_reports).where(quality_reports.c.master_sha256 == master_sha256)
        with writing(self._engine) as connection:
            if not insert_new(connection, quality_reports, row):
                connection.execute(own.values(**row))

    def get(self, master_sha256: str) -> QualityReport | None:
        """See QualityReports.get."""
        own = quality_reports.c.master_sha256 == master_sha256
        with reading(self._engine) as connection:
            found = connection.execute(select(quality_reports.c.report).where(own)).scalar()
        return None if found is None else _REPORT.validate_python(found)
