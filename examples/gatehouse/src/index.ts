export { commandLine, giveUp } from './command-line.js';
export { page } from './page.js';
export { serve } from './serve.js';
