import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';

const own = '../public/';
const shared = '../../gatehouse/public/';
const files: Record<string, [folder: string, file: string, type: string]> = {
  '/': [own, 'index.html', 'text/html; charset=utf-8'],
  '/by-hand.js': [own, 'by-hand.js', 'text/javascript'],
  '/by-hand.css': [own, 'by-hand.css', 'text/css'],
  '/bridge.js': [shared, 'bridge.js', 'text/javascript'],
  '/gatehouse.css': [shared, 'gatehouse.css', 'text/css'],
  '/favicon.svg': [shared, 'favicon.svg', 'image/svg+xml'],
};

/** An HTTP response, by hand as well. */
export async function sendFile(socket: Socket, path: string): Promise<void> {
  const file = files[path];
  const body = file ? await readFile(new URL(file[0] + file[1], import.meta.url)) : 'Not found';
  const status = file ? '200 OK' : '404 Not Found';
  const headers = ['Connection: close', `Content-Type: ${file?.[2] ?? 'text/plain'}`, `Content-Length: ${body.length}`];
  socket.write([`HTTP/1.1 ${status}`, ...headers, '', ''].join('\r\n'));
  socket.end(body);
}
