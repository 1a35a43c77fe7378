// Says for each notice on stdin whether standardwebhooks takes it: a JSON object a line.
const { Webhook } = require('standardwebhooks');

const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
for (const line of lines) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    console.log(JSON.stringify(new Webhook(secret).verify(body, headers).type));
  } catch (fault) {
    console.log(JSON.stringify(`refused: ${fault.message}`));
  }
}
