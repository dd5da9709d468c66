'use strict';
// The messages of the contract, read from the .proto files as a stranger would: a route names its method, the method
// names its messages. A message is a plain object with the names of Protobuf's JSON mapping, whatever the encoding.

const protobuf = require('protobufjs');
const {root} = require('./protos.cjs');

// Numbers of 64 bits and enum values are strings in the JSON mapping.
const AS_JSON = {longs: String, enums: String};
const JSON_MIME = 'application/json';

function methodsByRoute(contract) {
  const methods = new Map();
  for (const service of contract.nestedArray.filter((entry) => entry instanceof protobuf.Service)) {
    for (const method of service.methodsArray) {
      methods.set(`${service.name}.${method.name}`.toLowerCase(), method.resolve());
    }
  }
  return methods;
}

const METHODS = methodsByRoute(root.resolveAll().lookup('tidings.v1'));

/** How a request of `route` is written and its answers are read, in the encoding of `mime`. An unknown route carries nothing. */
function codec(route, mime) {
  const method = METHODS.get(route);
  if (mime === JSON_MIME) {
    return {write: (message) => Buffer.from(JSON.stringify(message)), read: (data) => JSON.parse(data.toString())};
  }
  if (method === undefined) return {write: () => Buffer.alloc(0), read: () => ({})};
  const {resolvedRequestType: request, resolvedResponseType: response} = method;
  return {
    write: (message) => Buffer.from(request.encode(request.fromObject(message)).finish()),
    // An empty message has no data at all.
    read: (data) => response.toObject(response.decode(data ?? Buffer.alloc(0)), AS_JSON),
  };
}

module.exports = {codec};
