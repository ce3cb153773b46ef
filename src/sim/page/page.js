'use strict';
(() => {
const data = JSON.parse(document.getElementById('data').textContent);
const $ = (id) => document.getElementById(id);

// ---- words -------------------------------------------------------------------------------------------------------

const PARTS = ['looking', 'following', 'leading', 'observing', 'down', 'starting'];
const PART_WORDS = ['looks for a leader', 'follows', 'leads', 'observes', 'is down', 'starts'];
const FATES = ['arrived', 'lost: the way was cut', 'lost by chance', 'lost: nobody was there', 'lost: too many waited'];
const GROUPS = [
  ['votes', 'elections', true], ['sync', 'bringing level', true], ['proposals', 'proposals', true],
  ['acks', 'acknowledgements', true], ['commits', 'commits', true], ['forwards', 'forwarded requests', true],
  ['ends', 'links ended', true], ['pings', 'heartbeats', false], ['clients', 'clients', false], ['disk', 'disk writes', true],
];
const KINDS = {
  Vote: ['votes', 'A server says for whom it votes in the election, or whom it follows already.'],
  Join: ['sync', 'A learner opens its link with the leader and says the newest epoch it has promised. (FOLLOWERINFO; CEPOCH)'],
  LeaderInfo: ['sync', 'The leader says which epoch is to begin. It has promised it durably itself. (LEADERINFO; NEWEPOCH)'],
  AckEpoch: ['sync', 'The learner promises the epoch, durably, and says how far its history goes. (ACKEPOCH)'],
  Sync: ['sync', 'The leader says how the learner is brought level: by what is missing (DIFF), by removing what nobody else has (TRUNC), or by the whole state (SNAP).'],
  Chunk: ['sync', 'A piece of a snapshot of the whole state.'],
  ChunkSaved: ['sync', 'The learner has saved the snapshot up to here.'],
  NewLeader: ['sync', 'The learner has been sent all that the epoch begins with. (NEWLEADER)'],
  AckNewLeader: ['sync', 'The learner has all of that durably. When a quorum says so, the epoch is established. (ACK of NEWLEADER)'],
  UpToDate: ['sync', 'The epoch is established; the learner may serve clients. (UPTODATE)'],
  Propose: ['proposals', 'The leader asks for these transactions to be made durable; and says what is committed. (PROPOSAL)'],
  Inform: ['proposals', 'The leader tells an observer of committed transactions. (INFORM)'],
  Ack: ['acks', 'The learner has everything up to here on its disk. (ACK)'],
  Commit: ['commits', 'A quorum has everything up to here on disk: it is committed. (COMMIT)'],
  Forward: ['forwards', 'A server passes requests of its clients on to the leader. (REQUEST)'],
  Answer: ['forwards', 'The leader answers what was forwarded.'],
  Ping: ['pings', 'The leader says that it lives. (PING)'],
  Pong: ['pings', 'The learner says that it lives.'],
  Reset: ['ends', 'The link is no more; the learner opens another.'],
  NotLeading: ['ends', 'The receiver of a Join does not lead.'],
  Refused: ['ends', 'The leader will not link with this learner.'],
  Connect: ['clients', 'A client asks a server to take it.'],
  Request: ['clients', 'A request of a client reaches its server.'],
  Reply: ['clients', 'An answer reaches the client.'],
  WatchEvent: ['clients', 'The client is told that something it watches has changed.'],
  Attached: ['clients', 'The client has a session at this server.'],
  Detached: ['clients', 'The server lets the client go.'],
};
const INVARIANTS = {
  RecoveryHonest: 'What a server finds on its disk after a restart must be what its disk had confirmed, or it must say that something is missing.',
  EpochDurable: 'A promised epoch must be on disk before it is told, and never goes back.',
  HistoryOrder: 'The transactions in one history must stand in the order of their positions, without a gap.',
  Integrity: 'What a server delivers must have been proposed by a leader.',
  Agreement: 'No two servers may take different transactions for committed at the same place.',
  CommittedDurability: 'What is called committed must be on the disks of a quorum.',
  Leadership: 'No epoch may have two established leaders.',
  LeaderCompleteness: 'A new leader must have everything that was ever committed.',
  AppliedMonotonic: 'While it runs, the state of a server never goes back.',
  ReplicaEquality: 'Two servers at the same position must have the same state.',
  NodeRuns: 'A server must not stop by itself unless its disk failed.',
  ExactlyOnce: 'A write must be executed once, however often it was sent.',
  TooSlow: 'A healed quorum must elect a leader and commit within the time it was given.',
  Stalled: 'Time must move on: something runs for ever without waiting.',
  Deadlocked: 'Something must be able to happen.',
  Panicked: 'The test says that something is not as it must be.',
  Leaked: 'Nothing may grow without a bound.',
  SessionUnique: 'A session belongs to one client.',
  SessionEnds: 'A session that has ended never comes back.',
};
// Failures that are no invariants.
const NO_INVARIANTS = new Set(['TooSlow', 'Stalled', 'Deadlocked', 'Leaked', 'Failed', 'Panicked']);

// ---- data --------------------------------------------------------------------------------------------------------

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

// ---- view --------------------------------------------------------------------------------------------------------

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

// ---- drawing -----------------------------------------------------------------------------------------------------

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
    drawOverview();
    tellState();
  });
}
function fit(target, drawing) {
  const ratio = devicePixelRatio || 1;
  const box = target.getBoundingClientRect();
  const [w, h] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (target.width !== w || target.height !== h) [target.width, target.height] = [w, h];
  drawing.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [box.width, box.height];
}
function layOut(rows) {
  top = AXIS + Math.max(1, rows) * TROUBLE + 16;
  const weights = lanes.map((lane) => (lane.sort === 'client' ? 0.45 : 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  const unit = Math.min(150, (height - top - 8) / total);
  let y = top;
  lanes.forEach((lane, index) => {
    lane.room = unit * weights[index];
    lane.y = y + lane.room * 0.42;
    lane.band = lane.sort === 'client' ? 2 : clamp(unit * 0.28, 7, 22);
    y += lane.room;
  });
}
function packTroubles() {
  const rows = [];
  let hidden = 0;
  for (let index = 0; index < data.troubles.length; index++) {
    const trouble = data.troubles[index];
    const [from, to] = [trouble[0], trouble[1] < 0 ? T1 : trouble[1]];
    if (to < view.from || from > view.to) continue;
    const left = Math.max(x(from), LEFT), right = Math.max(x(to), left + 9);
    let row = rows.findIndex((row) => row[row.length - 1].right + 2 <= left);
    if (row < 0 && rows.length < TROUBLE_ROWS) row = rows.push([]) - 1;
    if (row < 0) hidden++;
    else rows[row].push({ index, left, right, lasts: to > from });
  }
  return [rows, hidden];
}
function draw() {
  [width, height] = fit(canvas, context);
  const c = context;
  c.fillStyle = colours.back;
  c.fillRect(0, 0, width, height);
  c.font = '12px system-ui, sans-serif';
  c.textBaseline = 'middle';
  boxes = [];
  const [rows, hidden] = packTroubles();
  layOut(rows.length);
  c.save();
  c.beginPath();
  c.rect(LEFT, 0, width - LEFT, height);
  c.clip();
  drawAxis();
  drawLanes();
  drawMessages();
  drawMarks();
  drawTroubles(rows);
  drawFailure();
  drawCursor();
  drawSelected();
  c.restore();
  drawLabels(rows.length, hidden);
}
function drawAxis() {
  const c = context, length = view.to - view.from;
  const rough = length / Math.max(2, (width - LEFT) / 110);
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough);
  const digits = clamp(6 - Math.floor(Math.log10(step)), 0, 6);
  c.fillStyle = colours.panel;
  c.fillRect(LEFT, 0, width - LEFT, AXIS);
  c.strokeStyle = colours.faint;
  c.fillStyle = colours.soft;
  c.beginPath();
  for (let time = Math.ceil(view.from / step) * step; time <= view.to; time += step) {
    c.moveTo(x(time), AXIS - 5);
    c.lineTo(x(time), height);
    if (time >= 0) c.fillText(seconds(time, digits), x(time) + 4, AXIS / 2);
  }
  c.stroke();
}
function drawLanes() {
  const c = context;
  for (const lane of lanes) {
    if (lane.sort === 'client') {
      c.fillStyle = colours.line;
      c.fillRect(x(T0), lane.y - 1, x(T1) - x(T0), 2);
      continue;
    }
    const [upper, band] = [lane.y - lane.band / 2, lane.band];
    const first = lane.segments.length ? lane.segments[0].from : T1;
    if (first > view.from) {
      c.strokeStyle = colours.line;
      c.setLineDash([2, 4]);
      c.strokeRect(x(T0), upper + 0.5, x(first) - x(T0), band - 1);
      c.setLineDash([]);
    }
    let end = -1;
    for (let i = Math.max(0, after(lane.segments, view.from, (segment) => segment.to)); i < lane.segments.length; i++) {
      const segment = lane.segments[i];
      if (segment.from > view.to) break;
      const left = Math.max(x(segment.from), LEFT - 4), right = Math.min(x(segment.to), width + 4);
      if (right < end + 0.3) continue;
      end = right;
      const wide = Math.max(right - left, 0.7);
      if (segment.part === 4) {
        c.strokeStyle = colours.soft;
        c.setLineDash([3, 3]);
        c.beginPath();
        c.moveTo(left, lane.y);
        c.lineTo(right, lane.y);
        c.stroke();
        c.setLineDash([]);
        label('down', left, right, lane.y - 9, colours.soft);
        continue;
      }
      c.globalAlpha = segment.serving || segment.part === 5 || segment.part === 0 ? 1 : 0.42;
      c.fillStyle = colours[PARTS[segment.part]];
      c.fillRect(left, upper, wide, band);
      c.globalAlpha = 1;
      c.fillStyle = epochColour(segment.epoch);
      c.fillRect(left, upper + band, wide, 4);
      const words = `${PART_WORDS[segment.part]}${segment.serving ? '' : segment.part < 4 && segment.part > 0 ? ', does not serve yet' : ''}${segment.epoch > 0 ? ' · epoch ' + segment.epoch : ''}`;
      if (band >= 11 && !label(words, left, right, lane.y, segment.serving ? colours['on-role'] : colours.text)) {
        label(segment.epoch > 0 ? 'e' + segment.epoch : '', left, right, lane.y, segment.serving ? colours['on-role'] : colours.text);
      }
    }
    drawCommits(lane, upper, band);
  }
  if (shown.disk) drawWorks();
}
function label(words, left, right, y, colour) {
  if (!words || right - left < 20) return false;
  const start = Math.max(left, LEFT) + 5;
  if (context.measureText(words).width > Math.min(right, width) - start - 3) return false;
  context.fillStyle = colour;
  context.fillText(words, start, y + 0.5);
  return true;
}
function drawCommits(lane, upper, band) {
  const c = context, list = lane.commits;
  let last = -9;
  c.fillStyle = colours.commits;
  c.strokeStyle = colours.back;
  for (let i = after(list, view.from - 1, (commit) => commit[0]); i < list.length && list[i][0] <= view.to; i++) {
    const px = x(list[i][0]);
    if (px - last < 4) continue;
    c.beginPath();
    c.moveTo(px, upper - 6.5); c.lineTo(px + 3.5, upper - 3); c.lineTo(px, upper + 0.5); c.lineTo(px - 3.5, upper - 3);
    c.closePath();
    c.fill();
    if (px - last > 60) {
      c.font = '10px system-ui, sans-serif';
      c.fillText(zxid(list[i][1]), px + 5, upper - 6);
      c.font = '12px system-ui, sans-serif';
    }
    last = px;
  }
}
function drawWorks() {
  const c = context;
  const ended = new Map();
  data.works.forEach((work, index) => {
    const [server, from, to] = work;
    const lane = lanes[server];
    if (!lane || from > view.to || (to >= 0 && to < view.from)) return;
    const left = x(from), right = to < 0 ? left + 6 : x(to);
    if (right - (ended.get(server) || -1) < 1) return;
    ended.set(server, right);
    const y = lane.y + lane.band / 2 + 6;
    c.fillStyle = to < 0 ? colours.bad : colours.disk;
    c.fillRect(left, y, Math.max(right - left - 0.5, 0.8), 4);
    boxes.push({ item: ['work', index], left: left - 1, right: Math.max(right, left + 3), upper: y - 2, lower: y + 6 });
  });
}
function eachVisible(use) {
  const last = after(messages, view.to, (message) => message[SENT]);
  for (let block = 0; block * BLOCK < last; block++) {
    if (ends[block] < view.from) continue;
    for (let index = block * BLOCK; index < Math.min(last, (block + 1) * BLOCK); index++) {
      const message = messages[index];
      if ((message[ENDED] < 0 || message[ENDED] >= view.from) && shown[groupOf[message[KIND]]]) use(message, index);
    }
  }
}
// Where an arrow is drawn, from lane to lane.
function arrow(message) {
  const from = lanes[message[FROM]], to = lanes[message[TO]];
  if (!from || !to) return null;
  const down = to.y > from.y ? 1 : -1;
  const left = x(message[SENT]), upper = from.y + down * (from.band / 2 + (down > 0 ? 4 : 0));
  const lower = to.y - down * (to.band / 2 + (down < 0 ? 4 : 0));
  if (message[ENDED] < 0) return [left, upper, left + 26, upper + (lower - upper) * 0.3];
  if (message[FATE] > 0 && message[ENDED] === message[SENT]) return [left, upper, left + 10, upper + (lower - upper) * 0.35];
  return [left, upper, x(message[ENDED]), lower];
}
const MOST_ARROWS = 9000;
function drawMessages() {
  const c = context;
  let count = 0;
  eachVisible(() => count++);
  const every = Math.ceil(count / MOST_ARROWS);
  const paths = {};
  const crosses = new Path2D(), heads = {};
  const detailed = count < 1800;
  drawn = [];
  let turn = 0;
  eachVisible((message, index) => {
    // Which are left out does not depend on the view, so nothing flickers while it moves.
    if (every > 1 && index % every !== 0) return;
    turn++;
    const line = arrow(message);
    if (!line) return;
    const group = groupOf[message[KIND]];
    const lost = message[FATE] > 0 || message[ENDED] < 0;
    const key = group + (lost ? '!' : '');
    const path = paths[key] || (paths[key] = new Path2D());
    path.moveTo(line[0], line[1]);
    path.lineTo(line[2], line[3]);
    if (message[FATE] > 0) {
      crosses.moveTo(line[2] - 3, line[3] - 3); crosses.lineTo(line[2] + 3, line[3] + 3);
      crosses.moveTo(line[2] + 3, line[3] - 3); crosses.lineTo(line[2] - 3, line[3] + 3);
    } else if (detailed && message[ENDED] >= 0) head(heads[group] || (heads[group] = new Path2D()), line);
    drawn.push({ index, line });
  });
  c.lineWidth = detailed ? 1.3 : 0.8;
  c.globalAlpha = detailed ? 0.95 : count > 5000 ? 0.35 : 0.6;
  for (const [key, path] of Object.entries(paths)) {
    const lost = key.endsWith('!');
    c.strokeStyle = colours[lost ? key.slice(0, -1) : key];
    c.setLineDash(lost ? [3, 2] : []);
    c.stroke(path);
  }
  c.setLineDash([]);
  for (const [group, path] of Object.entries(heads)) {
    c.fillStyle = colours[group];
    c.fill(path);
  }
  c.lineWidth = 1.4;
  c.strokeStyle = colours.bad;
  c.stroke(crosses);
  c.globalAlpha = 1;
  c.lineWidth = 1;
  // What is under way at the moment of the cursor.
  if (count < 4000 && cursor > view.from && cursor < view.to) {
    for (const { index, line } of drawn) {
      const message = messages[index];
      if (message[SENT] < cursor && message[ENDED] > cursor && message[FATE] === 0) {
        const part = (cursor - message[SENT]) / (message[ENDED] - message[SENT]);
        c.fillStyle = colours[groupOf[message[KIND]]];
        c.beginPath();
        c.arc(x(cursor), line[1] + (line[3] - line[1]) * part, 3.2, 0, 7);
        c.fill();
      }
    }
  }
  if (every > 1) {
    c.fillStyle = colours.soft;
    c.textAlign = 'right';
    c.fillText(`one of ${every} arrows is shown; zoom in to see all`, width - 8, height - 10);
    c.textAlign = 'left';
  }
  if (detailed && count < 70) {
    c.font = '10.5px system-ui, sans-serif';
    for (const { index, line } of drawn) {
      const words = `${data.kinds[messages[index][KIND]]} ${data.texts[messages[index][GIST]]}`;
      const room = Math.hypot(line[2] - line[0], line[3] - line[1]);
      const fitting = words.length * 5.4 < room - 12 ? words : data.kinds[messages[index][KIND]];
      if (fitting.length * 5.4 > room - 12 || Math.abs(line[2] - line[0]) < 30) continue;
      c.save();
      c.translate((line[0] + line[2]) / 2, (line[1] + line[3]) / 2);
      c.rotate(Math.atan2(line[3] - line[1], line[2] - line[0]));
      c.textAlign = 'center';
      c.fillStyle = colours[groupOf[messages[index][KIND]]];
      c.fillText(fitting, 0, -6);
      c.restore();
    }
    c.font = '12px system-ui, sans-serif';
  }
}
function head(path, [fromX, fromY, toX, toY], size = 6) {
  const angle = Math.atan2(toY - fromY, toX - fromX);
  path.moveTo(toX, toY);
  path.lineTo(toX - size * Math.cos(angle - 0.42), toY - size * Math.sin(angle - 0.42));
  path.lineTo(toX - size * Math.cos(angle + 0.42), toY - size * Math.sin(angle + 0.42));
  path.closePath();
}
function drawMarks() {
  const c = context, ended = new Map();
  const first = after(data.marks, view.from - 1, (mark) => mark[1]);
  for (let index = first; index < data.marks.length && data.marks[index][1] <= view.to; index++) {
    const [lane, time, kind] = data.marks[index];
    if (lane < 0) continue;
    const px = x(time), place = lanes[lane];
    if (px - (ended.get(lane) || -9) < 5) continue;
    ended.set(lane, px);
    const y = place.y - place.band / 2 - 14;
    const name = data.kinds[kind];
    c.fillStyle = ['Down', 'Ended', 'Unopened', 'WriteFailed', 'PeerMisbehaved', 'RolledBack'].includes(name) ? colours.bad
      : ['LinkReset', 'NotServing', 'SnapshotNotSaved'].includes(name) ? colours.trouble
        : ['ElectionStarted', 'VoteChanged', 'Elected', 'RoleChanged'].includes(name) ? colours.votes : colours.text;
    c.beginPath();
    c.arc(px, y, 3, 0, 7);
    c.fill();
    boxes.push({ item: ['mark', index], left: px - 4, right: px + 4, upper: y - 5, lower: y + 5 });
  }
}
function drawTroubles(rows) {
  const c = context;
  rows.forEach((row, number) => {
    const upper = AXIS + 4 + number * TROUBLE;
    row.forEach((box, place) => {
      const trouble = data.troubles[box.index];
      const room = place + 1 < row.length ? row[place + 1].left : width;
      if (box.lasts) {
        c.fillStyle = colours['trouble-back'];
        c.strokeStyle = colours.trouble;
        c.fillRect(box.left, upper, box.right - box.left, TROUBLE - 3);
        c.strokeRect(box.left + 0.5, upper + 0.5, box.right - box.left - 1, TROUBLE - 4);
      } else {
        c.fillStyle = colours.trouble;
        c.beginPath();
        c.moveTo(box.left, upper + 1); c.lineTo(box.left + 8, upper + 7); c.lineTo(box.left, upper + 13);
        c.closePath();
        c.fill();
      }
      const start = box.left + (box.lasts ? 4 : 11);
      c.font = '11px system-ui, sans-serif';
      const end = box.lasts ? Math.min(box.right, width) : Math.min(room, width);
      const words = data.texts[trouble[3]];
      if (end - start > 40) {
        c.save();
        c.beginPath();
        c.rect(start, upper, end - start - 2, TROUBLE);
        c.clip();
        c.fillStyle = colours.text;
        c.fillText(words, start, upper + 7.5);
        c.restore();
      }
      c.font = '12px system-ui, sans-serif';
      boxes.push({ item: ['trouble', box.index], left: box.left, right: Math.max(box.right, box.left + 9), upper, lower: upper + TROUBLE - 2 });
    });
  });
  // Where it strikes.
  c.strokeStyle = colours.trouble;
  data.troubles.forEach((trouble) => {
    if (trouble[0] < view.from || trouble[0] > view.to) return;
    for (const number of trouble.slice(4)) {
      const lane = lanes[number];
      if (lane) c.strokeRect(x(trouble[0]) - 1, lane.y - lane.band / 2 - 2, 2, lane.band + 4);
    }
  });
}
function drawFailure() {
  if (failedAt === null) return;
  const c = context, px = x(failedAt);
  c.fillStyle = colours.bad;
  c.fillRect(px - 1.5, AXIS - 6, 3, height);
  const words = `✗ ${broken}`;
  c.font = 'bold 12px system-ui, sans-serif';
  const wide = c.measureText(words).width + 14;
  const left = px + wide > width ? px - wide : px;
  c.fillRect(left, 2, wide, AXIS - 6);
  c.fillStyle = theme === 'dark' ? '#16090a' : '#ffffff';
  c.fillText(words, left + 7, AXIS / 2 - 1);
  c.font = '12px system-ui, sans-serif';
  const lane = lanes[failure.lane];
  if (lane) {
    c.strokeStyle = colours.bad;
    c.lineWidth = 3;
    c.beginPath();
    c.arc(px, lane.y, lane.band / 2 + 7, 0, 7);
    c.stroke();
    c.lineWidth = 1;
  }
}
function drawCursor() {
  const c = context, px = x(cursor);
  if (px < LEFT) return;
  c.strokeStyle = colours.cursor;
  c.setLineDash([5, 3]);
  c.beginPath();
  c.moveTo(px, AXIS);
  c.lineTo(px, height);
  c.stroke();
  c.setLineDash([]);
}
function drawSelected() {
  const c = context;
  for (const [item, thick] of [[hovered, 2.2], [selected, 3]]) {
    if (!item) continue;
    c.strokeStyle = colours.select;
    c.fillStyle = colours.select;
    c.lineWidth = thick;
    if (item[0] === 'message') {
      const line = arrow(messages[item[1]]);
      if (!line) continue;
      c.beginPath();
      c.moveTo(line[0], line[1]);
      c.lineTo(line[2], line[3]);
      c.stroke();
      const path = new Path2D();
      head(path, line, 10);
      c.fill(path);
    } else {
      const box = boxes.find((box) => box.item[0] === item[0] && box.item[1] === item[1]);
      if (box) c.strokeRect(box.left - 2, box.upper - 2, box.right - box.left + 4, box.lower - box.upper + 4);
    }
    c.lineWidth = 1;
  }
}
function drawLabels(rows, hidden) {
  const c = context;
  c.fillStyle = colours.panel;
  c.fillRect(0, 0, LEFT, height);
  c.fillStyle = colours.line;
  c.fillRect(LEFT - 1, 0, 1, height);
  c.fillStyle = colours.soft;
  c.fillText('virtual time', 10, AXIS / 2);
  c.fillText(hidden ? `faults (+${hidden})` : 'faults', 10, AXIS + 12);
  for (const lane of lanes) {
    const state = at(lane.states, cursor, (state) => state[1]);
    c.fillStyle = colours.text;
    c.font = lane.sort === 'client' ? '12px system-ui, sans-serif' : 'bold 14px system-ui, sans-serif';
    c.fillText(lane.name, 10, lane.y);
    const start = 16 + c.measureText(lane.name).width;
    c.font = '11px system-ui, sans-serif';
    c.fillStyle = colours.soft;
    const words = lane.sort === 'client' ? 'client' : state ? PART_WORDS[state[2]].replace(' for a leader', '').replace('is ', '') : lane.sort;
    c.fillText(words, start, lane.y);
    if (lane.sort === 'observer' && lane.room > 40) c.fillText('observer', 10, lane.y + 15);
    c.font = '12px system-ui, sans-serif';
  }
}
function drawOverview() {
  const [w, h] = fit(overview, small);
  if (!overviewBase || overviewBase.w !== w) overviewBase = { w, image: paintOverview(w, h) };
  const c = small, place = (time) => 14 + ((time - T0) / (T1 - T0)) * (w - 28);
  c.clearRect(0, 0, w, h);
  c.drawImage(overviewBase.image, 0, 0, w, h);
  const left = clamp(place(view.from), 0, w), right = clamp(place(view.to), 0, w);
  c.fillStyle = theme === 'dark' ? '#0009' : '#fff9';
  c.fillRect(0, 0, left, h);
  c.fillRect(right, 0, w - right, h);
  c.strokeStyle = colours.cursor;
  c.lineWidth = 1.5;
  c.strokeRect(left, 1, Math.max(right - left, 3), h - 2);
  c.lineWidth = 1;
  c.fillStyle = colours.cursor;
  c.fillRect(place(cursor) - 0.5, 0, 1.5, h);
}
function paintOverview(w, h) {
  const ratio = devicePixelRatio || 1;
  const image = document.createElement('canvas');
  [image.width, image.height] = [w * ratio, h * ratio];
  const c = image.getContext('2d');
  c.scale(ratio, ratio);
  const place = (time) => 14 + ((time - T0) / (T1 - T0)) * (w - 28);
  const counts = new Array(Math.max(1, Math.round(w - 28))).fill(0);
  for (const message of messages) {
    const slot = clamp(Math.floor(((message[SENT] - T0) / (T1 - T0)) * counts.length), 0, counts.length - 1);
    counts[slot]++;
  }
  const most = Math.max(...counts, 1);
  c.fillStyle = colours.line;
  counts.forEach((count, slot) => c.fillRect(14 + slot, h - (count / most) * (h - 14), 1, (count / most) * (h - 14)));
  const each = clamp((h - 16) / Math.max(1, servers.length), 2, 9);
  servers.forEach((lane, row) => {
    for (const segment of lane.segments) {
      if (segment.part === 4) continue;
      c.fillStyle = colours[PARTS[segment.part]];
      c.globalAlpha = segment.serving || segment.part === 0 ? 1 : 0.5;
      c.fillRect(place(Math.max(segment.from, T0)), 12 + row * each, Math.max(place(segment.to) - place(Math.max(segment.from, T0)), 0.6), each - 1);
    }
  });
  c.globalAlpha = 1;
  c.fillStyle = colours.trouble;
  for (const trouble of data.troubles) c.fillRect(place(Math.max(trouble[0], T0)), 2, Math.max(1.2, (trouble[1] < 0 ? 0 : place(trouble[1]) - place(Math.max(trouble[0], T0)))), trouble[1] > trouble[0] ? 3 : 7);
  if (failedAt !== null) {
    c.fillStyle = colours.bad;
    c.fillRect(place(failedAt) - 1.5, 0, 3, h);
  }
  return image;
}

// ---- panes -------------------------------------------------------------------------------------------------------

// Debug output, with line breaks and indentation where it nests.
function pretty(text) {
  let depth = 0, out = '';
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (letter === '{' && text.slice(i, i + 2) !== '{}') {
      depth++;
      out += '{\n' + '  '.repeat(depth);
      if (text[i + 1] === ' ') i++;
    } else if (letter === '}' && depth > 0) {
      depth--;
      out = out.trimEnd() + '\n' + '  '.repeat(depth) + '}';
    } else if (letter === ',' && depth > 0 && text[i + 1] === ' ' && /^\s[a-z_]+: /.test(text.slice(i + 1, i + 40))) {
      out += ',\n' + '  '.repeat(depth);
      i++;
    } else out += letter;
  }
  return out;
}
function tellDetails() {
  const pane = $('details');
  if (!selected) {
    pane.innerHTML = '<p class="soft">Click an arrow, a dot, a disk write or a fault.</p>';
    return;
  }
  const [sort, index] = selected;
  if (sort === 'message') {
    const message = messages[index], kind = data.kinds[message[KIND]];
    const lost = message[FATE] > 0;
    const took = message[ENDED] < 0 ? 'still under way when the run ended' : lost ? FATES[message[FATE]]
      : message[ENDED] === message[SENT] ? `at ${seconds(message[SENT])}` : `took ${span(message[ENDED] - message[SENT])}`;
    const when = message[ENDED] === message[SENT] && !lost ? '' : `sent at ${seconds(message[SENT])}${message[ENDED] > message[SENT] ? `, ${lost ? 'lost' : 'arrived'} at ${seconds(message[ENDED])}` : ''}; `;
    pane.innerHTML = `<p><span class="name" style="color:var(--${groupOf[message[KIND]]})">${escape(kind)}</span>
      ${escape(lanes[message[FROM]].name)} → ${escape(lanes[message[TO]].name)}${lost ? ' <b style="color:var(--bad)">✗</b>' : ''}</p>
      <p>${escape(data.texts[message[GIST]])}</p><p class="soft">${when}${took}; number ${message[NUMBER]} in the trace</p>
      <p class="soft">${escape((KINDS[kind] || ['', ''])[1])}</p>
      ${data.texts[message[WHOLE]] ? `<pre>${escape(pretty(data.texts[message[WHOLE]]))}</pre>` : ''}`;
  } else if (sort === 'mark') {
    const [lane, time, kind, text] = data.marks[index];
    pane.innerHTML = `<p><span class="name">${escape(data.kinds[kind])}</span> ${lane < 0 ? '' : escape(lanes[lane].name)}</p>
      <p>${lane < 0 ? '' : escape(lanes[lane].name)} ${escape(data.texts[text])}</p><p class="soft">at ${seconds(time)}</p>`;
  } else if (sort === 'trouble') {
    const [from, to, kind, text] = data.troubles[index];
    const until = to < 0 ? ' until the end' : to > from ? ` until ${seconds(to)} (${span(to - from)})` : '';
    pane.innerHTML = `<p><span class="name" style="color:var(--trouble)">fault: ${escape(data.kinds[kind])}</span></p>
      <p>${escape(data.texts[text])}</p><p class="soft">from ${seconds(from)}${until}</p>`;
  } else if (sort === 'work') {
    const [lane, from, to, text] = data.works[index];
    pane.innerHTML = `<p><span class="name">disk write</span> ${escape(lanes[lane].name)}</p><p>${escape(data.texts[text])}</p>
      <p class="soft">from ${seconds(from)}, ${to < 0 ? 'never finished' : 'durable after ' + span(to - from)}</p>`;
  } else {
    pane.innerHTML = `<p><span class="name" style="color:var(--bad)">✗ ${escape(failure.name)}</span></p><p>${escape(failure.what)}</p>
      <p class="soft">${escape(INVARIANTS[failure.name] || '')}</p><p class="soft">at ${seconds(failure.at)}</p>`;
  }
}
let told = '';
function tellState() {
  $('moment').textContent = seconds(cursor);
  $('slider').value = String(Math.round(((cursor - T0) / (T1 - T0)) * 100000));
  const rows = servers.map((lane) => {
    const state = at(lane.states, cursor, (state) => state[1]);
    if (!state) return `<tr><td>${lane.name}</td><td colspan="5" class="soft">not known before what is shown</td></tr>`;
    const [, , part, leader, serving, epoch, logged, committed, applied] = state;
    const word = `${PARTS[part]}${part === 1 && leader >= 0 ? ' ' + lanes[leader].name : ''}`;
    const down = part >= 4;
    return `<tr><td><b>${lane.name}</b></td><td><span class="chip" style="background:var(--${PARTS[part]})">${word}</span></td>
      <td>${down ? '' : serving ? 'yes' : 'no'}</td><td>${down ? '' : epoch}</td><td>${down ? '' : zxid(logged)}</td><td>${down ? '' : zxid(committed)}</td><td>${down ? '' : zxid(applied)}</td></tr>`;
  });
  const now = after(story, cursor, (entry) => entry.at) - 1;
  const first = Math.max(0, now - 30), last = Math.min(story.length, now + 40);
  const key = `${rows.join('')}${now}`;
  if (key === told) return;
  told = key;
  $('state').innerHTML = `<table><tr><th></th><th>part</th><th>serves</th><th>epoch</th><th title="last entry of its durable log">logged</th><th title="last it knows to be committed">committed</th><th title="last in its tree">applied</th></tr>${rows.join('')}</table>`;
  const list = story.slice(first, last).map((entry, index) =>
    `<li data-entry="${first + index}" class="${entry.sort}${first + index === now ? ' now' : ''}"><time>${(entry.at / 1e6).toFixed(6)}</time><span>${escape(entry.text)}</span></li>`);
  $('story').innerHTML = `${first > 0 ? `<li class="more">${first} earlier</li>` : ''}${list.join('')}${last < story.length ? `<li class="more">${story.length - last} later</li>` : ''}${story.length ? '' : '<li class="more">nothing but messages</li>'}`;
  const current = $('story').querySelector('.now');
  if (current) $('story').scrollTop = current.offsetTop - $('story').clientHeight * 0.6;
}
function tellHead() {
  document.title = `quorate ${data.title}${failure ? ': ' + failure.name : ''}`;
  $('title').textContent = `quorate, simulated run, ${data.title}`;
  const verdict = $('verdict');
  verdict.textContent = failure ? `✗ ${broken} at ${seconds(failure.at)}` : '✓ nothing was violated';
  verdict.className = failure ? 'bad' : '';
  $('what').innerHTML = failure ? `<b>${escape(failure.what)}</b><br><span class="soft">${escape(INVARIANTS[failure.name] || '')}</span>` : '';
  const voters = lanes.filter((lane) => lane.sort === 'voter').length, observers = servers.length - voters;
  const clients = lanes.length - servers.length;
  const people = `${voters} voting server${voters === 1 ? '' : 's'}${observers ? `, ${observers} observing` : ''}, ${clients} client${clients === 1 ? '' : 's'}`;
  const facts = [['who', people], ['virtual time', seconds(data.until, 3)], ...data.facts];
  $('facts').innerHTML = facts.map(([name, value]) => `<div><dt>${escape(name)}</dt><dd>${escape(value)}</dd></div>`).join('')
    + `<div><dt>again</dt><dd><code id="replay">${escape(data.replay)}</code> <button id="copy" type="button">Copy</button>${data.case ? ' <button id="case" type="button" title="the whole case as text, for soak --plan FILE">Save the case</button>' : ''}</dd></div>`;
  $('copy').onclick = () => navigator.clipboard && navigator.clipboard.writeText(data.replay);
  if (data.case) {
    $('case').onclick = () => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([data.case], { type: 'text/plain' }));
      link.download = `${data.title.replace(/\s+/g, '-')}.case`;
      link.click();
    };
  }
  $('note').hidden = !data.note;
  $('note').textContent = data.note;
  $('to-failure').disabled = failedAt === null;
}
function tellFilters() {
  const counts = {};
  for (const message of messages) counts[groupOf[message[KIND]]] = (counts[groupOf[message[KIND]]] || 0) + 1;
  counts.disk = data.works.length;
  $('filters').innerHTML = GROUPS.map(([name, words]) =>
    `<label><input type="checkbox" value="${name}"${shown[name] ? ' checked' : ''}><i style="background:var(--${name})"></i>${words} <small>${counts[name] || 0}</small></label>`).join('');
  $('filters').onchange = (event) => {
    shown[event.target.value] = event.target.checked;
    steps = null;
    redraw();
  };
}
function tellLegend() {
  const key = (name, words) => `<span><i style="background:var(--${name})"></i>${words}</span>`;
  $('legend-text').innerHTML = `
    <p>Time runs to the right. Each band is a server, and its colour is the part it plays; pale means that it does not serve clients yet.
      The thin stripe below it has a colour for each <b>epoch</b>, the reign of one leader. An arrow is a message from the lane it leaves to the lane it
      reaches; its colour says what it is about (see the boxes above), a dashed one with a red ✗ was lost. A green ◆ says that the
      server learned of a commit, the position beside it is <i style="all:unset;font-style:italic">epoch.counter</i>. Grey bars under a band are disk writes.
      Dots above it are what the server tells of itself. Orange is what was done to the world; the red line is where an invariant was violated.</p>
    <p class="keys">${key('looking', 'looks for a leader')}${key('leading', 'leads')}${key('following', 'follows')}${key('observing', 'observes')}${key('starting', 'starts, reads its disk')}
      <span>┄┄ down</span></p>
    <p class="soft">Drag to move, wheel to zoom, click for details. Keys: ← → step, + − zoom, f the failure, 0 the whole run, space plays.</p>`;
}

