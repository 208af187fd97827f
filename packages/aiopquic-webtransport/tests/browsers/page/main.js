// Runs the checks and posts what came of them.
import * as checks from "./checks.js";
import { connect, settings as fetchSettings } from "./session.js";

const PATIENCE = 10000;
// On the first session; server_close ends it. The others make their own.
const ORDER = [
  "protocol", "bidirectional", "unidirectional", "server_streams", "many", "datagrams", "datagram_size",
  "they_reset", "they_stop", "we_reset", "we_stop", "second_session", "drain", "server_close",
  "long_reason", "client_close", "reconnect", "wrong_hash", "unknown_path", "foreign_origin",
];

const settings = await fetchSettings();
const report = {
  browser: navigator.userAgent,
  has: Object.getOwnPropertyNames(WebTransport.prototype),
  checks: [],
  errors: [],
};
addEventListener("error", ({ message }) => report.errors.push(message));
addEventListener("unhandledrejection", ({ reason }) => report.errors.push(String(reason)));

function late(name) {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(`${name}: nothing after ${PATIENCE} ms`)), PATIENCE));
}

async function run(name, work) {
  const begun = performance.now();
  let why = null;
  try {
    await Promise.race([work(), late(name)]);
  } catch (error) {
    why = `${error.name}: ${error.message}`;
  }
  report.checks.push({ name, ok: why === null, why, ms: Math.round(performance.now() - begun) });
  document.getElementById("log").textContent += `${name}: ${why ?? "ok"}\n`;
}

const first = connect(settings);
await run("session", () => first.session.ready);
for (const name of ORDER) {
  if (!report.checks[0].ok) break; // nothing of what follows could go well
  await run(name, () => checks[name](first, settings));
}
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
