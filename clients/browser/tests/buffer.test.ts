import assert from "node:assert/strict";
import {Buffer as Real} from "node:buffer";
import {randomInt} from "node:crypto";
import {test} from "node:test";
import {
  encodeBearerAuthMetadata,
  encodeCompositeMetadata,
  encodeRoute,
  encodeSimpleAuthMetadata,
  WellKnownMimeType,
} from "rsocket-composite-metadata";
import {deserializeFrame, Flags, type Frame, FrameTypes, serializeFrame} from "rsocket-core";
import {Buffer} from "../src/buffer.ts";
import {bearerMetadata, routeMetadata, simpleAuthMetadata} from "../src/metadata.ts";

const ROUNDS = 300;
const TEXTS = ["", "a", "chat.send", "Zoë", "\uFEFFmark", "𝕏 👩‍👩‍👧", "\u0000", "lone \uD800", "ü".repeat(70)];

const bytes = (length = randomInt(40)): number[] => Array.from({length}, () => randomInt(256));
const text = (): string => TEXTS[randomInt(TEXTS.length)]! + TEXTS[randomInt(TEXTS.length)]!;
const same = (ours: Uint8Array, real: Uint8Array): void => assert.deepEqual([...ours], [...real]);

test("numbers are read and written as by Node's Buffer", () => {
  const widths = {UInt8: [1, 0, 2 ** 8], UInt16BE: [2, 0, 2 ** 16], UInt32BE: [4, 0, 2 ** 32], Int32BE: [4, -(2 ** 31), 2 ** 31]} as const;
  for (let i = 0; i < ROUNDS; i++) {
    const content = bytes(16);
    const [ours, real] = [Buffer.from(content), Real.from(content)];
    for (const [name, [width, from, to]] of Object.entries(widths) as [keyof typeof widths, readonly number[]][]) {
      const at = randomInt(17 - width!);
      const value = randomInt(from!, to!);
      assert.equal(ours[`write${name}`](value, at), real[`write${name}`](value, at));
    }
    same(ours, real);
    const at = randomInt(13);
    for (const name of ["readUInt8", "readUInt16BE", "readInt16BE", "readUInt32BE", "readInt32BE"] as const) assert.equal(ours[name](at), real[name](at));
    for (const name of ["readUInt8", "readUInt32BE"] as const) assert.throws(() => ours[name](16), RangeError);
  }
});

test("texts become bytes and bytes texts as by Node's Buffer", () => {
  for (let i = 0; i < ROUNDS; i++) {
    const [said, content] = [text(), bytes()];
    same(Buffer.from(said), Real.from(said));
    assert.equal(Buffer.byteLength(said), Real.byteLength(said));
    const [from, to] = [randomInt(content.length + 2), randomInt(content.length + 2)];
    assert.equal(Buffer.from(content).toString("utf8", from, to), Real.from(content).toString("utf8", from, to));
    const [ours, real] = [Buffer.alloc(60), Real.alloc(60)];
    const short = "mime/type".slice(randomInt(9));
    assert.equal(ours.write(short, from), real.write(short, from));
    same(ours, real);
  }
});

test("pieces are cut, joined and copied as by Node's Buffer, and a slice shares the memory", () => {
  for (let i = 0; i < ROUNDS; i++) {
    const [first, second] = [bytes(), bytes()];
    const [ours, real] = [Buffer.concat([Buffer.from(first), Uint8Array.from(second)]), Real.concat([Real.from(first), Real.from(second)])];
    same(ours, real);
    const [from, to] = [randomInt(-50, 90), randomInt(-50, 90)];
    same(ours.slice(from, to), real.slice(from, to));
    same(ours.slice(from), real.slice(from));
    const [target, realTarget] = [Buffer.alloc(30), Real.alloc(30)];
    const at = randomInt(30);
    assert.equal(ours.copy(target, at), real.copy(realTarget, at));
    same(target, realTarget);
  }
  const whole = Buffer.from([1, 2, 3]);
  whole.slice(1).writeUInt8(9);
  same(whole, [1, 9, 3] as unknown as Uint8Array);
  assert.ok(whole.slice(1) instanceof Buffer);
  same(Buffer.from(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2), Uint8Array.of(2, 3));
});

test("routes and credentials are written as by rsocket-composite-metadata", () => {
  const composite = (type: WellKnownMimeType, value: unknown) => encodeCompositeMetadata([[type, value as globalThis.Buffer]]);
  for (let i = 0; i < ROUNDS; i++) {
    const [said, other] = [text(), text().repeat(randomInt(400))];
    if (Real.byteLength(said) < 256) same(routeMetadata(said), composite(WellKnownMimeType.MESSAGE_RSOCKET_ROUTING, encodeRoute(said)));
    same(bearerMetadata(other), composite(WellKnownMimeType.MESSAGE_RSOCKET_AUTHENTICATION, encodeBearerAuthMetadata(other)));
    same(simpleAuthMetadata(said, other), composite(WellKnownMimeType.MESSAGE_RSOCKET_AUTHENTICATION, encodeSimpleAuthMetadata(said, other)));
  }
  assert.throws(() => routeMetadata("x".repeat(256)), RangeError);
  assert.throws(() => simpleAuthMetadata("x".repeat(65_536), ""), RangeError);
});

test("frames of rsocket-js come out of it as they went in", () => {
  const data = () => Buffer.from(bytes()) as unknown as globalThis.Buffer;
  const streamId = 7;
  const frames = (): Frame[] => [
    {type: FrameTypes.SETUP, streamId: 0, flags: Flags.METADATA, majorVersion: 1, minorVersion: 0, keepAlive: 30_000, lifetime: 240_000, metadataMimeType: "a/b", dataMimeType: "c", resumeToken: null, data: data(), metadata: data()} as unknown as Frame,
    {type: FrameTypes.REQUEST_RESPONSE, streamId, flags: Flags.METADATA, data: data(), metadata: data()},
    {type: FrameTypes.REQUEST_STREAM, streamId, flags: Flags.METADATA, requestN: randomInt(1, 2 ** 31), data: data(), metadata: data()},
    {type: FrameTypes.REQUEST_FNF, streamId, flags: Flags.METADATA, data: data(), metadata: data()},
    {type: FrameTypes.REQUEST_N, streamId, flags: 0, requestN: randomInt(1, 2 ** 31)},
    {type: FrameTypes.PAYLOAD, streamId, flags: Flags.NEXT | Flags.COMPLETE, data: data(), metadata: undefined},
    {type: FrameTypes.ERROR, streamId, flags: 0, code: 0x201, message: "nobody is there: Zoë"},
    {type: FrameTypes.KEEPALIVE, streamId: 0, flags: Flags.RESPOND, lastReceivedPosition: 0, data: data()},
    {type: FrameTypes.CANCEL, streamId, flags: 0},
  ];
  for (let i = 0; i < ROUNDS; i++) {
    for (const frame of frames()) {
      const read = deserializeFrame(serializeFrame(frame)) as unknown as Record<string, unknown>;
      for (const [name, value] of Object.entries(frame)) {
        if (value instanceof Uint8Array) same((read[name] ?? Buffer.alloc(0)) as Uint8Array, value);
        else if (value !== undefined) assert.equal(read[name], value, `${name} of frame type ${frame.type}`);
      }
    }
  }
});
