import os
from pathlib import Path

import httpx
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.fastmcp import FastMCP

AUDIENCE = "weather"
KEYS_SERVER = "http://127.0.0.1:8420"
TOOLS = ["get_forecast", "set_alarm"]
VERIFY_KEY = Path(os.environ["MCPKEYS_VERIFY_KEY_FILE"]).read_text().strip()


class KeyVerifier(TokenVerifier):
    async def verify_token(self, token: str) -> AccessToken | None:
        form = {"token": token, "audience": AUDIENCE, "scope": " ".join("tools:" + tool for tool in TOOLS)}
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.post(
                KEYS_SERVER + "/v1/introspect", data=form, headers={"Authorization": "Bearer " + VERIFY_KEY}
            )
        if answer.status_code != 200:
            return None
        key = answer.json()
        if not key["active"]:
            return None
        scopes = key.get("scope", "").split()
        return AccessToken(token=token, client_id=key["client_id"], scopes=scopes, expires_at=key["exp"])


mcp = FastMCP(
    AUDIENCE,
    token_verifier=KeyVerifier(),
    auth=AuthSettings(issuer_url=KEYS_SERVER, resource_server_url=None),
    stateless_http=True,
    host="127.0.0.1",
    port=8421,
)


def require(scope: str) -> None:
    access = get_access_token()
    if access is None or scope not in access.scopes:
        raise PermissionError("this key does not grant " + scope)


@mcp.tool()
def get_forecast() -> str:
    require("tools:get_forecast")
    return "sunny"


@mcp.tool()
def set_alarm() -> str:
    require("tools:set_alarm")
    return "done"


if __name__ == "__main__":
    mcp.run(transport="streamable-http")
