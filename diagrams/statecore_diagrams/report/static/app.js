// What the page shows, and what can be done to it. Views read `state` and call these; nothing else changes it.
import { latest } from "./source.js";

const ROWS_AROUND = 40;
const ROWS_MORE = 200;
const ROWS_KEPT = 1200;
const EFFECTS_MOST = 300;
const HITS_MOST = 500;
const NARROWEST = 2_000;
const NEWS_MS = 1_000;
const NAME_MS = 150;  // the address of the page follows when one stays

export class App {
  constructor(source) {
    this.source = source;
    const { head } = source;
    this.state = {
      head, end: 0, view: { t0: 0, t1: 1 }, seq: head.first, row: null, why: { chain: [], effects: [], cut: false },
      list: { rows: [], begins: true, ends: true }, filter: "", find: "", hits: [], hit: -1, more: false,
      tree: [], open: new Set(), members: new Map(), alone: false, pinned: null, states: new Map(), overview: null,
      follow: false, help: false, trouble: "", theme: theme(), loaded: 0,
    };
    this.listeners = new Set();
    this.pending = false;
    const failed = (error) => this.set({ trouble: error.message });
    this.near = latest((about) => source.ask("near", about), (seq) => this.select(seq), failed);
    this.reload = latest((about) => source.ask("rows", about), (list, about) => this.set({ list: { ...list, around: about.seq } }), failed);
    this.look = latest((about) => this.#look(about), (found) => this.set(found), failed);
  }

  set(changes) {
    Object.assign(this.state, changes);
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      for (const listener of this.listeners) listener(this.state);
    });
  }

  async ask(name, about) {
    try {
      return await this.source.ask(name, about);
    } catch (error) {
      this.set({ trouble: error.message });
      throw error;
    }
  }

  async start() {
    const [tree, overview] = await Promise.all([this.ask("tree", {}), this.ask("overview", { n: 400 })]);
    const open = new Set(tree.length > 12 ? [] : tree.map((account) => `a ${account.name}`));
    const end = Math.max(overview.end, 1);
    this.set({ tree, overview, open, end, view: { t0: 0, t1: end }, loaded: 1 });
    const asked = /seq=(\d+)/.exec(location.hash);
    const first = this.state.head.incidents[0]?.first;
    const { head } = this.state;
    this.goal = Math.max(head.first, Math.min(head.last, asked ? Number(asked[1]) : (first ?? (head.live ? head.last : head.first))));
    this.set(await this.#look({ seq: this.goal }));
    window.addEventListener("hashchange", () => {
      const now = /seq=(\d+)/.exec(location.hash);
      if (now && Number(now[1]) !== this.goal) this.select(Number(now[1]));
    });
    if (head.live) this.#listen();
  }

  // ---- where one is ----

  // Go to a row. Of many in a short time, as when scrubbing, those that come too fast are left out.
  select(seq) {
    const { head } = this.state;
    this.goal = Math.max(head.first, Math.min(head.last, seq));
    this.look({ seq: this.goal });
  }

  // All that is shown of a row, at once: a page that changes in three steps does three times the work.
  async #look({ seq }) {
    const { list, filter, tree, pinned } = this.state;
    const held = list.rows.find((row) => row.seq === seq);
    const [rows, why] = await Promise.all([
      held ? null : this.source.ask("rows", { seq, before: ROWS_AROUND, after: ROWS_AROUND, filter }),
      this.source.ask("why", { seq, most: EFFECTS_MOST }),
    ]);
    const row = held ?? rows.rows.find((one) => one.seq === seq) ?? (await this.source.ask("rows", { seq, before: 1, after: 0 })).rows.at(-1) ?? null;
    const found = { seq: row?.seq ?? seq, row, why, trouble: "", ...(rows ? { list: { ...rows, around: seq } } : {}) };
    if (!row) return found;
    const addresses = [...new Set([
      ...tree.flatMap((one) => one.singles).slice(0, 60), ...(tree.find((one) => one.name === row.account)?.singles ?? []), row.address,
      ...(row.chat ? [`window/${row.account}/${row.chat}`, `circuit/${row.account}/${row.chat}`] : []),
      ...why.chain.map((one) => one.address), ...(pinned ? [pinned] : []),
    ])];
    const states = await this.source.ask("states", { seq, addresses });
    this.#toView(row.t);
    clearTimeout(this.naming);
    this.naming = setTimeout(() => history.replaceState(null, "", `#seq=${this.goal}`), NAME_MS);
    return { ...found, states: new Map(states.filter(Boolean).map((one) => [one.address, one])) };
  }

  #toView(t) {
    const { view: { t0, t1 } } = this.state;
    if (t >= t0 && t <= t1) return;
    this.show(t - (t1 - t0) / 2, t + (t1 - t0) / 2);
  }

  scrub(t) {
    this.near({ t });
  }

  async step(by) {
    const { list, filter } = this.state;
    const seq = this.goal;
    let index = list.rows.findIndex((row) => row.seq > seq) - 1;
    if (index < -1) index = list.rows.length - 1;
    const exact = list.rows[index]?.seq === seq;
    const next = list.rows[index + (by < 0 && !exact ? by + 1 : by)];
    if (next) return this.select(next.seq);
    const answer = await this.ask("rows", { seq: by < 0 ? seq - 1 : seq, before: by < 0 ? -by : 0, after: by < 0 ? 0 : by, filter });
    const found = by < 0 ? answer.rows[0] : answer.rows.at(-1);
    return found ? this.select(found.seq) : undefined;
  }

  async more(where) {
    const { list, filter } = this.state;
    if (!list.rows.length || this.loading) return 0;
    this.loading = true;
    try {
      const edge = where < 0 ? list.rows[0].seq - 1 : list.rows.at(-1).seq;
      const answer = await this.ask("rows", { seq: edge, before: where < 0 ? ROWS_MORE : 0, after: where < 0 ? 0 : ROWS_MORE, filter });
      if (this.state.list !== list) return 0;
      const rows = where < 0 ? [...answer.rows, ...list.rows].slice(0, ROWS_KEPT) : [...list.rows, ...answer.rows].slice(-ROWS_KEPT);
      const begins = where < 0 ? answer.begins : list.begins && rows[0] === list.rows[0];
      const ends = where < 0 ? list.ends && rows.at(-1) === list.rows.at(-1) : answer.ends;
      this.set({ list: { rows, begins, ends, around: list.around } });
      return where < 0 ? answer.rows.length : -(list.rows.length + answer.rows.length - rows.length);
    } finally {
      this.loading = false;
    }
  }

  // ---- the window in time ----

  show(t0, t1) {
    const { end } = this.state;
    const length = Math.min(Math.max(t1 - t0, NARROWEST), Math.max(end, NARROWEST) * 1.02);
    const middle = (t0 + t1) / 2;
    const slack = end * 0.01;
    const from = Math.max(-slack, Math.min(middle - length / 2, Math.max(end, NARROWEST) + slack - length));
    this.set({ view: { t0: from, t1: from + length } });
  }

  // Without a place to keep where it is, the row one looks at comes into the middle.
  zoom(factor, around = null) {
    const { view: { t0, t1 }, row } = this.state;
    const length = (t1 - t0) * factor;
    const at = around ?? (row && row.t >= t0 && row.t <= t1 ? row.t : (t0 + t1) / 2);
    const from = around === null ? at - length / 2 : at - (at - t0) * factor;
    this.show(from, from + length);
  }

  pan(share) {
    const { view: { t0, t1 } } = this.state;
    const by = (t1 - t0) * share;
    this.show(t0 + by, t1 + by);
  }

  fit() {
    this.show(0, this.state.end);
  }

  async incident(one) {
    const began = Math.max(0, one.began), ended = one.ended ?? this.state.end;
    const room = Math.max((ended - began) * 0.25, 2e6);
    this.show(began - room, ended + room);
    const rest = one.address.split("/");
    const member = this.state.tree.find((account) => account.name === one.account)?.chats.find(({ chat }) => chat === rest.slice(2).join("/"));
    if (member) await this.unfold(one.account, member.chat);
    this.select(one.first);
  }

  // ---- lanes ----

  async toggle(key) {
    const open = new Set(this.state.open);
    if (open.has(key)) open.delete(key);
    else open.add(key);
    if (key.startsWith("c ") && open.has(key)) await this.#members(key);
    this.set({ open });
  }

  async unfold(account, chat) {
    const open = new Set(this.state.open).add(`a ${account}`);
    if (chat) {
      open.add(`c ${account} ${chat}`);
      await this.#members(`c ${account} ${chat}`);
    }
    this.set({ open });
  }

  async #members(key) {
    const [, account, ...chat] = key.split(" ");
    const members = new Map(this.state.members);
    members.set(key, await this.ask("members", { account, chat: chat.join(" ") }));
    this.set({ members });
  }

  pin(address) {
    this.set({ pinned: this.state.pinned === address ? null : address });
    this.look({ seq: this.goal });
  }

  // ---- finding ----

  async find(text) {
    this.set({ find: text, hits: [], hit: -1, more: false });
    const seq = /^#(\d+)$/.exec(text.trim());
    if (seq) return this.select(Number(seq[1]));
    if (!text.trim()) return undefined;
    let after = 0, hits = [];
    while (after !== null && hits.length < HITS_MOST && this.state.find === text) {
      const answer = await this.ask("find", { text, after, most: HITS_MOST - hits.length });
      hits = [...hits, ...answer.hits];
      after = answer.next;
      if (this.state.find === text) this.set({ hits, more: after !== null });
    }
    if (this.state.find !== text || !hits.length) return undefined;
    return this.toHit(Math.max(0, hits.findIndex((one) => one.seq >= this.state.seq)));
  }

  toHit(index) {
    const { hits } = this.state;
    if (!hits.length) return;
    const hit = ((index % hits.length) + hits.length) % hits.length;
    this.set({ hit });
    this.select(hits[hit].seq);
  }

  narrow(filter) {
    this.set({ filter });
    this.reload({ seq: this.goal, before: ROWS_AROUND, after: ROWS_AROUND, filter });
  }

  // ---- what is new ----

  // What is new is asked for every second; of a journal so long that the answer takes its time, less often.
  async #listen() {
    let took = 0;
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(NEWS_MS, 4 * took)));
      if (document.hidden) continue;
      const began = performance.now();
      try {
        const { head, end, view, list, filter, follow } = this.state;
        const news = await this.source.ask("news", { after: head.last });
        if (head.last < head.first && news.last >= 0) return location.reload();  // it was empty, so nothing was known of it
        const changed = { incidents: news.incidents, accounts: news.accounts, looking: news.looking };
        if (news.last === head.last) {
          this.set({ head: { ...head, ...changed }, trouble: "" });
          continue;
        }
        const [overview, tree, rows] = await Promise.all([
          this.source.ask("overview", { n: 400 }), this.source.ask("tree", {}),
          list.ends ? this.source.ask("rows", { seq: list.rows.at(-1)?.seq ?? 0, before: 0, after: ROWS_MORE, filter }) : null,
        ]);
        const grown = rows && this.state.list === list ? { list: { ...list, rows: [...list.rows, ...rows.rows].slice(-ROWS_KEPT), ends: rows.ends, begins: false } } : {};
        const whole = view.t1 >= end;
        this.set({ head: { ...head, ...changed, last: news.last, count: news.count }, overview, tree, end: Math.max(overview.end, 1), trouble: "", ...grown });
        if (whole) this.show(view.t0 <= 0 ? 0 : view.t0 + overview.end - end, overview.end);
        if (follow) this.select(news.last);
      } catch (error) {
        this.set({ trouble: `the inspector does not answer (${error.message}); is it still running?` });
      }
      took = performance.now() - began;
    }
  }

  // ---- looks ----

  flip() {
    const next = this.state.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("statecore-theme", next);
    } catch { /* a file may not have storage */ }
    this.set({ theme: next });
  }
}

function theme() {
  let kept = null;
  try {
    kept = localStorage.getItem("statecore-theme");
  } catch { /* a file may not have storage */ }
  if (kept) document.documentElement.dataset.theme = kept;
  return kept ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}
