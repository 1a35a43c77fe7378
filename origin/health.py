"""Whether the origin lives, and whether it can work."""

from fastapi import APIRouter
from pydantic import BaseModel

from catalogue import errors
from origin.access import Parts
from origin.problems import responses

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """An origin that answers."""

    status: str = "ok"


@router.get("/live")
async def get_live() -> Health:
    """Answer as long as the process does."""
    return Health()


@router.get("/ready", responses=responses(errors.CatalogueUnavailable))
def get_ready(parts: Parts) -> Health:
    """Answer when the catalogue does."""
    parts.keys.is_empty()
    return Health()
