// What can be done without a pointer.

export const KEYS = [
  ["← →, j k", "the event before, the next one"],
  ["Shift ← →", "ten events"],
  ["Alt ← →", "move the window"],
  ["+ − 0", "look closer, look wider, show all"],
  ["c", "to the cause; Shift c: to what it set off first"],
  ["[ ]", "the incident before, the next one"],
  ["Home End", "the first and the last event"],
  ["/", "find; Enter or n: the next, N: the one before"],
  ["o", "only the lanes of the chain"],
  ["p", "pin the machine of this event"],
  ["f", "follow what is new (live)"],
  ["t", "light or dark"],
  ["?", "this help; Esc closes it"],
];

const typing = (element) => element instanceof HTMLInputElement && element.type !== "checkbox";

export function listen(app) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key) && event.target.closest?.(".diagram, .details, .summary")) return;
    const act = action(app, event);
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function action(app, event) {
  const { state } = app;
  const { head, why, seq } = state;
  const steps = event.shiftKey ? 10 : 1;
  switch (event.key) {
    case "ArrowRight": return event.altKey ? () => app.pan(0.25) : () => app.step(steps);
    case "ArrowLeft": return event.altKey ? () => app.pan(-0.25) : () => app.step(-steps);
    case "ArrowDown": case "j": return () => app.step(steps);
    case "ArrowUp": case "k": return () => app.step(-steps);
    case "+": case "=": return () => app.zoom(0.5);
    case "-": return () => app.zoom(2);
    case "0": return () => app.fit();
    case "Home": return () => app.select(head.first);
    case "End": return () => app.select(head.last);
    case "c": return why.chain.length ? () => app.select(why.chain.at(-1).seq) : null;
    case "C": return why.effects.length ? () => app.select(why.effects[0].seq) : null;
    case "]": return jump(app, head.incidents.find((one) => one.first > seq));
    case "[": return jump(app, head.incidents.findLast((one) => one.first < seq));
    case "/": return () => { const box = document.getElementById("find"); box.focus(); box.select(); };
    case "n": return () => app.toHit(state.hit + 1);
    case "N": return () => app.toHit(state.hit - 1);
    case "o": return () => app.set({ alone: !state.alone });
    case "p": return state.row ? () => app.pin(state.row.address) : null;
    case "f": return head.live ? () => app.set({ follow: !state.follow }) : null;
    case "t": return () => app.flip();
    case "?": return () => app.set({ help: true });
    default: return null;
  }
}

const jump = (app, one) => (one ? () => app.incident(one) : null);
