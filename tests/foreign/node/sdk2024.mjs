// An early TypeScript SDK, for `drive.mjs`: speaks 2024-11-05.

import { Client } from 'sdk-2024/client/index.js';
import { StdioClientTransport } from 'sdk-2024/client/stdio.js';
import { StreamableHTTPClientTransport } from 'sdk-2024/client/streamableHttp.js';
import { connectWith } from './legacy.mjs';

export const connect = connectWith({ Client, StdioClientTransport, StreamableHTTPClientTransport });
