// A machine's diagram with the state it was in. The picture is made from the definition; for a machine whose definition is
// not at hand, dagre lays out what the journal shows of it.
import { duration, printable, short } from "./format.js";
import { State } from "./events.js";
import { html, useEffect, useRef, useState } from "./view.js";

const pictures = new Map();
const SVG = "http://www.w3.org/2000/svg";

function drawn(definition) {
  const parsed = new DOMParser().parseFromString(definition, "image/svg+xml").documentElement;
  return parsed.nodeName === "svg" ? document.importNode(parsed, true) : null;
}

function part(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function laidOut(edges, states) {
  const graph = new dagre.graphlib.Graph({ multigraph: false });
  graph.setGraph({ rankdir: "TB", nodesep: 24, ranksep: 44, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const state of new Set([...states, ...edges.flatMap(([from, , to]) => [from, to])])) graph.setNode(state, { width: 20 + state.length * 7.2, height: 28 });
  const labels = new Map();
  for (const [from, event, to] of edges) {
    const key = JSON.stringify([from, to]);
    labels.set(key, [...(labels.get(key) ?? []), event]);
  }
  for (const [key, events] of labels) {
    const [from, to] = JSON.parse(key);
    if (from !== to) graph.setEdge(from, to, { label: events.join(", ") });
  }
  dagre.layout(graph);
  const { width, height } = graph.graph();
  const picture = part("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: "drawn" });
  for (const edge of graph.edges()) {
    const { points, label } = graph.edge(edge);
    const line = part("g", { class: "edge", "data-source": edge.v, "data-target": edge.w });
    line.append(part("path", { d: `M${points.map((at) => `${at.x},${at.y}`).join("L")}` }), part("title", {}, label));
    const end = points.at(-1), near = points.at(-2), turn = (Math.atan2(end.y - near.y, end.x - near.x) * 180) / Math.PI;
    line.append(part("path", { class: "head", d: "M0,0L-8,-4L-8,4Z", transform: `translate(${end.x},${end.y}) rotate(${turn})` }));
    picture.append(line);
  }
  for (const state of graph.nodes()) {
    const { x, y, width: wide, height: tall } = graph.node(state);
    const box = part("g", { class: "state", "data-state": state });
    box.append(part("rect", { x: x - wide / 2, y: y - tall / 2, width: wide, height: tall, rx: 6 }), part("text", { x, y: y + 4, "text-anchor": "middle" }, state));
    picture.append(box);
  }
  return picture;
}

// Read the pictures that came with the page, one at a time, before anybody waits for one.
export async function readPictures(app) {
  for (const [machine, about] of Object.entries(app.state.head.machines)) {
    if (about.svg) await pictured(app, machine);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

async function pictured(app, machine) {
  const about = app.state.head.machines[machine];
  const picture = (about?.svg && drawn(about.svg)) || laidOut(await app.ask("edges", { machine }), about?.states.map(({ name }) => name) ?? []);
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `The states of ${machine}`);
  pictures.set(machine, picture);
  return picture;
}

function Diagram({ app, machine, row, state, whole }) {
  const box = useRef(), made = useRef({});
  useEffect(() => {
    let gone = false;
    const show = async () => {
      if (made.current.machine !== machine) {
        const picture = pictures.get(machine) ?? (await pictured(app, machine));
        if (gone) return;
        made.current = { machine, picture };
        box.current.replaceChildren(picture);
      }
      const { picture } = made.current;
      for (const one of picture.querySelectorAll(".is-now, .is-from, .is-taken")) one.classList.remove("is-now", "is-from", "is-taken");
      picture.classList.toggle("has-now", state !== "");
      for (const one of picture.querySelectorAll(".state")) {
        one.classList.toggle("is-now", one.dataset.state === state);
        one.classList.toggle("is-from", row !== null && one.dataset.state === row.source && row.source !== state);
        if (one.dataset.state === state && made.current.centred !== one) centre(box.current, (made.current.centred = one));
      }
      if (!row || row.outcome) return;
      for (const one of picture.querySelectorAll(".edge, .label")) {
        const { source, event, target } = one.dataset;  // of a picture, several words where it stands for several
        const has = (words, word) => words === undefined || words.split(" ").includes(word);
        one.classList.toggle("is-taken", source !== undefined && has(source, row.source) && has(event, row.event) && target === row.target);
      }
    };
    show();
    return () => { gone = true; };
  }, [machine, state, row?.seq, whole]);
  return html`<div class=${whole ? "diagram whole" : "diagram"} ref=${box} tabindex="0" aria-label=${`Diagram of ${machine}, in ${state}`}></div>`;
}

// A picture larger than its box is scrolled to the state.
function centre(box, one) {
  const here = box.getBoundingClientRect(), there = one.getBoundingClientRect();
  box.scrollLeft += there.left + there.width / 2 - here.left - here.width / 2;
  box.scrollTop += there.top + there.height / 2 - here.top - here.height / 2;
}

export function Machines({ app }) {
  const { state } = app;
  const { row, states, pinned } = state;
  const [whole, setWhole] = useState(false);
  if (!row) return html`<section class="machine" aria-label="Machine"></section>`;
  const shown = pinned && states.has(pinned) ? pinned : row.address;
  const near = [...states.values()].filter(({ address }) => {
    const [, account] = address.split("/");
    return address === row.address || address === pinned || account === row.account;
  });
  const held = states.get(shown);
  const machine = shown.split("/")[0];
  return html`<section class=${whole ? "machine large" : "machine"} aria-label="Machine">
    <header class="bar">
      <h2 title=${printable(shown)}>${short(shown)}</h2>
      ${held ? html`<${State} app=${app} machine=${machine} state=${held.state} /><span class="dim">for ${duration(Math.max(0, row.t - held.since))}</span>` : null}
      <span class="grow"></span>
      <button aria-pressed=${whole} onClick=${() => setWhole(!whole)} title="Show the whole diagram">${whole ? "smaller" : "larger"}</button>
      <button aria-pressed=${pinned === shown} onClick=${() => app.pin(shown)} title="Keep showing this one (p)">${pinned === shown ? "unpin" : "pin"}</button>
    </header>
    <div class="chips" role="group" aria-label="Other machines at this moment">
      ${near.map((one) => html`<button key=${one.address} class=${one.address === shown ? "chip on" : "chip"} title=${printable(one.address)}
        onClick=${() => app.pin(one.address)}>${one.address.split("/")[0]} <${State} app=${app} machine=${one.address.split("/")[0]} state=${one.state} /></button>`)}
    </div>
    <${Diagram} app=${app} machine=${machine} row=${row.address === shown ? row : null} state=${held?.state ?? ""} whole=${whole} />
  </section>`;
}
