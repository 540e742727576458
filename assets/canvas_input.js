/* The canvas, last part: tools, keys, pointers. Same scope as canvas.js. */

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
  keep: () => { if (proposal) keepProposal(); }, drop: () => { dropMarks(); show(task.hint || ''); },
  clear: () => { const patch = begin(); paint.fill(0); touch(patch, 0, 0, width, height); colour(0, 0, width, height); commit(patch); },
};

element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button || !task || button.closest('.lc-layers')) return;
  if (button.dataset.tool) choose(button.dataset.tool);
  else if (ACTIONS[button.dataset.do]) ACTIONS[button.dataset.do]();
  view.focus({ preventScroll: true });
});

const TOOL_KEYS = { b: 'brush', d: 'eraser', p: 'polygon', l: 'lasso', r: 'box', f: 'fill', '.': 'point' };
view.addEventListener('keydown', event => {
  if (!task) return;
  const key = event.key.toLowerCase(), control = event.ctrlKey || event.metaKey;
  if (control && key === 'z' && !event.shiftKey && marks.length) takeMarkBack();
  else if (control && key === 'z') (event.shiftKey ? redo : undo)();
  else if (control && key === 'y') redo();
  else if (control || event.altKey) return;
  else if (key === ' ') space = true;
  else if (key === '[') resize(0.8);
  else if (key === ']') resize(1.25);
  else if (key === '+' || key === '=') zoom(1.25, stage.clientWidth / 2, stage.clientHeight / 2);
  else if (key === '-') zoom(0.8, stage.clientWidth / 2, stage.clientHeight / 2);
  else if (key === '0') fit();
  else if (key === 'c') setCutting(!cutting);
  else if (key === 'a' && proposal) keepAndAccept();
  else if (key === 'enter') { if (proposal) keepProposal(); else closePolygon(); }
  else if (key === 'escape') { corners = []; cancelStroke(); if (marks.length) ACTIONS.drop(); redraw(); }
  else if (key === 'backspace' && corners.length) { corners.pop(); redraw(); }
  else if (key === 'backspace' && marks.length) takeMarkBack();
  else if (TOOL_KEYS[key]) choose(TOOL_KEYS[key]);
  else return;
  event.preventDefault(); event.stopPropagation();
});
view.addEventListener('keyup', event => { if (event.key === ' ') space = false; });
view.addEventListener('blur', () => { space = false; });

/* A stroke that is under way when another picture comes counts as far as it goes. */
function finishStroke() {
  const patch = stroke && stroke.patch;
  stroke = null;
  if (patch) commit(patch);
}

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
  else if (tool === 'point' && done.points) { const inside = !taking(); stroke = null; mark(done.points, inside); }
  else stroke = null;
  redraw();
}
view.addEventListener('pointerup', release);
view.addEventListener('pointercancel', event => { touches.delete(event.pointerId); cancelStroke(); redraw(); });
view.addEventListener('dblclick', () => { if (tool === 'polygon') closePolygon(); });
view.addEventListener('pointerleave', () => { hover = null; redraw(); });

$('.lc-opacity').addEventListener('input', event => {
  opacity = Number(event.target.value);
  if (task) { colour(0, 0, width, height); tintLayers(); }
});
new ResizeObserver(() => { if (task && fitted) fit(); else redraw(); }).observe(stage);

// Whatever a person does next, to another part of the page or to the page itself, finds the strokes saved.
const elsewhere = event => { if (!element.contains(event.target)) save(); };
document.addEventListener('pointerdown', elsewhere, true);
document.addEventListener('keydown', () => { save(); }, true);
document.addEventListener('visibilitychange', () => { if (document.hidden) save(); });
// A request of a page that is left is dropped unless it asks to outlive it; only then are requests changed.
const plainFetch = window.fetch;
window.addEventListener('pagehide', () => {
  window.fetch = (input, init) => plainFetch(input, { ...init, keepalive: true, signal: undefined });
  save();
});
window.addEventListener('pageshow', () => { window.fetch = plainFetch; });
choose('brush');
watch('value', () => { start(props.value); });
start(props.value);
