"""Routes that answer HEAD as they answer GET."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Response

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def get_and_head(
    router: APIRouter,
    path: str,
    *,
    responses: dict[int | str, dict[str, Any]],
    dependencies: Sequence[Any] = (),
) -> Callable[[_Endpoint], _Endpoint]:
    """Return a decorator that serves ``path`` to GET and HEAD, each documented under its name.

    The server leaves the body out of what it answers to HEAD.
    """

    def declare(endpoint: _Endpoint) -> _Endpoint:
        # The first route answers both, so that Allow names both; a route that is documented
        # gives its one name to each of its methods, so the others are there to be documented.
        methods = ["GET", "HEAD"]
        router.add_api_route(
            path,
            endpoint,
            methods=methods,
            response_class=Response,
            include_in_schema=False,
            dependencies=dependencies,
        )
        for method, name in zip(methods, ("", "head_"), strict=True):
            router.add_api_route(
                path,
                endpoint,
                methods=[method],
                operation_id=f"{name}{endpoint.__name__}",
                response_class=Response,
                responses=responses,
                dependencies=dependencies,
            )
        return endpoint

    return declare
