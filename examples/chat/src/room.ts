import { type Connection, PreparedMessage } from '@drawbridge/core';

interface Said {
  name: string;
  text: string;
  /** In milliseconds since 1970. */
  at: number;
}

/** What happens in a room; `here` is who is there after it. */
type RoomEvent =
  | { type: 'welcome'; you: string; here: string[]; history: Said[] }
  | { type: 'joined' | 'left'; name: string; here: string[] }
  | ({ type: 'said' } & Said);

const REMEMBERED_MESSAGES = 50;
const REMEMBERED_ROOMS = 100;

const rooms = new Map<string, Room>();

/** The room of this name, which is made if there is none. Empty rooms are forgotten when there are too many. */
export function roomOf(name: string): Room {
  const room = rooms.get(name) ?? new Room();
  rooms.set(name, room);
  for (const [other, { isEmpty }] of rooms) {
    if (rooms.size <= REMEMBERED_ROOMS) break;
    if (isEmpty && other !== name) rooms.delete(other);
  }
  return room;
}

export class Room {
  readonly #members = new Map<string, Connection<unknown>>();
  readonly #history: Said[] = [];

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** Gives the name by which the others know the new member: that of somebody who is here already gets a number. */
  join(member: Connection<unknown>, wanted: string): string {
    const name = this.#freeName(wanted);
    this.#members.set(name, member);
    member.sendJSON({ type: 'welcome', you: name, here: this.#here, history: this.#history } satisfies RoomEvent);
    this.#tellAll({ type: 'joined', name, here: this.#here });
    return name;
  }

  leave(name: string): void {
    this.#members.delete(name);
    this.#tellAll({ type: 'left', name, here: this.#here });
  }

  say(name: string, words: string): void {
    const text = words.trim();
    if (text === '') return;
    const said = { name, text, at: Date.now() };
    this.#history.push(said);
    if (this.#history.length > REMEMBERED_MESSAGES) this.#history.shift();
    this.#tellAll({ type: 'said', ...said });
  }

  get #here(): string[] {
    return [...this.#members.keys()];
  }

  #freeName(wanted: string): string {
    let name = wanted;
    for (let number = 2; this.#members.has(name); number++) name = `${wanted} ${number}`;
    return name;
  }

  /** Sending does not wait, so nobody is held up by who does not read. */
  #tellAll(event: RoomEvent): void {
    const message = new PreparedMessage(JSON.stringify(event)); // made once for all
    for (const member of this.#members.values()) member.send(message);
  }
}
