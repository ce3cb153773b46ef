// All that is said in words beside the drawing.

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
  const facts = [['who', people], ...data.facts];
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
      reaches; its colour says what it is about (see the boxes above), a dashed one is still on its way at the end, or was lost if it has a red ✗. A green ◆ says that the
      server learned of a commit, the position beside it is <i style="all:unset;font-style:italic">epoch.counter</i>. Grey bars under a band are disk writes.
      Dots above it are what the server tells of itself. Orange is what was done to the world; the red line is where an invariant was violated.</p>
    <p class="keys">${key('looking', 'looks for a leader')}${key('leading', 'leads')}${key('following', 'follows')}${key('observing', 'observes')}${key('starting', 'starts, reads its disk')}
      <span>┄┄ down</span></p>
    <p class="soft">Drag to move, wheel to zoom, click for details. Keys: ← → step, + − zoom, f the failure, 0 the whole run, space plays.</p>`;
}
