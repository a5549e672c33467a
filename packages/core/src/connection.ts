import { WebSocket } from 'ws';

/** An accepted WebSocket: everything that `ws`'s `WebSocket` is and does, and `data`. */
export class Connection<Data = undefined> extends WebSocket {
  /** What the route's `beforeUpgrade` returned. */
  data!: Data;
}
