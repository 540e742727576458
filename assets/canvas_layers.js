/* The canvas, fourth part: all labels of the picture, each with its colour, shown or hidden. Same scope as canvas.js.
 *
 * The list under the picture names what it holds. A click on a name draws on that label, a click on the eye hides
 * or shows it, and a click on its colour changes that; what is hidden stays hidden from picture to picture.
 */
const hidden = new Set();            // names of labels
let layers = [];                     // {label, colour, note, state, drawn, mask: bytes or null, canvas}
let layersTurn = 0;

async function layersOf(sent) {
  const mine = ++layersTurn, list = (sent && sent.layers) || [];
  const masks = await Promise.all(list.map(l => l.mask ? readMask(l.mask, sent.width, sent.height).catch(() => null) : null));
  if (mine !== layersTurn) return;
  layers = list.map((layer, i) => ({ ...layer, mask: masks[i], canvas: null }));
  tintLayers();
  listLayers();
}

function tintLayers() {
  for (const layer of layers) {
    if (!layer.mask || layer.mask.length !== width * height) continue;
    layer.canvas = document.createElement('canvas');
    layer.canvas.width = width; layer.canvas.height = height;
    tint(layer.canvas, layer.mask, layer.colour, 0, 0, width, height);
  }
  showLayers();
}

function showLayers() {
  others = layers.filter(l => l.canvas && !hidden.has(l.label)).map(l => l.canvas);
  ownShown = !layers.some(l => l.drawn && hidden.has(l.label));
  redraw();
}

/* What is drawn on has changed: its state, and how many objects it shows. */
function retellLayer({ state, note }) {
  const layer = layers.find(l => l.drawn), told = $('.lc-drawn small');
  if (layer) Object.assign(layer, { state, note });
  if (layer && told) told.textContent = tellLayer(layer);
}

const tellLayer = layer => [layer.state, layer.note].filter(Boolean).join(' · ');

/* Text goes in as text: a label is what somebody typed. */
function part(kind, classes, text = '') {
  const node = document.createElement(kind);
  node.className = classes; node.textContent = text;
  if (kind === 'button') node.type = 'button';
  return node;
}

function listLayers() {
  $('.lc-layers').replaceChildren(...layers.map(layer => {
    const item = part('li', layer.drawn ? 'lc-drawn' : ''), colour = part('input', 'lc-colour');
    Object.assign(colour, { type: 'color', value: layer.colour, title: `Colour of ${layer.label}` });
    colour.setAttribute('aria-label', colour.title);
    colour.addEventListener('change', () => recolour(layer, colour));
    const name = part('button', 'lc-name', layer.label);
    name.title = layer.drawn ? 'This label is drawn on' : `Draw on ${layer.label}`;
    name.setAttribute('aria-pressed', String(layer.drawn));
    name.addEventListener('click', () => { hidden.delete(layer.label); if (!layer.drawn) save().then(() => trigger('select', { index: 0, value: layer.label })); });
    const eye = part('button', 'lc-eye');
    const off = hidden.has(layer.label);
    eye.title = `${off ? 'Show' : 'Hide'} ${layer.label}`;
    eye.setAttribute('aria-label', eye.title); eye.setAttribute('aria-pressed', String(!off));
    eye.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M2 12c3-5 6-7 10-7s7 2 10 7c-3 5-6 7-10 7s-7-2-10-7z"/><circle cx="12" cy="12" r="3"/>' +
      (off ? '<path d="M4 20 20 4"/>' : '') + '</svg>';
    eye.addEventListener('click', () => { hidden[off ? 'delete' : 'add'](layer.label); showLayers(); listLayers(); });
    item.append(colour, name, part('small', '', tellLayer(layer)), eye);
    return item;
  }));
}

async function recolour(layer, input) {
  const answer = await call('set_colour', { session: task.session, label: layer.label, colour: input.value });
  if (!answer || answer.error) { input.value = layer.colour; show(answer ? answer.error : 'The colour could not be kept. Try again.', true); return; }
  layer.colour = answer.colour;
  if (layer.drawn) { task = { ...task, colour: answer.colour }; colour(0, 0, width, height); }
  tintLayers();
  trigger('input', { key: task.key });
}
