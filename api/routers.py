"""The paths of viewsets: without a trailing slash, and with client ids that may be URLs."""

from urllib.parse import unquote

from rest_framework.routers import DynamicRoute, Route, SimpleRouter


class ClientIdConverter:
    """A client id in a path. It is decoded once more than paths are.

    Servers decode `%2F`, and then a slash of the id looks like one of the path. That does no harm
    unless the id ends like the path of something below a client. `%252F` is never mistaken, also
    by proxies that refuse `%2F` or merge slashes. No client id has a percent sign.
    """

    regex = ".+"

    def to_python(self, value: str) -> str:
        return unquote(value, errors="strict")

    def to_url(self, value: str) -> str:
        return value.replace("%", "%25").replace("/", "%2F")


class Router(SimpleRouter):
    """DRF's, with names like those of other paths.

    What is below an object comes first: the converter of the object would take the whole path.
    """

    routes = [
        Route(
            url=r"^{prefix}{trailing_slash}$",
            mapping={"get": "list", "post": "create"},
            name="{basename}s",
            detail=False,
            initkwargs={"suffix": "List"},
        ),
        DynamicRoute(
            url=r"^{prefix}/{lookup}/{url_path}{trailing_slash}$",
            name="{basename}_{url_name}",
            detail=True,
            initkwargs={},
        ),
        Route(
            url=r"^{prefix}/{lookup}{trailing_slash}$",
            mapping={"get": "retrieve", "patch": "partial_update", "delete": "destroy"},
            name="{basename}",
            detail=True,
            initkwargs={},
        ),
    ]

    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)
