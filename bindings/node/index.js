'use strict';

const { start } = require('./lib/server.js');
const { version } = require('./package.json');

module.exports = { start, version };
