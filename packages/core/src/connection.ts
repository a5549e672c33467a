import { EventEmitter } from 'node:events';
import type { ClientRequestArgs, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex, DuplexOptions } from 'node:stream';
import { type ClientOptions, createWebSocketStream, WebSocket } from 'ws';
import { type CloseInfo, ConnectionClosed, isNormalClose, saysClosed } from './closing.js';
import { type Deferred, deferred, unheard } from './deferred.js';
import { Ending } from './ending.js';
import { DrawbridgeError } from './errors.js';
import { guard, showOwnListeners } from './guarded-listener.js';
import type { HeartbeatTimes } from './heartbeat.js';
import { HeldBack } from './held-back.js';
import { type Message, type RawMessage, type ReceiveOptions, toMessage } from './inbox.js';
import { Intake, type MessageDecoder, type QueueLimits } from './intake.js';
import { Outbox } from './outbox.js';
import { PreparedMessage } from './prepared-message.js';
import { guardCallback, type SendCallback } from './send-callback.js';
import { type Transport, VitalSigns } from './vital-signs.js';
import {
  endOnce,
  flushAfterPackets,
  gateInflation,
  isMidMessage,
  sendThrough,
  sharedEncoding,
  takesWholeFrame,
  unmaskInWords,
} from './ws-internals.js';

/** What happens to a client that does not read while more than `maxBufferedAmount` waits for it. */
export type SlowConsumerPolicy = 'close' | 'terminate' | 'pause';

/** What a connection is told by its route: shared by all connections of it. */
export interface Life extends QueueLimits {
  /** The path of the route, as it was declared; `undefined` where a framework has routed. */
  readonly path: string | undefined;
  readonly maxBufferedAmount: number;
  readonly slowConsumer: SlowConsumerPolicy;
  readonly heartbeat: HeartbeatTimes | undefined;
  readonly idleTimeout: number;
  onError(error: unknown, connection: Connection<unknown>, request?: IncomingMessage): void;
  onClose(connection: Connection<unknown>, info: CloseInfo): void;
}

/** Below this many bytes waiting to be sent, `drained()` resolves. */
const HIGH_WATER_MARK = 64 * 1024;

/** How long a slow consumer has to take notice of its 1013 before it is terminated, in milliseconds. */
const SLOW_CONSUMER_GRACE = 5_000;

/** With the policy `pause` the producer is trusted to wait; at this many times `maxBufferedAmount` it evidently does not. */
const HARD_CAP = 4;

/** Close codes of our own (RFC 6455 section 7.4.2): 4000 + the HTTP status that says it. */
const IDLE = 4408;

/** By it an EventEmitter knows that it shall catch what async listeners reject with; `ws` gives no other way to say so. */
const kCapture = Object.getOwnPropertySymbols(new EventEmitter({ captureRejections: true })).find(
  (symbol) => symbol.description === 'kCapture',
) as symbol;

/**
 * An open WebSocket: everything that `ws`'s `WebSocket` is and does, and beside it messages that wait until they are asked
 * for, backpressure both ways, and an end that everything can be hung on.
 *
 * A connection has one kind of consumer: `message` listeners (with `onmessage` and `stream()`), or the loop and `receive()`.
 * Until the first of them is there, messages wait; the queue is bounded, and a full queue stops reading from the client.
 *
 * @example
 * for await (const message of socket) {            // text is a string, binary a Buffer
 *   socket.send(message);
 *   await socket.drained();                         // do not outrun a slow reader
 * }
 *
 * `Received` is what the loop and `receive()` give, where an adapter decodes messages before they do.
 */
