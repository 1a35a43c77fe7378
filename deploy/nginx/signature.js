// Whether a signed URL opens what it names: the same check as protection/signing.py, which tells
// the format. The path is taken as it was sent, so that nothing is opened that was not signed so.
import crypto from 'crypto';

const VERSION = 'lathe-url-1';
const URL = /^\/s\/([1-9][0-9]{9})\.([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{43})(\/[A-Za-z0-9_]{1,64}\/[a-z0-9-]{1,80}\/)[^\/%?#]+(\?|$)/;

const ring = {};
(process.env.LATHE_URL_KEYS || '').split(/\s+/).forEach(word => {
  const end = word.indexOf(':');
  if (end > 0) ring[word.slice(0, end)] = Buffer.from(word.slice(end + 1), 'base64url');
});

// Takes as long wherever the first difference is.
function isSame(one, other) {
  let different = one.length ^ other.length;
  for (let i = 0; i < one.length; i++) different |= one.charCodeAt(i) ^ other.charCodeAt(i);
  return different === 0;
}

function opens(r) {
  const found = URL.exec(r.variables.request_uri);
  if (found === null) return 'no';
  const expires = found[1], kid = found[2], session = found[3], signature = found[4];
  const key = ring[kid];
  if (key === undefined) return 'no';
  const message = [VERSION, kid, expires, session, found[5]].join('\n');
  const expected = crypto.createHmac('sha256', key).update(message).digest('base64url');
  return isSame(signature, expected) && Date.now() < Number(expires) * 1000 ? 'yes' : 'no';
}

export default { opens };
