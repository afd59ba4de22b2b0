import type { Connection, Submittable } from 'pg';

/** With parameters $1, $2 …; bytes are in PostgreSQL's binary format. */
export interface Statement {
  readonly text: string;
  readonly values?: readonly (string | Buffer)[];
}

/**
 * Statements that can be sent before pg's turn for them has come, so that nothing waits for the server in between. What
 * follows one that fails is not run (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING).
 */
export class Pipeline implements Submittable {
  /** Settles when the server is ready for another query, or has failed. Never rejects. @returns the server's error */
  readonly done: Promise<unknown>;
  private readonly statements: readonly Statement[];
  private readonly settle: (error?: unknown) => void;
  private sent = false;

  constructor(statements: readonly Statement[]) {
    this.statements = statements;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.done = promise;
    this.settle = resolve;
  }

  /** Also called by pg, when everything before has been answered. */
  submit(connection: Connection): void {
    if (this.sent) return;
    this.sent = true;
    connection.stream.cork();
    for (const { text, values = [] } of this.statements) {
      connection.parse({ name: '', text, types: [] }, true);
      connection.bind({ values: [...values] }, true);
      connection.execute({}, true);
    }
    connection.sync();
    connection.stream.uncork();
  }

  /** What follows is called by pg. */
  handleCommandComplete(): void {}
  handleRowDescription(): void {}
  handleDataRow(): void {}

  handleError(error: unknown): void {
    this.settle(error);
  }

  handleReadyForQuery(): void {
    this.settle();
  }
}
