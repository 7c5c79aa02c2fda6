// The lanes of the timeline, as a flat list of what is unfolded: accounts, their own machines, chats, and the instances of
// a chat.
import { printable, short } from "./format.js";

let kept = { of: [], lanes: [] };

export function lanesOf(state) {
  const { tree, open, members, alone, why, row } = state;
  const of = alone ? [tree, alone, why, row] : [tree, open, members];
  if (of.length !== kept.of.length || of.some((one, index) => one !== kept.of[index])) kept = { of, lanes: alone ? chainLanes(state) : unfolded(state) };
  return kept.lanes;
}

function unfolded(state) {
  const lanes = [];
  for (const account of state.tree) {
    const key = `a ${account.name}`, open = state.open.has(key);
    lanes.push({ key, kind: "account", depth: 0, account: account.name, label: account.name, open, count: account.chats.length, group: { account: account.name } });
    if (!open) continue;
    for (const address of account.singles) lanes.push(instance(address, 1, account.name));
    for (const { chat, count } of account.chats) {
      const inner = `c ${account.name} ${chat}`, unfolded = state.open.has(inner);
      lanes.push({ key: inner, kind: "chat", depth: 1, account: account.name, chat, label: printable(chat), open: unfolded, count, group: { account: account.name, chat } });
      if (unfolded) for (const address of state.members.get(inner) ?? []) lanes.push(instance(address, 2, account.name, chat));
    }
  }
  return lanes;
}

function chainLanes({ why, row, tree }) {
  const rows = [...why.chain, ...(row ? [row] : []), ...why.effects];
  const seen = new Map();
  for (const one of rows) if (!seen.has(one.address)) seen.set(one.address, one);
  const own = tree.find((account) => account.name === row?.account)?.singles ?? [];  // they decide what may happen to it
  for (const address of own) if (!seen.has(address)) seen.set(address, { address, account: row.account });
  return [...seen.values()].map((one) => instance(one.address, 0, one.account, one.chat));
}

const instance = (address, depth, account, chat = "") => {
  const [machine, ...rest] = address.split("/");
  const label = depth === 0 ? short(address) : depth === 1 ? machine : `${machine} ${short(address).split("/").slice(2).join("/")}`;
  return { key: address, kind: "instance", depth, account, chat, address, machine, label: label.trim(), title: printable(`${machine}/${rest.join("/")}`) };
};

// Which lane a row is drawn in: its instance's, or else that of the group it is folded into.
export function placer(lanes) {
  const places = new Map(lanes.map((lane, index) => [lane.key, index]));
  return (row) => places.get(row.address) ?? places.get(`c ${row.account} ${row.chat}`) ?? places.get(`a ${row.account}`) ?? -1;
}
