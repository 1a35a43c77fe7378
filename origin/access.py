"""Who is asking: labels by their key, listeners by where they are."""

from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from catalogue.errors import KeyMissing, KeyUnknown
from catalogue.identifiers import parse_territory
from origin.services import TERRITORY_HEADER, Services
from protection.tokens import hash_secret, secrets_equal, split_api_key

_bearer = HTTPBearer(auto_error=False, description="a label's API key")


def get_services(request: Request) -> Services:
    """Return the parts that the application was made with."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


Parts = Annotated[Services, Depends(get_services)]


def require_label(
    parts: Parts, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """Return the label whose key was sent. Raises KeyMissing, KeyUnknown."""
    if credentials is None:
        raise KeyMissing("No key was sent.")
    split = split_api_key(credentials.credentials)
    stored = parts.keys.find(split[0]) if split else None
    if split is None or stored is None:
        raise KeyUnknown("No such key was ever made.")
    if not secrets_equal(hash_secret(split[1]), stored.secret_sha256):
        raise KeyUnknown("No such key was ever made.")
    return stored.label


Label = Annotated[str, Depends(require_label)]


def find_territory(request: Request, parts: Parts) -> str | None:
    """Return where the listener is: what a trusted edge says, else the origin's own setting.

    A header from anywhere else is ignored. Raises TerritoryUnknown when the edge speaks nonsense.
    """
    said = request.headers.get(TERRITORY_HEADER)
    if said is not None and _is_trusted_edge(request, parts):
        return parse_territory(said)
    return parts.territory


Territory = Annotated[str | None, Depends(find_territory)]


def _is_trusted_edge(request: Request, parts: Services) -> bool:
    if request.client is None:
        return False
    try:
        peer = ip_address(request.client.host)
    except ValueError:
        return False
    return any(peer in network for network in parts.trusted_edges)
