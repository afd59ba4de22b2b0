import { VizardError } from './errors.ts';
import { sourcePlaces } from './source-map.ts';

/**
 * What may be logged: names, codes and numbers. There is no field for a value of an event, and none for an error
 * object, whose message or detail could quote one.
 */
export type LogFields = {
  readonly messageId?: string;
  readonly field?: string;
  /** A FieldCode, SQLSTATE or system error code. */
  readonly code?: string;
  /** The class of an unexpected error, and where in our code it was thrown. */
  readonly error?: string;
  readonly frames?: readonly string[];
  readonly attempt?: number;
  readonly received?: number;
  readonly stored?: number;
  readonly duplicates?: number;
  readonly rejected?: number;
  readonly retried?: number;
  readonly milliseconds?: number;
  /** Rows that were moved or deleted. */
  readonly rows?: number;
};

/** The part of @aws-lambda-powertools/logger that we use; the command line has one of its own. */
export interface Log {
  info(message: string, fields: LogFields): void;
  warn(message: string, fields: LogFields): void;
  error(message: string, fields: LogFields): void;
}

/** What may be said of an error that nobody foresaw: its class and where it was thrown, not its message. */
export function describeError(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error };
  const name = /^[A-Za-z]{1,40}$/.test(error.name) ? error.name : 'Error';
  return { error: name, frames: framesOf(error) };
}

/**
 * Logs why something failed. Lambda logs what is thrown, message and all, so only an error that is known to hold no value
 * may get out.
 *
 * @returns what may be thrown
 */
export function reportFailure(log: Log, error: unknown): VizardError {
  if (error instanceof VizardError) {
    log.error(error.message, {});
    return error;
  }
  log.error('unexpected error', describeError(error));
  return new VizardError('unexpected error; the log has its class and where it was thrown');
}

/** The stack below the message, which may have several lines and look like frames itself. */
function framesOf({ stack, message }: Error): string[] {
  if (typeof stack !== 'string') return [];
  const header = stack.lastIndexOf(message);
  if (header < 0) return [];
  const lines = stack
    .slice(header + message.length)
    .split('\n')
    .slice(1, 11);
  const inSources = sourcePlaces();
  return lines.map((line) => inSources(line.trim()));
}
