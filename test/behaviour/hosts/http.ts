import { createServer } from 'node:http';
import { bareHost } from './bare.js';

export const host = bareHost('http', false, (listener) => createServer(listener));
