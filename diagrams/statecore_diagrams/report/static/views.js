// Everything of the page that is neither timeline nor list: header, what went wrong, the row one looks at, help.
import { Events, State } from "./events.js";
import { clock, count, day, duration, printable, short, value } from "./format.js";
import { KEYS } from "./keys.js";
import { Machines } from "./machine.js";
import { Timeline } from "./timeline.js";
import { html, useEffect, useRef } from "./view.js";

function Header({ app }) {
  const { state } = app;
  const { head, hits, hit, find, more } = state;
  const typed = (event) => {
    if (event.key === "Enter" && event.target.value === find && hits.length) app.toHit(hit + (event.shiftKey ? -1 : 1));
    else if (event.key === "Enter") app.find(event.target.value);
    else if (event.key === "Escape") { app.find(""); event.target.value = ""; event.target.blur(); }
  };
  const found = !find ? "" : hits.length ? `${hit + 1} of ${count(hits.length)}${more ? "+" : ""}` : "nothing found";
  return html`<header class="head">
    <h1>${printable(head.path)}</h1>
    <span class="dim">${day(head.wall)} ${clock(head.wall).slice(0, 8)}, ${duration(state.end)}, ${count(head.count)} events</span>
    ${head.live ? html`<button class="badge live" aria-pressed=${state.follow} onClick=${() => app.set({ follow: !state.follow })} title="Follow what is new (f)">${state.follow ? "following" : "live"}</button>` : null}
    ${head.redacted ? html`<span class="badge" title="Texts, ids and tokens are placeholders, each the same wherever it stands">redacted</span>` : null}
    <span class="grow"></span>
    <span class="find">
      <input id="find" type="search" placeholder="find  ( / )" aria-label="Find a machine, chat, event or state" onKeyDown=${typed} />
      <span class="dim" role="status">${found}</span>
      <button onClick=${() => app.toHit(hit - 1)} disabled=${!hits.length} aria-label="Previous found" title="Previous (N)">↑</button>
      <button onClick=${() => app.toHit(hit + 1)} disabled=${!hits.length} aria-label="Next found" title="Next (n)">↓</button>
    </span>
    <button onClick=${() => app.flip()} aria-label=${state.theme === "dark" ? "Light" : "Dark"} title="Light or dark (t)">${state.theme === "dark" ? "☀" : "☾"}</button>
    <button onClick=${() => app.set({ help: true })} aria-label="Help" title="Help (?)">?</button>
  </header>`;
}

const COSTS = [
  ["delayed", (cost) => `${count(cost.delayed)} delayed${cost.delay_max ? `, up to ${duration(cost.delay_max / 1e3)}` : ""}`],
  ["refused", (cost) => `${count(cost.refused)} refused`],
  ["dead", (cost) => `${count(cost.dead)} dead`],
  ["doubled", (cost) => `${count(cost.doubled)} maybe doubled`],
  ["down", (cost) => `down ${duration(cost.down / 1e3)}`],
];

function Incident({ app, one }) {
  const { state } = app;
  const now = state.seq >= one.first && (one.last === null || state.seq <= one.last);
  return html`<li><button class=${now ? "incident now" : "incident"} onClick=${() => app.incident(one)}>
    <span class="kind">${one.kind}</span> <span class="dim">${clock(one.wall).slice(0, 8)} #${one.first}${one.ended === null ? ", goes on" : `, ${duration(one.ended - one.began)}`}</span>
    <span class="summary">${printable(one.summary)}</span>
    <span class="costs">${COSTS.filter(([name]) => one.cost[name]).map(([, text]) => html`<span class="cost">${text(one.cost)}</span>`)}</span>
    ${now ? html`<span class="cause"><b>Why</b> ${printable(one.cause)}</span><span class="cause"><b>What to change</b> ${printable(one.advice)}</span>` : null}
  </button></li>`;
}

function Account({ app, account }) {
  const { state } = app;
  const singles = state.tree.find((one) => one.name === account.name)?.singles ?? [];
  const held = singles.map((address) => state.states.get(address)).filter(Boolean);
  const total = Object.values(account.deliveries).reduce((sum, one) => sum + one, 0);
  return html`<li class="account">
    <b>${printable(account.name)}</b>
    <span class="held">${held.map((one) => html`<button class="chip" key=${one.address} onClick=${() => app.pin(one.address)} title=${printable(one.address)}>${one.address.split("/")[0]} <${State} app=${app} machine=${one.address.split("/")[0]} state=${one.state} /></button>`)}</span>
    <span class="dim">in the end: ${count(total)} deliveries${total ? ` (${Object.entries(account.deliveries).map(([name, number]) => `${count(number)} ${name}`).join(", ")})` : ""}${account.reason ? `; ${printable(account.reason)}` : ""}</span>
  </li>`;
}

