// Elements without innerHTML, so that a page's content security policy and trusted types have nothing to refuse.

const SVG = 'http://www.w3.org/2000/svg';

const ICONS = {
  tick: ['M5 12.5l4.5 4.5L19 7.5'],
  reload: ['M20 11a8 8 0 1 0-2.3 6.3', 'M20 4.5V11h-6.5'],
  sound: ['M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z', 'M15.5 9a4.2 4.2 0 0 1 0 6', 'M18 6.5a8 8 0 0 1 0 11'],
  picture: ['M4 5.5h16v13H4z', 'M4 16l4.5-4.5 3.5 3.5 3-3 5 4.5', 'M15.2 9.2h.1'],
  work: ['M7 7h10v10H7z', 'M10 4v3M14 4v3M10 17v3M14 17v3M4 10h3M4 14h3M17 10h3M17 14h3'],
  close: ['M6 6l12 12M18 6L6 18'],
};

/** An element with attributes, listeners (`onclick: f`) and children (nodes or texts). */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A drawn sign; what it means is said by the control that it stands in. */
function icon(name) {
  const drawing = document.createElementNS(SVG, 'svg');
  drawing.setAttribute('viewBox', '0 0 24 24');
  drawing.setAttribute('class', `icon ${name}`);
  drawing.setAttribute('aria-hidden', 'true');
  for (const line of ICONS[name]) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', line);
    drawing.append(path);
  }
  return drawing;
}

/** Puts a style into a shadow root, where possible as a sheet that no policy on inline styles touches. */
function dress(root, style) {
  try {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    root.adoptedStyleSheets = [sheet];
  } catch {
    root.append(make('style', {}, style));
  }
}

/** The texts of the language nearest to those asked for. */
function textsFor(...tags) {
  const base = (tag) => String(tag || '').toLowerCase().split(/[-_]/)[0];
  const found = tags.map(base).find((tag) => Object.hasOwn(TEXTS, tag)) || 'en';
  return { language: found, texts: TEXTS[found] };
}
