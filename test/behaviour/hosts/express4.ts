import express4 from 'express4';
import { expressHost } from './express.js';

export const host = expressHost('express4', express4, {
  under: (prefix) => `${prefix}/*`,
  rest: (params) => String(params['0']),
});
