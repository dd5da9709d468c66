/**
 * What rsocket-js 1.0.0-alpha.3 uses of Node's Buffer, and nothing else: a twelfth of the `buffer` package's size. The
 * build gives it this one (`tools/bundle.mjs`); `tests/buffer.test.ts` holds it against the package.
 *
 * Like Node's, `slice` shares the memory. Unlike Node's, numbers out of range are cut to size and not thrown; rsocket-js
 * writes none. "ascii" is read and written as UTF-8: what it names in frames (MIME types) is ASCII.
 */
const UTF8 = new TextEncoder();
// A mark at the beginning of a text is part of the text.
const TEXT = new TextDecoder("utf-8", {ignoreBOM: true});

// Uint8Array without its static side: `from` means something else there.
const Bytes = Uint8Array as unknown as {
  new (length: number): Uint8Array<ArrayBuffer>;
  new (values: ArrayLike<number>): Uint8Array<ArrayBuffer>;
  new (memory: ArrayBufferLike, offset?: number, length?: number): Uint8Array<ArrayBuffer>;
};

export class Buffer extends Bytes {
  static alloc(length: number): Buffer {
    return new Buffer(length);
  }

  static allocUnsafe(length: number): Buffer {
    return new Buffer(length);
  }

  /** A text in UTF-8; an ArrayBuffer as it lies in memory; a copy of anything else. */
  static from(value: string | ArrayBufferLike | ArrayLike<number>, offset?: unknown, length?: number): Buffer {
    if (typeof value === "string") {
      const {buffer, byteLength} = UTF8.encode(value);
      return new Buffer(buffer, 0, byteLength);
    }
    return isMemory(value) ? new Buffer(value, offset as number | undefined, length) : new Buffer(value);
  }

  static byteLength(value: string | {byteLength: number}): number {
    return typeof value === "string" ? UTF8.encode(value).length : value.byteLength;
  }

  static concat(parts: readonly Uint8Array[]): Buffer {
    const whole = new Buffer(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  override slice(start?: number, end?: number): Buffer {
    return this.subarray(start, end) as Buffer;
  }

  override toString(_encoding?: string, start?: number, end?: number): string {
    return TEXT.decode(this.subarray(start, end));
  }

  /** As many bytes as fit there; how many they were. */
  copy(target: Uint8Array, at = 0): number {
    const fitting = this.subarray(0, Math.max(0, target.length - at));
    target.set(fitting, at);
    return fitting.length;
  }

  /** How many bytes the text took. */
  write(text: string, at = 0): number {
    return UTF8.encodeInto(text, this.subarray(at)).written;
  }

  readUInt8(at = 0): number {
    return this.view.getUint8(at);
  }
  readUInt16BE(at = 0): number {
    return this.view.getUint16(at);
  }
  readInt16BE(at = 0): number {
    return this.view.getInt16(at);
  }
  readUInt32BE(at = 0): number {
    return this.view.getUint32(at);
  }
  readInt32BE(at = 0): number {
    return this.view.getInt32(at);
  }

  // What writes gives the offset behind what was written.
  writeUInt8(value: number, at = 0): number {
    this.view.setUint8(at, value);
    return at + 1;
  }
  writeUInt16BE(value: number, at = 0): number {
    this.view.setUint16(at, value);
    return at + 2;
  }
  writeUInt32BE(value: number, at = 0): number {
    this.view.setUint32(at, value);
    return at + 4;
  }
  writeInt32BE(value: number, at = 0): number {
    this.view.setInt32(at, value);
    return at + 4;
  }

  private get view(): DataView {
    return new DataView(this.buffer, this.byteOffset, this.byteLength);
  }
}

// Not instanceof: the memory of a message that a test's WebSocket gives may come from another realm.
function isMemory(value: ArrayBufferLike | ArrayLike<number>): value is ArrayBufferLike {
  return !ArrayBuffer.isView(value) && "byteLength" in value;
}
