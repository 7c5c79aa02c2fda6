// The timeline: the whole journal as bars above, and below it the lanes of a window of it. uPlot keeps the time axes, the
// scales and the selection; what is in the lanes is drawn into its canvas by `paint.js`.
import { clock, count, duration } from "./format.js";
import { lanesOf, placer } from "./lanes.js";
import { paint, palette } from "./paint.js";
import { latest } from "./source.js";
import { html, useEffect, useRef } from "./view.js";

const LANE = 22;
const AXIS = 30;
const GAP = 8;

// What stands at the ticks of a time axis, by the distance between them (ms): the hour of 24, and a date written one way.
const DAY = "{YYYY}-{MM}-{DD}";
const ticks = (under) => {
  const below = (text) => (under ? `\n${text}` : null);
  return [
    [86400e3, DAY, null, null, null, null, null, null, 1],
    [60e3, "{HH}:{mm}", below(DAY), null, below(DAY), null, null, null, 1],
    [1e3, "{HH}:{mm}:{ss}", below(DAY), null, below(DAY), null, null, null, 1],
    [1, "{HH}:{mm}:{ss}.{fff}", below(DAY), null, below(DAY), null, null, null, 1],
  ];
};

const toned = (head) => {
  const tones = new Map(Object.entries(head.machines).flatMap(([machine, { states }]) => states.map(({ name, tone }) => [`${machine} ${name}`, tone])));
  return (machine, state) => tones.get(`${machine} ${state}`) ?? "wait";
};

class Plot {
  constructor(app, host, size, axis, hooks) {
    this.app = app;
    this.host = host;
    const colours = palette();
    const time = {
      side: axis, size: axis ? AXIS + 6 : AXIS, gap: 3, values: ticks(axis === 2), space: 80, ticks: { size: 4, stroke: () => this.colours.line, width: 1 },
      stroke: () => this.colours.dim, grid: { stroke: () => this.colours.line, width: 1 }, font: "11px ui-sans-serif, system-ui, sans-serif",
    };
    this.colours = colours;
    this.plot = new uPlot({
      ...size, ms: 1, legend: { show: false }, padding: [0, GAP, 0, GAP],
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: true, range: () => this.range() }, y: { range: () => [0, 1] } },
      axes: [time, { show: false }], series: [{}, { paths: () => null, points: { show: false } }],
      hooks: hooks(this),
    }, [[0, 1], [0, 0]], host);
  }

  get wall() {
    return this.app.state.head.wall;
  }

  toX(t) {
    return this.wall + t / 1e3;
  }

  toT(x) {
    return (x - this.wall) * 1e3;
  }

  tAt(pixels) {
    return this.toT(this.plot.posToVal(pixels, "x"));
  }

  resize(width, height) {
    if (width > 0 && height > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }
}

// ---- the whole ----

class Overview extends Plot {
  constructor(app, host) {
    super(app, host, { width: 300, height: 82 }, 2, (self) => ({ draw: [() => self.draw()] }));
    dragging(this.plot.over, (pixels) => app.scrub(this.tAt(pixels)));
  }

  range() {
    return [Math.round(this.toX(0)), Math.round(this.toX(this.app.state.end))];
  }

