import type { Log, LogFields } from '../../lambda/log.ts';

export interface LogLine extends LogFields {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
}

/** A log that keeps what it is told. */
export function memoryLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const level = (level: LogLine['level']) => (message: string, fields: LogFields) => {
    lines.push({ level, message, ...fields });
  };
  return { log: { info: level('info'), warn: level('warn'), error: level('error') }, lines };
}
