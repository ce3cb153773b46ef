"use strict";
// Everything that comes from the server reaches the page as text, never as markup.

const $ = (id) => document.getElementById(id);
const el = (name, attributes = {}, ...content) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value);
  }
  node.append(...content.filter((part) => part !== null && part !== undefined).map((part) => part instanceof Node ? part : String(part)));
  return node;
};
const show = (id, ...content) => $(id).replaceChildren(...content.filter((part) => part !== null));
const number = (value) => value === null || value === undefined ? "–" : Number(value).toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
const span = (ms) => {
  const s = Math.floor(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
};
const moment = (ms) => ms === 0 ? "–" : new Date(ms).toLocaleString();
const ask = async (path) => {
  const answer = await fetch(path, { cache: "no-store" });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error || answer.statusText);
  return told;
};

const table = (id, heads, rows) => {
  const head = el("tr", {}, ...heads.map(([title, kind]) => el("th", { class: kind || "", scope: "col" }, title)));
  show(id, el("thead", {}, head), el("tbody", {}, ...rows));
};

const epochAndCounter = (zxid) => {
  if (!zxid) return "–";
  const bits = BigInt(zxid);
  return `${bits >> 32n} / ${bits & 0xffffffffn}`;
};

const cards = (told) => {
  const card = (title, value) => el("div", {}, el("span", {}, title), el("b", {}, value));
  show("cards",
    card("leader", told.leader === null ? "none" : `server ${told.leader}`),
    card("epoch", number(told.epoch)),
    card("zxid applied", el("span", { class: "mono" }, told.applied)),
    card("nodes", number(told.znodes)),
    card("sessions", number(told.sessions)),
    card("clients here", number(told.clients)),
    card("watches here", number(told.watches)),
    card("up", span(told.up_ms)));
};

const ensemble = (told) => {
  const rows = told.ensemble.map((server) => el("tr", { class: server.me ? "me" : "" },
    el("td", {}, `${server.id}${server.me ? " (this one)" : ""}`),
    el("td", { class: server.role }, server.role + (server.voting ? "" : " · no vote") + (server.voting && server.weight !== 1 ? ` · weight ${server.weight}` : "")),
    el("td", { class: "mono" }, server.address || "–"),
    el("td", { class: "mono" }, epochAndCounter(server.zxid)),
    el("td", { class: "num" }, server.synced === false ? "catching up" : server.behind === null ? "–" : number(server.behind)),
    el("td", { class: "num" }, server.silent_ms === null ? "–" : `${number(server.silent_ms)} ms ago`),
    el("td", { class: "num" }, number(server.connections))));
  table("ensemble", [["server"], ["role"], ["quorum address"], ["epoch / counter"], ["behind", "num"], ["heard", "num"], ["clients", "num"]], rows);
};

const CHARTS = [
  ["Requests per second", [["reads", "reads"], ["writes", "writes"]]],
  ["Latency, ms", [["read_ms", "reads"], ["write_ms", "writes"], ["fsync_ms", "sync of the log"]]],
  ["Sessions and clients", [["sessions", "sessions"], ["clients", "clients here"]]],
  ["Watches", [["watches", "watches here"], ["events", "events per second"]]],
];
const SVG = "http://www.w3.org/2000/svg";

