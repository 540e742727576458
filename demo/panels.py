"""Side panels that fold, and pictures that grow when they are clicked."""

from __future__ import annotations

import gradio as gr

# Which panels are folded is remembered by the browser.
PANELS = """() => {
  const key = name => 'lfss-folded-' + name;
  const fold = (button, folded) => {
    const name = button.dataset.fold;
    document.querySelectorAll(`.lfss-panel-${name}`).forEach(p => p.classList.toggle('lfss-folded', folded));
    button.setAttribute('aria-expanded', String(!folded));
  };
  const all = () => document.querySelectorAll('[data-fold]').forEach(button => {
    if (button.dataset.ready) return;
    button.dataset.ready = 'yes';
    fold(button, localStorage.getItem(key(button.dataset.fold)) === 'yes');
  });
  new MutationObserver(all).observe(document.body, {childList: true, subtree: true});
  all();
  document.addEventListener('click', event => {
    const button = event.target.closest?.('[data-fold]');
    if (button) {
      const folded = button.getAttribute('aria-expanded') === 'true';
      localStorage.setItem(key(button.dataset.fold), folded ? 'yes' : 'no');
      fold(button, folded);
    }
    const large = document.getElementById('lfss-large'), picture = event.target.closest?.('.lfss-pics img');
    if (picture) {
      large.querySelector('img').src = picture.src;
      large.querySelector('p').textContent = picture.alt;
      large.showModal();
    } else if (event.target.closest?.('#lfss-large')) large.close();
  });
}"""

LARGE = (
    '<dialog id="lfss-large" aria-label="The picture, larger"><img alt=""><p></p>'
    '<button type="button">Close</button></dialog>'
)


def fold_handle(name: str, side: str) -> None:
    """A thin button that folds and opens the panels of class ``lfss-panel-<name>``.

    Args:
        name: of the panel.
        side: ``left`` or ``right`` of the handle is where the panel lies.
    """
    gr.HTML(
        f'<button type="button" class="lfss-handle lfss-handle-{side}" data-fold="{name}" '
        'aria-expanded="true" title="Fold or open this panel" aria-label="Fold or open this panel"></button>',
        elem_classes="lfss-handle-box", padding=False,
    )  # fmt: skip