  draw() {
    const { state } = this.app;
    if (!state.overview) return;
    const { ctx, bbox } = this.plot, ratio = devicePixelRatio, { counts, trouble } = state.overview, c = this.colours;
    const most = Math.sqrt(Math.max(...counts, 1)), step = bbox.width / counts.length;
    const x = (t) => bbox.left + (t / state.end) * bbox.width;
    ctx.save();
    for (const [values, colour] of [[counts, c.bar], [trouble ?? [], c.bad]]) {
      ctx.fillStyle = colour;
      values.forEach((value, i) => {
        const tall = value ? Math.max(ratio, (Math.sqrt(value) / most) * (bbox.height - 8 * ratio)) : 0;
        ctx.fillRect(bbox.left + i * step, bbox.top + bbox.height - tall, Math.max(step - 0.5 * ratio, ratio), tall);
      });
    }
    ctx.fillStyle = c.bad;
    for (const one of state.head.incidents) {
      ctx.fillRect(x(one.began), bbox.top, Math.max(x(one.ended ?? state.end) - x(one.began), 3 * ratio), 3 * ratio);
    }
    ctx.fillStyle = c.hit;
    for (const one of state.hits) ctx.fillRect(x(one.t), bbox.top + 4 * ratio, ratio, 5 * ratio);
    const left = Math.max(bbox.left, x(state.view.t0)), right = Math.min(bbox.left + bbox.width, x(state.view.t1));
    ctx.fillStyle = c.paper;
    ctx.globalAlpha = 0.62;
    ctx.fillRect(bbox.left, bbox.top, left - bbox.left, bbox.height);
    ctx.fillRect(right, bbox.top, bbox.left + bbox.width - right, bbox.height);
    ctx.globalAlpha = 1;
    ctx.strokeStyle = c.dim;
    ctx.lineWidth = ratio;
    ctx.strokeRect(left, bbox.top + ratio / 2, Math.max(right - left, 2 * ratio), bbox.height - ratio);
    if (state.row) {
      ctx.fillStyle = c.accent;
      ctx.fillRect(x(state.row.t) - ratio, bbox.top, 2 * ratio, bbox.height);
    }
    ctx.restore();
  }

  update() {
    this.colours = palette();
    this.plot.setScale("x", { min: this.range()[0], max: this.range()[1] });
    this.plot.redraw();
  }
}

// ---- the lanes ----

