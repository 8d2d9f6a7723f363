import os
from pathlib import Path
from urllib.parse import urlencode

from fastmcp import FastMCP
from fastmcp.server.auth import require_scopes
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier

AUDIENCE = "weather"
KEYS_SERVER = "http://127.0.0.1:8420"
TOOLS = ["get_forecast", "set_alarm"]

query = urlencode({"audience": AUDIENCE, "scope": " ".join("tools:" + tool for tool in TOOLS)})
mcp = FastMCP(
    AUDIENCE,
    auth=IntrospectionTokenVerifier(
        introspection_url=KEYS_SERVER + "/v1/introspect?" + query,
        client_id="mcp-server",
        client_secret=Path(os.environ["MCPKEYS_VERIFY_KEY_FILE"]).read_text().strip(),
        cache_ttl_seconds=0,
    ),
)


@mcp.tool(auth=require_scopes("tools:get_forecast"))
def get_forecast() -> str:
    return "sunny"


@mcp.tool(auth=require_scopes("tools:set_alarm"))
def set_alarm() -> str:
    return "done"


if __name__ == "__main__":
    mcp.run(transport="http", host="127.0.0.1", port=8421)
