/* The canvas: one picture, one mask that is drawn on it, and nothing else.
 *
 * It runs as `js_on_load` of a gr.HTML component (see demo/canvas.py) with these names in scope:
 *   element   the component's root; its template never changes, so nothing here is rendered again
 *   props     props.value is the task that Python sends (see Task in demo/canvas.py)
 *   watch     calls back when Python sends another task
 *   trigger   tells Python that a mask was saved
 *   server    server.save_mask(...) keeps a mask, server.ask_model(...) lets the model answer a mark
 *
 * The mask has one byte for each pixel of the picture as it is shown (at most 1,024 long):
 *   0 nothing is said, 1 object, 2 not the object (only where supports are marked).
 * Every change is a patch of a rectangle that undo puts back.
 */
const $ = selector => element.querySelector(selector);
const view = $('.lc-view'), stage = $('.lc-stage'), note = $('.lc-note'), size = $('.lc-size');
const context = view.getContext('2d');
const INSIDE = 1, OUTSIDE = 2;
const MAX_HISTORY = 60, SAVE_AFTER = 120, ZOOM_MAX = 16;

let task = null;                     // what Python sent
let photo = null;                    // the picture, decoded
let width = 0, height = 0;           // of the picture as it is shown
let paint = new Uint8Array(0);       // the mask
let overlay = null;                  // canvas with the mask's colours, drawn over the picture
let others = null;                   // picture with the masks of other classes
let scale = 1, left = 0, top = 0;    // picture to screen
let fitted = true;                   // the picture follows the size of the page until somebody zooms
let tool = 'brush', cutting = false, radius = 12, opacity = 0.5;
let past = [], future = [];
let stroke = null;                   // {patch, points} while something is drawn
let corners = [];                    // of the polygon under way
let hover = null;                    // [x, y] of the pointer, in pixels of the picture
let space = false;                   // the space bar is held: the pointer moves the picture
let touches = new Map();             // pointers that are down, for pinching
let revision = 0, saved = 0, saving = false, timer = 0;

/* Drawing ------------------------------------------------------------------------------------------- */

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const w = Math.round(stage.clientWidth * ratio), h = Math.round(stage.clientHeight * ratio);
  if (view.width !== w || view.height !== h) { view.width = w; view.height = h; if (fitted) fit(); }
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, w, h);
  if (!photo) return;
  context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * left, ratio * top);
  context.imageSmoothingEnabled = scale < 2;
  context.drawImage(photo, 0, 0, width, height);
  if (others) context.drawImage(others, 0, 0, width, height);
  context.imageSmoothingEnabled = false;
  context.globalAlpha = opacity;
  context.drawImage(overlay, 0, 0);
  context.globalAlpha = 1;
  context.lineWidth = 1 / scale;
  context.strokeStyle = 'rgba(128, 128, 128, 0.9)';   // the picture's own border
  context.strokeRect(-0.5 / scale, -0.5 / scale, width + 1 / scale, height + 1 / scale);
  drawUnderWay();
}

function drawUnderWay() {
  const cut = taking();
  context.lineWidth = 2 / scale;
  context.strokeStyle = cut ? '#e69f00' : task.colour;
  if (hover && !space && (tool === 'brush' || tool === 'eraser')) {
    context.beginPath();
    context.arc(hover[0], hover[1], radius, 0, 2 * Math.PI);
    context.stroke();
  }
  const line = tool === 'polygon' ? corners.concat(hover ? [hover] : []) : stroke ? stroke.points : [];
  if ((tool === 'polygon' || tool === 'lasso') && line.length) {
    context.beginPath();
    line.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.stroke();
    for (const [x, y] of corners) context.strokeRect(x - 3 / scale, y - 3 / scale, 6 / scale, 6 / scale);
  }
  if (tool === 'box' && stroke) {
    const [a, b] = [stroke.points[0], stroke.points[stroke.points.length - 1]];
    context.strokeRect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
  }
}

function colourOf(value) {
  if (value === INSIDE) return rgb(task.colour);
  return value === OUTSIDE ? [230, 159, 0] : null;
}

function rgb(hex) { return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)); }

