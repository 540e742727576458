/* A strip: many small pictures in a grid, each a button; some can be taken out.
 *
 * Python sends which tiles there are (`props.value`: tiles of key, version, text and state, and the chosen key; no
 * tiles at all: as before). Pictures are fetched a few at a time, and only of tiles in sight, so that hundreds of
 * them scroll without a stall. The session is the page's own, as everywhere (see REMEMBER in demo/page.py).
 */
const AT_ONCE = 12, KEPT = 2000;     // pictures in one request, and in memory
const list = element.querySelector('.ls-list'), removable = list.hasAttribute('data-removable');
const nodes = new Map();             // by the key of a tile: its <li>
const pictures = new Map();          // by key and version: {picture, text} or {error}
const wanted = new Set();            // <li> in sight without a picture of their version
let tiles = [], chosen = null, busy = false;

const sight = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !filled(target)) wanted.add(target);
    else wanted.delete(target);
  }
  next();
}, { root: list, rootMargin: '300px 0px' });

const name = tile => `${tile.key} ${tile.version}`;

/* Put a picture that is here already into its tile; false where it has to be fetched. */
function filled(node) {
  const found = pictures.get(name(node.tile));
  if (!found) return false;
  const image = node.querySelector('img');
  if (found.picture && image.src !== found.picture) image.src = found.picture;
  node.classList.toggle('ls-broken', !found.picture);
  tell(node, found.text || node.tile.text, found.error || '');
  return true;
}

/* Text goes in as text: a name is what somebody chose. */
function tell(node, text, fault) {
  node.querySelector('span').textContent = text;
  node.querySelector('.ls-tile').title = fault || text;
}

async function next() {
  if (busy || !wanted.size) return;
  busy = true;
  const asked = [...wanted].slice(0, AT_ONCE);
  let answer = null;
  try {
    const session = sessionStorage.getItem('lfss-session');
    answer = await server.pictures({ session, keys: asked.map(node => node.tile.key) });
  } catch (error) { /* the program does not answer: tiles stay grey until they come into sight again */ }
  for (const node of asked) {
    wanted.delete(node);
    const found = answer && answer[node.tile.key];
    if (!found) continue;
    pictures.set(name(node.tile), found);
    if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
    filled(node);
  }
  busy = false;
  next();
}

function made(tile) {
  const node = document.createElement('li'), button = document.createElement('button');
  button.type = 'button'; button.className = 'ls-tile'; button.tabIndex = -1;
  const image = document.createElement('img');
  image.alt = ''; image.decoding = 'async';
  button.append(image, document.createElement('span'));
  node.append(button);
  if (removable) {
    const out = document.createElement('button');
    out.type = 'button'; out.className = 'ls-out'; out.tabIndex = -1; out.textContent = '×';
    node.append(out);
  }
  return node;
}

function show() {
  const sent = props.value || {};
  if (sent.tiles) {
    const before = tiles.map(tile => tile.key).join('\n');
    tiles = sent.tiles;
    const keys = new Set(tiles.map(tile => tile.key));
    for (const [key, node] of nodes) if (!keys.has(key)) { sight.unobserve(node); wanted.delete(node); nodes.delete(key); }
    for (const tile of tiles) {
      const node = nodes.get(tile.key) || made(tile), other = !node.tile || name(node.tile) !== name(tile);
      nodes.set(tile.key, node);
      node.tile = tile;
      node.dataset.state = tile.state || '';
      const out = node.querySelector('.ls-out');
      if (out) out.title = out.ariaLabel = `Take ${tile.text} out`;
      if (!other && pictures.has(name(tile))) continue;
      tell(node, tile.text, '');
      if (!filled(node)) { sight.unobserve(node); sight.observe(node); }
    }
    if (before !== tiles.map(tile => tile.key).join('\n')) {
      const at = list.scrollTop;
      list.replaceChildren(...tiles.map(tile => nodes.get(tile.key)));
      list.scrollTop = at;
    }
    element.classList.toggle('ls-empty', !tiles.length);
  }
  if ('chosen' in sent) choose(sent.chosen);
  reach(nodes.get(chosen) || list.firstElementChild);
}

function choose(key) {
  nodes.get(chosen)?.classList.remove('ls-chosen');
  nodes.get(chosen)?.querySelector('.ls-tile').removeAttribute('aria-current');
  chosen = key;
  const node = nodes.get(key);
  if (!node) return;
  node.classList.add('ls-chosen');
  node.querySelector('.ls-tile').setAttribute('aria-current', 'true');
  const top = node.offsetTop - list.offsetTop, below = top + node.offsetHeight - list.clientHeight;
  if (list.scrollTop > top || list.scrollTop < below) list.scrollTop = list.scrollTop > top ? top : below;
}

/* One tile is reached with Tab, the others from there with arrows. */
function reach(node) {
  list.querySelectorAll('[tabindex="0"]').forEach(button => { button.tabIndex = -1; });
  node?.querySelectorAll('button').forEach(button => { button.tabIndex = 0; });
}

list.addEventListener('click', event => {
  const node = event.target.closest('li');
  if (!node) return;
  const index = tiles.indexOf(node.tile);
  if (event.target.closest('.ls-out')) trigger('delete', { index, value: node.tile.key });
  else { choose(node.tile.key); reach(node); trigger('select', { index, value: node.tile.key }); }
});
list.addEventListener('keydown', event => {
  const node = event.target.closest('li'), row = Math.max(1, getComputedStyle(list).gridTemplateColumns.split(' ').length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
  const place = node && tiles.indexOf(node.tile);
  if (node && removable && event.key === 'Delete') {
    trigger('delete', { index: place, value: node.tile.key });
  } else {
    const other = step && node && nodes.get(tiles[place + step]?.key);
    if (!other) return;
    reach(other);
    other.querySelector('.ls-tile').focus();
  }
  event.preventDefault();
  event.stopPropagation();             // arrows and Delete are keys of the page too
});
watch('value', show);
show();
