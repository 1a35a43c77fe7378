// What every page of these tests needs: the element, bounded waits, ranges and bytes.

export const audio = document.querySelector('audio');

const HANG_MS = 30_000;
const POLL_MS = 20;

/** Returns what `find` gives as soon as it is true; a wait without end is a failure. */
export async function until(find, what) {
  const end = performance.now() + HANG_MS;
  for (;;) {
    const found = find();
    if (found) return found;
    if (performance.now() > end) throw new Error(`never came: ${what}`);
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}

export const event = (target, name) => {
  let came = false;
  target.addEventListener(name, () => { came = true; }, { once: true });
  return () => until(() => came, name);
};

export const ranges = ({ buffered }) =>
  Array.from(buffered, (_, i) => [buffered.start(i), buffered.end(i)]);

/** Moves the element and returns where it is then. */
export async function seek(time) {
  const seeked = event(audio, 'seeked');
  audio.currentTime = time;
  await seeked();
  return audio.currentTime;
}

/** Plays the last second and returns where the element ended. */
export async function playToTheEnd() {
  await seek(audio.duration - 1);
  await audio.play();
  await until(() => audio.ended, 'the end');
  return audio.currentTime;
}

export async function fetchBytes(url, range) {
  const headers = range ? { Range: `bytes=${range[0]}-${range[1] - 1}` } : {};
  const answer = await fetch(url, { headers });
  if (answer.status !== (range ? 206 : 200)) throw new Error(`${answer.status} for ${url}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** One tier of a track as its JSON manifest declares it, and its bytes. */
export async function openTier(manifest, tier) {
  const { renditions } = await (await fetch(manifest)).json();
  const declared = renditions.find(rendition => rendition.tier === tier);
  const base = new URL(declared.base_url, manifest);
  const get = (object, range) => fetchBytes(new URL(object.name, base), range);
  return { ...declared, type: `${declared.media_type}; codecs="${declared.codec}"`, get };
}

export function join(parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let place = 0;
  for (const part of parts) {
    joined.set(part, place);
    place += part.length;
  }
  return joined;
}

export async function openSource() {
  const source = new MediaSource(), opened = event(source, 'sourceopen');
  audio.src = URL.createObjectURL(source);
  await opened();
  return source;
}

export async function append(buffer, bytes) {
  let refused = false;
  buffer.onerror = () => { refused = true; };
  const ended = event(buffer, 'updateend');
  buffer.appendBuffer(bytes);
  await ended();
  if (refused) throw new Error('the browser refused what was appended');
}

export async function loadScript(url) {
  const script = document.createElement('script');
  const loaded = event(script, 'load');
  script.src = url;
  document.head.append(script);
  await loaded();
}

/** Notes what a player fetches from the origin from now on. */
export function watchFetches() {
  performance.setResourceTimingBufferSize(10_000);
  performance.clearResourceTimings();
  return {
    urls: () => performance.getEntriesByType('resource').map(({ name }) => name)
      .filter(name => name.includes('/s/')),
  };
}