// ---- hands -------------------------------------------------------------------------------------------------------

function hit(px, py) {
  if (px < LEFT) return null;
  if (failedAt !== null && Math.abs(px - x(failedAt)) < 4 && py < AXIS) return ['failure', 0];
  for (const box of boxes) {
    if (px >= box.left - 1 && px <= box.right + 1 && py >= box.upper && py <= box.lower) return box.item;
  }
  let best = null, nearest = 7;
  for (const { index, line } of drawn) {
    const [x1, y1, x2, y2] = line;
    if (px < Math.min(x1, x2) - 7 || px > Math.max(x1, x2) + 7 || py < Math.min(y1, y2) - 7 || py > Math.max(y1, y2) + 7) continue;
    const [dx, dy] = [x2 - x1, y2 - y1];
    const part = clamp(((px - x1) * dx + (py - y1) * dy) / (dx * dx + dy * dy || 1), 0, 1);
    const distance = Math.hypot(px - x1 - part * dx, py - y1 - part * dy);
    if (distance < nearest) [nearest, best] = [distance, ['message', index]];
  }
  return best;
}
function timeOf(item) {
  if (item[0] === 'message') return messages[item[1]][SENT];
  if (item[0] === 'mark') return data.marks[item[1]][1];
  if (item[0] === 'trouble') return data.troubles[item[1]][0];
  return item[0] === 'work' ? data.works[item[1]][1] : failedAt;
}
function wordsOf(item) {
  const [sort, index] = item;
  if (sort === 'message') {
    const message = messages[index];
    return `${lanes[message[FROM]].name} → ${lanes[message[TO]].name}: ${data.kinds[message[KIND]]} ${data.texts[message[GIST]]}${message[FATE] ? ` (${FATES[message[FATE]]})` : ''}`;
  }
  if (sort === 'mark') return `${lanes[data.marks[index][0]].name} ${data.texts[data.marks[index][3]]}`;
  if (sort === 'trouble') return data.texts[data.troubles[index][3]];
  return sort === 'work' ? `disk: ${data.texts[data.works[index][3]]}` : failure.text;
}
// All that can be stepped through, in time.
function allSteps() {
  if (steps) return steps;
  steps = [];
  messages.forEach((message, index) => shown[groupOf[message[KIND]]] && steps.push([message[SENT], ['message', index]]));
  data.marks.forEach((mark, index) => steps.push([mark[1], ['mark', index]]));
  data.troubles.forEach((trouble, index) => trouble[0] >= T0 && steps.push([trouble[0], ['trouble', index]]));
  if (failedAt !== null) steps.push([failedAt, ['failure', 0]]);
  steps.sort((a, b) => a[0] - b[0]);
  return steps;
}
const same = (a, b) => a && b && a[0] === b[0] && a[1] === b[1];
function step(direction) {
  const list = allSteps();
  let place = list.findIndex(([, item]) => same(item, selected));
  if (place < 0 || timeOf(selected) !== cursor) place = direction > 0 ? after(list, cursor, (entry) => entry[0]) - 1 : after(list, cursor - 1, (entry) => entry[0]);
  const next = list[place + direction];
  if (next) select(next[1], next[0]);
}
function toFailure() {
  if (failedAt === null) return;
  // The shortest span in which anything happened that leads there.
  const count = (list, from, time) => after(list, failedAt, time) - after(list, from - 1, time);
  const kept = messages.filter((message) => shown[groupOf[message[KIND]]]);
  const spans = [2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6];
  const length = spans.find((length) => {
    const from = failedAt - length;
    return count(kept, from, (message) => message[SENT]) + count(data.marks, from, (mark) => mark[1]) >= 12;
  }) || (kept.length && failedAt - kept[kept.length - 1][SENT] < 2e5 ? 2e5 : 1e6);
  look(failedAt - length, failedAt + length * 0.15);
  select(['failure', 0], failedAt);
}
function play() {
  if (playing) {
    playing = null;
  } else {
    const mine = (playing = {});
    let last = performance.now();
    const tick = (now) => {
      if (playing !== mine) return;
      const length = view.to - view.from;
      moveTo(cursor + ((now - last) / 12000) * length, true);
      last = now;
      if (cursor > view.from + length * 0.7) look(cursor - length * 0.7, cursor + length * 0.3);
      if (cursor >= T1) playing = null;
      $('play').textContent = playing ? 'Pause' : 'Play';
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
  $('play').textContent = playing ? 'Pause' : 'Play';
}
let drag = null;
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  drag = { x: event.offsetX, from: view.from, to: view.to, moved: false };
};
canvas.onpointermove = (event) => {
  if (drag) {
    const by = ((event.offsetX - drag.x) / (width - LEFT)) * (drag.to - drag.from);
    if (Math.abs(event.offsetX - drag.x) > 3) drag.moved = true;
    if (drag.moved) look(drag.from - by, drag.to - by);
    return;
  }
  const found = hit(event.offsetX, event.offsetY);
  const tip = $('tip');
  tip.hidden = !found;
  if (found) {
    tip.textContent = wordsOf(found);
    tip.style.left = `${Math.min(event.offsetX + 14, width - 300)}px`;
    tip.style.top = `${event.offsetY + 16}px`;
  }
  if (!same(found, hovered) && (found || hovered)) {
    hovered = found;
    redraw();
  }
};
canvas.onpointerup = (event) => {
  if (drag && !drag.moved) {
    const found = hit(event.offsetX, event.offsetY);
    if (found) select(found, timeOf(found));
    else if (event.offsetX > LEFT) {
      selected = null;
      tellDetails();
      moveTo(timeAt(event.offsetX), true);
    }
  }
  drag = null;
};
canvas.onpointerleave = () => { $('tip').hidden = true; hovered = null; redraw(); };
canvas.onwheel = (event) => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
    const by = ((event.deltaX || event.deltaY) / (width - LEFT)) * (view.to - view.from);
    look(view.from + by, view.to + by);
  } else zoom(Math.exp(clamp(event.deltaY, -80, 80) / 220), timeAt(Math.max(LEFT, event.offsetX)));
};
const overviewTime = (event) => T0 + ((event.offsetX - 14) / (overview.getBoundingClientRect().width - 28)) * (T1 - T0);
overview.onpointerdown = (event) => {
  overview.setPointerCapture(event.pointerId);
  overview.onpointermove(event, true);
};
overview.onpointermove = (event, pressed) => {
  if (!pressed && !event.buttons) return;
  const length = view.to - view.from, time = overviewTime(event);
  look(time - length / 2, time + length / 2);
  cursor = clamp(Math.round(time), T0, T1);
};
$('slider').oninput = () => moveTo(T0 + (Number($('slider').value) / 100000) * (T1 - T0));
$('story').onclick = (event) => {
  const line = event.target.closest('li[data-entry]');
  if (!line) return;
  const entry = story[Number(line.dataset.entry)];
  select(entry.item, entry.at);
};
$('to-failure').onclick = toFailure;
$('whole').onclick = () => look(T0, T1);
$('in').onclick = () => zoom(0.5);
$('out').onclick = () => zoom(2);
$('previous').onclick = () => step(-1);
$('next').onclick = () => step(1);
$('play').onclick = play;
$('theme').onclick = () => { theme = theme === 'dark' ? 'light' : 'dark'; takeTheme(); redraw(); };
dark.onchange = () => { theme = dark.matches ? 'dark' : 'light'; takeTheme(); redraw(); };
document.onkeydown = (event) => {
  if (event.target.tagName === 'INPUT' && event.target.type !== 'checkbox') return;
  const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1.7), f: toFailure, 0: () => look(T0, T1), ' ': play }[event.key];
  if (!act || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  act();
};
addEventListener('resize', () => { overviewBase = null; redraw(); });
$('legend').ontoggle = () => redraw();

takeTheme();
tellHead();
tellFilters();
tellLegend();
tellDetails();
if (failedAt !== null) toFailure();
else look(T0, Math.min(T1, T0 + 2000000));
})();