class Lanes extends Plot {
  constructor(app, host, scroller, tip) {
    super(app, host, { width: 300, height: 300 }, 0, (self) => ({ draw: [() => self.draw()], setSelect: [() => self.selected()] }));
    this.scroller = scroller;
    this.tip = tip;
    this.lanes = [];
    this.bins = new Map();
    this.runs = new Map();
    this.tone = toned(app.state.head);
    this.fetch = latest((about) => this.#fetch(about), (found) => this.#fetched(found), (error) => app.set({ trouble: error.message }));
    this.#listen();
  }

  range() {
    const { t0, t1 } = this.app.state.view;
    const exact = t1 - t0 < 5e6 ? (x) => x : Math.round;  // of fractions of a millisecond, uPlot makes ticks at :59.999
    return [exact(this.toX(t0)), exact(this.toX(t1))];
  }

  draw() {
    const { state } = this.app;
    paint({
      ctx: this.plot.ctx, box: this.plot.bbox, ratio: devicePixelRatio, lanes: this.lanes, top: this.scroller.scrollTop, rowHeight: LANE,
      view: state.view, colours: this.colours, bins: this.bins, runs: this.runs, tone: this.tone, state, place: placer(this.lanes),
    });
  }

  update(lanes) {
    this.lanes = lanes;
    this.colours = palette();
    this.plot.setScale("x", { min: this.range()[0], max: this.range()[1] });
    this.plot.redraw();
    this.need();
  }

  // Ask for what is in sight and not at hand.
  need() {
    const { view } = this.app.state;
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / LANE) - 5);
    const seen = this.lanes.slice(first, first + Math.ceil(this.scroller.clientHeight / LANE) + 10);
    const width = Math.max(60, Math.round(this.plot.bbox.width / devicePixelRatio));
    const about = { ...view, width, groups: seen.filter((lane) => lane.group), instances: seen.filter((lane) => lane.address) };
    const mark = JSON.stringify([view, width, this.app.state.head.last, seen.map((lane) => lane.key)]);
    if (mark === this.mark) return;
    this.mark = mark;
    this.fetch(about);
  }

  async #fetch({ t0, t1, width, groups, instances }) {
    const n = Math.round(width / 3), source = this.app.source;
    const [bins, lanes] = await Promise.all([
      groups.length ? source.ask("bins", { groups: groups.map((lane) => lane.group), t0, t1, n }) : { groups: [] },
      instances.length ? source.ask("lanes", { addresses: instances.map((lane) => lane.address), t0, t1, n: Math.round(width / 2) }) : [],
    ]);
    return { t0, t1, bins, lanes, groups, instances };
  }

  #fetched({ t0, t1, bins, lanes, groups, instances }) {
    this.bins = new Map(groups.map((lane, i) => [lane.key, { ...bins.groups[i], t0, t1 }]));
    this.runs = new Map(instances.map((lane, i) => [lane.key, lanes[i]]));
    this.plot.redraw();
    this.host.dataset.drawn = String((Number(this.host.dataset.drawn) || 0) + 1);
  }

  // ---- pointer ----

  selected() {
    const { left, width } = this.plot.select;
    if (width < 4) return;
    const [t0, t1] = [this.tAt(left), this.tAt(left + width)];
    this.plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.dragged = true;
    this.app.show(t0, t1);
  }

  #listen() {
    const { over } = this.plot;
    const axis = this.host.querySelector(".u-axis");
    if (axis) dragging(axis, (pixels) => this.app.scrub(this.tAt(pixels)));
    over.addEventListener("click", (event) => {
      if (!this.dragged) this.#pick(event);
      this.dragged = false;
    });
    over.addEventListener("dblclick", () => this.app.zoom(0.25));
    over.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) {
        event.preventDefault();
        this.app.zoom(Math.exp(event.deltaY * 0.004), this.tAt(event.offsetX));
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        this.app.pan((event.deltaX || event.deltaY) / over.clientWidth);
      } else this.scroller.scrollTop += event.deltaY;
    }, { passive: false });
    over.addEventListener("pointermove", (event) => this.#hover(event));
    over.addEventListener("pointerleave", () => this.tip({ hidden: true }));
    let held = null;
    over.addEventListener("touchstart", (event) => { held = event.touches[0].clientX; }, { passive: true });
    over.addEventListener("touchmove", (event) => {
      const now = event.touches[0].clientX;
      this.app.pan((held - now) / over.clientWidth);
      held = now;
    }, { passive: true });
  }

  #laneAt(event) {
    return this.lanes[Math.floor((event.offsetY + this.scroller.scrollTop) / LANE)];
  }

  async #pick(event) {
    const lane = this.#laneAt(event), t = this.tAt(event.offsetX);
    const reach = this.tAt(event.offsetX + 6) - t;
    const run = lane?.address ? nearest(this.runs.get(lane.key), t + reach) : null;
    if (run?.seq) await this.app.select(run.seq);
    else this.app.scrub(t);
  }

  #hover(event) {
    const lane = this.#laneAt(event), t = this.tAt(event.offsetX);
    const when = clock(this.toX(t));
    let text = when;
    if (lane?.address) {
      const found = this.runs.get(lane.key), run = nearest(found, t);
      if (run) text = `${when}  ${lane.title}: ${run.state}${run.until ? ` for ${duration(run.until - run.t)}` : ""}`;
    } else if (lane) {
      const bins = this.bins.get(lane.key);
      const i = bins ? Math.floor(((t - bins.t0) / (bins.t1 - bins.t0)) * bins.counts.length) : -1;
      text = `${when}  ${lane.label}: ${count(bins?.counts[i] ?? 0)} events${bins?.trouble[i] ? `, ${count(bins.trouble[i])} of trouble` : ""}`;
    }
    this.tip({ hidden: false, text, x: event.offsetX + this.plot.over.offsetLeft, y: event.offsetY + AXIS });
  }
}

function nearest(found, t) {
  if (!found) return null;
  let i = -1;
  while (i + 1 < found.t.length && found.t[i + 1] <= t) i++;
  return i < 0 ? null : { t: found.t[i], state: found.state[i], seq: found.seq[i], until: found.t[i + 1] };
}

function dragging(element, move) {
  element.style.cursor = "ew-resize";
  element.style.touchAction = "none";
  const at = (event) => move(Math.max(0, Math.min(element.clientWidth, event.clientX - element.getBoundingClientRect().left)));
  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    event.stopPropagation();
    element.setPointerCapture(event.pointerId);
    at(event);
  });
  element.addEventListener("pointermove", (event) => event.buttons && at(event));
  element.addEventListener("mousedown", (event) => event.stopImmediatePropagation(), true);
}

// ---- the views ----

