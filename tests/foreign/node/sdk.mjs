// The TypeScript SDK before version 2, for `drive.mjs`: speaks only the legacy protocol.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { connectWith } from './legacy.mjs';

export const connect = connectWith({ Client, ElicitRequestSchema, StdioClientTransport, StreamableHTTPClientTransport });
