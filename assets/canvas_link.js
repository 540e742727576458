/* The canvas, second part: what travels between the page and the program. Same scope as canvas.js.
 *
 * What is drawn goes into an outbox and stays there until the program has answered, also when another picture is
 * shown meanwhile. One request is on its way at a time, so that an older mask never overtakes a newer one.
 */
const outbox = new Map();            // by the key of a task: what has to be saved of it
let sending = null;                  // a promise while a request is on its way
let turn = 0;                        // counts the tasks that Python sent: only the latest one is shown

/* Saving -------------------------------------------------------------------------------------------- */

function changed() {
  revision += 1;
  dropMarks();
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

/* Send everything that is not saved yet; resolves once that was tried. */
function save() {
  clearTimeout(timer);
  if (task && saved !== revision && outbox.get(task.key)?.revision !== revision) {
    outbox.set(task.key, { session: task.session, key: task.key, mask: encoded(), revision });
  }
  if (!sending && outbox.size) sending = send().finally(() => { sending = null; });
  return sending || Promise.resolve();
}

/* What a function of the program answers; null where it does not. Gradio throws, or gives nothing at all. */
async function call(name, sent) {
  try { return (await server[name](sent)) || null; } catch (error) { return null; }
}

async function send() {
  while (outbox.size) {
    const [key, item] = outbox.entries().next().value;
    const answer = await call('save_mask', { session: item.session, key, mask: item.mask });
    if (!answer) {
      show('The mask could not be saved: the program does not answer. It is tried again.', true);
      clearTimeout(timer);
      timer = setTimeout(save, RETRY_AFTER);
      return;
    }
    if (outbox.get(key) === item) outbox.delete(key);
    if (task && task.key === key) settled(item, answer);
    else if (answer.error) show(answer.error, true);
    if (!answer.error) trigger('input', { key });
  }
}

function settled(item, answer) {
  saved = Math.max(saved, item.revision);
  if (answer.version && saved === revision) task = { ...task, version: answer.version };
  if (answer.state) retellLayer(answer);
  if (!proposal) show(answer.error || (saved === revision ? 'Saved' : 'Not saved yet …'), Boolean(answer.error));
}

function show(text, warning = false) {
  note.textContent = text;
  note.classList.toggle('lc-warning', warning);
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
  const mine = ++turn, next = sent && sent.photo ? sent : null;
  const before = revision, clean = saved === revision;
  await save();
  if (mine !== turn) return;
  if (next && task && task.key === next.key && task.version === next.version) { layersOf(next); return; }
  let loaded = null;
  try {
    const held = next && outbox.get(next.key);          // it could not be saved when it was left
    loaded = next && await Promise.all([
      load(next.photo), readMask(held ? held.mask : next.mask, next.width, next.height),
    ]);
  } catch (error) {
    if (mine === turn) show('The picture could not be loaded. Choose it again.', true);
    return;
  }
  if (mine !== turn) return;
  // Nothing is drawn between here and the end, so what belongs together changes together.
  finishStroke();
  save();                                               // what was drawn while the picture was loaded
  if (next && task && task.key === next.key && !(clean && revision === before)) {
    task = { ...next, version: task.version };          // the mask that was sent lacks what is drawn here
    layersOf(next);
    return;
  }
  present(next, loaded);
}

function present(next, loaded) {
  $('.lc').classList.toggle('lc-empty', !next);
  const same = task && next && task.key === next.key;
  task = next; photo = null; others = [];
  past = []; future = []; corners = []; stroke = null; saved = revision;
  dropMarks();
  if (!next) { delete view.dataset.key; layersOf(null); redraw(); return; }
  if (outbox.has(next.key)) saved = outbox.get(next.key).revision - 1;
  [photo, paint] = loaded;
  width = next.width; height = next.height;
  overlay = document.createElement('canvas');
  overlay.width = width; overlay.height = height;
  rim = Math.max(1, Math.round(Math.max(width, height) / 600));
  stage.style.setProperty('--lc-ratio', height / width);
  if (!same) radius = Math.max(2, Math.round(Math.max(width, height) / 60));
  $('.lc').classList.toggle('lc-marks', Boolean(next.marks));
  $('.lc').classList.toggle('lc-asks', Boolean(next.asks));
  view.dataset.key = next.key;   // for tests and for other scripts: what is shown
  size.textContent = radius;
  show(next.hint || '');
  colour(0, 0, width, height);
  layersOf(next);
  if (!same && next.marks) choose('box');
  else if (tool === 'point' && !next.asks) choose('brush');
  if (!same) { setCutting(false); fit(); } else redraw();
}