/* Colours of a rectangle of the mask, after it has changed. The outline is opaque, so that a thin mask shows. */
function colour(x0, y0, x1, y1) {
  x0 = Math.max(0, x0 - 1); y0 = Math.max(0, y0 - 1); x1 = Math.min(width, x1 + 1); y1 = Math.min(height, y1 + 1);
  if (x1 <= x0 || y1 <= y0) return;
  const image = new ImageData(x1 - x0, y1 - y0), inside = rgb(task.colour), outside = colourOf(OUTSIDE);
  for (let y = y0, at = 0; y < y1; y++) {
    for (let x = x0, here = y * width + x0; x < x1; x++, here++, at += 4) {
      const value = paint[here];
      if (!value) continue;
      const c = value === INSIDE ? inside : outside;
      const edge = (x && paint[here - 1] !== value) || (x + 1 < width && paint[here + 1] !== value) ||
        (y && paint[here - width] !== value) || (y + 1 < height && paint[here + width] !== value);
      image.data[at] = c[0]; image.data[at + 1] = c[1]; image.data[at + 2] = c[2];
      image.data[at + 3] = edge ? 255 : 150;
    }
  }
  overlay.getContext('2d').putImageData(image, x0, y0);
  redraw();
}

/* Where things are ---------------------------------------------------------------------------------- */

function fit() {
  const w = stage.clientWidth, h = stage.clientHeight, margin = 8;
  scale = Math.max(0.02, Math.min((w - 2 * margin) / width, (h - 2 * margin) / height));
  left = (w - width * scale) / 2; top = (h - height * scale) / 2;
  fitted = true;
  redraw();
}

function zoom(factor, x, y) {
  const to = Math.min(ZOOM_MAX, Math.max(0.02, scale * factor));
  left = x - (x - left) * to / scale; top = y - (y - top) * to / scale;
  scale = to; fitted = false;
  redraw();
}

function here(event) {
  const box = view.getBoundingClientRect();
  return [(event.clientX - box.left - left) / scale, (event.clientY - box.top - top) / scale];
}

/* Changing the mask --------------------------------------------------------------------------------- */

function taking() { return cutting !== (stroke ? stroke.other : false); }

/* What a stroke paints: object, "not the object" where supports are marked, or nothing. */
function value(erase) {
  if (erase) return 0;
  return taking() ? (task.marks ? OUTSIDE : 0) : INSIDE;
}

/* A patch remembers a rectangle before and after; it grows while a stroke goes on. */
function begin() { return { before: paint.slice(), x0: width, y0: height, x1: 0, y1: 0 }; }

function touch(patch, x0, y0, x1, y1) {
  patch.x0 = Math.min(patch.x0, x0); patch.y0 = Math.min(patch.y0, y0);
  patch.x1 = Math.max(patch.x1, x1); patch.y1 = Math.max(patch.y1, y1);
}

function crop(from, { x0, y0, x1, y1 }) {
  const out = new Uint8Array((x1 - x0) * (y1 - y0));
  for (let y = y0; y < y1; y++) out.set(from.subarray(y * width + x0, y * width + x1), (y - y0) * (x1 - x0));
  return out;
}

function put(values, { x0, y0, x1, y1 }) {
  for (let y = y0; y < y1; y++) {
    paint.set(values.subarray((y - y0) * (x1 - x0), (y - y0 + 1) * (x1 - x0)), y * width + x0);
  }
  colour(x0, y0, x1, y1);
}

function commit(patch) {
  if (patch.x1 <= patch.x0 || patch.y1 <= patch.y0) return;
  const done = { x0: patch.x0, y0: patch.y0, x1: patch.x1, y1: patch.y1 };
  done.before = crop(patch.before, done); done.after = crop(paint, done);
  if (done.before.every((v, i) => v === done.after[i])) return;
  past.push(done); future = [];
  if (past.length > MAX_HISTORY) past.shift();
  changed();
}

function undo() { const done = past.pop(); if (done) { put(done.before, done); future.push(done); changed(); } }
function redo() { const done = future.pop(); if (done) { put(done.after, done); past.push(done); changed(); } }

