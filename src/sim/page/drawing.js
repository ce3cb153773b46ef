// The lanes and the arrows.

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
  const weights = lanes.map((lane) => (lane.sort !== 'client' ? 1 : shown.clients ? 0.45 : 0.22));
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
let hiddenTroubles = 0;
function packTroubles() {
  const rows = [];
  hiddenTroubles = 0;
  const most = clamp(Math.floor((height * 0.3) / TROUBLE), 1, TROUBLE_ROWS);
  for (let index = 0; index < data.troubles.length; index++) {
    const trouble = data.troubles[index];
    const [from, to] = [trouble[0], trouble[1] < 0 ? T1 : trouble[1]];
    if (to < view.from || from > view.to) continue;
    const left = Math.max(x(from), LEFT), right = Math.max(x(to), left + 9);
    let row = rows.findIndex((row) => row[row.length - 1].right + 2 <= left);
    if (row < 0 && rows.length < most) row = rows.push([]) - 1;
    if (row < 0) hiddenTroubles++;
    else rows[row].push({ index, left, right, lasts: to > from });
  }
  return rows;
}
// What is drawn whenever the view changes, kept for when only the moment or the selection does.
const base = document.createElement('canvas');
let baseKey = '';
function draw() {
  [width, height] = fit(canvas, context);
  const c = context;
  c.font = '12px system-ui, sans-serif';
  c.textBaseline = 'middle';
  const key = [width, height, canvas.width, view.from, view.to, theme, ...Object.values(shown)].join();
  if (key === baseKey) c.drawImage(base, 0, 0, width, height);
  else {
    drawBase();
    [base.width, base.height] = [canvas.width, canvas.height];
    base.getContext('2d').drawImage(canvas, 0, 0);
    baseKey = key;
  }
  c.save();
  c.beginPath();
  c.rect(LEFT, 0, width - LEFT, height);
  c.clip();
  drawCursor();
  drawSelected();
  c.restore();
  drawLabels();
}
function drawBase() {
  const c = context;
  c.fillStyle = colours.back;
  c.fillRect(0, 0, width, height);
  boxes = [];
  const rows = packTroubles();
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
  c.restore();
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
      const words = `${PART_WORDS[segment.part]}${segment.serving ? '' : segment.part < 4 && segment.part > 0 ? ', does not serve' : ''}${segment.epoch > 0 ? ' · epoch ' + segment.epoch : ''}`;
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
const MOST_ARROWS = 6000;
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
  // What is under way at this moment.
  if (drawn.length < 4000) {
    for (const { index, line } of drawn) {
      const message = messages[index];
      if (message[SENT] >= cursor || message[ENDED] <= cursor || message[FATE] !== 0) continue;
      const part = (cursor - message[SENT]) / (message[ENDED] - message[SENT]);
      c.fillStyle = colours[groupOf[message[KIND]]];
      c.beginPath();
      c.arc(px, line[1] + (line[3] - line[1]) * part, 3.2, 0, 7);
      c.fill();
    }
  }
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
function drawLabels() {
  const c = context;
  c.fillStyle = colours.panel;
  c.fillRect(0, 0, LEFT, height);
  c.fillStyle = colours.line;
  c.fillRect(LEFT - 1, 0, 1, height);
  c.fillStyle = colours.soft;
  c.fillText('virtual time', 10, AXIS / 2);
  c.fillText(hiddenTroubles ? `faults (+${hiddenTroubles})` : 'faults', 10, AXIS + 12);
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
    if (lane.sort === 'observer' && lane.room > 60) c.fillText('observer', 10, lane.y + 15);
    c.font = '12px system-ui, sans-serif';
  }
}
