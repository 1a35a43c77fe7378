// Whether a signed URL opens what it names: the same check as protection/signing.py, which tells
// the format. The path is taken as it was sent, so that nothing is opened that was not signed so.
//
// nginx runs a module anew for every request: expressions are literals, which are compiled once, and
// of the ring only the key that is asked for is read.
import crypto from 'crypto';

const VERSION = 'lathe-url-1';
// The last letter of a signature has two bits that mean nothing, and are nought.
const IN_PATH = /^\/s\/([1-9][0-9]{9})\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])(\/[A-Za-z0-9_]{1,64}\/[a-z0-9-]{1,80}\/)[^\/%?#]+(?:\?|$)/;
const IN_QUERY = /^\/s(\/[A-Za-z0-9_]{1,64}\/[a-z0-9-]{1,80}\/)[^\/%?#]+\?t=([1-9][0-9]{9})\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/;

// The ring is words "kid:secret" between white space, and no secret has a colon.
function keyOf(kid) {
  const ring = process.env.LATHE_URL_KEYS || '', word = kid + ':';
  let at = ring.indexOf(word);
  while (at > 0 && ring[at - 1] > ' ') at = ring.indexOf(word, at + 1);
  if (at < 0) return null;
  const secret = ring.slice(at + word.length);
  return Buffer.from(secret.slice(0, secret.search(/\s|$/)), 'base64url');
}

// Takes as long wherever the first difference is. Both are 32 bytes.
function isSame(one, other) {
  let different = 0;
  for (let i = 0; i < 32; i += 4) different |= one.readInt32LE(i) ^ other.readInt32LE(i);
  return different === 0;
}

function opens(r) {
  const uri = r.variables.request_uri;
  let found = IN_PATH.exec(uri);
  if (found !== null) return verify(found[1], found[2], found[3], found[4], found[5]);
  found = IN_QUERY.exec(uri);
  return found === null ? 'no' : verify(found[2], found[3], found[4], found[5], found[1]);
}

function verify(expires, kid, session, signature, prefix) {
  const key = keyOf(kid);
  if (key === null) return 'no';
  const message = `${VERSION}\n${kid}\n${expires}\n${session}\n${prefix}`;
  const expected = crypto.createHmac('sha256', key).update(message).digest();
  const given = Buffer.from(signature, 'base64url');
  return isSame(expected, given) && Date.now() < Number(expires) * 1000 ? 'yes' : 'no';
}

export default { opens };
