/* The canvas: one picture, one mask that is drawn on it, and nothing else.
 *
 * This part draws and changes the mask; canvas_link.js saves it and shows the next picture, canvas_ask.js asks the
 * model, canvas_layers.js shows the other labels, canvas_input.js has tools, keys and pointers. demo/canvas.py puts
 * them together into one scope. It runs as `js_on_load` of a gr.HTML component (see demo/canvas.py) with these names in scope:
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
const MAX_HISTORY = 60, SAVE_AFTER = 40, RETRY_AFTER = 2000, ZOOM_MAX = 16;   // the middle two in milliseconds

let task = null;                     // what Python sent
let photo = null;                    // the picture, decoded
let width = 0, height = 0;           // of the picture as it is shown
let paint = new Uint8Array(0);       // the mask
let overlay = null;                  // canvas with the mask's colours, drawn over the picture
let rim = 1;                         // thickness of the mask's outline, in pixels of the picture
let others = [];                     // canvases with the masks of other labels that are shown
let ownShown = true;                    // the mask that is drawn on is shown
let scale = 1, left = 0, top = 0;    // picture to screen
let fitted = true;                   // the picture follows the size of the page until somebody zooms
let tool = 'brush', cutting = false, radius = 12, opacity = 0.45;
let past = [], future = [];
let stroke = null;                   // {patch, points} while something is drawn
let corners = [];                    // of the polygon under way
let hover = null;                    // [x, y] of the pointer, in pixels of the picture
let space = false;                   // the space bar is held: the pointer moves the picture
let touches = new Map();             // pointers that are down, for pinching
let revision = 0, saved = 0;         // changes so far, of all pictures; and up to which of them they are kept
let timer = 0;                       // of the next attempt to save

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
  for (const other of others) context.drawImage(other, 0, 0);
  context.imageSmoothingEnabled = scale < 1;
  if (ownShown) context.drawImage(overlay, 0, 0);
  if (suggestion) context.drawImage(suggestion, 0, 0);
  context.lineWidth = 1 / scale;
  context.strokeStyle = 'rgba(128, 128, 128, 0.9)';   // the picture's own border
  context.strokeRect(-0.5 / scale, -0.5 / scale, width + 1 / scale, height + 1 / scale);
  drawMarks();
  drawUnderWay();
}

function drawUnderWay() {
  const cut = taking();
  context.lineWidth = 2 / scale;
  context.strokeStyle = cut ? task.beside : task.colour;
  if (hover && !space && (tool === 'brush' || tool === 'eraser')) {
    context.beginPath();
    context.arc(hover[0], hover[1], radius, 0, 2 * Math.PI);
    context.stroke();
  }
  const line = tool === 'polygon' ? corners.concat(hover ? [hover] : []) : stroke ? stroke.points : [];
  if ((tool === 'polygon' || tool === 'lasso' || tool === 'point') && line.length) {
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

function rgb(hex) { return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)); }

/* Colours of a rectangle of the mask, after it has changed. */
function colour(x0, y0, x1, y1) {
  tint(overlay, paint, task.colour, x0, y0, x1, y1);
  redraw();
}

/* Colour a rectangle of a mask on a canvas. The outline is opaque, so that a thin mask shows. */
function tint(canvas, paint, hex, x0, y0, x1, y1) {
  x0 = Math.max(0, x0 - rim); y0 = Math.max(0, y0 - rim); x1 = Math.min(width, x1 + rim); y1 = Math.min(height, y1 + rim);
  if (x1 <= x0 || y1 <= y0) return;
  const image = new ImageData(x1 - x0, y1 - y0), inside = rgb(hex), outside = rgb(task.beside);
  const fill = Math.round(255 * opacity), down = rim * width;
  for (let y = y0, at = 0; y < y1; y++) {
    for (let x = x0, here = y * width + x0; x < x1; x++, here++, at += 4) {
      const value = paint[here];
      if (!value) continue;
      const c = value === INSIDE ? inside : outside;
      const edge = (x >= rim && paint[here - rim] !== value) || (x + rim < width && paint[here + rim] !== value) ||
        (y >= rim && paint[here - down] !== value) || (y + rim < height && paint[here + down] !== value);
      image.data[at] = c[0]; image.data[at + 1] = c[1]; image.data[at + 2] = c[2];
      image.data[at + 3] = edge ? 255 : fill;
    }
  }
  canvas.getContext('2d').putImageData(image, x0, y0);
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
