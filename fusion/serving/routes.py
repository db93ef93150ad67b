"""The server's own routes beside Streamlit's, under one prefix; and the one function that spells their addresses."""

from starlette.routing import BaseRoute


def build(base: str) -> list[BaseRoute]:
    """Return the routes, each under the server's base path.

    Args:
        base: `server.baseUrlPath` as configured: "", "fusion" or "/fusion/".
    """
    return []
