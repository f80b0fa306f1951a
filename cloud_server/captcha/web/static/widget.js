// One widget on a page: from a first click to a token in the form, and back when the token expires.

// In place of a status: the service took a proof of work and said no.
const WRONG = -2;

class Widget {
  /** `host`: the page's element. `options`: see `optionsOf`. */
  constructor(host, options, service) {
    Object.assign(this, { host, options, service, token: '', kind: 'image', challenge: null, expired: false });
    const { language, texts } = textsFor(options.hl, host.closest('[lang]')?.lang, ...navigator.languages);
    this.language = language;
    this.mount = make('div');
    this.field = make('input', { type: 'hidden', name: options.field, id: options.fieldId });
    host.append(this.field, this.mount);
    this.view = new View(this.mount, {
      language, texts, theme: options.theme, size: options.size, tabindex: options.tabindex, on: this.acts(),
    });
    if (options.start === 'load') this.load('image');
  }

  acts() {
    return {
      start: () => this.load('image', { focus: true }),
      submit: (text) => this.submit(text),
      reload: () => this.load(this.kind, { focus: true }),
      kind: (kind) => this.load(kind, { focus: true }),
      stop: () => this.reset(true),
      cancel: () => this.cancel(),
    };
  }

  /** A signal that the next act aborts. */
  begin() {
    this.running?.abort();
    this.running = new AbortController();
    return this.running.signal;
  }

  /** Runs one act; what the service refuses is shown, and an aborted act is forgotten. */
  async act(work, { kind = this.kind } = {}) {
    const signal = this.begin();
    this.view.busy(true);
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) this.failed(error, kind);
    }
    if (!signal.aborted) this.view.busy(false);
  }

  load(kind, { focus = false, say = '' } = {}) {
    this.view.say(say || 'loading', { alarm: Boolean(say) });
    return this.act(async (signal) => {
      const { sitekey, action, cdata } = this.options;
      const challenge = await this.service.issue({ sitekey, kind, action, cdata, language: this.language }, signal);
      await this.present(challenge, { signal, focus, say });
    }, { kind });
  }

  async present(challenge, { signal, focus, say }) {
    const { kind, length } = challenge;
    this.challenge = challenge;
    this.kind = kind;
    const element = this.view.lay(kind, length);
    this.view.show('challenge');
    this.view.busy(false); // an answer, or another way, can be given while this one still loads or runs
    if (focus) this.view.focus(kind === 'work' ? 'working' : 'input');
    if (kind === 'work') {
      this.view.say('');
      await this.answer(String(await prove(challenge.work, signal)), signal);
      return;
    }
    await this.fetchInto(element, kind, signal);
    this.again = false;
    if (!say) this.view.hush('loading'); // what was said meanwhile, of an empty answer for one, stays to be read
  }

  async fetchInto(element, kind, signal) {
    const url = this.service.media(this.challenge, kind);
    await new Promise((resolve, reject) => {
      element.addEventListener(kind === 'image' ? 'load' : 'loadeddata', resolve, { once: true });
      element.addEventListener('error', () => reject(new Refused(0)), { once: true });
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      element.src = url;
    }).catch(async (error) => { throw signal.aborted ? error : await this.service.whyNot(url, signal); });
  }

  submit(text) {
    if (!text) {
      this.view.say('empty', { alarm: true });
      this.view.wrong();
      this.view.focus('input');
      return;
    }
    this.view.say('checking');
    this.act((signal) => this.answer(text, signal));
  }

  async answer(text, signal) {
    const { right, token, seconds } = await this.service.answer(this.challenge, text, signal);
    if (right) this.succeed(token, seconds);
    else if (this.kind === 'work') throw new Refused(WRONG); // nobody is there to see it, so it must not begin again
    else await this.load(this.kind, { focus: true, say: 'wrong' });
  }

  succeed(token, seconds) {
    this.token = this.field.value = token;
    this.expired = false;
    this.view.say('');
    this.view.show('done');
    if (!this.view.dialog) this.view.focus('done');
    this.timer = setTimeout(() => this.expire(), seconds * 1000);
    this.tell('callback', 'verified', token);
    this.settle(({ resolve }) => resolve(token));
  }

  expire() {
    this.reset();
    this.expired = true;
    this.view.say('expired', { alarm: true });
    this.tell('expiredCallback', 'expired');
  }

  /** Shows why something failed. What was on the screen before stays usable. */
  failed(error, kind) {
    const status = error instanceof Refused ? error.status : -1;
    const gone = status === 404 || status === 409 || status === 410;
    if (this.challenge && gone && !this.again) {
      this.again = true; // once: a challenge that is gone before it is seen is no reason to ask for ever
      this.load(this.kind, { focus: true, say: 'gone' });
      return;
    }
    const otherWay = this.challenge && kind !== this.kind && (status === 403 || status === 400);
    const names = { 0: 'offline', [WRONG]: 'failed', 403: otherWay ? 'not_offered' : 'refused', 404: 'unknown', 429: 'limited', 503: 'unavailable' };
    this.view.say(otherWay ? 'not_offered' : names[status] || 'offline', { alarm: true, n: error.seconds || 5 });
    if (otherWay) this.view.parts[`to_${kind}`].hidden = true;
    if (!this.challenge || this.kind === 'work') this.view.show(this.view.dialog ? 'challenge' : 'idle');
    if ([document.body, this.mount].includes(document.activeElement)) this.view.focusFirst();
    this.tell('errorCallback', 'error', String(status));
  }

  /** Back to the beginning; an unspent token is dropped. */
  reset(focus = false) {
    this.begin();
    clearTimeout(this.timer);
    this.token = this.field.value = '';
    this.challenge = null;
    this.expired = false;
    this.view.busy(false);
    this.view.say('');
    this.view.show('idle');
    if (focus && !this.view.dialog) this.view.focus('start');
  }

  cancel() {
    this.reset();
    this.settle(({ reject }) => reject(new Error('goodnoise: the visitor closed the challenge')));
  }

  /** A promise of a token, now or after the visitor has answered. */
  execute() {
    if (this.token) {
      this.tell('callback', 'verified', this.token);
      return Promise.resolve(this.token);
    }
    if (!this.waiting) {
      this.waiting = Promise.withResolvers ? Promise.withResolvers() : deferred();
      this.waiting.promise.catch(() => {}); // a page that only uses callbacks has nobody to catch it
      this.load('image', { focus: true });
    }
    return this.waiting.promise;
  }

  settle(how) {
    const { waiting } = this;
    this.waiting = null;
    if (waiting) how(waiting);
  }

  /** Calls the page's function and tells listeners: events `goodnoise-verified`, `-expired`, `-error`. */
  tell(option, event, detail) {
    this.host.dispatchEvent(new CustomEvent(`goodnoise-${event}`, { detail, bubbles: true }));
    const named = this.options[option];
    const call = typeof named === 'string' ? window[named] : named;
    if (typeof call === 'function') call(detail);
  }

  remove() {
    this.reset();
    this.mount.remove();
    this.field.remove();
  }
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
