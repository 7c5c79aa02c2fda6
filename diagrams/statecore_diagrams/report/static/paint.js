// What is drawn into the timeline's canvas. Pure but for the canvas: everything it needs comes in `scene`.

const NAMES = ["paper", "ink", "dim", "line", "good", "busy", "wait", "warn", "bad", "odd", "accent", "effect", "hit", "band", "bar"];

export function palette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// scene: { ctx, box, ratio, lanes, top, rowHeight, view, colours, bins, runs, tone, state, place, end }
export function paint(scene) {
  const { ctx, box } = scene;
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.width, box.height);
  ctx.clip();
  bands(scene);
  const first = Math.floor(scene.top / scene.rowHeight);
  const last = Math.min(scene.lanes.length - 1, first + Math.ceil(box.height / scene.ratio / scene.rowHeight));
  for (let index = first; index <= last; index++) lane(scene, index);
  hits(scene);
  arrows(scene);
  cursor(scene);
  ctx.restore();
}

const x = ({ box, view }, t) => box.left + ((t - view.t0) / (view.t1 - view.t0)) * box.width;
const y = ({ box, ratio, top, rowHeight }, index) => box.top + (index * rowHeight - top) * ratio;

function bands(scene) {
  const { ctx, box, colours, state } = scene;
  ctx.fillStyle = colours.band;
  for (const one of state.head.incidents) {
    const left = x(scene, one.began), right = x(scene, one.ended ?? state.end);
    if (right >= box.left && left <= box.left + box.width) ctx.fillRect(left, box.top, Math.max(right - left, 2 * scene.ratio), box.height);
  }
}

function lane(scene, index) {
  const { ctx, box, ratio, lanes, rowHeight, colours, state } = scene;
  const top = y(scene, index), height = rowHeight * ratio, one = lanes[index];
  if (one.address && one.address === state.row?.address) {
    ctx.globalAlpha = 0.08;
    ctx.fillStyle = colours.accent;
    ctx.fillRect(box.left, top, box.width, height);
    ctx.globalAlpha = 1;
  }
  ctx.fillStyle = colours.line;
  ctx.fillRect(box.left, Math.round(top + height) - 1, box.width, 1);
  if (one.kind === "instance") runs(scene, scene.runs.get(one.key), top, height, one.machine);
  else bars(scene, scene.bins.get(one.key), top, height);
}

function bars(scene, found, top, height) {
  if (!found) return;
  const { ctx, colours, ratio } = scene;
  const { counts, trouble, t0, t1 } = found;
  const most = Math.sqrt(Math.max(...counts, 4));
  const base = top + height - 2 * ratio, room = height - 5 * ratio;
  const left = x(scene, t0), step = (x(scene, t1) - left) / counts.length;
  for (const [values, colour] of [[counts, colours.bar], [trouble, colours.bad]]) {
    ctx.fillStyle = colour;
    ctx.beginPath();
    for (let i = 0; i < values.length; i++) {
      if (!values[i]) continue;
      const tall = Math.max(1.5 * ratio, (Math.sqrt(values[i]) / most) * room);
      ctx.rect(left + i * step, base - tall, Math.max(step - ratio * 0.5, ratio), tall);
    }
    ctx.fill();
  }
}

