/**
 * Base of every error that is meant for a person: its message is one line and never holds a value. Names are written out,
 * because the bundle's minifier shortens those of classes.
 */
export class VizardError extends Error {
  override readonly name: string = 'VizardError';
}

/** A missing or malformed setting: names itself, what was expected, what came. */
export class ConfigError extends VizardError {
  override readonly name = 'ConfigError';
}

/** A keyset that can't be used: names the member, never shows material. */
export class KeysetError extends VizardError {
  override readonly name = 'KeysetError';
}

/** Base of what failed for a reason that has a name, and may succeed another time. */
abstract class Failure extends VizardError {
  /** A SQLSTATE, a system error code, or the name that AWS gives its error. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** The whole batch could not be written; it is not acknowledged. `code` is a SQLSTATE or a system error code. */
export class DatabaseFailure extends Failure {
  override readonly name: string = 'DatabaseFailure';

  constructor(message: string, code: string) {
    super(`${message} (${code})`, code);
  }
}

/** What a login needs could not be had: a token, or certificates to know the server by. */
export class LoginFailure extends DatabaseFailure {
  override readonly name = 'LoginFailure';
}

/** A secret that could not be read, or does not say what it should. */
export class SecretFailure extends Failure {
  override readonly name = 'SecretFailure';
}

/** There is no keyset to mask with, or not the one that wrote the table, so nothing of the batch was written. */
export class KeysetFailure extends Failure {
  override readonly name = 'KeysetFailure';
}

/** A call of AWS that failed. */
export class AwsFailure extends Failure {
  override readonly name = 'AwsFailure';
}
