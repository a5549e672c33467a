import express from 'express';
import { expressHost } from './express.js';

export const host = expressHost('express5', express, {
  under: (prefix) => `${prefix}/*rest`,
  rest: (params) => [params.rest].flat().join('/'),
});