/* One piece of a brush stroke: every pixel within the radius of the line from a to b. */
function line(a, b, to, patch) {
  const r = radius, r2 = r * r, dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy || 1e-9;
  const x0 = Math.max(0, Math.floor(Math.min(a[0], b[0]) - r)), x1 = Math.min(width, Math.ceil(Math.max(a[0], b[0]) + r) + 1);
  const y0 = Math.max(0, Math.floor(Math.min(a[1], b[1]) - r)), y1 = Math.min(height, Math.ceil(Math.max(a[1], b[1]) + r) + 1);
  if (x1 <= x0 || y1 <= y0) return;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      const px = x + 0.5 - a[0], py = y + 0.5 - a[1];
      const t = Math.min(1, Math.max(0, (px * dx + py * dy) / length));
      const ex = px - t * dx, ey = py - t * dy;
      if (ex * ex + ey * ey <= r2) paint[y * width + x] = to;
    }
  }
  touch(patch, x0, y0, x1, y1);
  colour(x0, y0, x1, y1);
}

/* The inside of a closed line. */
function area(points, to) {
  if (points.length < 3) return;
  const patch = begin(), canvas = new OffscreenCanvas(width, height), on = canvas.getContext('2d');
  on.beginPath();
  points.forEach(([x, y], i) => (i ? on.lineTo(x, y) : on.moveTo(x, y)));
  on.closePath(); on.fill();
  const xs = points.map(p => p[0]), ys = points.map(p => p[1]);
  const x0 = Math.max(0, Math.floor(Math.min(...xs))), x1 = Math.min(width, Math.ceil(Math.max(...xs)) + 1);
  const y0 = Math.max(0, Math.floor(Math.min(...ys))), y1 = Math.min(height, Math.ceil(Math.max(...ys)) + 1);
  if (x1 <= x0 || y1 <= y0) return;
  const filled = on.getImageData(x0, y0, x1 - x0, y1 - y0).data;
  for (let y = y0, at = 3; y < y1; y++) for (let x = x0; x < x1; x++, at += 4) if (filled[at] > 127) paint[y * width + x] = to;
  touch(patch, x0, y0, x1, y1);
  colour(x0, y0, x1, y1);
  commit(patch);
}

/* Everything outside of a box is not the object, the inside is open: how a support is marked by a box. */
function box(a, b) {
  const patch = begin(), limit = (v, most) => Math.min(most, Math.max(0, Math.round(v)));
  const x0 = limit(Math.min(a[0], b[0]), width), x1 = limit(Math.max(a[0], b[0]), width);
  const y0 = limit(Math.min(a[1], b[1]), height), y1 = limit(Math.max(a[1], b[1]), height);
  if (x1 - x0 < 2 || y1 - y0 < 2) return;
  if (task.marks && !taking()) {
    paint.fill(OUTSIDE);
    for (let y = y0; y < y1; y++) paint.fill(0, y * width + x0, y * width + x1);
    touch(patch, 0, 0, width, height);
  } else {
    for (let y = y0; y < y1; y++) paint.fill(value(false), y * width + x0, y * width + x1);
    touch(patch, x0, y0, x1, y1);
  }
  colour(patch.x0, patch.y0, patch.x1, patch.y1);
  commit(patch);
}

/* Fill the connected region under the pointer: an enclosed hole becomes object; object is taken away. */
function flood(at) {
  const x = Math.floor(at[0]), y = Math.floor(at[1]);
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const from = paint[y * width + x], to = from === INSIDE ? 0 : INSIDE, patch = begin(), waiting = [y * width + x];
  paint[waiting[0]] = to;
  while (waiting.length) {
    const i = waiting.pop(), cx = i % width, cy = (i - cx) / width;
    touch(patch, cx, cy, cx + 1, cy + 1);
    for (const [j, on] of [[i - 1, cx > 0], [i + 1, cx + 1 < width], [i - width, cy > 0], [i + width, cy + 1 < height]]) {
      if (on && paint[j] === from) { paint[j] = to; waiting.push(j); }
    }
  }
  colour(patch.x0, patch.y0, patch.x1, patch.y1);
  commit(patch);
}

