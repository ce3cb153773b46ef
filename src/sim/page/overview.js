// The strip with the whole run.

function drawOverview() {
  const [w, h] = fit(overview, small);
  if (!overviewBase || overviewBase.w !== w) overviewBase = { w, image: paintOverview(w, h) };
  const c = small, place = (time) => 14 + ((time - T0) / (T1 - T0)) * (w - 28);
  c.clearRect(0, 0, w, h);
  c.drawImage(overviewBase.image, 0, 0, w, h);
  const left = clamp(place(view.from), 0, w), right = clamp(place(view.to), 0, w);
  c.fillStyle = theme === 'dark' ? '#0007' : '#fff7';
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
