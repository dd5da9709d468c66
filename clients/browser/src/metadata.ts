/**
 * The metadata of requests: composite (extension "Composite Metadata"), with a route (extension "Routing") or credentials
 * (extension "Authentication"). What rsocket-composite-metadata does in twenty times the size; a test holds it against that.
 */
import {Buffer} from "./buffer.ts";

export const COMPOSITE = "message/x.rsocket.composite-metadata.v0";

// Well-known ids, with the highest bit set: it tells them from the length of a name.
const ROUTING = 0xfe;
const AUTHENTICATION = 0xfc;
const SIMPLE = 0x80;
const BEARER = 0x81;

/** Composite metadata with this route. Throws RangeError when it is longer than 255 bytes. */
export function routeMetadata(route: string): Buffer {
  const name = Buffer.from(route);
  if (name.length > 255) throw new RangeError(`a route has 255 bytes at most, this one has ${name.length}`);
  return entry(ROUTING, [Uint8Array.of(name.length), name]);
}

/** Composite metadata with this token. */
export function bearerMetadata(token: string): Buffer {
  return entry(AUTHENTICATION, [Uint8Array.of(BEARER), Buffer.from(token)]);
}

/** Composite metadata with this name, of 65,535 bytes at most, and password. */
export function simpleAuthMetadata(user: string, password: string): Buffer {
  const name = Buffer.from(user);
  if (name.length > 65_535) throw new RangeError("a user's name has 65,535 bytes at most");
  return entry(AUTHENTICATION, [Uint8Array.of(SIMPLE, name.length >> 8, name.length), name, Buffer.from(password)]);
}

function entry(id: number, parts: Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Uint8Array.of(id, length >> 16, length >> 8, length), ...parts]);
}