/* Grow, shrink or smooth by `reach` pixels of the shown picture: counts in a square window, by running sums. */
function morph(kind, reach) {
  const patch = begin(), w = width, h = height, sums = new Int32Array((w + 1) * (h + 1));
  for (let y = 0; y < h; y++) for (let x = 0, row = 0; x < w; x++) {
    row += paint[y * w + x] === INSIDE;
    sums[(y + 1) * (w + 1) + x + 1] = sums[y * (w + 1) + x + 1] + row;
  }
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    const x0 = Math.max(0, x - reach), x1 = Math.min(w, x + reach + 1), y0 = Math.max(0, y - reach), y1 = Math.min(h, y + reach + 1);
    const count = sums[y1 * (w + 1) + x1] - sums[y0 * (w + 1) + x1] - sums[y1 * (w + 1) + x0] + sums[y0 * (w + 1) + x0];
    const all = (x1 - x0) * (y1 - y0), i = y * w + x, inside = paint[i] === INSIDE;
    const to = kind === 'grow' ? count > 0 : kind === 'shrink' ? count === all : 2 * count > all;
    if (to !== inside) paint[i] = to ? INSIDE : 0;
  }
  touch(patch, 0, 0, w, h);
  colour(0, 0, w, h);
  commit(patch);
}

/* Saving -------------------------------------------------------------------------------------------- */

function changed() {
  revision += 1;
  show('Not saved yet …');
  clearTimeout(timer);
  timer = setTimeout(save, SAVE_AFTER);
}

/* The mask as a PNG of grey values: 255 object, 128 not the object, 0 nothing. */
function encoded() {
  const canvas = document.createElement('canvas'), image = new ImageData(width, height);
  canvas.width = width; canvas.height = height;
  for (let i = 0, at = 0; i < paint.length; i++, at += 4) {
    image.data[at] = image.data[at + 1] = image.data[at + 2] = paint[i] === INSIDE ? 255 : paint[i] === OUTSIDE ? 128 : 0;
    image.data[at + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas.toDataURL('image/png');
}

async function save() {
  if (saving || !task || saved === revision) return;
  saving = true;
  const now = revision, of = task;
  try {
    const answer = await server.save_mask({ session: of.session, key: of.key, mask: encoded() });
    if (of.key !== task?.key) return;
    saved = now;
    if (answer.version) task = { ...task, version: answer.version };
    show(answer.error || (saved === revision ? 'Saved' : 'Not saved yet …'), Boolean(answer.error));
    if (!answer.error) trigger('input', { key: of.key });
  } catch (error) {
    show('The mask could not be saved: the program does not answer. It is tried again.', true);
    timer = setTimeout(save, 2000);
  } finally {
    saving = false;
    }
  if (task && saved !== revision && !note.classList.contains('lc-warning')) { clearTimeout(timer); timer = setTimeout(save, SAVE_AFTER); }
}

function show(text, warning = false) {
  note.textContent = text;
  note.classList.toggle('lc-warning', warning);
}

/* Asking the model ---------------------------------------------------------------------------------- */

let points = [];
async function point(at, inside) {
  if (!task.asks) return;
  points.push([at[0] / width, at[1] / height, inside ? 1 : 0]);
  const of = task;
  show('The model is asked …');
  try {
    const answer = await server.ask_model({ session: of.session, key: of.key, points, mask: encoded() });
    if (of !== task) return;
    if (answer.error) { show(answer.error, true); return; }
    const patch = begin();
    paint = await readMask(answer.mask, width, height);
    touch(patch, 0, 0, width, height);
    colour(0, 0, width, height);
    commit(patch);
  } catch (error) { show('The model did not answer. Try again.', true); }
}

/* A new task ---------------------------------------------------------------------------------------- */

function load(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('a picture could not be loaded'));
    image.src = url;
  });
}

async function readMask(url, w, h) {
  const out = new Uint8Array(w * h);
  if (!url) return out;
  const image = await load(url), canvas = document.createElement('canvas');
  canvas.width = w; canvas.height = h;
  const on = canvas.getContext('2d', { willReadFrequently: true });
  on.imageSmoothingEnabled = false;
  on.drawImage(image, 0, 0, w, h);
  const data = on.getImageData(0, 0, w, h).data;
  for (let i = 0; i < out.length; i++) out[i] = data[4 * i] > 191 ? INSIDE : data[4 * i] > 63 ? OUTSIDE : 0;
  return out;
}

