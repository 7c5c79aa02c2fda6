// What is written into the find box: words that must all be there, each anywhere or, as `event:Lost`, in one place.

const PLACES = ["machine", "account", "chat", "event", "state", "cause"];

// -> [{ place, word }]; place is null for anywhere
export function terms(text) {
  const found = [];
  for (const [, place, quoted, bare] of text.matchAll(/(?:(\w+):)?(?:"([^"]*)"?|(\S+))/g)) {
    const word = quoted ?? bare ?? "";
    if (!word) continue;
    if (place && PLACES.includes(place.toLowerCase())) found.push({ place: place.toLowerCase(), word: word.toLowerCase() });
    else found.push({ place: null, word: `${place ? `${place}:` : ""}${word}`.toLowerCase() });
  }
  return found;
}

// -> a function of a brief row
export function matcher(text) {
  const wanted = terms(text);
  const has = (value, word) => value.toLowerCase().includes(word);
  const tests = {
    machine: (row, word) => has(row.address, word),
    account: (row, word) => row.account.toLowerCase() === word,
    chat: (row, word) => has(row.chat, word),
    event: (row, word) => has(row.event, word),
    state: (row, word) => row.source.toLowerCase() === word || row.target.toLowerCase() === word,
    cause: (row, word) => String(row.cause ?? "") === word.replace("#", ""),
  };
  const anywhere = (row, word) =>
    has(row.address, word) || has(row.chat, word) || has(row.event, word) || has(row.source, word) || has(row.target, word);
  return (row) => wanted.every(({ place, word }) => (place ? tests[place](row, word) : anywhere(row, word)));
}
