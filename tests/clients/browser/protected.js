// Shaka Player with what is kept in common encryption: online, and from its own storage.
//
// Chromium keeps no ClearKey licence, so the page does: sealed by a key that WebCrypto lets nobody
// read, with the time when it ends, which the page holds to.

import { audio, loadScript, playToTheEnd, ranges, until } from './media.js';

const SYSTEM = 'org.w3.clearkey';

async function openPlayer(origin) {
  await loadScript('/node_modules/shaka-player/dist/shaka-player.compiled.js');
  shaka.polyfill.installAll();
  const player = new shaka.Player(), errors = [], told = [];
  player.addEventListener('error', ({ detail }) => {
    errors.push(`${detail.code}`);
    told.push(`${JSON.stringify(detail.data?.[0]?.data ?? null)}`);
  });
  if (origin) {
    const { LICENSE, MANIFEST } = shaka.net.NetworkingEngine.RequestType;
    player.getNetworkingEngine().registerRequestFilter((kind, request) => {
      if (kind === LICENSE || kind === MANIFEST) {
        request.headers.Authorization = `Bearer ${origin.token}`;
      }
    });
    player.configure({ drm: { servers: { [SYSTEM]: origin.licence } } });
  }
  await player.attach(audio);
  return { player, errors, told };
}

/** Loads what was asked for, and plays its beginning and its end; faults are told by number. */
async function playAll({ player, errors, told }, url) {
  try {
    await player.load(url);
    // It never begins where nothing can be decrypted.
    audio.play().catch(() => {});
    await until(() => audio.currentTime > .3 || errors.length, 'its beginning');
    player.configure('streaming.bufferingGoal', audio.duration);
    const whole = () => ranges(audio).some(range => range[1] >= audio.duration - .05);
    await until(() => whole() || errors.length, 'all of it');
    if (errors.length) return { errors, told };
    const ended = await playToTheEnd();
    return {
      errors, ended, duration: audio.duration, ranges: ranges(audio),
      decoded: audio.webkitAudioDecodedByteCount, system: player.keySystem(),
    };
  } catch (fault) {
    if (!fault.code) throw fault;
    return { errors: [`${fault.code}`], told: [JSON.stringify(fault.data?.[0]?.data ?? null)] };
  } finally {
    await player.destroy();
  }
}

/** Plays a track as it is kept at an origin, which gives the licence. */
export async function playOnline(mpd, origin) {
  return playAll(await openPlayer(origin), mpd);
}

// ---------------------------------------------------------------------------- what a page keeps

function openShelf() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open('shelf', 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore('kept');
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function shelf(mode, work) {
  const store = (await openShelf()).transaction('kept', mode).objectStore('kept');
  return new Promise((resolve, reject) => {
    const asked = work(store);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

const read = name => shelf('readonly', store => store.get(name));
const write = (name, value) => shelf('readwrite', store => store.put(value, name));

async function ownKey() {
  const known = await read('key');
  if (known) return known;
  const made = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false,
    ['encrypt', 'decrypt']);
  await write('key', made);
  return made;
}

async function keepLicence(licence, now) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify({ ...licence, seen: now }));
  const data = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await ownKey(), text);
  await write('licence', { iv, data });
}

/** Returns the licence that is kept, if it has not ended and the clock was not turned back. */
async function openLicence(now) {
  const { iv, data } = await read('licence');
  const text = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, await ownKey(), data);
  const licence = JSON.parse(new TextDecoder().decode(text));
  if (now >= Date.parse(licence.expires_at)) throw new Error('the licence has ended');
  if (now < licence.seen) throw new Error('the clock was turned back');
  await keepLicence(licence, now);
  return licence;
}

/** Keeps a track with its licence; returns how Shaka Player's storage names it. */
export async function store(mpd, origin, kid) {
  const { player, errors } = await openPlayer(origin);
  const storage = new shaka.offline.Storage(player);
  storage.configure({ offline: { usePersistentLicense: false } });
  const { offlineUri } = await storage.store(mpd, { of: mpd }).promise;
  const headers = { Authorization: `Bearer ${origin.token}`, 'Content-Type': 'application/json' };
  const body = JSON.stringify({ kids: [kid], type: 'temporary' });
  const answer = await fetch(origin.licence, { method: 'POST', headers, body });
  await keepLicence(await answer.json(), Date.now());
  await storage.destroy();
  await player.destroy();
  return { errors, uri: offlineUri, extractable: (await ownKey()).extractable };
}

const toHex = text => Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')),
  letter => letter.charCodeAt(0).toString(16).padStart(2, '0')).join('');

/** Plays what was kept, at a time; with `wrong`, with another key under the same id. */
export async function playStored(uri, now, wrong) {
  let licence;
  try {
    licence = await openLicence(now);
  } catch (fault) {
    return { errors: [fault.message] };
  }
  const opened = await openPlayer(null);
  const pairs = licence.keys.map(({ kid, k }) => [toHex(kid), wrong ?? toHex(k)]);
  opened.player.configure({ drm: { clearKeys: Object.fromEntries(pairs) } });
  return playAll(opened, uri);
}

/** Asks for something of an origin that is gone; returns whether anything came. */
export async function reaches(url) {
  try {
    await fetch(url);
    return true;
  } catch {
    return false;
  }
}
