// A session, and what the checks do with its streams.

export const SIZE = 1 << 20;
export const MANY = 100;
export const DATAGRAMS = 50;
export const CODE = 4660;
export const REASON = "schönen Tag";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export async function settings() {
  return (await fetch("/settings")).json();
}

function bytesOf(hexadecimal) {
  return Uint8Array.from(hexadecimal.match(/../g), (pair) => parseInt(pair, 16));
}

/** A session that is being established; everything that the server opens is queued. */
export function connect({ url, hash, protocols }, changes = {}) {
  const options = { serverCertificateHashes: [{ algorithm: "sha-256", value: bytesOf(changes.hash ?? hash) }] };
  if (protocols.length > 0) options.protocols = protocols;
  const session = new WebTransport(changes.url ?? url, options);
  // What is refused is looked at by whom it concerns.
  for (const promise of [session.ready, session.closed]) promise.catch(() => {});
  return {
    session,
    nextBidirectional: queue(session.incomingBidirectionalStreams),
    nextUnidirectional: queue(session.incomingUnidirectionalStreams),
  };
}

function queue(streams) {
  const reader = streams.getReader();
  return async () => {
    const { value, done } = await reader.read();
    if (done) throw new Error("the session ended before a stream came");
    return value;
  };
}

export function expect(got, wanted, what) {
  if (got !== wanted) throw new Error(`${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
}

export function pattern(size) {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = i * 7 + (i >> 8) * 13;
  return data;
}

/** Byte for byte. */
export function same(got, wanted) {
  if (got.length !== wanted.length) return `${got.length} bytes instead of ${wanted.length}`;
  const at = got.findIndex((byte, i) => byte !== wanted[i]);
  return at < 0 ? null : `byte ${at} is ${got[at]} instead of ${wanted[at]}`;
}

export async function readAll(readable) {
  const reader = readable.getReader();
  const pieces = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    pieces.push(value);
  }
  const data = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    data.set(piece, offset);
    offset += piece.length;
  }
  return data;
}

export async function readText(readable) {
  return decoder.decode(await readAll(readable));
}

export async function writeAll(writable, data) {
  const writer = writable.getWriter();
  const bytes = typeof data === "string" ? encoder.encode(data) : data;
  for (let offset = 0; offset < bytes.length; offset += 1 << 16) {
    await writer.ready;
    writer.write(bytes.subarray(offset, offset + (1 << 16))).catch(() => {});
  }
  await writer.close();
}

/** Begins a stream and leaves it open. */
export async function begin(session, text) {
  const stream = await session.createBidirectionalStream();
  const writer = stream.writable.getWriter();
  await writer.write(encoder.encode(text));
  return { stream, writer, reader: stream.readable.getReader() };
}

export async function order(session, text) {
  await writeAll(await session.createUnidirectionalStream(), text);
}

/** What a promise is rejected with. */
export async function rejection(promise, what) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`${what} went well`);
}
