/**
 * Signed URLs of one track that never grow old, for players that keep the URLs they were given.
 *
 *   const fresh = await FreshUrls.open(manifestUrl, { Authorization: `Bearer ${token}` });
 *   // Shaka Player
 *   player.getNetworkingEngine().registerRequestFilter(async (_, request) => {
 *     request.uris = await Promise.all(request.uris.map(uri => fresh.rewrite(uri)));
 *   });
 *   // hls.js
 *   new Hls({ xhrSetup: async (xhr, url) => xhr.open('GET', await fresh.rewrite(url)) });
 *
 * It asks for the JSON manifest again when that says so; what is requested after the end of the URLs
 * waits for it.
 */

const SIGNED = /\/s\/[^/]+\/([^/]+\/[^/]+)\/([^/]+)$/;
const RETRY_MS = 2000;

export class FreshUrls {
  #url; #headers; #prefixes = new Map(); #ends = 0; #timer = 0; #asking = null;

  constructor(url, headers) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#headers = headers;
  }

  /** Gives the URLs of a track by its JSON manifest; rejects where that is refused. */
  static async open(manifestUrl, headers = {}) {
    const fresh = new FreshUrls(manifestUrl, headers);
    await fresh.#refresh();
    return fresh;
  }

  /** Gives a URL as it is signed now; one that is no signed URL of the track stays as it is. */
  async rewrite(url) {
    const found = SIGNED.exec(url);
    if (!found) return url;
    if (Date.now() >= this.#ends) await this.#refresh();
    const prefix = this.#prefixes.get(found[1]);
    return prefix ? prefix + found[2] : url;
  }

  /** Asks no more. */
  close() {
    clearTimeout(this.#timer);
  }

  #refresh() {
    this.#asking ??= this.#ask().finally(() => { this.#asking = null; });
    return this.#asking;
  }

  async #ask() {
    const answer = await fetch(this.#url, { headers: this.#headers, cache: 'no-store' });
    if (!answer.ok) throw new Error(`${this.#url.pathname}: ${answer.status}`);
    const { renditions, expires_at, refresh_after } = await answer.json();
    for (const { base_url } of renditions) {
      const prefix = new URL(base_url, this.#url).href;
      this.#prefixes.set(SIGNED.exec(`${prefix}x`)[1], prefix);
    }
    this.#ends = Date.parse(expires_at);
    this.#arm(Date.parse(refresh_after) - Date.now());
  }

  #arm(waitMs) {
    clearTimeout(this.#timer);
    const again = () => this.#refresh().catch(() => this.#arm(RETRY_MS));
    this.#timer = setTimeout(again, Math.max(waitMs, 0));
  }
}
