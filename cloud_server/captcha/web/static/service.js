// Calls of the service. No cookie is sent or kept, and no page may be cached.

/** What the service refused, or that it could not be reached (status 0). */
class Refused extends Error {
  constructor(status, seconds) {
    super(`goodnoise: status ${status}`);
    this.status = status;
    this.seconds = seconds;
  }
}

class Service {
  /** `base`: where the script came from, without its file's name. */
  constructor(base) {
    this.base = base;
  }

  issue(request, signal) {
    return this.call('/api/v1/challenges', request, signal);
  }

  answer(challenge, text, signal) {
    return this.call(`/api/v1/challenges/${challenge.id}/answer`, { answer: text }, signal);
  }

  /** The address of a challenge's picture or sound; `fresh` names each playing apart. */
  media(challenge, part, fresh = '') {
    return `${this.base}/api/v1/challenges/${challenge.id}/${part}${fresh}`;
  }

  /** Why a picture or sound did not come. */
  async whyNot(url, signal) {
    const { status, seconds } = await this.ask(url, { signal }).then(() => new Refused(0), (error) => error);
    return new Refused(status, seconds);
  }

  async call(path, content, signal) {
    const body = JSON.stringify(content);
    const headers = { 'content-type': 'application/json' };
    return (await this.ask(this.base + path, { method: 'POST', headers, body, signal })).json();
  }

  async ask(url, options) {
    let response;
    try {
      response = await fetch(url, { ...options, mode: 'cors', credentials: 'omit', cache: 'no-store' });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refused(0);
    }
    if (!response.ok) throw new Refused(response.status, Number(response.headers.get('retry-after')) || 0);
    return response;
  }
}
