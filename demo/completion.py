"""Known words complete as a label is typed: a list under the field, worked by keys or by click."""

from __future__ import annotations

import html
from collections.abc import Sequence

# The last of several words completes. The words are read at each key, since they come with the model.
COMPLETE = """() => {
  const list = document.createElement('ul');
  Object.assign(list, {id: 'word-offers', hidden: true});
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', 'Words that the model knows');
  document.body.append(list);
  let field = null, active = -1;

  const split = () => {
    const cut = field.value.lastIndexOf(',') + 1;
    return [field.value.slice(0, cut), field.value.slice(cut).trim().toLowerCase()];
  };
  const fitting = () => {
    const [before, typed] = split();
    const used = new Set(before.toLowerCase().split(',').map(word => word.trim()));
    const fits = word => word.startsWith(typed) ? 2 : word.includes(' ' + typed) ? 1 : 0;
    const known = Array.from(document.querySelectorAll('#known-words option'), option => option.value);
    return known.filter(word => typed && word !== typed && !used.has(word) && fits(word))
      .sort((a, b) => fits(b) - fits(a) || a.length - b.length).slice(0, 8);
  };
  const close = () => {
    list.hidden = true;
    active = -1;
    if (field) field.setAttribute('aria-expanded', 'false');
  };
  const mark = place => {
    active = place;
    [...list.children].forEach((item, i) => item.setAttribute('aria-selected', String(i === place)));
    field.setAttribute('aria-activedescendant', place < 0 ? '' : list.children[place].id);
  };
  const take = word => {
    const [before] = split();
    field.value = before + (before ? ' ' : '') + word;
    field.dispatchEvent(new Event('input', {bubbles: true}));
    close();
  };
  const open = () => {
    const words = fitting();
    list.replaceChildren(...words.map((word, i) => {
      const item = document.createElement('li');
      Object.assign(item, {id: 'word-offer-' + i, textContent: word});
      item.setAttribute('role', 'option');
      item.addEventListener('mousedown', event => { event.preventDefault(); take(word); });
      return item;
    }));
    mark(-1);
    const box = field.getBoundingClientRect();
    Object.assign(list.style, {left: box.left + scrollX + 'px', top: box.bottom + scrollY + 'px',
                               minWidth: box.width + 'px'});
    list.hidden = !words.length;
    field.setAttribute('aria-expanded', String(words.length > 0));
  };

  document.addEventListener('focusin', event => {
    if (!event.target.matches('#label input, #not-words input')) return close();
    field = event.target;
    for (const [name, value] of Object.entries({role: 'combobox', autocomplete: 'off',
        'aria-autocomplete': 'list', 'aria-controls': list.id, 'aria-expanded': 'false'}))
      field.setAttribute(name, value);
  });
  document.addEventListener('focusout', close);
  document.addEventListener('input', event => {
    if (event.isTrusted && event.target === field) open();
  });
  document.addEventListener('keydown', event => {
    if (event.target !== field || list.hidden || event.isComposing) return;
    const count = list.children.length, step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step) mark(active < 0 ? (step > 0 ? 0 : count - 1) : (active + step + count) % count);
    else if (event.key === 'Enter' && active >= 0) take(list.children[active].textContent);
    else if (event.key === 'Escape') close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
}"""


def word_list(words: Sequence[str]) -> str:
    """The words for ``COMPLETE``, as HTML that is not seen."""
    options = "".join(f'<option value="{html.escape(word, quote=True)}"></option>' for word in words)
    return f'<datalist id="known-words">{options}</datalist>' if options else ""
