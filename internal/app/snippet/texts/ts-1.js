import { readFileSync } from 'node:fs'
import { createMcpExpressApp, requireBearerAuth } from '@modelcontextprotocol/express'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer, OAuthError, OAuthErrorCode } from '@modelcontextprotocol/server'

const invalidToken = text => new OAuthError(OAuthErrorCode.InvalidToken, text)