function Summary({ app }) {
  const { state: { head, row } } = app;
  return html`<aside class="summary" aria-label="Summary">
    <header class="bar"><h2>Incidents</h2><span class="dim">${head.looking ? "looking …" : head.incidents.length || ""}</span></header>
    <ul class="incidents">${head.incidents.map((one) => html`<${Incident} key=${`${one.kind} ${one.first} ${one.address}`} app=${app} one=${one} />`)}</ul>
    ${head.incidents.length || head.looking ? null : html`<p class="none">None found.</p>`}
    <header class="bar"><h2>Accounts</h2><span class="dim">${row ? `at #${row.seq}` : ""}</span></header>
    <ul class="accounts">${head.accounts.map((account) => html`<${Account} key=${account.name} app=${app} account=${account} />`)}</ul>
  </aside>`;
}

function Brief({ app, row }) {
  return html`<li><button class=${row.seq === app.state.seq ? "brief now" : "brief"} onClick=${() => app.select(row.seq)}>
    <span class="seq">#${row.seq}</span> <span class="dim">${clock(row.wall)}</span> ${short(row.address)} <b>${printable(row.event)}</b> → <${State} app=${app} machine=${row.machine} state=${row.target} />
  </button></li>`;
}

function Details({ app }) {
  const { state: { row, why } } = app;
  if (!row) return html`<section class="details" aria-label="The selected event"></section>`;
  return html`<section class="details" aria-label="The selected event">
    <header class="bar"><h2>${printable(row.event)}</h2><span class="seq">#${row.seq}</span><span class="dim">${day(row.wall)} ${clock(row.wall)}</span></header>
    <div class="text">
      <p><span class="who">${printable(row.address)}</span> <${State} app=${app} machine=${row.machine} state=${row.source} /> → <${State} app=${app} machine=${row.machine} state=${row.target} /> ${row.outcome ? html`<i>${printable(row.outcome)}</i>` : null}</p>
      <dl>
        ${Object.entries(row.data).map(([name, given]) => html`<dt>${printable(name)}</dt><dd>${value(name, given)}</dd>`)}
        ${row.guards ? html`<dt>asked</dt><dd>${printable(row.guards)}</dd>` : null}
        ${row.chat ? html`<dt>chat</dt><dd>${printable(row.chat)}</dd>` : null}
        <dt>version</dt><dd>${row.version}, epoch ${row.epoch}</dd>
      </dl>
      <h3>${why.chain.length ? `What led to it, from outside (${why.chain.length})` : row.cause ? `Its cause, #${row.cause}, is not in here` : "It came from outside"}</h3>
      <ol class="chain up">${why.chain.map((one) => html`<${Brief} key=${one.seq} app=${app} row=${one} />`)}</ol>
      <h3>${why.effects.length ? `What it set off (${why.effects.length}${why.cut ? "+" : ""})` : "It set nothing off"}</h3>
      <ol class="chain down">${why.effects.slice(0, 100).map((one) => html`<${Brief} key=${one.seq} app=${app} row=${one} />`)}</ol>
    </div>
  </section>`;
}

function Help({ app }) {
  const box = useRef();
  useEffect(() => { if (app.state.help) box.current.showModal(); }, [app.state.help]);
  if (!app.state.help) return null;
  return html`<dialog ref=${box} class="help" aria-label="Help" onClose=${() => app.set({ help: false })}>
    <header class="bar"><h2>Keys</h2><span class="grow"></span><button autofocus onClick=${() => box.current.close()}>close</button></header>
    <dl>${KEYS.map(([keys, about]) => html`<dt>${keys}</dt><dd>${about}</dd>`)}</dl>
    <p>Drag over the bars, or over the times above the lanes, to scrub. Drag over the lanes to look closer; Ctrl and the wheel zoom, Shift and the wheel move. Click an event for what led to it and what it set off; click a machine's name to keep its diagram in sight.</p>
    <p>Find takes words that must all be there, anywhere or in one place: <code>event:Lost</code>, <code>machine:delivery/wx</code>, <code>chat:ann</code>, <code>state:dead</code>, <code>account:wx</code>; <code>#123</code> goes to a row.</p>
    <details><summary>Licences of what is in this page</summary><pre>${document.getElementById("licences").textContent}</pre></details>
  </dialog>`;
}

export function Page({ app }) {
  const { state } = app;
  return html`<${Header} app=${app} />
    ${state.trouble ? html`<p class="trouble" role="alert">${state.trouble}</p>` : null}
    <main><${Summary} app=${app} /><${Timeline} app=${app} /><${Events} app=${app} /><div class="side"><${Details} app=${app} /><${Machines} app=${app} /></div></main>
    <${Help} app=${app} />`;
}
