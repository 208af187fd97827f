// The checks, in their order. Each is told the session and the settings; what it throws is its report.
import {
  CODE, DATAGRAMS, MANY, REASON, SIZE,
  begin, connect, expect, order, pattern, readAll, readText, rejection, same, writeAll,
} from "./session.js";

// `settings.lacks` names what the browser has not: "codes" (of streams), "stopping", "protocols", "draining".

async function thereAndBack(session, data) {
  const stream = await session.createBidirectionalStream();
  const [back] = await Promise.all([readAll(stream.readable), writeAll(stream.writable, data)]);
  expect(same(back, data), null, "what came back");
}

export async function protocol({ session }, settings) {
  expect(session.protocol, settings.lacks.includes("protocols") ? undefined : settings.protocol, "protocol");
}

export async function bidirectional({ session }) {
  await thereAndBack(session, pattern(SIZE));
}

export async function unidirectional({ session, nextUnidirectional }) {
  await order(session, "echo one way");
  expect(await readText(await nextUnidirectional()), "one way", "the echo");
}

export async function server_streams({ session, nextBidirectional, nextUnidirectional }) {
  await order(session, "open");
  const stream = await nextBidirectional();
  expect(await readText(stream.readable), "hello from the server", "the server's stream");
  await writeAll(stream.writable, "hello from the client");
  expect(await readText(await nextUnidirectional()), "the server got: hello from the client", "its answer");
}

export async function many({ session }) {
  await Promise.all(Array.from({ length: MANY }, (_, i) => thereAndBack(session, pattern(1000 + i))));
}

/** They may get lost: what has not come back is sent again. */
export async function datagrams({ session }) {
  const sizes = Array.from({ length: DATAGRAMS }, (_, i) => 100 + 15 * i);
  const missing = new Map(sizes.map((size) => [size, pattern(size)]));
  const writer = (session.datagrams.writable ?? session.datagrams.createWritable()).getWriter();
  const reader = session.datagrams.readable.getReader();
  const receive = async () => {
    while (missing.size > 0) {
      const { value } = await reader.read();
      const wanted = missing.get(value.length);
      if (wanted) expect(same(value, wanted), null, "a datagram");
      missing.delete(value.length);
    }
  };
  const received = receive();
  while (missing.size > 0) {
    for (const data of missing.values()) await writer.write(data);
    await Promise.race([received, new Promise((resolve) => setTimeout(resolve, 300))]);
  }
  await received;
  writer.releaseLock();
  reader.releaseLock();
}

export async function datagram_size({ session }) {
  const size = session.datagrams.maxDatagramSize;
  if (!(size >= 1000 && size <= 65535)) throw new Error(`maxDatagramSize is ${size}`);
}

function code(error, wanted, settings) {
  if (settings.lacks.includes("codes")) return;
  expect(error.name, "WebTransportError", `the name of ${error}`);
  expect(error.source, "stream", "its source");
  expect(error.streamErrorCode, wanted, "streamErrorCode");
}

export async function they_reset({ session }, settings) {
  const { reader } = await begin(session, "reset 77");
  code(await rejection(reader.read(), "reading"), 77, settings);
}

export async function they_stop({ session }, settings) {
  const { writer } = await begin(session, "stop 78");
  code(await rejection(writer.closed, "writing"), 78, settings);
}

/** With the arguments of the specification, or with those that came before. */
function ended(code) {
  try {
    return new WebTransportError("", { source: "stream", streamErrorCode: code });
  } catch {
    return new WebTransportError({ streamErrorCode: code });
  }
}

/** The server sends back the code that it got. */
export async function we_reset({ session }, settings) {
  const { reader, writer } = await begin(session, "given up");
  await reader.read();
  writer.abort(ended(79)).catch(() => {});
  code(await rejection(reader.read(), "reading"), 79, settings);
}

/** As the stream is over in both directions then, Chromium may forget the code. The server has told what it saw. */
export async function we_stop({ session }, settings) {
  if (settings.lacks.includes("stopping")) return;
  const { reader, writer } = await begin(session, "given up");
  await reader.read();
  reader.cancel(ended(80)).catch(() => {});
  await rejection(writer.closed, "writing");
}

export async function drain({ session }, settings) {
  await order(session, "drain");
  if (!settings.lacks.includes("draining")) {
    expect(session.draining instanceof Promise, true, "draining is a promise");
    await session.draining;
  }
  await thereAndBack(session, pattern(100)); // it goes on until somebody closes it
}

export async function second_session(_, settings) {
  const other = connect(settings);
  await other.session.ready;
  await thereAndBack(other.session, pattern(5000));
  other.session.close({ closeCode: 7, reason: "the second" });
  await other.session.closed;
}

/** The session may be over before this stream's end is acknowledged. */
function orderEnd(session, text) {
  order(session, text).catch(() => {});
}

export async function server_close({ session }) {
  const pending = (await begin(session, "left open")).reader;
  await pending.read();
  const reading = rejection(pending.read(), "reading a stream of an ended session");
  orderEnd(session, `close ${CODE} ${REASON}`);
  const { closeCode, reason } = await session.closed;
  expect(closeCode, CODE, "closeCode");
  expect(reason, REASON, "reason");
  await reading;
}

export async function long_reason(_, settings) {
  const { session } = connect(settings);
  await session.ready;
  orderEnd(session, `close 4294967295 ${"ü".repeat(512)}`);
  const { closeCode, reason } = await session.closed;
  expect(closeCode, 4294967295, "closeCode");
  expect(reason, "ü".repeat(512), "reason");
}

/** The server's report has what it saw of this. */
export async function client_close(_, settings) {
  const { session } = connect(settings);
  await session.ready;
  await thereAndBack(session, pattern(100));
  session.close({ closeCode: CODE, reason: REASON });
  const { closeCode, reason } = await session.closed;
  expect(closeCode, CODE, "closeCode");
  expect(reason, REASON, "reason");
}

export async function reconnect(_, settings) {
  for (let i = 0; i < 5; i++) {
    const { session } = connect(settings);
    await session.ready;
    await thereAndBack(session, pattern(100 + i));
    session.close();
    await session.closed;
  }
}

export async function wrong_hash(_, settings) {
  const flipped = (parseInt(settings.hash[0], 16) ^ 1).toString(16) + settings.hash.slice(1);
  await rejection(connect(settings, { hash: flipped }).session.ready, "another certificate's hash");
}

export async function unknown_path(_, settings) {
  const url = new URL("/nothing/here", settings.url).href;
  await rejection(connect(settings, { url }).session.ready, "a path that nobody serves");
}

/** The same page from another origin, in a frame. */
export async function foreign_origin(_, settings) {
  const frame = document.createElement("iframe");
  const told = new Promise((resolve) => addEventListener("message", ({ data }) => resolve(data), { once: true }));
  frame.src = settings.foreign;
  document.body.append(frame);
  const answer = await told;
  if (answer === "accepted") throw new Error("a page of another origin got a session");
}
