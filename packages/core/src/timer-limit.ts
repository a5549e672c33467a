/** The longest time that Node's timers can count, in milliseconds (24 days); with a longer one they would fire at once. */
export const LONGEST_TIME = 2 ** 31 - 1;
