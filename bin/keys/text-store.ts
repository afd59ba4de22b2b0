import { VizardError } from '../../lambda/errors.ts';

/** A place where the text of a keyset stands. */
export interface TextStore {
  /** As errors and people name it. */
  readonly name: string;
  readonly kind: 'file' | 'secret' | 'inline';
  /** Of a secret, where its name says so. */
  readonly region?: string | undefined;
  /** As it stands there, material included. @throws VizardError */
  readText(): Promise<string>;
  /**
   * Replaces the text as a whole; it never stands there half.
   *
   * @param expected what it has to be until then
   * @throws VizardError where it is something else by now, or can't be changed
   */
  write(text: string, expected: string): Promise<void>;
  /** Leaves no earlier text than the present one behind, as far as that is in our hands. @throws VizardError */
  forgetPrevious(): Promise<void>;
}

/** Somebody else changes the keyset at the same time. */
export function changedMeanwhile(name: string): VizardError {
  return new VizardError(
    `${name}: expected what it was a moment ago, got a keyset that somebody changes at the same time; nothing was changed, run it again`,
  );
}
