// Whether a signed URL opens what it names: the same check as protection/signing.py, which tells
// the format. What a URL says is read in nginx.conf, of the path as it was sent, so that nothing is
// opened that was not signed so.
//
// nginx runs a module anew for every request: there are no expressions here, and of the ring only the
// key that is asked for is read.
import crypto from 'crypto';

const VERSION = 'lathe-url-1';

// The ring is words "kid:secret" between white space, with which the decoding of a secret ends; no
// secret has a colon.
function keyOf(kid) {
  const ring = process.env.LATHE_URL_KEYS || '', word = kid + ':';
  let at = ring.indexOf(word);
  while (at > 0 && ring[at - 1] > ' ') at = ring.indexOf(word, at + 1);
  return at < 0 ? null : Buffer.from(ring.slice(at + word.length), 'base64url');
}

// Takes as long wherever the first difference is. Both are 32 bytes.
function isSame(one, other) {
  let different = 0;
  for (let i = 0; i < 32; i++) different |= one[i] ^ other[i];
  return different === 0;
}

function opens(r) {
  const said = r.variables.lathe_said;
  if (!said) return 'no';
  const parts = said.split(' '), kid = parts[0], expires = parts[1];
  const key = keyOf(kid);
  if (key === null) return 'no';
  const message = `${VERSION}\n${kid}\n${expires}\n${parts[2]}\n${parts[3]}`;
  const expected = crypto.createHmac('sha256', key).update(message).digest();
  const given = Buffer.from(parts[4], 'base64url');
  return isSame(expected, given) && Date.now() < Number(expires) * 1000 ? 'yes' : 'no';
}

export default { opens };
