/**
 * Makes something when it is asked for first, and keeps it. What failed is tried again when it is asked for next, because
 * an environment may live for hours.
 */
export function onceMade<T>(make: () => Promise<T>): () => Promise<T> {
  let making: Promise<T> | undefined;
  return () => {
    making ??= make().catch((error: unknown) => {
      making = undefined;
      throw error;
    });
    return making;
  };
}

/**
 * The same, begun as soon as whoever asks has been loaded: while Lambda prepares an environment the function has whole
 * processors, and afterwards the share that its memory gives it. A failure is nobody's until it is asked for.
 */
export function madeAhead<T>(make: () => Promise<T>): () => Promise<T> {
  const get = onceMade(make);
  queueMicrotask(() => get().catch(() => {}));
  return get;
}