export class Connection<Data = undefined, Received = Message> extends WebSocket {
  /** What the route's `beforeUpgrade` returned. */
  data!: Data;
  /** Messages received so far. */
  messagesIn = 0;
  /** Messages sent so far. */
  messagesOut = 0;
  readonly #life: Life;
  #openedAt = now();
  #transport: Transport | undefined;
  /**
   * Weak: a request is larger than all else that an idle connection consists of, and most handlers are done with it soon. And
   * only where it may be kept by somebody, for V8 takes what is young and weakly referred to for old, and leaves a gap there.
   */
  #request: WeakRef<IncomingMessage> | undefined;
  #responseHeaders: IncomingHttpHeaders | undefined;
  #outbox: Outbox | undefined;
  #heldBack: HeldBack | undefined;
  /** Most have none: their messages go to a listener as they come. */
  #intake: Intake | undefined;
  #failed = false;
  #ending: Ending | undefined;
  #draining: Deferred<void> | undefined;
  // The heartbeat's times, none until its first look; and what it saw then.
  #controlFramesIn = 0;
  #owedPong: Buffer | undefined;
  #signs: VitalSigns | undefined;

  /** @internal Made by an accepted upgrade, or by `dial`. */
  constructor(address: string | URL | null, protocols: string | string[] | undefined, options: ConnectionOptions) {
    super(address as string, protocols, options);
    this.#life = options.life;
    (this as Record<symbol, unknown>)[kCapture] = true;
  }

