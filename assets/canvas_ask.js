/* The canvas, third part: marks that ask the model, and what it proposes. Same scope as canvas.js. */
const MAX_POINTS = 400;              // as many as the program takes; a stroke is many points
let marks = [];                      // {inside, points: [[x, y], ...]} in pixels of the picture
let proposal = null;                 // the mask as the model would have it, one byte a pixel
let suggestion = null;               // canvas that shows how it differs from the mask
let asking = false, again = false;

/* Ask with all marks; while an answer is on its way, later marks wait and go out together. */
async function ask() {
  if (asking) { again = true; return; }
  asking = true;
  do {
    again = false;
    await askOnce();
  } while (again);
  asking = false;
}

async function askOnce() {
  const of = task, drawn = revision, asked = marks.length;
  if (!of || !asked) return;
  const share = (v, most) => Math.min(1, Math.max(0, v / most));
  const points = marks.flatMap(m => m.points.map(([x, y]) => [share(x, width), share(y, height), m.inside ? 1 : 0]));
  show('The model is asked …');
  const answer = await call('ask_model', { session: of.session, key: of.key, points: points.slice(-MAX_POINTS), mask: encoded() });
  const stale = () => !task || of.key !== task.key || drawn !== revision || again || asked !== marks.length;
  if (stale()) return;
  if (!answer || answer.error) { show(answer ? answer.error : 'The model did not answer. Try again.', true); return; }
  const mask = await readMask(answer.mask, width, height);
  if (!stale()) propose(mask);
}

/* Show what would be added as stripes of the class's colour, and what would be taken away as dark stripes. */
function propose(mask) {
  const image = new ImageData(width, height), added = rgb(task.colour);
  let count = 0;
  for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++, i++) {
    const to = mask[i] === INSIDE, from = paint[i] === INSIDE;
    if (to === from) continue;
    const striped = (x + y) % (6 * rim) < 3 * rim;
    image.data.set(to ? (striped ? [255, 255, 255, 200] : [...added, 220]) : [20, 20, 20, striped ? 230 : 120], 4 * i);
    count += 1;
  }
  proposal = mask;
  suggestion = document.createElement('canvas');
  suggestion.width = width; suggestion.height = height;
  suggestion.getContext('2d').putImageData(image, 0, 0);
  $('.lc').classList.toggle('lc-offers', count > 0);
  show(count ? 'Stripes are what the model would change.' : 'The model would change nothing here. Add another mark.');
  redraw();
}

function dropMarks() {
  marks = []; proposal = suggestion = null;
  $('.lc').classList.remove('lc-offers');
  redraw();
}

function keepProposal() {
  const patch = begin();
  for (let i = 0; i < paint.length; i++) {
    if (proposal[i] === INSIDE) paint[i] = INSIDE;
    else if (paint[i] === INSIDE) paint[i] = 0;
  }
  touch(patch, 0, 0, width, height);
  dropMarks();
  colour(0, 0, width, height);
  commit(patch);
}

/* Keep what is proposed and accept the draft with one key; it is accepted once its mask is kept. */
function keepAndAccept() {
  keepProposal();
  save().then(() => document.getElementById('review-accept')?.click());
}

/* A mark with the tool that asks: a click is one point, a drag is a stroke. */
function mark(points, inside) {
  const far = Math.max(width, height) / 100, thinned = points.slice(0, 1);
  for (const [x, y] of points) {
    const [lastX, lastY] = thinned[thinned.length - 1];
    if (Math.hypot(x - lastX, y - lastY) >= far) thinned.push([x, y]);
  }
  marks.push({ inside, points: thinned });
  redraw();
  ask();
}

function takeMarkBack() {
  marks.pop();
  if (marks.length) { redraw(); ask(); } else { dropMarks(); show(task.hint || ''); }
}

function drawMarks() {
  for (const { inside, points } of marks) {
    context.lineCap = context.lineJoin = 'round';
    for (const [style, w] of [['#fff', 12], [inside ? task.colour : task.beside, 8]]) {
      context.strokeStyle = style; context.lineWidth = w / scale;
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
      context.stroke();
    }
    const [x, y] = points[0], r = 2.5 / scale;
    context.strokeStyle = '#fff'; context.lineWidth = 1.5 / scale;
    context.beginPath();
    context.moveTo(x - r, y); context.lineTo(x + r, y);
    if (inside) { context.moveTo(x, y - r); context.lineTo(x, y + r); }
    context.stroke();
  }
}
