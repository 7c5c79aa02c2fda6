// Where answers come from: the journal packed into the page, or the server that the page came from. Both take the same
// questions (see `engine.js`) and give the same answers.

const QUESTION_S = 60;

export class Packed {
  constructor(head) {
    this.head = head;
    this.live = false;
    this.waiting = new Map();
    this.asked = 0;
  }

  async open(onProgress) {
    const code = document.getElementById("engine").textContent;
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    this.worker = new Worker(address);
    URL.revokeObjectURL(address);
    this.worker.onmessage = ({ data }) => {
      if (data.progress !== undefined) return onProgress(data.progress);
      const { resolve, reject } = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data.answer);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message ?? "the worker did not start"));
    };
    const pieces = [];
    const fields = document.querySelectorAll("script.fields");
    for (const [index, columns] of document.querySelectorAll("script.columns").entries()) {
      pieces.push({ columns: columns.textContent, fields: fields[index].textContent });
      columns.remove();
      fields[index].remove();
      if (index % 4 === 3) await new Promise((resolve) => setTimeout(resolve));  // let the page breathe
    }
    await this.#post({ head: this.head, pieces });
  }

  ask(name, about = {}) {
    return this.#post({ ask: name, about });
  }

  #post(message) {
    return new Promise((resolve, reject) => {
      const id = ++this.asked;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ ...message, id });
    });
  }
}

export class Live {
  constructor(head) {
    this.head = head;
    this.live = true;
  }

  async open() {}

  async ask(name, about = {}) {
    const query = new URLSearchParams({ about: JSON.stringify(about) });
    const answer = await fetch(`api/${name}?${query}`, { signal: AbortSignal.timeout(QUESTION_S * 1000), cache: "no-store" });
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error ?? `the inspector answered ${answer.status}`);
    return body;
  }
}

// Asks one question at a time, and of those that come meanwhile only the last: for what follows a pointer.
export function latest(ask, done, failed) {
  let busy = false, next = null;
  const run = async (about) => {
    busy = true;
    try {
      done(await ask(about), about);
    } catch (error) {
      failed(error);
    }
    busy = false;
    if (next !== null) {
      const waiting = next.about;
      next = null;
      run(waiting);
    }
  };
  return (about) => {
    if (busy) next = { about };
    else run(about);
  };
}
