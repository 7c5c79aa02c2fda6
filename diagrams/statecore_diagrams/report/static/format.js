// How values are written for people: the same words as `statecore log`.

const DURATIONS = new Set(["wait", "held", "within", "lasts", "slept", "heard_ago", "by", "down", "offline", "resumable"]);
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

const two = (number) => String(number).padStart(2, "0");

// ms since 1970 -> "14:05:30.250", local
export function clock(wall) {
  const at = new Date(wall);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export function day(wall) {
  const at = new Date(wall);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

// microseconds -> "1m30s", to about three digits
export function duration(us) {
  const ms = us / 1e3;
  if (ms < 0) return `-${duration(-us)}`;
  if (ms < 1) return ms === 0 ? "0" : `${+ms.toPrecision(2)}ms`;
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const s = ms / 1000;
  if (s < 60) return `${+s.toPrecision(3)}s`;
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  const first = units.findIndex(([, length]) => s >= length);
  const [name, length] = units[first];
  const whole = Math.floor(s / length);
  const [small, smaller] = units[first + 1];
  const rest = Math.floor((s - whole * length) / smaller);
  return rest ? `${whole}${name}${rest}${small}` : `${whole}${name}`;
}

const NUMBER = new Intl.NumberFormat("en-US");
export const count = (number) => NUMBER.format(number);

// One line, whatever the text holds.
export const printable = (text) => String(text).replaceAll("\n", "⏎").replaceAll("\t", " ").replace(CONTROL, "\ufffd");

export function value(name, given) {
  if (DURATIONS.has(name) && Number.isInteger(given) && given >= 1000) return duration(given / 1e3);
  if (typeof given === "number" && !Number.isInteger(given)) return String(+given.toPrecision(3));
  if (Array.isArray(given)) return `[${given.map((item) => value("", item)).join(", ")}]`;
  if (given !== null && typeof given === "object") return `{${fields(given)}}`;
  return typeof given === "string" ? printable(JSON.stringify(given)) : String(given);
}

export const fields = (data) => Object.entries(data).map(([name, given]) => `${printable(name)}=${value(name, given)}`).join(" ");

export function short(address) {
  const parts = address.split("/");
  const key = parts.slice(2).join("/");
  const cut = key.length > 14 ? `${key.slice(0, 6)}…${key.slice(-6)}` : key;
  return printable(key ? `${parts[0]}/${parts[1]}/${cut}` : address);
}

export function bytes(size) {
  return size < 1e6 ? `${Math.round(size / 1e3)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
