// What a page calls: grecaptcha, turnstile and goodnoise, three names for one service; and <goodnoise-captcha>.

const PEERS = [
  { name: 'grecaptcha', path: '/recaptcha/api.js', mark: 'g-recaptcha', field: 'g-recaptcha-response', theme: 'light' },
  { name: 'turnstile', path: '/turnstile/v0/api.js', mark: 'cf-turnstile', field: 'cf-turnstile-response', theme: 'auto' },
  { name: 'goodnoise', path: '/api.js', mark: 'goodnoise', field: 'goodnoise-response', theme: 'auto' },
];
const ELEMENT = 'goodnoise-captcha';
const THEMES = ['light', 'dark', 'auto'];
const SIZES = ['normal', 'compact', 'flexible', 'invisible'];

const source = new URL(document.currentScript?.src || document.querySelector('script[src*="api.js"]').src);
const OWN = PEERS.find(({ path }) => source.pathname.endsWith(path));
const BASE = source.origin + source.pathname.slice(0, -OWN.path.length);
const ASKED = source.searchParams;
const service = new Service(BASE);
const widgets = new Map();
let made = 0;

/** Options from a page's words, `expired-callback` and `expiredCallback` alike. */
function optionsOf(peer, words) {
  const given = Object.fromEntries(Object.entries(words).map(([name, value]) => [name.replace(/^data-/, '').replace(/-(\w)/g, (_, c) => c.toUpperCase()), value]));
  const known = (value, list, other) => (list.includes(value) ? value : other);
  const field = given.responseFieldName || peer.field;
  return {
    ...given,
    field,
    fieldId: document.getElementById(field) ? `${field}-${made}` : field,
    hl: given.hl || given.language || ASKED.get('hl') || '',
    theme: known(given.theme, THEMES, peer.theme),
    size: known(given.size, SIZES, 'normal'),
    action: given.action || '',
    cdata: given.cdata || given.cData || '',
    sitekey: given.sitekey || '',
  };
}

function attributesOf(element) {
  return Object.fromEntries(Array.from(element.attributes, ({ name, value }) => [name, value]));
}

function elementOf(place) {
  const found = typeof place === 'string' ? document.getElementById(place) || document.querySelector(place) : place;
  if (!(found instanceof Element)) throw new Error(`goodnoise: no element ${String(place)} to render into`);
  return found;
}

/** A new widget in an element; its number. A button becomes the thing that asks. */
function render(peer, place, words = {}) {
  const element = elementOf(place);
  const options = optionsOf(peer, { ...attributesOf(element), ...words });
  if (!options.sitekey) throw new Error('goodnoise: no site key; give data-sitekey');
  const asks = element.matches('button, input[type="submit"]');
  const host = asks ? make('div') : element;
  if (asks) {
    options.size = 'invisible';
    element.after(host);
  }
  const id = made;
  made += 1;
  const widget = new Widget(host, options, service);
  widgets.set(id, widget);
  widget.element = element;
  if (asks) element.addEventListener('click', (event) => { event.preventDefault(); widget.execute(); });
  return id;
}

/** The widget of a number, of an element or its name; of nothing the first one. */
function widgetOf(key) {
  if (key == null) return widgets.values().next().value;
  const number = typeof key === 'string' ? Number(key.replace(/^goodnoise-/, '')) : key;
  if (widgets.has(number)) return widgets.get(number);
  const element = typeof key === 'string' ? document.getElementById(key) || queried(key) : key;
  return [...widgets.values()].find((widget) => element && widget.element === element);
}

function queried(selector) {
  try { return document.querySelector(selector); } catch { return null; }
}

function needed(key) {
  const found = widgetOf(key);
  if (!found) throw new Error(`goodnoise: no widget ${key ?? ''}; render one first`);
  return found;
}

/** Asks without a box on the page, as the third version of reCAPTCHA is called: a site key and an action. */
async function executeKey(peer, sitekey, words) {
  const host = document.body.appendChild(make('div'));
  const id = render(peer, host, { ...words, sitekey, size: 'invisible' });
  try {
    return await widgetOf(id).execute();
  } finally {
    drop(id);
    host.remove();
  }
}

function execute(peer, key, words) {
  if (typeof key === 'string' && !widgetOf(key)) return executeKey(peer, key, words);
  return needed(key).execute();
}

function drop(key) {
  const widget = widgetOf(key);
  for (const [id, other] of widgets) if (other === widget) widgets.delete(id);
  widget?.remove();
}

function whenReady(call) {
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', () => call(), { once: true });
  else queueMicrotask(call);
}

function apiOf(peer) {
  return {
    render: (place, words) => (peer.name === 'turnstile' ? `goodnoise-${render(peer, place, words)}` : render(peer, place, words)),
    getResponse: (key) => needed(key).token,
    reset: (key) => needed(key).reset(),
    execute: (key, words) => execute(peer, key, words),
    remove: (key) => drop(key),
    isExpired: (key) => needed(key).expired,
    ready: (call) => whenReady(call),
  };
}

class CaptchaElement extends HTMLElement {
  connectedCallback() {
    if (this.number === undefined && this.attributesHaveKey()) this.number = render(OWN_NAME, this, {});
  }

  disconnectedCallback() {
    // Moved within the page it is connected again at once; only what has left is dropped.
    queueMicrotask(() => { if (!this.isConnected && this.number !== undefined) { drop(this.number); this.number = undefined; } });
  }

  attributesHaveKey() {
    return this.hasAttribute('sitekey') || this.hasAttribute('data-sitekey');
  }

  get value() { return this.number === undefined ? '' : needed(this.number).token; }

  reset() { needed(this.number).reset(); }

  execute() { return needed(this.number).execute(); }
}

const OWN_NAME = PEERS[2];

function renderAll(peers) {
  for (const peer of peers) {
    for (const element of document.querySelectorAll(`.${peer.mark}[data-sitekey]`)) {
      const taken = [...widgets.values()].some((widget) => widget.element === element);
      if (!taken && !element.matches('input[type="hidden"]')) render(peer, element);
    }
  }
}

function begin() {
  // Beside another maker's script of the same name, that name stays theirs, unless this was loaded in its place.
  const peers = PEERS.filter((peer) => peer === OWN || !window[peer.name]?.render);
  for (const peer of peers) window[peer.name] = Object.assign(window[peer.name] || {}, apiOf(peer));
  if (!customElements.get(ELEMENT)) customElements.define(ELEMENT, CaptchaElement);
  const called = ASKED.get('onload');
  whenReady(() => {
    // `render=KEY` is how reCAPTCHA's third version is loaded: it asks only when it is told to.
    if (['', 'onload', null].includes(ASKED.get('render'))) renderAll(peers);
    for (const call of window.___grecaptcha_cfg?.fns?.splice(0) || []) call();
    if (called && typeof window[called] === 'function') window[called]();
  });
}

// A form library may put the script tag on a page more than once.
const LOADED = Symbol.for('goodnoise.loaded');
if (!window[LOADED]?.has(BASE)) {
  (window[LOADED] ||= new Set()).add(BASE);
  begin();
}
