"""Every tab in every dress: wide, phone, dark. Nothing sticks out, hides, or is too faint to read."""

from __future__ import annotations

import pytest

from tests.browser.steps import TABS, begin, open_tab, shoot

pytestmark = pytest.mark.browser

# Controls of the page that are seen but cannot be used: outside the window, or under something else.
OUT_OF_REACH = """() => {
  const found = [];
  for (const node of document.querySelectorAll('button, input, textarea, select, summary, a[href]')) {
    const style = getComputedStyle(node);
    if (!node.offsetParent || style.visibility === 'hidden' || node.disabled) continue;
    if (node.type === 'file') continue;
    if (node.closest('footer, #tabs > .tab-wrapper, [aria-hidden=true]')) continue;
    node.scrollIntoView({block: 'center', inline: 'nearest', behavior: 'instant'});
    const box = node.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const name = node.id || node.ariaLabel || node.innerText || node.closest('[id]')?.id || node.tagName;
    const outside = box.left < -1 || box.right > innerWidth + 1;
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const label = top?.closest('label');
    const covered = !top || !(node.contains(top) || top.contains(node) || label?.contains(node));
    if (outside || covered) found.push(name + (outside ? ': outside' : ': covered'));
  }
  scrollTo(0, 0);
  return found;
}"""

# Text whose contrast with what is behind it stays below what WCAG AA asks for.
FAINT = """() => {
  const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const style = getComputedStyle(at), colour = parts(style.backgroundColor);
      if (style.backgroundImage !== 'none') return null;
      if (colour.length === 3 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const node of document.querySelectorAll('#tabs *, .lfss-head *, #status *')) {
    const text = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
    const style = getComputedStyle(node);
    if (!/[\\p{L}\\p{N}]/u.test(text) || !node.offsetParent || style.visibility === 'hidden') continue;
    if (node.closest('[disabled], .visually-hidden, .sr-only')) continue;
    const back = behind(node);
    if (!back) continue;
    const [a, b] = [light(parts(style.color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.add(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""

FILLED = {
    "Segment": "#facts .lfss-facts",
    "Reasoning": "#stage-cards .lfss-card",
    "Review": "#review-facts .lfss-facts",
    "Export": "#export-counts .lfss-note",
    "About": "#models table",
}


def test_every_tab_fits_and_can_be_read_wide_on_a_phone_and_in_the_dark(page, photos):
    begin(page, photos)
    faults = []
    for dress, width in (("light", 1280), ("phone", 390), ("dark", 1280), ("dark-phone", 390)):
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate("on => document.body.classList.toggle('dark', on)", dress.startswith("dark"))
        for tab in TABS:
            open_tab(page, tab)
            page.wait_for_selector(FILLED[tab], state="visible")
            page.wait_for_timeout(200)
            wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            faults += [f"{dress} {tab}: {wider} pixels wider than the window"] if wider > 1 else []
            faults += [f"{dress} {tab}: {fault}" for fault in page.evaluate(OUT_OF_REACH)]
            faults += [f"{dress} {tab}: faint: {fault}" for fault in page.evaluate(FAINT)]
            shoot(page, f"{dress}-{tab.lower()}")
    assert faults == []
