// The questions a page asks of a journal, answered from the rows in the page itself. Runs in a worker, so that nothing
// here can hold the page up. `queries.py` answers the same questions from the file, for the inspector; a test compares.
//
// Times are microseconds since the first row. A row is found by its place (0, 1, 2 ...) or by its seq.
import { matcher } from "./query.js";

const WARNING = new Set(["warn", "bad", "odd"]);
const PIECES_KEPT = 6;

export class Engine {
  constructor(head) {
    this.head = head;
    this.tables = head.tables;
    this.rows = head.count;
    this.columns = { seq: new Float64Array(this.rows), t: new Float64Array(this.rows), wall: new Float64Array(this.rows) };
    for (const name of ["who", "event", "source", "target", "outcome", "guards"]) this.columns[name] = new Uint32Array(this.rows);
    for (const name of ["cause", "version", "epoch"]) this.columns[name] = new Float64Array(this.rows);
    this.fields = [];
    this.unpacked = new Map();
    this.troubled = this.tables.addresses.map((_, who) => this.tables.states.map((state) => WARNING.has(this.tone(who, state))));
  }

  tone(who, state) {
    const machine = this.head.machines[this.tables.machines[who]];
    return machine?.states.find((one) => one.name === state)?.tone ?? "wait";
  }

  // ---- unpacking ----

  async load(pieces, onProgress) {
    const versions = Float64Array.from(this.tables.versions);
    const last = { seq: this.head.first, at: 0, wall: 0, epoch: this.head.epoch };
    let place = 0;
    this.starts = [];
    for (const [index, piece] of pieces.entries()) {
      const read = JSON.parse(await inflated(piece.columns));
      this.starts.push(place);
      this.fields.push(piece.fields);
      for (let i = 0; i < read.seq.length; i++, place++) {
        const c = this.columns;
        c.seq[place] = last.seq += read.seq[i];
        c.t[place] = (last.at += read.at[i]) / 1e3;
        c.wall[place] = this.head.wall + (last.wall += read.wall[i]) / 1e6;
        c.epoch[place] = last.epoch += read.epoch[i];
        for (const name of ["who", "event", "source", "target", "outcome", "guards"]) c[name][place] = read[name][i];
        c.cause[place] = read.cause[i] ? last.seq - read.cause[i] : 0;
        c.version[place] = versions[read.who[i]]++;
      }
      onProgress?.(index + 1, pieces.length);
    }
    this.#arrange();
  }