function runs(scene, found, top, height, machine) {
  if (!found) return;
  const { ctx, box, colours, ratio, tone } = scene;
  const pad = 3 * ratio, tall = height - 2 * pad;
  ctx.font = `${10.5 * ratio}px ui-sans-serif, system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (let i = 0; i < found.t.length; i++) {
    const over = found.end !== null && i === found.t.length - 1 && found.t[i] >= found.end;
    const left = Math.max(x(scene, found.t[i]), box.left - 2);
    const right = Math.min(i + 1 < found.t.length ? x(scene, found.t[i + 1]) : over ? left + 5 * ratio : x(scene, scene.state.end), box.left + box.width + 2);
    if (right < box.left || left > box.left + box.width) continue;
    const state = found.state[i], width = Math.max(right - left, ratio);
    const colour = colours[tone(machine, state)];
    ctx.fillStyle = colour;
    if (over) {
      ctx.beginPath();
      ctx.arc(left, top + height / 2, 3.2 * ratio, 0, 7);
      ctx.fill();
      continue;
    }
    ctx.globalAlpha = 0.32;
    ctx.fillRect(left, top + pad, width, tall);
    ctx.globalAlpha = 1;
    ctx.fillRect(left, top + pad, Math.min(1.5 * ratio, width), tall);
    if (width > 34 * ratio) {
      const text = clipped(ctx, state, width - 8 * ratio);
      ctx.fillStyle = colours.ink;
      if (text) ctx.fillText(text, Math.max(left, box.left) + 4 * ratio, top + height / 2 + 0.5 * ratio);
    }
  }
}

const widths = new Map();
function clipped(ctx, text, room) {
  const key = `${ctx.font} ${text}`;
  if (!widths.has(key)) widths.set(key, ctx.measureText(text).width);
  const width = widths.get(key);
  if (width <= room) return text;
  const letters = Math.floor((text.length * room) / width) - 1;
  return letters > 2 ? `${text.slice(0, letters)}…` : "";
}

function hits(scene) {
  const { ctx, colours, ratio, state, place, rowHeight } = scene;
  ctx.fillStyle = colours.hit;
  for (const one of state.hits) {
    const index = place(one);
    if (index < 0) continue;
    ctx.fillRect(x(scene, one.t) - ratio, y(scene, index) + ratio, 2 * ratio, rowHeight * ratio * 0.3);
  }
}

function arrows(scene) {
  const { state, colours } = scene;
  const { chain, effects } = state.why;
  if (!state.row) return;
  const bySeq = new Map([...chain, state.row, ...effects].map((row) => [row.seq, row]));
  for (const row of [...effects].reverse()) arrow(scene, bySeq.get(row.cause), row, colours.effect);
  for (const row of [...chain, state.row]) arrow(scene, bySeq.get(row.cause), row, colours.accent);
  for (const row of effects) dot(scene, row, colours.effect, 2.6);
  for (const row of chain) dot(scene, row, colours.accent, 2.8);
  dot(scene, state.row, colours.accent, 4.2);
}

// At the foot of the lane, so that a chain within one lane strikes out no state's name.
function foot(scene, row) {
  const index = scene.place(row);
  return index < 0 ? null : { x: x(scene, row.t), y: y(scene, index) + scene.rowHeight * scene.ratio * 0.86 };
}

function arrow(scene, from, to, colour) {
  if (!from) return;
  const a = foot(scene, from), b = foot(scene, to);
  if (!a || !b || (a.x === b.x && a.y === b.y)) return;
  const { ctx, ratio } = scene;
  const bend = Math.min(Math.max(Math.abs(b.x - a.x) / 2, 14 * ratio), 60 * ratio);
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineWidth = 1.4 * ratio;
  ctx.beginPath();
  ctx.moveTo(a.x, a.y);
  ctx.bezierCurveTo(a.x + bend, a.y, b.x - bend, b.y, b.x - 4 * ratio, b.y);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(b.x - 2 * ratio, b.y);
  ctx.lineTo(b.x - 8 * ratio, b.y - 3.5 * ratio);
  ctx.lineTo(b.x - 8 * ratio, b.y + 3.5 * ratio);
  ctx.fill();
}

function dot(scene, row, colour, radius) {
  const at = foot(scene, row);
  if (!at) return;
  const { ctx, ratio, colours } = scene;
  ctx.fillStyle = colour;
  ctx.strokeStyle = colours.paper;
  ctx.lineWidth = ratio;
  ctx.beginPath();
  ctx.arc(at.x, at.y, radius * ratio, 0, 7);
  ctx.fill();
  ctx.stroke();
}

export function cursor(scene) {
  const { ctx, box, colours, ratio, state } = scene;
  if (!state.row) return;
  ctx.fillStyle = colours.accent;
  ctx.fillRect(Math.round(x(scene, state.row.t)) - ratio / 2, box.top, ratio, box.height);
}