const chart = ([title, series], history) => {
  const width = 600, height = 92, slots = Math.max(60, history.at.length);
  const ago = slots < 120 ? `${slots} s ago` : `${Math.round(slots / 60)} min ago`;
  const most = Math.max(...series.flatMap(([key]) => history[key]), 0);
  const top = most <= 0 ? 1 : most * 1.08;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", title);
  for (const part of [0.5, 1]) {
    const line = document.createElementNS(SVG, "line");
    for (const [key, value] of Object.entries({ x1: 0, x2: width, y1: height * part - .5, y2: height * part - .5 })) line.setAttribute(key, value);
    svg.append(line);
  }
  series.forEach(([key], at) => {
    const values = history[key];
    const x = (index) => width * (slots - values.length + index + .5) / slots;
    const y = (value) => height - 2 - (height - 6) * value / top;
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", `s${at}`);
    path.setAttribute("d", values.map((value, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join(""));
    svg.append(path);
  });
  const keys = series.map(([key, name], at) => el("span", { class: `key s${at}` }, `${name} `, el("b", {}, number(history[key].at(-1) ?? 0))));
  return el("figure", {}, el("figcaption", {}, el("strong", {}, title), ...keys), svg,
    el("div", { class: "axis" }, el("span", {}, ago), el("span", {}, `highest ${number(most)}`), el("span", {}, "now")));
};

let place = "/";
let names = [];

const crumbs = () => {
  const parts = place === "/" ? [] : place.slice(1).split("/");
  const steps = [el("button", { onclick: () => visit("/") }, "/")];
  parts.forEach((part, at) => {
    if (at) steps.push("/");
    const path = "/" + parts.slice(0, at + 1).join("/");
    steps.push(el("button", { onclick: () => visit(path) }, part));
  });
  show("crumbs", ...steps);
};

const children = () => {
  const wanted = $("filter").value.toLowerCase();
  const found = names.filter((name) => name.toLowerCase().includes(wanted));
  const items = found.map((name) => el("li", {}, el("button", { onclick: () => visit((place === "/" ? "" : place) + "/" + name) }, name)));
  show("children", ...(items.length ? items : [el("li", { class: "hint" }, names.length ? "none of this name" : "no children")]));
};

const stat = (node) => {
  const order = ["version", "cversion", "aversion", "numChildren", "dataLength", "ephemeralOwner", "czxid", "mzxid", "pzxid", "ctime", "mtime"];
  const value = (key) => key.endsWith("time") ? moment(node.stat[key]) : node.stat[key];
  return el("dl", { class: "stat" }, ...order.map((key) => el("div", {}, el("dt", {}, key), el("dd", {}, value(key)))));
};

const visit = async (path) => {
  try {
    const node = await ask(`/api/tree?path=${encodeURIComponent(path)}`);
    place = node.path;
    names = node.children;
    const data = node.data;
    const text = data === null ? null : data.text ?? data.hex.replace(/(..)/g, "$1 ").trim();
    const more = node.stat.numChildren > names.length ? `; the first ${names.length} of ${number(node.stat.numChildren)} children are shown` : "";
    show("node",
      el("strong", { class: "mono" }, node.path), el("span", { class: "hint" }, more),
      text === null || text === "" ? el("p", { class: "hint" }, text === null ? "no data" : "empty data") : el("pre", {}, text),
      data && data.cut ? el("p", { class: "hint" }, "the beginning is shown") : null,
      stat(node),
      el("p", { class: "hint" }, "ACL: ", ...(node.acl ? node.acl.map((entry) => el("code", {}, `${entry.scheme}:${entry.id}:${entry.permissions} `)) : ["not for everybody"])));
    crumbs();
    children();
  } catch (error) {
    show("node", el("strong", { class: "mono" }, path), el("p", { class: "note" }, error.message));
  }
};

const facts = async () => {
  let told;
  try {
    told = await ask("/api/facts");
  } catch {
    return;
  }
  const fill = (name, heads, rows) => {
    $(`${name}-section`).hidden = false;
    $(`${name}-count`).textContent = told[`${name}_more`] ? `the first ${rows.length}` : rows.length ? `${rows.length}` : "none";
    table(name, rows.length ? heads : [], rows);
  };
  fill("sessions", [["session"], ["client"], ["timeout", "num"], ["ephemerals"]], told.sessions.map((session) => el("tr", {},
    el("td", { class: "mono" }, session.id),
    el("td", {}, session.here ? "here" : "elsewhere"),
    el("td", { class: "num" }, span(session.timeout_ms)),
    el("td", { class: "mono wrap" }, session.ephemerals.join("  ") || "–"))));
  fill("connections", [["address"], ["session"], ["received", "num"], ["sent", "num"], ["waiting", "num"], ["latency min / avg / max, ms", "num"]], told.connections.map((c) => el("tr", {},
    el("td", { class: "mono" }, c.address),
    el("td", { class: "mono" }, c.session || "–"),
    el("td", { class: "num" }, number(c.received)),
    el("td", { class: "num" }, number(c.sent)),
    el("td", { class: "num" }, number(c.waiting)),
    el("td", { class: "num" }, c.latency))));
  fill("watches", [["path"], ["sessions"]], told.watches.map((watch) => el("tr", {},
    el("td", { class: "mono wrap" }, watch.path),
    el("td", { class: "mono wrap" }, watch.sessions.join("  ")))));
};

const look = async () => {
  try {
    const told = await ask("/api/overview");
    document.title = `quorate ${told.server} · ${told.mode}`;
    $("server").textContent = `server ${told.server}`;
    $("mode").textContent = told.mode;
    $("mode").className = `pill ${told.mode}`;
    $("note").textContent = told.serving ? "" : "no quorum in reach: clients are not answered";
    $("foot").textContent = `quorate ${told.version} · digest ${told.digest} at ${told.applied} · logged ${told.logged}, committed ${told.committed}`;
    cards(told);
    ensemble(told);
    show("charts", ...CHARTS.map((each) => chart(each, told.history)));
  } catch (error) {
    $("mode").textContent = "no answer";
    $("mode").className = "pill gone";
    $("note").textContent = error.message;
  }
};

const forever = async (work, pause) => {
  for (;;) {
    if (!document.hidden) await work();
    await new Promise((done) => setTimeout(done, pause));
  }
};

$("filter").addEventListener("input", children);
forever(look, 1000);
forever(facts, 2000);
visit("/");
