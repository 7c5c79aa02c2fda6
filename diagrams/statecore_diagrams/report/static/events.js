// The events around the row one looks at: a list of which only what is in sight is in the page.
import { clock, fields, printable, short } from "./format.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./view.js";

const LINE = 22;
const SPARE = 6;
const NEAR_EDGE = 600;

export function State({ machine, state, app }) {
  const tone = app.state.head.machines[machine]?.states.find((one) => one.name === state)?.tone ?? "wait";
  return html`<span class=${`state ${tone}`}>${printable(state)}</span>`;
}

function Row({ app, row, mark, top }) {
  const { state } = app;
  const now = row.seq === state.seq;
  const moved = row.target !== row.source || !row.outcome;
  return html`<div role="row" id=${`row-${row.seq}`} class=${`row ${now ? "now" : ""} ${mark}`} aria-selected=${now} style=${{ top: `${top}px` }}
      onClick=${() => app.select(row.seq)}>
    <span role="gridcell" class="when">${clock(row.wall)}</span>
    <span role="gridcell" class="seq">#${row.seq}</span>
    <span role="gridcell" class="mark" aria-label=${{ up: "a cause", down: "set off by it", hit: "found" }[mark.split(" ")[0]] ?? ""}>${{ up: "↑", down: "↓" }[mark.split(" ")[0]] ?? ""}</span>
    <span role="gridcell" class="who" title=${printable(row.address)}>${short(row.address)}</span>
    <span role="gridcell" class="move"><${State} app=${app} machine=${row.machine} state=${row.source} />${moved ? html`<span class="dim">→</span><${State} app=${app} machine=${row.machine} state=${row.target} />` : null}</span>
    <span role="gridcell" class="what"><b>${printable(row.event)}</b>${row.outcome ? html` <i>${printable(row.outcome)}</i>` : null} <span class="dim">${fields(row.event.startsWith("Elapsed") ? {} : row.data)}</span></span>
    <span role="gridcell" class="from">${row.cause ? `←#${row.cause}` : ""}</span>
  </div>`;
}

export function Events({ app }) {
  const { state } = app;
  const { list } = state;
  const box = useRef();
  const [place, setPlace] = useState({ top: 0, height: 400 });
  const look = () => setPlace({ top: box.current.scrollTop, height: box.current.clientHeight });
  useEffect(() => {
    const watch = new ResizeObserver(look);
    watch.observe(box.current);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {  // the row one went to is in sight, in the middle if it came from elsewhere
    const index = list.rows.findIndex((row) => row.seq >= state.seq);
    if (index < 0) return;
    const at = index * LINE, view = box.current;
    if (at < view.scrollTop || at + LINE > view.scrollTop + view.clientHeight) view.scrollTop = at - view.clientHeight / 2 + LINE;
    look();
  }, [state.seq, list.around]);
  const scrolled = async () => {
    look();
    const view = box.current;
    const up = view.scrollTop < NEAR_EDGE && !list.begins, down = view.scrollHeight - view.scrollTop - view.clientHeight < NEAR_EDGE && !list.ends;
    if (!up && !down) return;
    const moved = await app.more(up ? -1 : 1);
    if (moved) requestAnimationFrame(() => { view.scrollTop += moved * LINE; });
  };
  const up = new Set(state.why.chain.map((row) => row.seq)), down = new Set(state.why.effects.map((row) => row.seq));
  const hits = new Set(state.hits.map((one) => one.seq));
  const markOf = (row) => [up.has(row.seq) ? "up" : down.has(row.seq) ? "down" : "", hits.has(row.seq) ? "hit" : ""].join(" ").trim();
  const first = Math.max(0, Math.floor(place.top / LINE) - SPARE);
  const seen = list.rows.slice(first, first + Math.ceil(place.height / LINE) + 2 * SPARE);
  return html`<section class="events" aria-label="Events">
    <header class="bar">
      <h2>Events</h2>
      <span class="dim">${state.row ? `#${state.row.seq}` : ""}</span><span class="grow"></span>
      <input class="filter" type="search" placeholder="show only, e.g. machine:circuit" aria-label="Show only events with"
        onChange=${(event) => app.narrow(event.target.value.trim())} />
    </header>
    <div class="rows" ref=${box} role="grid" tabindex="0" aria-label="Events around the selected one" aria-activedescendant=${`row-${state.seq}`} onScroll=${scrolled}>
      <div style=${{ height: `${list.rows.length * LINE}px` }} role="presentation">
        ${seen.map((row, i) => html`<${Row} key=${row.seq} app=${app} row=${row} mark=${markOf(row)} top=${(first + i) * LINE} />`)}
      </div>
      ${list.rows.length ? null : html`<p class="none">${state.filter ? "no event fits" : "no events"}</p>`}
    </div>
  </section>`;
}