async function start(sent) {
  if (task && saved !== revision) { clearTimeout(timer); await save(); }
  const next = sent && sent.photo ? sent : null;
  $('.lc').classList.toggle('lc-empty', !next);
  if (!next) { task = photo = null; redraw(); return; }
  if (task && task.version === next.version) return;
  const same = task && task.key === next.key;
  const image = await load(next.photo), layer = next.others ? await load(next.others) : null;
  const mask = await readMask(next.mask, next.width, next.height);
  // Nothing is drawn between here and the end, so what belongs together changes together.
  task = next; photo = image; others = layer; paint = mask;
  width = next.width; height = next.height;
  overlay = document.createElement('canvas');
  overlay.width = width; overlay.height = height;
  past = []; future = []; corners = []; points = []; stroke = null; revision = saved = 0;
  if (!same) radius = Math.max(2, Math.round(Math.max(width, height) / 60));
  $('.lc').classList.toggle('lc-marks', Boolean(next.marks));
  $('.lc').classList.toggle('lc-asks', Boolean(next.asks));
  view.dataset.key = next.key;   // for tests and for other scripts: what is shown
  size.textContent = radius;
  show(next.hint || '');
  colour(0, 0, width, height);
  if (!same && next.marks) choose('box');
  if (!same) { setCutting(false); fit(); } else redraw();
}

/* Tools, keys, pointers ------------------------------------------------------------------------------ */

function choose(name) {
  if (tool === 'polygon' && name !== 'polygon') corners = [];
  tool = name;
  element.querySelectorAll('[data-tool]').forEach(b => b.setAttribute('aria-pressed', String(b.dataset.tool === name)));
  redraw();
}

function resize(factor) {
  radius = Math.min(400, Math.max(1, Math.round(radius * factor) + (factor > 1 ? 1 : 0)));
  size.textContent = radius;
  redraw();
}

function setCutting(on) {
  cutting = on;
  $('[data-do="cut"]').setAttribute('aria-pressed', String(on));
  redraw();
}

function closePolygon() { if (corners.length > 2) area(corners, value(false)); corners = []; redraw(); }

const ACTIONS = {
  undo, redo, fit, cut: () => setCutting(!cutting), smaller: () => resize(0.8), larger: () => resize(1.25),
  grow: () => morph('grow', 2), shrink: () => morph('shrink', 2), smooth: () => morph('smooth', 3),
  rest: () => { const patch = begin(); paint.forEach((v, i) => { if (!v) paint[i] = OUTSIDE; }); touch(patch, 0, 0, width, height); colour(0, 0, width, height); commit(patch); },
  clear: () => { const patch = begin(); paint.fill(0); touch(patch, 0, 0, width, height); colour(0, 0, width, height); commit(patch); },
};

element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button || !task) return;
  if (button.dataset.tool) choose(button.dataset.tool);
  else if (ACTIONS[button.dataset.do]) ACTIONS[button.dataset.do]();
  view.focus({ preventScroll: true });
});

const TOOL_KEYS = { b: 'brush', d: 'eraser', p: 'polygon', l: 'lasso', r: 'box', f: 'fill', '.': 'point' };
view.addEventListener('keydown', event => {
  if (!task) return;
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  if (control && key === 'z') (event.shiftKey ? redo : undo)();
  else if (control && key === 'y') redo();
  else if (control || event.altKey) return;
  else if (key === ' ') space = true;
  else if (key === '[') resize(0.8);
  else if (key === ']') resize(1.25);
  else if (key === '+' || key === '=') zoom(1.25, stage.clientWidth / 2, stage.clientHeight / 2);
  else if (key === '-') zoom(0.8, stage.clientWidth / 2, stage.clientHeight / 2);
  else if (key === '0') fit();
  else if (key === 'c') setCutting(!cutting);
  else if (key === 'enter') closePolygon();
  else if (key === 'escape') { corners = []; cancelStroke(); redraw(); }
  else if (key === 'backspace' && corners.length) { corners.pop(); redraw(); }
  else if (TOOL_KEYS[key]) choose(TOOL_KEYS[key]);
  else return;
  event.preventDefault(); event.stopPropagation();
});
view.addEventListener('keyup', event => { if (event.key === ' ') space = false; });
view.addEventListener('blur', () => { space = false; });

