export { commandLine, giveUp } from './command-line.js';
export { localPages } from './local-pages.js';
export { page, shared } from './page.js';
export { run, serve } from './serve.js';
