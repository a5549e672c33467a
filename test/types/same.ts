type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only if the value's type is exactly the one named, not merely one that fits: `same<string>()(value)`. */
export function same<Expected>(): <Actual>(value: Equal<Actual, Expected> extends true ? Actual : never) => void {
  return () => {};
}
