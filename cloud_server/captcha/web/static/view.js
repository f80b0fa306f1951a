// What a visitor sees: one box in a shadow root. It knows no calls; the widget tells it what to show.

class View {
  /** `on`: what the visitor's acts do, by name: start, submit, reload, kind, stop, cancel. */
  constructor(mount, { language, texts, theme, size, tabindex, on }) {
    this.texts = texts;
    this.parts = {};
    this.root = mount.attachShadow({ mode: 'open', delegatesFocus: true });
    dress(this.root, STYLE);
    this.box = make(
      'div',
      { class: 'box', role: 'group', lang: language, 'aria-label': texts.title, 'data-theme': theme, 'data-size': size },
      this.startButton(on, tabindex), this.done(), this.challenge(on), this.part('status', make('p', { class: 'status', role: 'status' })),
    );
    this.dialog = size === 'invisible' ? this.dialogOf(on) : null;
    this.root.append(this.dialog || this.box);
    this.show('idle');
  }

  part(name, element) {
    this.parts[name] = element;
    return element;
  }

  startButton(on, tabindex) {
    const start = make('button', { type: 'button', class: 'start', onclick: on.start, tabindex },
      make('span', { class: 'mark' }), make('span', {}, this.texts.start), this.name());
    return this.part('start', start);
  }

  done() {
    const mark = make('span', { class: 'mark' }, icon('tick'));
    return this.part('done', make('div', { class: 'done', tabindex: '-1' }, mark, make('span', {}, this.texts.verified), this.name()));
  }

  challenge(on) {
    const submit = (event) => { event.preventDefault(); event.stopPropagation(); on.submit(this.parts.input.value.trim()); };
    const form = make('form', { class: 'challenge', novalidate: true, onsubmit: submit },
      this.part('stage', make('div', { class: 'stage' })), this.question(), this.foot(on));
    this.stop = make('button', { type: 'button', class: 'stop', onclick: on.stop }, this.texts.working_stop);
    return this.part('challenge', form);
  }

  question() {
    const input = make('input', {
      id: 'answer', type: 'text', autocomplete: 'off', autocapitalize: 'characters', autocorrect: 'off', spellcheck: 'false', enterkeyhint: 'go',
      'aria-required': 'true',
    });
    const line = make('div', { class: 'line' }, this.part('input', input), this.part('submit', make('button', { type: 'submit' }, this.texts.submit)));
    return this.part('question', make('div', { hidden: true }, this.part('label', make('label', { for: 'answer' })), line));
  }

  foot(on) {
    const tool = (name, drawing, act) => this.part(name, make(
      'button', { type: 'button', class: 'tool', title: this.texts[name], 'aria-label': this.texts[name], onclick: act }, icon(drawing)));
    const foot = make('div', { class: 'foot' },
      tool('reload', 'reload', on.reload), tool('to_image', 'picture', () => on.kind('image')),
      tool('to_audio', 'sound', () => on.kind('audio')), tool('to_work', 'work', () => on.kind('work')));
    foot.append(tool('close', 'close', on.cancel), this.name());
    return foot;
  }

  name() {
    return make('span', { class: 'name', 'aria-hidden': 'true' }, 'Goodnoise');
  }

  dialogOf(on) {
    return make('dialog', { 'aria-label': this.texts.title, oncancel: (event) => { event.preventDefault(); on.cancel(); } }, this.box);
  }

  /** `idle`, `challenge` or `done`. */
  show(state) {
    for (const name of ['idle', 'challenge', 'done']) this.parts[name === 'idle' ? 'start' : name].hidden = name !== state;
    this.parts.close.hidden = !this.dialog;
    this.box.dataset.state = state;
    if (!this.dialog) return;
    if (state === 'challenge' && !this.dialog.open) this.dialog.showModal();
    if (state !== 'challenge' && this.dialog.open) this.dialog.close();
  }

  /** Lays out a challenge of a kind; of pictures and sounds the element whose `src` is to be set. */
  lay(kind, length) {
    const { stage, question, label, input } = this.parts;
    const text = (name) => this.texts[name].replace('{n}', length);
    for (const name of ['image', 'audio', 'work']) this.parts[`to_${name}`].hidden = name === kind;
    this.parts.reload.hidden = kind === 'work';
    question.hidden = kind === 'work';
    stage.classList.toggle('plain', kind !== 'image');
    input.value = '';
    input.removeAttribute('aria-invalid');
    input.maxLength = length || 64;
    input.inputMode = kind === 'audio' ? 'numeric' : 'text';
    const [name, element] = this.medium(kind, text);
    label.textContent = kind === 'work' ? '' : text(name);
    stage.replaceChildren(element);
    return element;
  }

  medium(kind, text) {
    if (kind === 'image') return ['image_label', make('img', { alt: text('image_alt'), crossorigin: 'anonymous', width: 256, height: 64 })];
    if (kind === 'audio') {
      return ['audio_label', make('audio', { controls: true, preload: 'auto', crossorigin: 'anonymous', 'aria-label': text('audio_player') })];
    }
    const bar = make('span', { class: 'bar', 'aria-hidden': 'true' }, make('span'));
    return ['working', this.part('working', make('div', { class: 'working', tabindex: '-1' }, text('working'), bar, this.stop))];
  }

  /** A sentence for everybody; an alarm also takes its colour. */
  say(name, { alarm = false, n = '' } = {}) {
    this.said = name;
    this.parts.status.classList.toggle('alarm', alarm);
    this.parts.status.textContent = name ? this.texts[name].replace('{n}', n) : '';
  }

  /** Takes a sentence back if it is the last that was said. */
  hush(name) {
    if (this.said === name) this.say('');
  }

  busy(on) {
    this.box.classList.toggle('busy', on);
    this.box.toggleAttribute('aria-busy', false);
    if (on) this.box.setAttribute('aria-busy', 'true');
    for (const name of ['submit', 'reload', 'to_image', 'to_audio', 'to_work', 'start']) this.parts[name].disabled = on;
  }

  wrong() {
    this.parts.input.setAttribute('aria-invalid', 'true');
  }

  focus(name) {
    this.parts[name].focus({ preventScroll: name === 'done' });
  }

  /** The control that a visitor needs next, after something failed. */
  focusFirst() {
    this.focus(this.box.dataset.state === 'idle' ? 'start' : this.parts.question.hidden ? 'reload' : 'input');
  }
}
