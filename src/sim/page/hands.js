// What mouse and keys do; and the beginning.

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
  const spans = [1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6];
  const length = spans.find((length) => {
    const from = failedAt - length;
    const works = shown.disk ? count(data.works, from, (work) => work[1]) : 0;
    return count(kept, from, (message) => message[SENT]) + count(data.marks, from, (mark) => mark[1]) + works >= 4;
  }) || 1e6;
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
$('legend').open = innerHeight >= 900;
tellHead();
tellFilters();
tellLegend();
tellDetails();
if (failedAt !== null) toFailure();
else look(T0, Math.min(T1, T0 + 2000000));
