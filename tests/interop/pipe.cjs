'use strict';
// The lines between a test and its driver, in Node: stdin and stdout. The process goes when its input ends.

const readline = require('node:readline');

module.exports = {
  say: (line) => process.stdout.write(`${line}\n`),
  hear: (obey) => readline.createInterface({input: process.stdin}).on('line', obey).on('close', () => process.exit(0)),
};
