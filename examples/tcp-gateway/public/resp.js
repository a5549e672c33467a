// The protocol of Redis (RESP2): https://redis.io/docs/latest/develop/reference/protocol-spec/

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A command as it is typed, with words in quotes, as the bytes that Redis reads. */
export function encodeCommand(typed) {
  const words = Array.from(typed.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g), ([, quoted, bare]) =>
    quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'),
  );
  const parts = words.map((word) => `$${encoder.encode(word).length}\r\n${word}\r\n`);
  return encoder.encode(`*${words.length}\r\n${parts.join('')}`);
}

/** Gives the replies that are whole, of bytes that come in pieces of any size. */
export class ReplyReader {
  #bytes = new Uint8Array();
  #at = 0;

  *read(piece) {
    const bytes = new Uint8Array(this.#bytes.length + piece.length);
    bytes.set(this.#bytes);
    bytes.set(piece, this.#bytes.length);
    this.#bytes = bytes;
    for (;;) {
      this.#at = 0;
      const reply = this.#reply();
      if (reply === undefined) return;
      this.#bytes = this.#bytes.subarray(this.#at);
      yield reply;
    }
  }

  /** `undefined`: there is more to come. */
  #reply() {
    const line = this.#line();
    if (line === undefined) return undefined;
    const rest = line.slice(1);
    switch (line[0]) {
      case '+':
        return { type: 'status', value: rest };
      case '-':
        return { type: 'error', value: rest };
      case ':':
        return { type: 'integer', value: rest };
      case '$':
        return this.#bulk(Number(rest));
      case '*':
        return this.#array(Number(rest));
      default:
        throw new Error(`This is not Redis: it says ${JSON.stringify(line.slice(0, 60))}.`);
    }
  }

  #line() {
    const end = this.#bytes.indexOf(13, this.#at);
    if (end === -1 || end + 1 === this.#bytes.length) return undefined;
    const line = decoder.decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 2;
    return line;
  }

  #bulk(length) {
    if (length < 0) return { type: 'nil' };
    const end = this.#at + length;
    if (this.#bytes.length < end + 2) return undefined;
    const value = decoder.decode(this.#bytes.subarray(this.#at, end));
    this.#at = end + 2;
    return { type: 'bulk', value };
  }

  #array(length) {
    if (length < 0) return { type: 'nil' };
    const items = [];
    while (items.length < length) {
      const item = this.#reply();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return { type: 'array', items };
  }
}

/** A reply as redis-cli writes it. */
export function format({ type, value, items }, indent = '') {
  if (type === 'nil') return '(nil)';
  if (type === 'integer') return `(integer) ${value}`;
  if (type === 'error') return `(error) ${value}`;
  if (type === 'bulk') return JSON.stringify(value);
  if (type !== 'array') return value;
  if (items.length === 0) return '(empty array)';
  return items
    .map((item, index) => {
      const number = `${String(index + 1).padStart(String(items.length).length)}) `;
      return (index === 0 ? '' : indent) + number + format(item, indent + ' '.repeat(number.length));
    })
    .join('\n');
}
