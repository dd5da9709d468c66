'use strict';
// Lets a test drive a client of rsocket-js: commands on stdin, answers and events on stdout, one JSON object a line.
//
//   {"id": 1, "do": "call", ...}   a command; its answer is {"id": 1, "result": ...} or {"id": 1, "error": {code, text}}
//   {"stream": 7, "item": ...}     an event of a stream: item, complete or error
//   {"connection": 3, "closed": {code, text}}   an event of a connection: closed, or keepalive "echo" or "ask"
//
// The numbers of streams and connections are the test's own. A line of rsocket-js is what `connect` makes of it:
//   connect(url, setup, on) → Promise of {call, fire, stream, channel, close}
// with payloads of Buffers; see legacy/client.cjs and alpha/client.cjs.
//
// In a browser the same program runs in a page: `tests/browser/bundle.mjs` puts other files in the place of pipe.cjs,
// protos.cjs, ws and the TCP transports, and `tests/browser/rsocket_js.py` carries the lines.

const {codec} = require('./contract.cjs');
const pipe = require('./pipe.cjs');

function say(message) {
  pipe.say(JSON.stringify(message));
}

/** What a test may know of an error: RSocket's code, where the library tells it, and the text. */
function told(error) {
  return {code: error?.code ?? error?.source?.code ?? null, text: error?.source?.message ?? error?.message ?? ''};
}

function drive({connect, metadata}) {
  const connections = new Map();
  const streams = new Map();

  /** A request of this connection as a payload, and the codec for what comes back. */
  function request({connection, route, message, mime, auth}) {
    const {socket, dataMime} = connections.get(connection);
    const messages = codec(route, mime ?? dataMime);
    return {socket, messages, payload: {data: messages.write(message), metadata: metadata({route, mime, auth})}};
  }

  function events(stream, messages) {
    return {
      next: (data) => say({stream, item: messages.read(data)}),
      complete: () => say({stream, complete: true}),
      error: (error) => say({stream, error: told(error)}),
    };
  }

  const commands = {
    async connect({connection, url, dataMime, auth, ...setup}) {
      const on = {
        closed: (error) => say({connection, closed: told(error)}),
        keepalive: (kind) => say({connection, keepalive: kind}),
      };
      const payload = auth && {data: Buffer.alloc(0), metadata: metadata({auth})};
      connections.set(connection, {socket: await connect(new URL(url), {dataMime, payload, ...setup}, on), dataMime});
    },
    async call(command) {
      const {socket, messages, payload} = request(command);
      return messages.read(await socket.call(payload));
    },
    fire(command) {
      const {socket, payload} = request(command);
      socket.fire(payload);
    },
    watch(command) {
      const {socket, messages, payload} = request(command);
      streams.set(command.stream, {...socket.stream(payload, command.n, events(command.stream, messages))});
    },
    channel(command) {
      const {socket, messages, payload} = request(command);
      const channel = socket.channel(payload, command.n, events(command.stream, messages));
      const send = (message) => channel.send({data: messages.write(message)});
      streams.set(command.stream, {...channel, send});
    },
    request: ({stream, n}) => streams.get(stream).request(n),
    cancel: ({stream}) => streams.get(stream).cancel(),
    send: ({stream, message}) => streams.get(stream).send(message),
    complete: ({stream}) => streams.get(stream).complete(),
    close: ({connection}) => connections.get(connection).socket.close(),
  };

  async function obey(line) {
    const {id, do: name, ...command} = JSON.parse(line);
    try {
      say({id, result: (await commands[name](command)) ?? null});
    } catch (error) {
      say({id, error: told(error)});
    }
  }

  pipe.hear(obey);
}

/** Commands that wait for the peer's credit, as every channel of these libraries wants its items. */
class Outbox {
  constructor(put, end) {
    this.put = put;
    this.end = end;
    this.credit = 0;
    this.waiting = [];
    this.completed = false;
  }

  request(n) {
    this.credit += n;
    this.flush();
  }

  send(payload) {
    this.waiting.push(payload);
    this.flush();
  }

  complete() {
    this.completed = true;
    this.flush();
  }

  flush() {
    while (this.credit > 0 && this.waiting.length > 0) {
      this.credit -= 1;
      this.put(this.waiting.shift());
    }
    if (this.completed && this.waiting.length === 0 && this.end) {
      const end = this.end;
      this.end = null;
      end();
    }
  }
}

module.exports = {drive, Outbox};
