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
