import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { Child } from './child.js';
import { SilentProxy } from './silent-proxy.js';

const interval = 1_000;
const timeout = 1_000;

async function open(port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`);
  await once(socket, 'open');
  return socket;
}

async function openMany(port: number, count: number): Promise<WebSocket[]> {
  const sockets: WebSocket[] = [];
  while (sockets.length < count) {
    sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => open(port)))));
  }
  onTestFinished(() => {
    for (const socket of sockets) socket.terminate();
  });
  return sockets;
}

test('of 1,000 connections 100 vanish without a word: gone within interval and timeout, the others untouched', async () => {
  const child = await Child.start('census.mjs', [String(interval), String(timeout)], onTestFinished);
  const proxy = await SilentProxy.start(child.port);
  onTestFinished(() => proxy.end());
  const others = await openMany(child.port, 900);
  await openMany(proxy.port, 100);
  let lost = 0;
  for (const socket of others) socket.once('close', () => lost++);
  expect(await child.ask('count')).toBe(1_000);

  proxy.fallSilent();
  const silentSince = performance.now();
  await delay(interval * 0.8);
  expect(await child.ask('count')).toBe(1_000);
  let count = 1_000;
  while (count > 900 && performance.now() - silentSince < 10_000) {
    await delay(20);
    count = await child.ask<number>('count');
  }
  expect(performance.now() - silentSince).toBeLessThan(interval + timeout + 500);
  expect(count).toBe(900);

  const answers = others.map((socket) => once(socket, 'message'));
  for (const socket of others) socket.send('still here');
  await Promise.all(answers);
  expect(lost).toBe(0);
});
