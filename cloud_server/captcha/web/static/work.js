// Proof of work: a number whose SHA-256, behind a salt, begins with enough zero bits.

/** Makes `search(salt, bits, from, count)`. It stands alone: its source also runs as a worker. */
function makeSearch() {
  const primes = [];
  for (let n = 2; primes.length < 64; n += 1) if (primes.every((p) => n % p)) primes.push(n);
  const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
  const K = Int32Array.from(primes, (p) => fraction(Math.cbrt(p)));
  const START = Int32Array.from(primes.slice(0, 8), (p) => fraction(Math.sqrt(p)));
  const W = new Int32Array(64);
  const rotate = (x, n) => (x >>> n) | (x << (32 - n));

  // FIPS 180-4, 6.2.2: one block of `words`, beginning at `at`, into `state`.
  function block(state, words, at) {
    for (let t = 0; t < 16; t += 1) W[t] = words[at + t];
    for (let t = 16; t < 64; t += 1) {
      const a = W[t - 15];
      const b = W[t - 2];
      const s0 = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
      const s1 = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
      W[t] = (W[t - 16] + s0 + W[t - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t += 1) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const one = (h + s1 + ((e & f) ^ (~e & g)) + K[t] + W[t]) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((x, i) => { state[i] = (state[i] + x) | 0; });
  }

  function digest(text) {
    const blocks = ((text.length + 8) >> 6) + 1;
    const words = new Int32Array(blocks * 16);
    for (let i = 0; i < text.length; i += 1) words[i >> 2] |= text.charCodeAt(i) << (24 - 8 * (i & 3));
    words[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3));
    words[blocks * 16 - 1] = text.length * 8;
    const state = Int32Array.from(START);
    for (let at = 0; at < words.length; at += 16) block(state, words, at);
    return state;
  }

  function zeros(state) {
    let bits = 0;
    for (const word of state) {
      if (word) return bits + Math.clz32(word);
      bits += 32;
    }
    return bits;
  }

  /** The first fitting number among `count` from `from`, or -1. */
  return function search(salt, bits, from, count) {
    for (let n = from; n < from + count; n += 1) if (zeros(digest(salt + n)) >= bits) return n;
    return -1;
  };
}

const IN_WORKER = 'onmessage = ({ data: { salt, bits } }) => {'
  + 'for (let n = 0; ; n += 5000) { const found = search(salt, bits, n, 5000); if (found >= 0) { postMessage(found); return; } } };';

/** A worker of its own, or null where the page's policy has none. */
function startWorker() {
  const source = `const search = (${makeSearch})();${IN_WORKER}`;
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  try {
    return new Worker(url);
  } catch {
    return null;
  } finally {
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
}

/** The number asked for; rejects with the signal's reason when it is aborted. */
function prove({ salt, bits }, signal) {
  return new Promise((resolve, reject) => {
    const worker = startWorker();
    signal.addEventListener('abort', () => { worker?.terminate(); reject(signal.reason); }, { once: true });
    const here = () => proveHere(salt, bits, signal).then(resolve, reject);
    if (!worker) { here(); return; }
    worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
    worker.onerror = (event) => { event.preventDefault(); worker.terminate(); here(); };
    worker.postMessage({ salt, bits });
  });
}

/** The same on the page's own thread, in pieces of a few milliseconds. */
async function proveHere(salt, bits, signal) {
  const search = makeSearch();
  for (let n = 0; ; n += 1000) {
    signal.throwIfAborted();
    const found = search(salt, bits, n, 1000);
    if (found >= 0) return found;
    await new Promise((resume) => { setTimeout(resume, 0); });
  }
}