  // The places of the rows of each instance, one after the other: those of instance w begin at offsets[w].
  #arrange() {
    const { who } = this.columns;
    const count = this.tables.addresses.length;
    this.offsets = new Uint32Array(count + 1);
    for (let i = 0; i < this.rows; i++) this.offsets[who[i] + 1]++;
    for (let w = 0; w < count; w++) this.offsets[w + 1] += this.offsets[w];
    const next = this.offsets.slice();
    this.places = new Uint32Array(this.rows);
    for (let i = 0; i < this.rows; i++) this.places[next[who[i]]++] = i;
    this.numbers = new Map(this.tables.addresses.map((address, w) => [address, w]));
  }

  async #fieldsOf(place) {
    let piece = 0;
    while (piece + 1 < this.starts.length && this.starts[piece + 1] <= place) piece++;
    if (!this.unpacked.has(piece)) {
      this.unpacked.set(piece, JSON.parse(await inflated(this.fields[piece])));
      if (this.unpacked.size > PIECES_KEPT) this.unpacked.delete(this.unpacked.keys().next().value);
    }
    const text = this.unpacked.get(piece)[place - this.starts[piece]];
    try {
      const fields = JSON.parse(text);
      if (fields !== null && typeof fields === "object" && !Array.isArray(fields)) return fields;
    } catch { /* a damaged row is shown as it is */ }
    return { "not readable": text };
  }

  // ---- finding places ----

  // The place of the last row whose value in a column is at or below x; -1 if there is none.
  upTo(column, x) {
    let low = 0, high = this.rows;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (column[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // The same among the rows of one instance; an index into `places`, or below its first.
  upToOf(who, column, x) {
    let low = this.offsets[who], high = this.offsets[who + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (column[this.places[middle]] <= x) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  brief(place) {
    const c = this.columns, names = this.tables, who = c.who[place];
    return {
      seq: c.seq[place], t: c.t[place], wall: c.wall[place], address: names.addresses[who], machine: names.machines[who],
      account: names.accounts[who], chat: names.chats[who], event: names.events[c.event[place]],
      source: names.states[c.source[place]], target: names.states[c.target[place]],
      outcome: names.outcomes[c.outcome[place]], cause: c.cause[place] || null,
    };
  }

  async whole(place) {
    const c = this.columns;
    return {
      ...this.brief(place), version: c.version[place], epoch: c.epoch[place],
      guards: this.tables.guards[c.guards[place]], data: await this.#fieldsOf(place),
    };
  }

  // ---- the questions ----

  overview({ n }) {
    const { t, who, target, outcome } = this.columns;
    const end = Math.max(t[this.rows - 1], 1);
    const counts = new Array(n).fill(0), trouble = new Array(n).fill(0);
    for (let i = 0; i < this.rows; i++) {
      const bin = Math.min(n - 1, Math.floor((t[i] / end) * n));
      counts[bin]++;
      if (!outcome[i] || !this.tables.outcomes[outcome[i]]) trouble[bin] += this.troubled[who[i]][target[i]] ? 1 : 0;
    }
    return { end, counts, trouble };
  }

  tree() {
    const accounts = new Map();
    for (const [who, address] of this.tables.addresses.entries()) {
      const name = this.tables.accounts[who], chat = this.tables.chats[who];
      if (!accounts.has(name)) accounts.set(name, { name, singles: [], chats: new Map() });
      const account = accounts.get(name);
      if (!chat) account.singles.push(address);
      else {
        const held = account.chats.get(chat) ?? { chat, count: 0, last: 0 };
        held.count++;
        held.last = Math.max(held.last, this.columns.seq[this.places[this.offsets[who + 1] - 1]]);
        account.chats.set(chat, held);
      }
    }
    return [...accounts.values()].sort(byName).map((account) => ({
      name: account.name,
      singles: account.singles.sort(),
      chats: [...account.chats.values()].sort((a, b) => b.last - a.last),
    }));
  }

  members({ account, chat }) {
    const found = [];
    for (let who = 0; who < this.tables.addresses.length; who++) {
      if (this.tables.chats[who] === chat && this.tables.accounts[who] === account) found.push(who);
    }
    const kept = (who) => (["window", "circuit"].includes(this.tables.machines[who]) ? 0 : 1);
    return found.sort((a, b) => kept(a) - kept(b) || a - b).map((who) => this.tables.addresses[who]);
  }

  bins({ groups, t0, t1, n }) {
    const { t, who, target, outcome } = this.columns;
    const keys = new Map(groups.map((group, index) => [group.chat === undefined ? `a ${group.account}` : `c ${group.account} ${group.chat}`, index]));
    const found = groups.map(() => ({ counts: new Array(n).fill(0), trouble: new Array(n).fill(0) }));
    const wanted = this.tables.addresses.map((_, w) => {
      const ofAccount = keys.get(`a ${this.tables.accounts[w]}`) ?? -1;
      return this.tables.chats[w] ? (keys.get(`c ${this.tables.accounts[w]} ${this.tables.chats[w]}`) ?? ofAccount) : ofAccount;
    });
    const scale = n / (t1 - t0);
    for (let i = this.upTo(t, t0 - 1e-6) + 1; i < this.rows && t[i] <= t1; i++) {
      const group = wanted[who[i]];
      if (group < 0) continue;
      const bin = Math.min(n - 1, Math.floor((t[i] - t0) * scale));
      found[group].counts[bin]++;
      if (!this.tables.outcomes[outcome[i]] && this.troubled[who[i]][target[i]]) found[group].trouble[bin]++;
    }
    return { groups: found, one: 1 };
  }

  // Where instances were between two times: the states they entered, and when. If one changed more than n times, what is
  // returned is where it was at the end of each of n equal parts.
  lanes({ addresses, t0, t1, n }) {
    return addresses.map((address) => {
      const who = this.numbers.get(address);
      if (who === undefined) return { t: [], state: [], seq: [], dense: false, end: null };
      const { t, seq, source, target } = this.columns;
      const first = this.upToOf(who, t, t0), last = this.upToOf(who, t, t1);
      const lane = { t: [], state: [], seq: [], dense: last - first > n, end: this.#ends(who) };
      const add = (index) => {
        const place = this.places[index];
        lane.t.push(t[place]);
        lane.state.push(this.tables.states[target[place]]);
        lane.seq.push(seq[place]);
      };
      if (first < this.offsets[who] && last >= this.offsets[who] && this.columns.version[this.places[this.offsets[who]]] > 1) {
        lane.t.push(t0);  // it was there before the rows begin
        lane.state.push(this.tables.states[source[this.places[this.offsets[who]]]]);
        lane.seq.push(0);
      }
      if (first >= this.offsets[who]) add(first);
      if (!lane.dense) for (let i = first + 1; i <= last; i++) add(i);
      else {
        let before = first;
        for (let part = 1; part <= n; part++) {
          const index = this.upToOf(who, t, t0 + ((t1 - t0) * part) / n);
          if (index > before) add(index);
          before = index;
        }
      }
      return lane;
    });
  }

  // When an instance was over, if it is: the time of the last row, where that entered a state that is final.
  #ends(who) {
    const place = this.places[this.offsets[who + 1] - 1];
    const state = this.tables.states[this.columns.target[place]];
    const about = this.head.machines[this.tables.machines[who]]?.states.find((one) => one.name === state);
    return about?.final ? this.columns.t[place] : null;
  }

  near({ t }) {
    return this.columns.seq[Math.max(0, this.upTo(this.columns.t, t))];
  }

  async rows_({ seq, before, after, filter }) {
    const fits = filter ? matcher(filter) : null;
    const start = this.upTo(this.columns.seq, seq);
    const above = [], below = [];
    let i = start;
    for (; i >= 0 && above.length < before; i--) if (!fits || fits(this.brief(i))) above.push(i);
    const begins = i < 0;
    let j = start + 1;
    for (; j < this.rows && below.length < after; j++) if (!fits || fits(this.brief(j))) below.push(j);
    const rows = await Promise.all([...above.reverse(), ...below].map((place) => this.whole(place)));
    return { rows, begins, ends: j >= this.rows };
  }

  // What led to a row, from the outside event on, and what it set off.
  why({ seq, most }) {
    const start = this.upTo(this.columns.seq, seq);
    if (start < 0 || this.columns.seq[start] !== seq) return { chain: [], effects: [], cut: false };
    const { cause } = this.columns;
    const chain = [];
    let place = start;
    while (cause[place]) {
      const up = this.upTo(this.columns.seq, cause[place]);
      if (up < 0 || this.columns.seq[up] !== cause[place]) break;
      chain.unshift(this.brief(up));
      place = up;
    }
    const caused = new Set([seq]), effects = [];
    let cut = false;
    for (let i = start + 1; i < this.rows; i++) {
      if (!cause[i] || !caused.has(cause[i])) continue;
      if (effects.length === most) { cut = true; break; }
      caused.add(this.columns.seq[i]);
      effects.push(this.brief(i));
    }
    return { chain, effects, cut };
  }

  find({ text, after, most }) {
    const fits = matcher(text);
    const hits = [];
    let i = this.upTo(this.columns.seq, after) + 1;
    for (; i < this.rows && hits.length < most; i++) {
      const row = this.brief(i);
      if (fits(row)) hits.push({ seq: row.seq, t: row.t, address: row.address, account: row.account, chat: row.chat });
    }
    return { hits, next: i < this.rows ? this.columns.seq[i - 1] : null };
  }

  states({ seq, addresses }) {
    return addresses.map((address) => {
      const who = this.numbers.get(address);
      const index = who === undefined ? -1 : this.upToOf(who, this.columns.seq, seq);
      if (who === undefined || index < this.offsets[who]) return null;
      const place = this.places[index];
      let entered = index;
      while (entered > this.offsets[who] && this.tables.outcomes[this.columns.outcome[this.places[entered]]]) entered--;
      return { address, state: this.tables.states[this.columns.target[place]], seq: this.columns.seq[place], since: this.columns.t[this.places[entered]], version: this.columns.version[place] };
    });
  }

  edges({ machine }) {
    const { who, source, target, event, outcome } = this.columns;
    const found = new Map();
    for (let i = 0; i < this.rows; i++) {
      if (this.tables.machines[who[i]] !== machine || this.tables.outcomes[outcome[i]]) continue;
      const edge = [this.tables.states[source[i]], this.tables.events[event[i]], this.tables.states[target[i]]];
      found.set(edge.join("\n"), edge);
    }
    return [...found.values()];
  }
}

const byName = (a, b) => (a.name < b.name ? -1 : 1);

export async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}

// In a worker: the first message brings everything, the others ask.
let engine = null;
self.onmessage = async ({ data: { id, ask, about, head, pieces } }) => {
  try {
    if (head) {
      engine = new Engine(head);
      await engine.load(pieces, (done, of) => self.postMessage({ progress: done / of }));
      self.postMessage({ id, answer: true });
    } else {
      self.postMessage({ id, answer: await engine[ask === "rows" ? "rows_" : ask](about) });
    }
  } catch (error) {
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
};
