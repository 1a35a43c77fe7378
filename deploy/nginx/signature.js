// Whether a signed URL opens what it names: the same check as protection/signing.py, which tells
// the format. The path is taken as it was sent, so that nothing is opened that was not signed so.
import crypto from 'crypto';

const VERSION = 'lathe-url-1';
const TOKEN = '([1-9][0-9]{9})\\.([a-z0-9]{1,16})\\.([A-Za-z0-9_-]{1,64})\\.([A-Za-z0-9_-]{43})';
const PREFIX = '(\\/[A-Za-z0-9_]{1,64}\\/[a-z0-9-]{1,80}\\/)';
const IN_PATH = new RegExp('^\\/s\\/' + TOKEN + PREFIX + '[^\\/%?#]+(\\?|$)');
const IN_QUERY = new RegExp('^\\/s' + PREFIX + '[^\\/%?#]+\\?t=' + TOKEN + '$');

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
  const uri = r.variables.request_uri;
  let found = IN_PATH.exec(uri);
  if (found !== null) return verify(found.slice(1, 5), found[5]);
  found = IN_QUERY.exec(uri);
  return found === null ? 'no' : verify(found.slice(2, 6), found[1]);
}

function verify(token, prefix) {
  const expires = token[0], kid = token[1], session = token[2], signature = token[3];
  const key = ring[kid];
  if (key === undefined) return 'no';
  const message = [VERSION, kid, expires, session, prefix].join('\n');
  const expected = crypto.createHmac('sha256', key).update(message).digest('base64url');
  return isSame(signature, expected) && Date.now() < Number(expires) * 1000 ? 'yes' : 'no';
}

export default { opens };
