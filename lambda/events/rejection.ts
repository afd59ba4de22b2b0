/** Why a value was refused. A code says all that may be said: the value itself is personal data. */
export type FieldCode =
  /** The body is not JSON. */
  | 'json'
  | 'missing'
  | 'type'
  | 'empty'
  /** A NUL character or a lone surrogate. */
  | 'text'
  | 'too_long'
  | 'format'
  | 'range';

/** One message that can never be stored as it is, however often it is delivered. */
export interface Rejection {
  readonly messageId: string;
  /** Path of the field in the message, or the constraint or column that the database named. */
  readonly field: string;
  /** A FieldCode, or the SQLSTATE with which the database refused the row. */
  readonly code: string;
}

/** Thrown where a field breaks a rule; the batch parser turns it into a Rejection. Holds no value. */
export class FieldError extends Error {
  readonly code: FieldCode;

  constructor(code: FieldCode) {
    super(code);
    this.name = 'FieldError';
    this.code = code;
  }
}
