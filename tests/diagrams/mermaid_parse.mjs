// Parses each file named with the real Mermaid; exits with 1 and the message of the first that it refuses.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import fs from "node:fs";
const [folder, ...names] = process.argv.slice(2);
const require = createRequire(folder + "/");
const { JSDOM } = require("jsdom");
const dom = new JSDOM("<!DOCTYPE html><body></body>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
const { default: mermaid } = await import(pathToFileURL(folder + "/node_modules/mermaid/dist/mermaid.core.mjs").href);
for (const name of names) {
  try {
    const found = await mermaid.parse(fs.readFileSync(name, "utf8"));
    console.log(found.diagramType);
  } catch (error) {
    console.error(name + ": " + error);
    process.exit(1);
  }
}
process.exit(0);
