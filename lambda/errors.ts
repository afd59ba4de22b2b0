/** Base of every error that is meant for a person: its message is one line and never holds a value. */
export class VizardError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** A missing or malformed setting: names itself, what was expected, what came. */
export class ConfigError extends VizardError {}

/** A keyset that can't be used: names the member, never shows material. */
export class KeysetError extends VizardError {}

/** The whole batch could not be written; it is not acknowledged. `code` is a SQLSTATE or a system error code. */
export class DatabaseFailure extends VizardError {
  readonly code: string;

  constructor(message: string, code: string) {
    super(`${message} (${code})`);
    this.code = code;
  }
}