function Labels({ app, lanes, top, height }) {
  const { state } = app;
  const first = Math.max(0, Math.floor(top / LANE) - 4);
  const seen = lanes.slice(first, first + Math.ceil(height / LANE) + 8);
  return html`<div class="labels" role="tree" aria-label="Lanes" style=${{ height: `${lanes.length * LANE}px` }}>
    ${seen.map((lane, i) => html`<button key=${lane.key} role="treeitem" aria-level=${lane.depth + 1}
      class=${`lane ${lane.kind} ${lane.address && lane.address === state.row?.address ? "now" : ""}`}
      aria-expanded=${lane.kind === "instance" ? undefined : lane.open} aria-pressed=${lane.address ? state.pinned === lane.address : undefined}
      style=${{ top: `${(first + i) * LANE}px`, paddingLeft: `${6 + lane.depth * 12}px` }} title=${lane.title ?? lane.label}
      onClick=${() => (lane.kind === "instance" ? app.pin(lane.address) : app.toggle(lane.key))}>
      ${lane.kind === "instance" ? null : html`<span class="fold" aria-hidden="true">${lane.open ? "▾" : "▸"}</span>`}
      <span class="name">${lane.label}</span>
      ${lane.kind === "instance" ? (state.pinned === lane.address ? html`<span class="pin">●</span>` : null) : html`<span class="count">${count(lane.count)}</span>`}
    </button>`)}
  </div>`;
}

export function Timeline({ app }) {
  const { state } = app;
  const overview = useRef(), scroller = useRef(), canvas = useRef(), tip = useRef(), plots = useRef(null), place = useRef({ top: 0, height: 300 });
  const lanes = lanesOf(state);
  useEffect(() => {
    const showTip = ({ hidden, text, x, y }) => {
      const box = tip.current;
      box.hidden = hidden;
      if (hidden) return;
      box.textContent = text;
      const room = canvas.current.clientWidth;
      box.style.left = `${Math.max(0, Math.min(x + 14, room - box.offsetWidth - 4))}px`;
      box.style.top = `${y + 18}px`;
    };
    const whole = new Overview(app, overview.current), part = new Lanes(app, canvas.current, scroller.current, showTip);
    plots.current = { whole, part };
    const fit = () => {
      whole.resize(overview.current.clientWidth, 82);
      part.resize(canvas.current.clientWidth, scroller.current.clientHeight + AXIS);
      place.current = { top: scroller.current.scrollTop, height: scroller.current.clientHeight };
      app.set({});
    };
    const watch = new ResizeObserver(fit);
    watch.observe(overview.current);
    watch.observe(scroller.current);
    scroller.current.addEventListener("scroll", () => {
      place.current = { top: scroller.current.scrollTop, height: scroller.current.clientHeight };
      app.set({});
    });
    fit();
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    plots.current.whole.update();
    plots.current.part.update(lanes);
  });
  useEffect(() => {  // bring the lane of the row into sight
    const index = state.row ? placer(lanes)(state.row) : -1;
    const box = scroller.current, at = index * LANE;
    if (index >= 0 && (at < box.scrollTop || at + LANE > box.scrollTop + box.clientHeight)) box.scrollTop = at - box.clientHeight / 2;
  }, [state.row?.seq, state.alone]);
  const { view: { t0, t1 } } = state;
  return html`<section class="timeline" aria-label="Timeline">
    <header class="bar">
      <h2>Timeline</h2>
      <span class="dim">${t1 - t0 < state.end ? `${duration(t1 - t0)} of ${duration(state.end)}` : duration(state.end)}</span>
      <span class="grow"></span>
      <label class="check"><input type="checkbox" checked=${state.alone} onChange=${() => app.set({ alone: !state.alone })} /> only the chain</label>
      <button onClick=${() => app.zoom(0.5)} title="Zoom in (+)" aria-label="Zoom in">+</button>
      <button onClick=${() => app.zoom(2)} title="Zoom out (-)" aria-label="Zoom out">−</button>
      <button onClick=${() => app.fit()} title="Show all (0)">all</button>
    </header>
    <div class="overview" ref=${overview} role="slider" tabindex="0" aria-label="Position in the journal" aria-valuemin=${state.head.first}
      aria-valuemax=${state.head.last} aria-valuenow=${state.seq} aria-valuetext=${state.row ? `#${state.row.seq}, ${clock(state.row.wall)}` : ""}></div>
    <div class="lanes">
      <div class="scroller" ref=${scroller} tabindex="-1"><${Labels} app=${app} lanes=${lanes} ...${place.current} /></div>
      <div class="canvas"><div class="plot" ref=${canvas}></div><div class="tip" ref=${tip} hidden role="status"></div></div>
    </div>
  </section>`;
}
