// The data, and which part of it is looked at.

const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);

const [FROM, TO, SENT, ENDED, FATE, KIND, GIST, WHOLE, NUMBER] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
const T0 = data.from, T1 = Math.max(data.until, data.from + 1000);
const lanes = data.lanes.map(([name, sort]) => ({ name, sort, states: [], segments: [], commits: [] }));
const servers = lanes.filter((lane) => lane.sort !== 'client');
const messages = data.messages.sort((a, b) => a[SENT] - b[SENT]);
const groupOf = data.kinds.map((kind) => (KINDS[kind] || ['ends', ''])[0]);
const shown = Object.fromEntries(GROUPS.map(([name, , on]) => [name, on]));

for (const state of data.states) lanes[state[0]] && lanes[state[0]].states.push(state);
for (const lane of lanes) {
  let last = null;
  for (const state of lane.states) {
    const [, at, part, , serving, epoch, , committed] = state;
    if (last && last.committed < committed && part < 4) lane.commits.push([at, committed]);
    if (!last || last.part !== part || last.epoch !== epoch || last.serving !== serving) {
      if (last) last.to = at;
      last = { from: at, to: T1, part, epoch, serving, committed };
      lane.segments.push(last);
    } else last.committed = committed;
  }
}
// The latest end of each block of messages, so that a view need not look at all that came before it.
const BLOCK = 256;
const ends = [];
messages.forEach((message, index) => {
  const block = Math.floor(index / BLOCK);
  ends[block] = Math.max(ends[block] || 0, message[ENDED] < 0 ? T1 : message[ENDED]);
});
// Faults that began and ended together are one.
const together = new Map();
for (const trouble of data.troubles) {
  const key = trouble.slice(0, 3).join();
  const first = together.get(key);
  if (!first) together.set(key, Object.assign(trouble, { all: [data.texts[trouble[3]]] }));
  else {
    first.all.push(data.texts[trouble[3]]);
    for (const lane of trouble.slice(4)) if (!first.includes(lane, 4)) first.push(lane);
  }
}
data.troubles = [...together.values()];
for (const trouble of data.troubles) {
  if (trouble.all.length > 1) trouble[3] = data.texts.push(trouble.all.join('; ')) - 1;
}
const failure = data.failure;
const failedAt = failure && failure.at >= T0 && failure.at <= T1 ? failure.at : null;

const STORY_KINDS = new Set(['Elected', 'RoleChanged', 'Serving', 'NotServing', 'LearnerSync', 'RolledBack', 'SnapshotSaved',
  'SnapshotNotSaved', 'SessionExpired', 'PeerMisbehaved', 'LinkReset', 'Started', 'Down', 'Ended', 'Unopened', 'Healed', 'WriteFailed', 'Recovered']);
if (failure && lanes[failure.lane] && lanes[failure.lane].sort === 'client') shown.clients = true;
const broken = failure && (NO_INVARIANTS.has(failure.name) ? failure.name : `${failure.name} violated`);
const story = [];
data.marks.forEach((mark, index) => {
  if (STORY_KINDS.has(data.kinds[mark[2]])) {
    story.push({ at: mark[1], text: `${mark[0] < 0 ? '' : lanes[mark[0]].name + ' '}${data.texts[mark[3]]}`, sort: data.kinds[mark[2]] === 'Healed' ? 'trouble' : '', item: ['mark', index] });
  }
});
data.troubles.forEach((trouble, index) => {
  const text = data.texts[trouble[3]];
  story.push({ at: trouble[0], text, sort: 'trouble', item: ['trouble', index] });
  if (trouble[1] > trouble[0]) story.push({ at: trouble[1], text: `over: ${text}`, sort: 'trouble', item: ['trouble', index] });
});
if (failedAt !== null) story.push({ at: failedAt, text: `${broken}: ${failure.what}`, sort: 'bad', item: ['failure', 0] });
story.sort((a, b) => a.at - b.at || (a.sort === 'bad') - (b.sort === 'bad'));

const view = { from: T0, to: T1 };
let cursor = failedAt !== null ? failedAt : T0;
let selected = null;
let hovered = null;
let playing = null;
let steps = null;
let drawn = [];
let boxes = [];

const root = document.documentElement;
const dark = matchMedia('(prefers-color-scheme: dark)');
let theme = dark.matches ? 'dark' : 'light';
let colours = {};
function takeTheme() {
  root.dataset.theme = theme;
  const style = getComputedStyle(root);
  colours = new Proxy({}, { get: (known, name) => known[name] || (known[name] = style.getPropertyValue('--' + name).trim()) });
  overviewBase = null;
}
let overviewBase = null;
const epochColour = (epoch) => (epoch > 0 ? `hsl(${(epoch * 137 + 170) % 360} 62% ${theme === 'dark' ? 58 : 46}%)` : colours.line);

const LEFT = 112, AXIS = 26, TROUBLE = 17, TROUBLE_ROWS = 7;
const canvas = $('lanes'), context = canvas.getContext('2d');
const overview = $('overview'), small = overview.getContext('2d');
let width = 0, height = 0, top = 0;

const x = (time) => LEFT + ((time - view.from) / (view.to - view.from)) * (width - LEFT);
const timeAt = (px) => view.from + ((px - LEFT) / (width - LEFT)) * (view.to - view.from);
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));
const zxid = (number) => (number < 0 ? '?' : `${Math.floor(number / 4294967296)}.${number % 4294967296}`);
const seconds = (time, digits = 6) => `${(time / 1e6).toFixed(digits)} s`;
function span(micros) {
  if (micros < 1000) return `${micros} µs`;
  return micros < 1e6 ? `${(micros / 1000).toFixed(micros < 10000 ? 2 : 1)} ms` : `${(micros / 1e6).toFixed(2)} s`;
}
function escape(text) {
  return String(text).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
}
// The first index of `list` whose key is larger than `value`.
function after(list, value, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) > value) high = middle; else low = middle + 1;
  }
  return low;
}
const at = (list, time, key) => list[after(list, time, key) - 1];

function look(from, to) {
  const length = clamp(to - from, 200, (T1 - T0) * 1.02);
  const middle = (from + to) / 2;
  const start = clamp(middle - length / 2, T0 - length * 0.02, Math.max(T0, T1 - length * 0.98));
  view.from = start;
  view.to = start + length;
  redraw();
}
function zoom(factor, around = cursor) {
  const centre = around >= view.from && around <= view.to ? around : (view.from + view.to) / 2;
  look(centre - (centre - view.from) * factor, centre + (view.to - centre) * factor);
}
function moveTo(time, keep = false) {
  cursor = clamp(Math.round(time), T0, T1);
  const length = view.to - view.from;
  const visible = cursor >= view.from + length * 0.04 && cursor <= view.to - length * 0.04;
  if (!keep && !visible) look(cursor - length / 2, cursor + length / 2);
  redraw();
}
function select(item, time) {
  selected = item;
  tellDetails();
  if (time !== undefined) moveTo(time);
  redraw();
}
