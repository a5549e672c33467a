import type { FastifyInstance } from 'fastify';

/**
 * What an instance keeps under a symbol of Fastify's own, by the symbol's description; `undefined` where this version of
 * Fastify keeps nothing there.
 */
export function internalOf<Kept>(fastify: FastifyInstance, description: string): Kept | undefined {
  let holder: object | null = fastify;
  while (holder) {
    const key = Object.getOwnPropertySymbols(holder).find((symbol) => symbol.description === description);
    if (key) return (holder as Record<symbol, Kept>)[key];
    holder = Object.getPrototypeOf(holder);
  }
  return undefined;
}