  static {
    showOwnListeners(Connection.prototype);
    // What waits for the end of the tick, or of a message, is waiting to be sent, too.
    const { get } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount') as PropertyDescriptor;
    Object.defineProperty(Connection.prototype, 'bufferedAmount', {
      configurable: true,
      enumerable: true,
      get(this: Connection): number {
        return get?.call(this) + (this.#outbox?.bytes ?? 0) + (this.#heldBack?.bytes ?? 0);
      },
    });
    // A listener for 'message' is a consumer. The three ways to add one are ws's (Node's), with their types.
    for (const name of ['on', 'addListener', 'prependListener'] as const) {
      const add = WebSocket.prototype[name] as (event: string | symbol, listener: unknown) => Connection;
      Object.defineProperty(Connection.prototype, name, {
        configurable: true,
        writable: true,
        value(this: Connection, event: string | symbol, listener: unknown): Connection {
          if (event === 'message') this.#intake?.becomeHeard();
          return add.call(this, event, listener);
        },
      });
    }
  }

  /** The path of the route that this connection came by, as it was declared; `undefined` where a framework has routed. */
  get path(): string | undefined {
    return this.#life.path;
  }

  /** The request it came by, if its handler takes one, and for as long as somebody keeps it: the handler, or a closure of it. */
  get request(): IncomingMessage | undefined {
    return this.#request?.deref();
  }

  /** The headers of the 101 that a dialled connection was opened by, `set-cookie` among them; `undefined` on a server. */
  get responseHeaders(): IncomingHttpHeaders | undefined {
    return this.#responseHeaders;
  }

  /** For how long it has been (or had been) open, in milliseconds. */
  get duration(): number {
    return now() - this.#openedAt;
  }

  /** Resolves when the connection has ended; never rejects. */
  get closed(): Promise<CloseInfo> {
    this.#ending ??= new Ending();
    return this.#ending.closed;
  }

  /**
   * Fires when the connection has ended, with a `ConnectionClosed` as its reason: hand it to `fetch`, timers and database
   * calls whose result nobody would receive.
   */
  get signal(): AbortSignal {
    this.#ending ??= new Ending();
    return this.#ending.signal;
  }

  /**
   * The next message. Calls that wait are served in their order. Rejects with `ConnectionClosed` when there is no next one,
   * with `RECEIVE_TIMEOUT` or the signal's reason when told to stop waiting, with `CONSUMER_CONFLICT` beside a `message`
   * listener.
   */
  receive(options: ReceiveOptions = {}): Promise<Received> {
    try {
      const message = this.#take(options.signal);
      return message
        ? Promise.resolve(toMessage<Received>(message))
        : unheard(this.#wait(options).then(toMessage<Received>));
    } catch (error) {
      return unheard(Promise.reject(error));
    }
  }

  /** The next message, parsed. Rejects as `receive` does, and with `INVALID_JSON` for what is none; the connection stays open. */
  async receiveJSON<Value = unknown>(options?: ReceiveOptions): Promise<Value> {
    const text = String(await this.receive(options));
    try {
      return JSON.parse(text) as Value;
    } catch (cause) {
      throw new DrawbridgeError('INVALID_JSON', 'The message is not JSON; tell the client, or close with 1007.', {
        cause,
      });
    }
  }

  /** Sends a value as JSON text. Throws `INVALID_JSON` for one that has no JSON form, such as `undefined` or a cycle. */
  sendJSON(value: unknown, done?: (error?: Error) => void): void {
    let text: string | undefined;
    let cause: unknown;
    try {
      text = JSON.stringify(value);
    } catch (error) {
      cause = error;
    }
    if (text === undefined) {
      throw new DrawbridgeError('INVALID_JSON', 'This value has no JSON form; send plain data without cycles.', {
        cause,
      });
    }
    this.send(text, done);
  }

  /**
   * The messages, one at a time and in order. Ends at a normal close (1000, 1001, 1005) and throws `ConnectionClosed` at any
   * other. Leaving the loop neither closes the connection nor loses what comes later. Throws `CONSUMER_CONFLICT`.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Received> {
    this.#takeIn().becomePulled();
    const step = (raw: RawMessage): IteratorResult<Received> => ({ done: false, value: toMessage(raw) });
    const last = (error: unknown): IteratorResult<Received> => {
      if (error instanceof ConnectionClosed && isNormalClose(error.code)) return { done: true, value: undefined };
      throw error;
    };
    return {
      next: () => {
        const message = this.#take();
        return message ? Promise.resolve(step(message)) : this.#wait({}).then(step, last);
      },
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Resolves when what waits to be sent has fallen below 64 KiB; at once if it is. Rejects with `ConnectionClosed`.
   * Awaiting it after each `send` keeps the memory of a producer bounded.
   */
  drained(): Promise<void> {
    if (this.#ending?.info) return unheard(Promise.reject(new ConnectionClosed(this.#ending.info)));
    if (this.#isDrained && this.#mayDrain) return Promise.resolve();
    if (!this.#draining) {
      this.#draining = deferred();
      this.#awaitDrain();
    }
    return this.#draining.promise;
  }

  /** The connection as a Duplex with backpressure both ways (`ws`'s `createWebSocketStream`). It is a `message` listener. */
  stream(options?: DuplexOptions): Duplex {
    const duplex = createWebSocketStream(this, options);
    // A peer that breaks the protocol makes the stream fail too; it must not be the process that hears it.
    duplex.on('error', () => {});
    // The end of a connection that has ended will not come any more.
    if (this.#ending?.info) process.nextTick(() => duplex.push(null));
    return duplex;
  }

  /**
   * Sends a message: text for a string, binary for bytes, a `PreparedMessage` as it was prepared. All that is sent in one
   * tick leaves in one write when the tick ends. `done` is called when it has been written out, or with the error.
   */
  override send(data: Sendable, done?: Done): void;
  override send(data: Sendable, options: SendOptions, done?: Done): void;
  override send(data: Sendable, options?: SendOptions | Done, done?: Done): void {
    if (data instanceof PreparedMessage) {
      return this.#sendPrepared(data, (typeof options === 'function' ? options : done) as SendCallback | undefined);
    }
    this.#outbox?.endShare();
    if (done || typeof options === 'function') {
      super.send(data, guardCallback(options, this) as SendOptions, guardCallback(done, this));
    } else {
      super.send(data, options as SendOptions);
    }
    if (this.readyState === WebSocket.OPEN && !isMidMessage(this)) {
      this.messagesOut++;
      if (this.#heldBack) this.#sendHeldBack(this.#heldBack);
    }
    this.#boundBacklog();
  }

  override ping(data?: unknown, mask?: boolean, done?: (error: Error) => void): void {
    super.ping(guardCallback(data, this), guardCallback(mask, this), guardCallback(done, this));
  }

  override pong(data?: unknown, mask?: boolean, done?: (error: Error) => void): void {
    super.pong(guardCallback(data, this), guardCallback(mask, this), guardCallback(done, this));
  }

  /** What was sent before is sent: it is handed to the socket first. */
  override terminate(): void {
    this.#outbox?.flush();
    super.terminate();
  }

  /** What comes from then on is received as long as there is room for it (RFC 6455 section 5.5.1), so that the answer is seen. */
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason);
    this.#intake?.letIn();
  }

  override pause(): void {
    this.#takeIn().pause();
  }

  override resume(): void {
    if (this.#intake) this.#intake.resume();
    else super.resume();
  }

  /** What a listener throws ends its own connection and nothing else; an 'error' that nobody hears ends nothing at all. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    switch (event) {
      case 'message':
        return this.#onMessage(args[0], args[1] as boolean);
      case 'close':
        this.#onClose(args[0] as number, args[1] as Buffer);
        return this.#emitGuarded(event, args);
      case 'error':
        return this.listenerCount('error') > 0 && this.#emitGuarded(event, args);
      case 'ping':
      case 'pong':
        if (event === 'ping') this.#answerPing(args[0] as Buffer);
        this.#controlFramesIn++;
        return this.#emitGuarded(event, args);
      case 'open':
        return this.#emitGuarded(event, args);
      default:
        return super.emit(event, ...args);
    }
  }

  /** What an async listener rejects with. */
  [Symbol.for('nodejs.rejection')](error: unknown): void {
    this.fail(error);
  }

  // What follows is for ws's own `addEventListener`, whose wrapper hides a listener's promise from the emitter.

  override addEventListener<Type extends keyof EventMap>(
    type: Type,
    listener: EventListener<Type>,
    options?: WebSocket.EventListenerOptions,
  ): void {
    super.addEventListener(type, guard(listener) as EventListener<Type>, options);
  }

  override removeEventListener<Type extends keyof EventMap>(type: Type, listener: EventListener<Type>): void {
    super.removeEventListener(type, guard(listener) as EventListener<Type>);
  }

  /**
   * Listeners, the loop and `receive()` get from now on what `decode` makes of each message; nothing where it gives nothing.
   * @internal
   */
  decodeMessages(decode: MessageDecoder): void {
    this.#takeIn().decodeWith(decode);
  }

  /**
   * The application failed at this connection: it is told, once, and the client gets 1011. That the connection has ended is
   * no failure, so what rejects for that reason is not reported.
   * @internal
   */
  fail(error: unknown, request?: IncomingMessage): void {
    if (this.#failed || (this.readyState !== WebSocket.OPEN && saysClosed(error))) return;
    this.#failed = true;
    this.#life.onError(error, this as Connection<unknown>, request);
    if (this.readyState === WebSocket.OPEN) this.close(1011);
  }

  /** @internal */
  remember(request: IncomingMessage): void {
    this.#request = new WeakRef(request);
  }

  /** @internal The socket, once there is one; dialled, with the headers of the answer. */
  begin(transport: Duplex, responseHeaders?: IncomingHttpHeaders): void {
    this.#transport = transport;
    this.#responseHeaders = responseHeaders;
    this.#openedAt = now();
    endOnce(this, transport);
    unmaskInWords(this);
    const outbox = new Outbox(transport, sharedEncoding(this));
    if (sendThrough(this, outbox)) {
      this.#outbox = outbox;
      flushAfterPackets(this);
    }
    if (this.extensions !== '') gateInflation(this, (proceed) => this.#whenRoom(proceed));
  }

  /**
   * The outbox for a shared frame, if this connection can take one now; otherwise sends the message by itself.
   * @internal
   */
  shareOrSend(message: PreparedMessage): Outbox | undefined {
    const outbox = this.#outbox;
    if (outbox?.sharing) {
      this.messagesOut++;
      return outbox;
    }
    if (!outbox?.encoding || this.readyState !== WebSocket.OPEN || !takesWholeFrame(this)) {
      this.send(message);
      return undefined;
    }
    this.messagesOut++;
    if (this.bufferedAmount <= this.#life.maxBufferedAmount) return outbox;
    this.#onSlowConsumer();
    return this.readyState === WebSocket.OPEN ? outbox : undefined;
  }

  /** @internal Bytes on the wire so far, in and out. */
  get traffic(): { bytesIn: number; bytesOut: number } {
    return { bytesIn: this.#transport?.bytesRead ?? 0, bytesOut: this.#transport?.bytesWritten ?? 0 };
  }

  /**
   * Called when the heartbeat looks, at most `period` milliseconds after the last time.
   * @internal
   */
  beat(now: number, period: number): void {
    if (this.readyState !== WebSocket.OPEN) return;
    const { heartbeat, idleTimeout } = this.#life;
    this.#signs ??= new VitalSigns(now);
    const messages = this.messagesIn + this.messagesOut;
    if (idleTimeout > 0 && this.#signs.isIdle(messages, isMidMessage(this), now, idleTimeout - period / 2)) {
      return this.close(IDLE, 'idle');
    }
    if (!heartbeat) return;
    const framesIn = this.messagesIn + this.#controlFramesIn;
    const isRead = this.#intake?.isFlowing ?? true;
    const finding = this.#signs.look(this.#transport, framesIn, isRead, heartbeat, now, period);
    if (finding === 'silent') this.ping();
    else if (finding === 'dead') this.terminate();
  }

  /**
   * Where what was sent before is still waiting, one pong answers all pings that come meanwhile, the latest first of all (RFC
   * 6455 section 5.5.3): so a client that does not read cannot make them pile up.
   */
  #answerPing(data: Buffer): void {
    if (this.readyState !== WebSocket.OPEN) return;
    if (!this.#transport?.writableNeedDrain) return this.pong(data);
    if (!this.#owedPong) this.#transport.once('drain', () => this.#payPong());
    // What came is a view of the whole packet, which should not be kept for it.
    this.#owedPong = Buffer.from(data);
  }

  #payPong(): void {
    const data = this.#owedPong;
    this.#owedPong = undefined;
    if (data && this.readyState === WebSocket.OPEN) this.pong(data);
  }

  #sendPrepared(message: PreparedMessage, done: SendCallback | undefined): void {
    if (isMidMessage(this) && this.readyState === WebSocket.OPEN) {
      this.#heldBack ??= new HeldBack();
      this.#heldBack.put(message, guardCallback(done, this));
      return this.#boundBacklog();
    }
    const encoding = this.#outbox?.encoding;
    if (!encoding || this.readyState !== WebSocket.OPEN || !takesWholeFrame(this)) {
      return this.send(message.data, { binary: message.isBinary }, done);
    }
    this.#outbox?.push([message.frame(encoding)], guardCallback(done, this));
    this.messagesOut++;
    this.#boundBacklog();
  }

  #sendHeldBack(heldBack: HeldBack): void {
    this.#heldBack = undefined;
    for (const [message, done] of heldBack.messages) this.#sendPrepared(message, done);
  }

  #boundBacklog(): void {
    if (this.bufferedAmount > this.#life.maxBufferedAmount) this.#onSlowConsumer();
  }

  #onMessage(data: unknown, isBinary: boolean): boolean {
    this.messagesIn++;
    if (this.#failed) return false;
    if (this.#intake || this.listenerCount('message') === 0) return this.#takeIn().put(data, isBinary);
    return this.#emitGuarded('message', [data, isBinary]);
  }

  #takeIn(): Intake {
    this.#intake ??= new Intake(this, this.#life);
    return this.#intake;
  }

  #onClose(code: number, reason: Buffer): void {
    const info = { code, reason: reason.toString(), wasClean: code !== 1006 };
    this.#ending ??= new Ending();
    this.#ending.info = info;
    this.#intake?.flush();
    this.#life.onClose(this as Connection<unknown>, info);
    this.#ending.tell(info);
    if (!this.#intake && !this.#draining && !this.#heldBack) return;
    const error = new ConnectionClosed(info);
    this.#intake?.end(error);
    this.#draining?.reject(error);
    this.#draining = undefined;
    this.#heldBack?.drop(error);
    this.#heldBack = undefined;
  }

  get #isDrained(): boolean {
    return this.bufferedAmount < Math.max(1, Math.min(HIGH_WATER_MARK, this.#life.maxBufferedAmount / 2));
  }

  /**
   * Of a connection that is about to end nothing drains, but is dropped. A producer that was told otherwise would go on in
   * microtasks, and never let the end come.
   */
  get #mayDrain(): boolean {
    return this.readyState === WebSocket.OPEN && this.#transport?.writable === true;
  }

  #awaitDrain(): void {
    if (!this.#draining || !this.#mayDrain) return;
    if (this.#isDrained) {
      this.#draining.resolve();
      this.#draining = undefined;
      return;
    }
    const again = (): void => this.#awaitDrain();
    // What is still being compressed is not in the socket yet, so the socket has no 'drain' to announce for it.
    if (this.#transport?.writableNeedDrain) this.#transport.once('drain', again);
    else setTimeout(again, 1);
  }

  #take(signal?: AbortSignal): RawMessage | undefined {
    const intake = this.#takeIn();
    intake.becomePulled();
    signal?.throwIfAborted();
    return intake.take();
  }

  #wait(options: ReceiveOptions): Promise<RawMessage> {
    const info = this.#ending?.info;
    return info ? Promise.reject(new ConnectionClosed(info)) : this.#takeIn().wait(options);
  }

  #emitGuarded(event: string, args: unknown[]): boolean {
    try {
      return super.emit(event, ...args);
    } catch (error) {
      this.fail(error);
      return true;
    }
  }

  #whenRoom(proceed: (closed: boolean) => void): void {
    if (this.#intake && this.#transport) this.#intake.whenRoom(this.#transport, proceed);
    else proceed(false);
  }

  #onSlowConsumer(): void {
    if (this.readyState !== WebSocket.OPEN) return;
    const { slowConsumer, maxBufferedAmount } = this.#life;
    if (slowConsumer === 'terminate') return this.terminate();
    if (slowConsumer === 'pause') {
      if (this.bufferedAmount > HARD_CAP * maxBufferedAmount) this.terminate();
      return;
    }
    this.close(1013, 'slow consumer');
    const timer = setTimeout(() => this.terminate(), SLOW_CONSUMER_GRACE).unref();
    this.closed.then(() => clearTimeout(timer));
  }
}

/** What a `Connection` is made with: `ws`'s options, and what its route tells it. */
export type ConnectionOptions = (ClientOptions | ClientRequestArgs) & { life: Life };

type EventMap = WebSocket.WebSocketEventMap;

type EventListener<Type extends keyof EventMap> =
  | ((event: EventMap[Type]) => void)
  | { handleEvent(event: EventMap[Type]): void };

type Sendable = Parameters<WebSocket['send']>[0] | PreparedMessage;

type Done = ((error?: Error) => void) | undefined;

interface SendOptions {
  mask?: boolean | undefined;
  binary?: boolean | undefined;
  compress?: boolean | undefined;
  fin?: boolean | undefined;
}

/** Whole milliseconds: a number that V8 keeps without an object of its own, of which a connection would have three. */
function now(): number {
  return Math.trunc(performance.now());
}
