// A page with nothing but the library: a test begins a client here and reads what it says.
import {connect} from '/index.js';

const named = (name) => document.querySelector(`[aria-label=${name}]`);
const item = (text) => Object.assign(document.createElement('li'), {textContent: text});
const QUICK = {baseMs: 20, capMs: 200, draw: Math.random};

/** Connect, and show the room from its beginning. `freshToken` is the test's own function. */
globalThis.begin = ({room, tokens, ...options}) => {
  const tidings = connect({backoff: QUICK, ...(tokens && {token: () => freshToken()}), ...options});
  globalThis.tidings = tidings;
  const showPending = () => {
    const texts = tidings.room(room).pending().map(({text}) => text);
    named('pending').replaceChildren(...texts.map(item));
  };
  tidings.on('state', (state) => named('states').append(`${state} `));
  tidings.on('pending', showPending);
  tidings.on('sent', showPending);
  tidings.on('failed', ({failure}) => named('refused').append(failure.text));
};

/** Show the events behind `after`. Takes as many as `allow` has allowed. */
globalThis.watch = async (room, after, allowed = Infinity) => {
  let allow;
  globalThis.allow = (more) => {
    allowed += more;
    allow?.();
  };
  for await (const {seq, actor, what} of tidings.room(room).watch({after})) {
    if (what.case !== 'posted') continue;
    named('seen').append(item(`${actor}: ${what.value.text.slice(0, 40)}`));
    named('read').textContent = `${seq}`;
    allowed -= 1;
    while (allowed <= 0) await new Promise((resolve) => (allow = resolve));
  }
};

document.body.dataset.ready = 'yes';