function cancelStroke() {
  if (stroke && stroke.patch) {
    paint = stroke.patch.before;
    colour(stroke.patch.x0, stroke.patch.y0, stroke.patch.x1, stroke.patch.y1);
  }
  stroke = null;
}

view.addEventListener('contextmenu', event => event.preventDefault());
view.addEventListener('wheel', event => {
  if (!task) return;
  event.preventDefault();
  const boxed = view.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - boxed.left, event.clientY - boxed.top);
}, { passive: false });

view.addEventListener('pointerdown', event => {
  if (!task) return;
  view.setPointerCapture(event.pointerId);
  view.focus({ preventScroll: true });
  touches.set(event.pointerId, event);
  if (touches.size > 1) { cancelStroke(); return; }        // two fingers move and zoom the picture
  const at = here(event), other = event.button === 2 || event.altKey;
  if (space || event.button === 1) { stroke = { moving: [event.clientX - left, event.clientY - top] }; return; }
  stroke = { points: [at], other };
  if (tool === 'brush' || tool === 'eraser') { stroke.patch = begin(); line(at, at, value(tool === 'eraser'), stroke.patch); }
  else if (tool === 'polygon') addCorner(at);
  else if (tool === 'fill') { flood(at); stroke = null; }
  else if (tool === 'point') { const inside = !taking(); stroke = null; point(at, inside); }
});

function addCorner(at) {
  const near = corners.length > 2 && Math.hypot(at[0] - corners[0][0], at[1] - corners[0][1]) < 8 / scale;
  if (near) closePolygon(); else corners.push(at);
  redraw();
}

view.addEventListener('pointermove', event => {
  if (!task) return;
  if (touches.size > 1 && touches.has(event.pointerId)) { pinch(event); return; }
  hover = here(event);
  if (stroke && stroke.moving) {
    left = event.clientX - stroke.moving[0]; top = event.clientY - stroke.moving[1]; fitted = false;
  } else if (stroke && stroke.points) {
    // A fast stroke gives several positions for one event; all of them count.
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [event];
    for (const one of events.length ? events : [event]) {
      const at = here(one), last = stroke.points[stroke.points.length - 1];
      if (tool === 'brush' || tool === 'eraser') line(last, at, value(tool === 'eraser'), stroke.patch);
      if (tool !== 'polygon') stroke.points.push(at);
    }
  }
  redraw();
});

function pinch(event) {
  const [a, b] = [...touches.values()], before = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  const was = [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2];
  touches.set(event.pointerId, event);
  const [c, d] = [...touches.values()], after = Math.hypot(c.clientX - d.clientX, c.clientY - d.clientY);
  const now = [(c.clientX + d.clientX) / 2, (c.clientY + d.clientY) / 2], boxed = view.getBoundingClientRect();
  left += now[0] - was[0]; top += now[1] - was[1];
  if (before > 0) zoom(after / before, now[0] - boxed.left, now[1] - boxed.top);
}

function release(event) {
  touches.delete(event.pointerId);
  if (!stroke) return;
  const done = stroke;
  if (done.patch) { stroke = null; commit(done.patch); }
  else if (tool === 'lasso' && done.points) { const to = value(false); stroke = null; area(done.points, to); }
  else if (tool === 'box' && done.points) { box(done.points[0], done.points[done.points.length - 1]); stroke = null; }
  else stroke = null;
  redraw();
}
view.addEventListener('pointerup', release);
view.addEventListener('pointercancel', event => { touches.delete(event.pointerId); cancelStroke(); redraw(); });
view.addEventListener('dblclick', () => { if (tool === 'polygon') closePolygon(); });
view.addEventListener('pointerleave', () => { hover = null; redraw(); });

$('.lc-opacity').addEventListener('input', event => { opacity = event.target.value / 100; redraw(); });
new ResizeObserver(() => { if (task && fitted) fit(); else redraw(); }).observe(stage);
window.addEventListener('pagehide', () => { if (task && saved !== revision) save(); });
choose('brush');
watch('value', () => { start(props.value); });
start(props.value);
