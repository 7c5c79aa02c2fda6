// Where the page begins.
import { App } from "./app.js";
import { listen } from "./keys.js";
import { readPictures } from "./machine.js";
import { Live, Packed } from "./source.js";
import { Page } from "./views.js";

const host = document.getElementById("app");

function say(text) {
  const line = document.createElement("p");
  line.className = "loading";
  line.textContent = text;
  host.replaceChildren(line);
}

async function begin() {
  const head = JSON.parse(document.getElementById("head").textContent);
  const source = head.live ? new Live(head) : new Packed(head);
  await source.open((share) => say(`Reading the journal … ${Math.round(share * 100)} %`));
  const app = new App(source);
  await readPictures(app);
  await app.start();
  host.replaceChildren();
  const show = () => preact.render(preact.h(Page, { app }), host);
  app.listeners.add(show);
  show();
  listen(app);
  globalThis.statecore = { ask: (name, about) => source.ask(name, about) };  // for the console
  document.documentElement.dataset.ready = "true";
}

begin().catch((error) => say(`This journal cannot be shown: ${error.message}`));
